import DTLS
import Reactor
import Talk
import Testing

@testable import MediaPlane

/// How long a worker waits for its peers (`PeerSession`). The plane's time is real: half a minute is half a minute.
@Suite(.timeLimit(.minutes(4))) struct PeerTimesTests {
    /// One that never came, and one that stopped asking for consent (RFC 7675 §5.1).
    @Test func whoIsNotHeardForHalfAMinuteIsGone() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        bench.open(try group(1))
        let (socket, identity) = (try BenchSocket(), try DTLSIdentity())
        _ = try await bench.join(try user(1), in: try group(1), BenchSocket.offer(identity.fingerprint))
        let media = try await bench.join(try user(2), in: try group(1), BenchSocket.offer(identity.fingerprint)).media
        _ = try socket.connect(media, to: bench.plane, as: identity)
        #expect(await bench.door.nextLink() == BenchDoor.Link(2, .isUp))
        let start = Clocks.monotonicNs()
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isDown("no ICE check came")))
        #expect(await bench.door.nextLink() == BenchDoor.Link(2, .isDown("ICE consent expired")))
        let took = Clocks.monotonicNs() - start
        #expect((25_000_000_000..<60_000_000_000).contains(took), "\(took) ns")
        guard case .participants(let left, talking: _) = try await bench.ask(.participants(try group(1))) else { return }
        #expect(left.isEmpty)
    }
}
