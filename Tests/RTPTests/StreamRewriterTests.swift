import Testing

@testable import RTP

@Suite struct StreamRewriterTests {
    private static let frame: Int64 = 20_000_000

    /// A talker who sends a packet of 20 ms every 20 ms.
    private struct Talker {
        var ssrc: UInt32
        var sequence: UInt16
        var timestamp: UInt32
        mutating func next(_ stream: inout StreamRewriter, at now: Int64) -> StreamRewriter.Place? {
            defer {
                sequence &+= 1
                timestamp &+= 960
            }
            return stream.place(ssrc: ssrc, sequence: sequence, timestamp: timestamp, now: now)
        }
    }
    private typealias Place = StreamRewriter.Place

    @Test func numbersRunOnBetweenTalkersAndTheMarkerStandsAtEachBurst() {
        var stream = StreamRewriter(sequence: 99, timestamp: 5_000)
        var alice = Talker(ssrc: 1, sequence: 40_000, timestamp: 123)
        var bob = Talker(ssrc: 2, sequence: 7, timestamp: 4_000_000_000)
        stream.beginBurst()
        #expect(alice.next(&stream, at: 0) == Place(sequence: 100, timestamp: 5_960, marker: true))
        #expect(alice.next(&stream, at: Self.frame) == Place(sequence: 101, timestamp: 6_920, marker: false))
        #expect(stream.burstLength == 2)
        stream.beginBurst()
        #expect(stream.burstLength == 0)
        // 1 s later: 48,000 ticks on.
        #expect(bob.next(&stream, at: Self.frame + 1_000_000_000) == Place(sequence: 102, timestamp: 54_920, marker: true))
        #expect(bob.next(&stream, at: Self.frame * 2 + 1_000_000_000) == Place(sequence: 103, timestamp: 55_880, marker: false))
        #expect(stream.highest == 103 && stream.timestamp == 55_880)
    }

    @Test func aBurstAtOnceAfterAnotherIsAFrameLater() {
        var stream = StreamRewriter(sequence: 0, timestamp: 0)
        _ = stream.place(ssrc: 1, sequence: 1, timestamp: 0, now: 0)
        stream.beginBurst()
        #expect(stream.place(ssrc: 2, sequence: 1, timestamp: 0, now: 1_000) == Place(sequence: 2, timestamp: 1_920, marker: true))
    }

    /// Voice that pre-empts came before the last packets of whom it pre-empts, and is placed after them.
    @Test func whatCameBeforeTheLastBurstsEndGoesOnBehindIt() {
        var stream = StreamRewriter(sequence: 0, timestamp: 1_000_000)
        var (alice, bob) = (Talker(ssrc: 1, sequence: 1, timestamp: 0), Talker(ssrc: 2, sequence: 7, timestamp: 55))
        var places: [Place] = []
        for index in 0..<10 as Range<Int64> { if let place = alice.next(&stream, at: index * Self.frame) { places.append(place) } }
        stream.beginBurst()
        // Three packets from while she still talked, then those that come now.
        for index in 7..<20 as Range<Int64> { if let place = bob.next(&stream, at: index * Self.frame) { places.append(place) } }
        #expect(places.count == 23 && places[10].marker)
        #expect(zip(places, places.dropFirst()).allSatisfy { $1.sequence == $0.sequence + 1 && $1.timestamp == $0.timestamp + 960 })
        // What the stream is ahead of time by then is made up for by the next pause: it does not run away from the clock.
        stream.beginBurst()
        let next = alice.next(&stream, at: 119 * Self.frame)
        #expect(next?.timestamp == UInt32(1_000_960 + 119 * 960))
    }

    /// A stream that was made a moment after a packet that is the first on it.
    @Test func aPacketFromBeforeTheStreamIsNotInItsPast() {
        var stream = StreamRewriter(sequence: 0, timestamp: 5_000, at: Self.frame)
        #expect(stream.place(ssrc: 1, sequence: 1, timestamp: 0, now: 0)?.timestamp == 5_960)
    }

