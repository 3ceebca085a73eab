import Messages
import Room
import SecureRTP
import Talk
import TestTraits
import Testing

@testable import MediaPlane

/// What is asked for while a packet is on its way to many is done between two of its batches, and the packet goes on.
@Suite(.oneAtATime, .timeLimit(.minutes(5))) struct BetweenBatchesTests {
    @Test(arguments: [nil, SRTPSuite.aeadAES128GCM]) func peopleComeAndGoInTheMiddleOfAPacketsWay(_ suite: SRTPSuite?) async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let (gid, other) = (try group(490), try group(491))
        bench.open(gid)
        bench.open(other)
        func device(_ number: Int64) throws -> (BenchSocket, MediaDescription) {
            let socket = try BenchSocket(ip: "127.2.\(number >> 8).\(number & 255)", ssrc: UInt32(number))
            var media = socket.media
            if let suite {
                let keys = SRTPKeys(remote: try SRTPKey.random(suite), local: try SRTPKey.random(suite))
                media.srtp = keys
                (socket.sender, socket.receiver) = (try SRTPSender(keys.remote), try SRTPReceiver(keys.local))
            }
            return (socket, media)
        }
        var sockets: [BenchSocket] = []
        for number in 1...Int64(600) {
            let (socket, media) = try device(number)
            sockets.append(socket)
            _ = try await bench.join(try user(number), in: gid, media)
        }
        let (first, next) = (try user(1), try user(2))
        let address = bench.plane.addresses[0]
        try await bench.floor(.request(first, tier: .normal, priority: 0, queue: nil), of: first, in: gid)

        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: other, MediaDescription())
        bench.output.waitUntilStopped()
        for number in UInt8(0)..<3 { try sockets[0].talk([number], to: address) }
        let (late, media) = try device(700)
        let posted = [
            bench.post(.join(gid, bench.joining(try user(700)), media)), bench.post(.kick(gid, try user(3))), bench.post(.kick(gid, first)),
            bench.post(.floor(gid, next, EndpointID(2), .request(next, tier: .normal, priority: 0, queue: nil))),
        ]
        bench.output.release()
        _ = try await stopped
        for token in posted { _ = try await bench.door.answer(to: token).get() }

        for number in UInt8(10)..<13 { try sockets[1].talk([number], to: address) }
        func heard(by socket: BenchSocket) throws -> [(UInt16, UInt8)] {
            var found: [(UInt16, UInt8)] = []
            while found.last?.1 != 12, let packet = try socket.hear() { found.append((packet.header.sequence, packet.payload[0])) }
            return found
        }
        // The packet that was on its way comes to the last one, too, and the next voice follows without a gap.
        let last = try heard(by: sockets[599])
        #expect(last.first?.1 == 0 && last.suffix(3).map(\.1) == [10, 11, 12])
        #expect(zip(last, last.dropFirst()).allSatisfy { $0.0 &+ 1 == $1.0 })
        #expect(try heard(by: late).map(\.1).suffix(3) == [10, 11, 12])
        withExtendedLifetime(sockets) {}
    }

    /// The holder hears both voices of a dual floor, and so is put elsewhere when their talk ends: not when they, or their room, are gone.
    @Test(arguments: [false, true]) func whoGoesInTheMiddleOfAPacketsWayHearsNothingMore(_ isRoomClosed: Bool) async throws {
        let bench = try PlaneBench()
        defer { bench.plane.stop() }
        let (gid, beside, other) = (try group(490), try group(491), try group(492))
        for one in [gid, beside, other] { bench.open(one) }
        var options = GroupOptions()
        options.dualFloor = true
        bench.plane.post(
            .signal(SignalRequest(gid: gid, dispatcher: 7, body: .alterGroup(name: nil, options: options)), epoch: 1) { _ in })
        var crowd: [BenchSocket] = []
        for number in 1...Int64(600) {
            let socket = try BenchSocket(ip: "127.2.\(number >> 8).\(number & 255)", ssrc: UInt32(number))
            crowd.append(socket)
            _ = try await bench.join(try user(number), in: beside, socket.media)
        }
        let (holder, witness) = (try BenchSocket(ssrc: 2_001), try BenchSocket(ssrc: 2_002))
        var media = holder.media
        media.ssrc = 77
        var joining = bench.joining(try user(2_001))
        joining.dual = true
        _ = try await bench.ask(.join(gid, joining, media))
        _ = try await bench.join(try user(2_002), in: gid, witness.media)
        try await bench.floor(.request(try user(2_001), tier: .normal, priority: 0, queue: nil), of: try user(2_001), in: gid)
        try await bench.floor(.request(try user(1), tier: .normal, priority: 0, queue: nil), of: try user(1), in: beside)

        // While a packet is on its way to the crowd, the holder or their room goes.
        let stopper = try #require(BenchOutput.stopper)
        async let stopped = bench.join(stopper, in: other, MediaDescription())
        bench.output.waitUntilStopped()
        let address = bench.plane.addresses[0]
        for number in UInt8(0)..<3 { try crowd[0].talk([number], to: address) }
        if isRoomClosed {
            bench.plane.post(.close([gid]))
        } else {
            _ = bench.post(.kick(gid, try user(2_001)))
        }
        bench.output.release()
        _ = try await stopped
        for number in UInt8(0)..<3 { while try crowd[599].hear()?.payload != [number] {} }

        if !isRoomClosed {
            try await bench.floor(.request(try user(2_002), tier: .normal, priority: 0, queue: nil), of: try user(2_002), in: gid)
            try witness.talk([9], to: address)
        }
        try crowd[0].talk([8], to: address)
        #expect(try crowd[599].hear()?.payload == [8])
        #expect(try holder.hear(isPatient: false) == nil)
    }
}
