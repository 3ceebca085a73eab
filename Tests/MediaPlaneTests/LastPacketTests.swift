import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// A release never cuts its talk's last packets off, however long the worker had no time for either.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct LastPacketTests {
    /// More listeners than one send takes, or more packets than one read: between those the worker looks into its mailbox.
    @Test(arguments: [(listeners: 600, packets: 3), (listeners: 1, packets: 300)])
    func whatWasSentBeforeTheReleaseIsHeard(listeners: Int, packets: Int) async throws {
        let bench = try PlaneBench { ($0.packetsPerSecond, $0.packetBurst) = (1_000_000, 1_000_000) }
        defer { bench.plane.stop() }
        let (gid, other, speaker) = (try group(480), try group(481), try user(1))
        let (talker, listener) = (try BenchSocket(), try BenchSocket())
        bench.open(gid)
        bench.open(other)
        let info = try await bench.join(speaker, in: gid, talker.media)
        var crowd: [BenchSocket] = []
        for number in 1..<Int64(listeners) {
            // An address each: ports that the system gives may be the same twice where they are shared (SO_REUSEPORT).
            crowd.append(try BenchSocket(ip: "127.1.\(number >> 8).\(number & 255)"))
            _ = try await bench.join(try user(number + 10), in: gid, crowd[crowd.count - 1].media)
        }
        // The last of all to get a packet.
        _ = try await bench.join(try user(5_000), in: gid, listener.media)
        try await bench.floor(.request(speaker, tier: .normal, priority: 0, queue: nil), of: speaker, in: gid)

        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: other, MediaDescription())
        bench.output.waitUntilStopped()
        for number in 0..<packets { try talker.talk([UInt8(number >> 8), UInt8(number & 255), 9], to: info.media.address) }
        let released = bench.post(.floor(gid, speaker, EndpointID(UInt64(speaker.value)), .release(speaker)))
        bench.output.release()
        _ = try await (stopped, bench.door.answer(to: released).get())

        var heard: [Int] = []
        while heard.count < packets, let packet = try listener.hear() { heard.append(Int(packet.payload[0]) << 8 | Int(packet.payload[1])) }
        #expect(heard == Array(0..<packets))
        #expect(bench.dropped("without_floor") == 0)
        // It is over nevertheless.
        try talker.talk([1, 1, 1], to: info.media.address)
        _ = try await bench.ask(.exists(gid))
        #expect(bench.dropped("without_floor") == 1)
        withExtendedLifetime(crowd) {}
    }

    /// The talker's media comes to another worker than the one that is home to the room, and that one has no time.
    @Test func whatAnotherWorkerReadsBeforeTheReleaseIsHeard() async throws {
        let bench = try PlaneBench(workers: 2)
        defer { bench.plane.stop() }
        let (gid, other, speaker) = (try group(482), try group(483), try user(2))
        let (first, talker, listener) = (try BenchSocket(), try BenchSocket(), try BenchSocket())
        bench.open(gid)
        _ = try await bench.join(try user(1), in: gid, first.media)
        let place = try await bench.join(speaker, in: gid, talker.media).media.address
        try #require(place == bench.plane.addresses[1])
        #expect(try await bench.join(try user(3), in: gid, listener.media).media.address == bench.plane.addresses[0])
        bench.open(other)
        try await bench.floor(.request(speaker, tier: .normal, priority: 0, queue: nil), of: speaker, in: gid)
        try talker.talk([0, 0, 9], to: place)
        #expect(try listener.hear()?.payload == [0, 0, 9])

        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: other, MediaDescription())
        bench.output.waitUntilStopped()
        for number in UInt8(1)...3 { try talker.talk([0, number, 9], to: place) }
        let released = bench.post(.floor(gid, speaker, EndpointID(2), .release(speaker)))
        // The home has done with it what it could.
        _ = try await bench.ask(.exists(gid))
        bench.output.release()
        _ = try await (stopped, bench.door.answer(to: released).get())
        for number in UInt8(1)...3 { #expect(try listener.hear()?.payload == [0, number, 9]) }
        #expect(bench.dropped("without_floor") == 0)
    }
}
