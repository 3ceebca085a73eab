import DTLS
import Reactor
import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// Handshakes, which are done beside the workers. The plane's time is real: what comes is waited for.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct HandshakeDeskTests {
    /// 200 ms after the first, then 400 ms after that (`DTLSSession`). A busy machine may make one of them late, hardly all.
    @Test func aClientHelloThatNobodyAnswersIsSentAgainInTime() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        bench.open(try group(1))
        var soonest = Int64.max
        for number in 1...5 as ClosedRange<Int64> where soonest > 1_100_000_000 {
            let (socket, media) = try await joined(number, bench, .client)
            socket.send(BenchSocket.check(media.latch), to: media.address)
            var hellos: [Int64] = []
            while hellos.count < 3, let datagram = socket.datagram() {
                if let first = datagram.first, DTLSSession.isDTLS(first) { hellos.append(Clocks.monotonicNs()) }
            }
            try #require(hellos.count == 3)
            soonest = min(soonest, hellos[2] - hellos[0])
        }
        #expect(soonest < 1_100_000_000, "the third came \(soonest) ns after the first")
    }

    /// What a peer sends as soon as it has our last word is no stranger's: its worker has the keys by then.
    @Test(arguments: [1, 2]) func mediaRightBehindTheHandshakeIsTaken(workers: Int) async throws {
        let bench = try PlaneBench(workers: workers)
        defer { bench.plane.stop() }
        bench.open(try group(1))
        for number in 1...30 as ClosedRange<Int64> {
            let (socket, identity) = (try BenchSocket(), try DTLSIdentity())
            let media = try await bench.join(try user(number), in: try group(1), BenchSocket.offer(identity.fingerprint)).media
            _ = try socket.connect(media, to: bench.plane, as: identity)
            try socket.talk([1], to: media.address)
            #expect(await bench.door.nextLink() == BenchDoor.Link(UInt64(number), .isUp))
            #expect(await bench.door.nextLink() == BenchDoor.Link(UInt64(number), .isReceiving(true)))
        }
        #expect(bench.dropped("malformed") == 0 && bench.dropped("not_authentic") == 0)
        #expect(bench.handshakes == 0)
    }

    /// One whose participant leaves, and one who brings another certificate, which is another peer's.
    @Test func aHandshakeThatNobodyWaitsForIsForgotten() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        bench.open(try group(1))
        var sockets: [BenchSocket] = []
        for number in 1...2 as ClosedRange<Int64> {
            let (socket, media) = try await joined(number, bench, .client)
            socket.send(BenchSocket.check(media.latch), to: media.address)
            sockets.append(socket)
        }
        try await expectHandshakes(2, bench)
        _ = try await bench.ask(.leave(try group(1), try user(1), EndpointID(1)))
        try await expectHandshakes(1, bench)
        let other = BenchSocket.offer(try DTLSIdentity().fingerprint, .client)
        _ = try await bench.ask(
            .configure(try group(1), try user(2), EndpointID(2), display: nil, signalling: nil, offer: other))
        try await expectHandshakes(0, bench)
    }

    private func joined(_ number: Int64, _ bench: PlaneBench, _ role: DTLSSession.Role) async throws -> (BenchSocket, MediaAnswer) {
        let offer = BenchSocket.offer(try DTLSIdentity().fingerprint, role)
        return (try BenchSocket(), try await bench.join(try user(number), in: try group(1), offer).media)
    }

    private func expectHandshakes(_ count: Int, _ bench: PlaneBench) async throws {
        for _ in 0..<500 where bench.handshakes != count { try await Task.sleep(for: .milliseconds(10)) }
        #expect(bench.handshakes == count)
    }
}
