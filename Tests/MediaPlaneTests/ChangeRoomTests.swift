import Floor
import Messages
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

    /// The same handle joins once more where it is: its transport of before is gone with its place, and nobody is counted twice.
    @Test func aJoinOnceMoreTakesThePlaceOfTheFirst() async throws {
        let bench = try PlaneBench(workers: 2)
        defer { bench.plane.stop() }
        let gid = try group(1)
        bench.open(gid)
        let (first, second, listener) = (try BenchSocket(), try BenchSocket(), try BenchSocket())
        _ = try await bench.join(try user(2), in: gid, listener.media)
        _ = try await bench.join(try user(1), in: gid, first.media)
        let place = try await bench.join(try user(1), in: gid, second.media).media
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: gid)
        try first.talk([1], to: place.address)
        try second.talk([2], to: place.address)
        #expect(try listener.hear()?.payload == [2])
        #expect(bench.dropped("unknown_source") == 1)
        guard case .participants(let people, _) = try await bench.ask(.participants(gid)) else { throw Refusal(.unknown, "no list") }
        #expect(people.count == 2)
    }

    /// A declared address goes along from room to room, and is free when its device leaves.
    @Test func aDeclaredAddressIsFreeAgain() async throws {
        let bench = try PlaneBench { $0.trustedNetworks = [] }
        defer { bench.plane.stop() }
        let (here, there) = (try group(1), try group(2))
        bench.open(here)
        bench.open(there)
        let socket = try BenchSocket()
        _ = try await bench.join(try user(1), in: here, socket.media)
        _ = try await bench.ask(.changeRoom(from: here, to: there, bench.joining(try user(1))))
        await #expect(throws: Refusal.self) { try await bench.join(try user(2), in: here, socket.media) }
        _ = try await bench.ask(.leave(there, try user(1), EndpointID(1)))
        _ = try await bench.join(try user(2), in: here, socket.media)
    }

    /// A room that is made anew before its end was heard of is found by everybody.
    @Test func aRoomMadeAnewAtOnceIsFound() async throws {
        let bench = try PlaneBench(workers: 2)
        defer { bench.plane.stop() }
        // The second is at home on worker 1.
        bench.open(try group(1))
        let (gid, stopper) = (try group(2), try #require(BenchOutput.stopper))
        bench.open(gid)
        async let stopped = bench.join(stopper, in: gid, MediaDescription())
        bench.output.waitUntilStopped()
        bench.plane.post(.signal(SignalRequest(gid: gid, dispatcher: 7, body: .destroy), epoch: 1) { _ in })
        bench.open(gid)
        bench.output.release()
        _ = try? await stopped
        _ = try await bench.ask(.exists(gid))
        _ = try await bench.join(try user(1), in: gid, try BenchSocket().media)
        #expect(bench.plane.mail.map.home(of: gid) != nil)
    }
}