    @Test func reorderedPacketsKeepTheirPlaces() {
        var stream = StreamRewriter(sequence: 9, timestamp: 0)
        #expect(stream.place(ssrc: 1, sequence: 100, timestamp: 0, now: 0)?.sequence == 10)
        #expect(stream.place(ssrc: 1, sequence: 102, timestamp: 1_920, now: 1)?.sequence == 12)
        #expect(stream.place(ssrc: 1, sequence: 101, timestamp: 960, now: 2) == Place(sequence: 11, timestamp: 1_920, marker: false))
        #expect(stream.place(ssrc: 1, sequence: 103, timestamp: 2_880, now: 3)?.sequence == 13)
        #expect(stream.highest == 13 && stream.burstLength == 4)
    }

    @Test func whatPrecedesTheBurstsFirstPacketHasNoPlace() {
        var stream = StreamRewriter(sequence: 9, timestamp: 0)
        #expect(stream.place(ssrc: 1, sequence: 100, timestamp: 960, now: 0)?.sequence == 10)
        #expect(stream.place(ssrc: 1, sequence: 99, timestamp: 0, now: 1) == nil)
        #expect(stream.place(ssrc: 1, sequence: 101, timestamp: 1_920, now: 2)?.sequence == 11)
    }

    @Test func lossIsKeptAsAGap() {
        var stream = StreamRewriter(sequence: 9, timestamp: 0)
        _ = stream.place(ssrc: 1, sequence: 100, timestamp: 0, now: 0)
        #expect(stream.place(ssrc: 1, sequence: 105, timestamp: 4_800, now: 1) == Place(sequence: 15, timestamp: 5_760, marker: false))
        #expect(stream.burstLength == 6)
    }

    @Test(arguments: [(UInt32(1), UInt16(5_000)), (1, 60_000), (2, 101)])
    func aNewSSRCOrAJumpAnchorsAnew(_ ssrc: UInt32, _ sequence: UInt16) {
        var stream = StreamRewriter(sequence: 9, timestamp: 0)
        _ = stream.place(ssrc: 1, sequence: 100, timestamp: 0, now: 0)
        let place = stream.place(ssrc: ssrc, sequence: sequence, timestamp: 77, now: 500_000_000)
        #expect(place == Place(sequence: 11, timestamp: 960 + 24_000, marker: false))
        #expect(stream.place(ssrc: ssrc, sequence: sequence &+ 1, timestamp: 77 + 960, now: 520_000_000)?.sequence == 12)
    }

    @Test func bothCountersWrap() {
        var stream = StreamRewriter(sequence: 65_534, timestamp: UInt32.max - 1_000)
        var alice = Talker(ssrc: 1, sequence: 65_535, timestamp: UInt32.max - 10)
        let places = (0..<4).compactMap { alice.next(&stream, at: Int64($0) * Self.frame) }
        #expect(places.map(\.sequence) == [65_535, 0, 1, 2])
        let first = UInt32.max - 1_000 + 960
        #expect(places.map(\.timestamp) == (0..<4).map { first &+ $0 * 960 })
    }

    /// 11 minutes of 20 ms packets are over half of the 16-bit numbers: they must go through, and the length counts on.
    @Test func aBurstMayBeLongerThanTheNumbersOfRTP() {
        var stream = StreamRewriter(sequence: 1_000, timestamp: 0)
        var alice = Talker(ssrc: 1, sequence: 5, timestamp: 0)
        var now: Int64 = 0
        for index in 0..<70_000 {
            let place = alice.next(&stream, at: now)
            #expect(place?.sequence == UInt16(truncatingIfNeeded: 1_001 + index))
            now += Self.frame
        }
        #expect(stream.burstLength == UInt16(70_000 % 65_536))
        #expect(stream.place(ssrc: 1, sequence: alice.sequence &- 3, timestamp: alice.timestamp &- 2_880, now: now) != nil)
    }

    /// The talker's own offset moves by the burst: after it, it sees no gap.
    @Test func theTalkerWhoDidNotHearItsBurstSeesNoGap() {
        var stream = StreamRewriter(sequence: 0, timestamp: 0)
        var offset: UInt16 = 0
        var seen: [UInt16] = []
        var now: Int64 = 0
        for burst in 0..<4 {
            stream.beginBurst()
            var talker = Talker(ssrc: UInt32(burst), sequence: 30_000, timestamp: 0)
            for _ in 0..<5 {
                guard let place = talker.next(&stream, at: now) else { continue }
                if burst != 1 { seen.append(place.sequence &- offset) }
                now += Self.frame
            }
            if burst == 1 { offset &+= stream.burstLength }
        }
        #expect(seen == Array(1...15))
    }
}
