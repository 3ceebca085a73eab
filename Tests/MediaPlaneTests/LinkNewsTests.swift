import DTLS
import Floor
import RTP
import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// What a door is told of peers' media: whether it comes, and that much is lost. The plane's seconds are real: what happened is waited for.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct LinkNewsTests {
    /// A room with one who listens only and one who talks, both by WebRTC.
    private func peers(_ bench: PlaneBench) async throws -> (talker: BenchSocket, media: MediaAnswer) {
        bench.open(try group(1))
        var talker: (BenchSocket, MediaAnswer)?
        for number in [2, 1] as [Int64] {
            let (socket, identity) = (try BenchSocket(), try DTLSIdentity())
            let media = try await bench.join(try user(number), in: try group(1), BenchSocket.offer(identity.fingerprint)).media
            _ = try socket.connect(media, to: bench.plane, as: identity)
            talker = (socket, media)
        }
        return try #require(talker)
    }

    @Test func mediaThatComesAndStopsIsToldOnceEach() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let (talker, media) = try await peers(bench)
        #expect(await bench.door.nextLink() == BenchDoor.Link(2, .isUp))
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isUp))
        for _ in 0..<2 {
            // Without the floor, as a stock client that sends all the time.
            for _ in 0..<10 { try talker.talk([1], to: media.address) }
            #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(true)))
            #expect(
                await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(false)), "nothing between, and nothing of who only listens")
        }
    }

    @Test func muchLossIsToldBothWays() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let (talker, media) = try await peers(bench)
        for _ in 0..<2 { _ = await bench.door.nextLink() }
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: try group(1))
        // What comes right behind a second's end is all in the next one.
        try talker.talk([1], to: media.address)
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(true)))
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(false)))
        for number in 1...60 { if number % 4 == 0 { _ = try talker.packet([1]) } else { try talker.talk([1], to: media.address) } }
        try talker.talk([1], to: media.address)
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(true)))
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isSlow(isHeard: false, lost: 15)))
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(false)))
        for (highest, lost) in [(0, 0), (100, 5), (200, 35), (300, 65)] as [(UInt32, Int32)] {
            let block = ReportBlock(
                ssrc: media.ssrc, fractionLost: 0, totalLost: lost, highestSequence: highest, jitter: 0, lastReport: 0,
                delaySinceLastReport: 0)
            try talker.report(RTCPPacket.receiverReport(ssrc: talker.ssrc, blocks: [block]).encoded, to: media.address)
        }
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isSlow(isHeard: true, lost: 30)), "a twentieth is not much")
        try talker.talk([1], to: media.address)
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isReceiving(true)), "who reports more often is told once a second")
    }
}
