import DTLS
import Reactor
import Talk
import Testing

@testable import MediaPlane

/// How long a worker waits for its peers (`PeerSession`). The plane's time is real: half a minute is half a minute.
@Suite(.timeLimit(.minutes(4))) struct PeerTimesTests {
    /// One that never came, one that is not heard any more, and one that asks for consent once more (RFC 7675 §5.1).
    @Test func whoIsNotHeardForHalfAMinuteIsGone() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        bench.open(try group(1))
        let identity = try DTLSIdentity()
        _ = try await bench.join(try user(1), in: try group(1), BenchSocket.offer(identity.fingerprint))
        var last: (socket: BenchSocket, media: MediaAnswer)?
        for number in 2...3 as ClosedRange<Int64> {
            let socket = try BenchSocket()
            let media = try await bench.join(try user(number), in: try group(1), BenchSocket.offer(identity.fingerprint)).media
            _ = try socket.connect(media, to: bench.plane, as: identity)
            last = (socket, media)
            #expect(await bench.door.nextLink() == BenchDoor.Link(UInt64(number), .isUp))
        }
        let (socket, media) = try #require(last)
        let start = Clocks.monotonicNs()
        try await Task.sleep(for: .seconds(15))
        socket.send(BenchSocket.check(media.latch), to: media.address)
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isDown("no ICE check came")))
        #expect(await bench.door.nextLink() == BenchDoor.Link(2, .isDown("ICE consent expired")))
        let took = Clocks.monotonicNs() - start
        #expect((25_000_000_000..<60_000_000_000).contains(took), "\(took) ns")
        #expect(try await names(in: bench) == [3])
    }

    private func names(in bench: PlaneBench) async throws -> [Int64] {
        guard case .participants(let list, talking: _) = try await bench.ask(.participants(try group(1))) else { return [] }
        return list.map(\.uid.value)
    }
}
