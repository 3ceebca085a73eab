import Testing

@testable import Recorder

@Suite struct BurstTimelineTests {
    /// 20 ms of SILK at 16 kHz (config 9): one frame.
    func packet(_ number: Int, timestamp: Int? = nil, sequence: Int? = nil, arrivalMs: Int? = nil, toc: UInt8 = 0x48) -> RecordedPacket {
        RecordedPacket(
            sequence: UInt16(truncatingIfNeeded: sequence ?? number), timestamp: UInt32(truncatingIfNeeded: timestamp ?? number * 960),
            marker: false, arrivalNs: UInt64((arrivalMs ?? max(0, number) * 20) * 1_000_000),
            payload: [toc, UInt8(truncatingIfNeeded: number)])
    }

    @Test func packetsInOrderAreDecodedInOrder() {
        let timeline = BurstTimeline((0..<3).map { packet($0) })
        #expect(timeline.steps == (0..<3).map { .decode($0, samples: 960) } && timeline.samples == 2880)
    }

    @Test func aLossIsConcealedAndMendedByTheNext() {
        let timeline = BurstTimeline([packet(0), packet(3)])
        #expect(
            timeline.steps == [
                .decode(0, samples: 960), .conceal(samples: 960), .fec(1, samples: 960), .decode(1, samples: 960),
            ])
        // CELT bears no FEC.
        let celt = BurstTimeline([packet(0, toc: 0xf8), packet(2, toc: 0xf8)])
        #expect(celt.steps == [.decode(0, samples: 960), .conceal(samples: 960), .decode(1, samples: 960)])
    }

    @Test func silenceOfDTXKeepsItsLength() {
        let timeline = BurstTimeline([packet(0), packet(1, timestamp: 960 * 100, arrivalMs: 2000)])
        #expect(timeline.samples == 960 * 101)
        #expect(timeline.steps.contains(.silence(samples: 960 * 99 - BurstTimeline.concealDTXSamples)))
    }

    /// 20 ms are 960 samples, but for a sender's clock that wobbles: nothing is missing, and nothing is let go.
    @Test func aClockThatWobblesLosesNothing() {
        let timeline = BurstTimeline((0..<10).map { packet($0, timestamp: $0 * 960 + ($0 % 3 - 1) * 2) })
        #expect(timeline.steps == (0..<10).map { .decode($0, samples: 960) })
    }

    @Test func countersWrap() {
        let packets = (-5..<5).map { packet($0, timestamp: $0 * 960, arrivalMs: ($0 + 5) * 20) }
        #expect(BurstTimeline(packets).steps == (0..<10).map { .decode($0, samples: 960) })
    }

    @Test func aClockThatJumpsDoesNotStretchTheTalk() {
        let forward = BurstTimeline([
            packet(0), packet(1, timestamp: 960 + 48_000 * 3600, arrivalMs: 20), packet(2, timestamp: 1920 + 48_000 * 3600),
        ])
        #expect(forward.samples <= 48_000 + 3 * 960)
        let backward = BurstTimeline([packet(0), packet(1, timestamp: 960 - 48_000 * 3600), packet(2, timestamp: 1920 - 48_000 * 3600)])
        #expect(backward.samples == 2880)
    }

    @Test func anyNetworkGivesTheStreamsLength() {
        var seed: UInt64 = 7
        func random(_ below: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 33) % below
        }
        for round in 0..<300 {
            let count = 2 + random(200)
            let base = random(1 << 17)
            var sent = (0..<count).map { packet($0, timestamp: (base + $0) * 960, sequence: base + $0, arrivalMs: $0 * 20) }
            let last = sent[count - 1]
            let first = sent[0]
            sent = sent.filter { $0 == first || $0 == last || random(10) > 0 }
            var arrived = [first]
            // Late by up to three places, and now and then twice.
            for one in sent.dropFirst() {
                arrived.insert(one, at: max(1, arrived.count - random(4)))
                if random(20) == 0 { arrived.append(one) }
            }
            let timeline = BurstTimeline(arrived)
            #expect(timeline.samples == count * 960, "round \(round)")
            #expect(timeline.steps.reduce(0) { $0 + $1.samples } == timeline.samples)
        }
    }

    @Test func rubbishIsNotDecoded() {
        var broken = packet(1)
        broken.payload = [0xff]
        #expect(BurstTimeline([packet(0), broken, packet(2)]).samples == 2880)
        #expect(BurstTimeline([]).steps.isEmpty)
    }
}
