import Floor
import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct ChangeRoomTests {
    /// Rooms are at home on different workers: who changes between them goes along with its transport.
    @Test func fromARoomOfOneWorkerToOneOfAnother() async throws {
        let bench = try PlaneBench(workers: 2)
        defer { bench.plane.stop() }
        let (here, there, nowhere) = (try group(1), try group(2), try group(3))
        let (mover, listener) = (try BenchSocket(), try BenchSocket())
        bench.open(here)
        let place = try await bench.join(try user(1), in: here, mover.media).media
        bench.open(there)
        #expect(try await bench.join(try user(2), in: there, listener.media).media.address != place.address)
        guard case .joined(let info) = try await bench.ask(.changeRoom(from: here, to: there, bench.joining(try user(1)))) else {
            Issue.record("not joined")
            return
        }
        #expect(info.media.address == place.address && info.total == 2)
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: there)
        try mover.talk([5, 6, 7], to: place.address)
        #expect(try listener.hear()?.payload == [5, 6, 7])
        let refusal = await #expect(throws: Refusal.self) {
            try await bench.ask(.changeRoom(from: there, to: nowhere, bench.joining(try user(1))))
        }
        #expect(refusal?.code == .noSuchRoom)
    }
}
