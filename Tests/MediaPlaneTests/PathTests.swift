import DTLS
import Floor
import Room
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// A WebRTC peer has more than one way to us, and uses the one that it likes.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct PathTests {
    private let gid: GroupID
    private let bench: PlaneBench
    private let identity: DTLSIdentity

    init() throws {
        (gid, bench, identity) = (try group(1), try PlaneBench(), try DTLSIdentity())
        bench.open(gid)
    }

    /// RFC 5245's aggressive nomination: the slower path is nominated last, the better one is used.
    @Test func whoNominatesAllItsPathsIsServedOnTheOneThatItUses() async throws {
        defer { bench.plane.stop() }
        let (better, slower, talker) = (try BenchSocket(), try BenchSocket(), try BenchSocket())
        let peer = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint)).media
        let place = try await bench.join(try user(2), in: gid, talker.media).media
        _ = try better.connect(peer, to: bench.plane, as: identity) {
            slower.send(BenchSocket.check(peer.latch), to: peer.address)
            #expect(slower.datagram()?.prefix(2) == [1, 1])
        }
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isUp))
        try await bench.floor(.request(try user(2), tier: .normal, priority: 0, queue: nil), of: try user(2), in: gid)
        try talker.talk([7], to: place.address)
        #expect(try better.hear()?.payload == [7])
        #expect(slower.datagram(isPatient: false) == nil)
    }

    /// A NAT's rebinding of a peer that nominates once: its voice is heard as soon as the new path is proved, and it hears there.
    @Test func aVoiceTakesItsPeerAlong() async throws {
        defer { bench.plane.stop() }
        let (before, after, radio) = (try BenchSocket(), try BenchSocket(), try BenchSocket())
        let peer = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint)).media
        let place = try await bench.join(try user(2), in: gid, radio.media).media
        _ = try before.connect(peer, to: bench.plane, as: identity)
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: gid)
        try before.talk([1], to: peer.address)
        #expect(try radio.hear()?.payload == [1])
        // Not proved yet.
        after.send(try before.packet([2]), to: peer.address)
        after.send(BenchSocket.check(peer.latch, nominates: false), to: peer.address)
        #expect(after.datagram()?.prefix(2) == [1, 1])
        after.send(try before.packet([3]), to: peer.address)
        #expect(try radio.hear()?.payload == [3])
        #expect(bench.dropped("unknown_source") == 1)
        try await bench.floor(.release(try user(1)), of: try user(1), in: gid)
        try await bench.floor(.request(try user(2), tier: .normal, priority: 0, queue: nil), of: try user(2), in: gid)
        try radio.talk([4], to: place.address)
        after.receiver = before.receiver
        #expect(try after.hear()?.payload == [4])
        while let datagram = before.datagram(isPatient: false) { #expect(datagram[0] < 128, "media to a path that was left") }
    }

    /// A peer that left the roles to us and now wants us to begin: that is another association.
    @Test func anotherRoleIsAnotherHandshake() async throws {
        defer { bench.plane.stop() }
        let socket = try BenchSocket()
        _ = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint))
        let answer = try await describe(BenchSocket.offer(identity.fingerprint, .client))
        #expect(answer.role == .client)
        socket.send(BenchSocket.check(answer.latch), to: answer.address)
        #expect(socket.datagram()?.prefix(2) == [1, 1])
        #expect(socket.datagram()?.first.map(DTLSSession.isDTLS) == true)
        // Left to us again, it stays as it is.
        #expect(try await describe(BenchSocket.offer(identity.fingerprint)).role == .client)
    }

    private func describe(_ offer: MediaDescription) async throws -> MediaAnswer {
        let answer = try await bench.ask(.configure(gid, try user(1), EndpointID(1), display: nil, signalling: nil, offer: offer))
        guard case .media(let media) = answer else { throw Refusal(.unknown, "no answer") }
        return media
    }

    /// Its goodbye is told the room that it leaves, while it is on its way to another: nothing stays of it there.
    @Test func whoEndsOnTheWayToAnotherRoomIsInNone() async throws {
        bench.plane.stop()
        let bench = try PlaneBench(workers: 2)
        defer { bench.plane.stop() }
        // The first and the third are at home on worker 0, whose people go to both.
        for number in 1...3 as ClosedRange<Int64> { bench.open(try group(number)) }
        let (socket, other) = (try BenchSocket(), try BenchSocket())
        _ = try await bench.join(try user(2), in: gid, other.media)
        let peer = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint)).media
        try #require(peer.address == bench.plane.addresses[1])
        _ = try socket.connect(peer, to: bench.plane, as: identity)
        #expect(await bench.door.nextLink() == BenchDoor.Link(1, .isUp))
        // Worker 0 stands still twice: until the change of rooms waits for it, and until the role that was looked up for it does, and behind
        // that the goodbye.
        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: try group(3), MediaDescription())
        bench.output.waitUntilStopped()
        let change = bench.post(.changeRoom(from: gid, to: try group(3), bench.joining(try user(1))))
        async let stoppedAgain = bench.join(stopper, in: gid, MediaDescription())
        for _ in 0..<50 { _ = try await bench.ask(.exists(try group(2))) }
        bench.output.release()
        bench.output.waitUntilStopped()
        socket.leave(to: peer.address)
        for _ in 0..<50 { _ = try await bench.ask(.exists(try group(2))) }
        bench.output.release()
        _ = (try? await stopped, try? await stoppedAgain)
        _ = await bench.door.answer(to: change)
        var rooms: [GroupID] = []
        for turn in 0..<500 where turn == 0 || !rooms.isEmpty {
            if turn > 0 { try await Task.sleep(for: .milliseconds(10)) }
            rooms = []
            for room in [gid, try group(3)] {
                guard case .participants(let people, _) = try await bench.ask(.participants(room)) else { continue }
                if people.contains(where: { $0.uid == (try? user(1)) }) { rooms.append(room) }
            }
        }
        #expect(rooms.isEmpty, "still there")
    }

    /// Behind a NAT: what devices are told is not what is bound.
    @Test(arguments: ["192.0.2.7", "2001:db8::7"]) func theAnnouncedAddressIsTold(ip: String) async throws {
        bench.plane.stop()
        let bench = try PlaneBench(workers: 2) { $0.announcedIP = ip }
        defer { bench.plane.stop() }
        bench.open(gid)
        let (peer, radio) = (try BenchSocket(), try BenchSocket())
        let offered = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint)).media
        let place = try await bench.join(try user(2), in: gid, radio.media).media
        #expect(offered.address.ip == ip && place.address.ip == ip && offered.address.port != place.address.port)
        // The NAT's other side.
        peer.send(BenchSocket.check(offered.latch), to: try #require(SocketAddress(ip: "127.0.0.1", port: offered.address.port)))
        #expect(peer.datagram()?.prefix(2) == [1, 1])
    }

    @Test func checksAreAnsweredAtARate() async throws {
        defer { bench.plane.stop() }
        let socket = try BenchSocket()
        let peer = try await bench.join(try user(1), in: gid, BenchSocket.offer(identity.fingerprint)).media
        let checks = (0..<1_000).map { _ in BenchSocket.check(peer.latch) }
        let start = ContinuousClock.now
        for check in checks { socket.send(check, to: peer.address) }
        var answers = 0
        while socket.datagram() != nil { answers += 1 }
        // 200 at once, and 100 more each second.
        let limit = 200 + Int((ContinuousClock.now - start) / .milliseconds(10))
        #expect((200...limit).contains(answers), "\(answers)")
        #expect(bench.dropped("over_rate") > 0)
    }
}
