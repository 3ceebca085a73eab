import DTLS
import Reactor
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// That workers come back to a handshake when its timer says so. The plane's time is real: what comes is waited for.
@Suite(.oneAtATime, .timeLimit(.minutes(2))) struct RetransmissionTests {
    /// 200 ms after the first, then 400 ms after that (`DTLSSession`): sooner than by the round, each second, in which a worker looks at all
    /// its peers. A busy machine may make one of them late, hardly all.
    @Test func aClientHelloThatNobodyAnswersIsSentAgainInTime() async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        bench.open(try group(1))
        var soonest = Int64.max
        for number in 1...5 as ClosedRange<Int64> where soonest > 1_100_000_000 {
            let (socket, identity) = (try BenchSocket(), try DTLSIdentity())
            let media = try await bench.join(try user(number), in: try group(1), BenchSocket.offer(identity.fingerprint, .client)).media
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
}
