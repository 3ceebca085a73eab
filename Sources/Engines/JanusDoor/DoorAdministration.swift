import JSON
import JanusProtocol
import MediaPlane
import Messages
import Reactor
import Room
import Talk
import Web

// What administrators ask of the AudioBridge.
extension JanusDoor {
    func administer(_ request: AudioBridgeRequest, _ handle: Int64, _ transaction: String) throws(Refusal) {
        func success(_ room: GroupID) -> DoorState.Kind { .synchronous(["audiobridge": "success", "room": .id(room)]) }
        switch request {
        case .create(let room, let description, let mode, let key):
            try check(key)
            guard let gid = room ?? GroupID(Int64.random(in: 1...maximumID)) else { return }
            carryOut(.create(name: description ?? "Room \(gid)", mode: mode, options: GroupOptions()), gid, "created", handle, transaction)
        case .edit(let room, let description, let key):
            try check(key)
            carryOut(.alterGroup(name: description, options: nil), room, "edited", handle, transaction)
        case .destroy(let room, let key):
            try check(key)
            carryOut(.destroy, room, "destroyed", handle, transaction)
        case .allowed(let room, let action, let tokens, let key):
            try check(key)
            let change: PassChange =
                switch action {
                case "enable": .enable
                case "disable": .disable
                case "add": .add(tokens)
                default: .remove(tokens)
                }
            send(.passes(room, change), handle, transaction, success(room))
        case .kick(let room, let id, let key):
            try check(key)
            send(.kick(room, id), handle, transaction, success(room))
        case .mute(let room, let id, let muted, let key):
            try check(key)
            send(.mute(room, id, muted), handle, transaction, success(room))
        case .suspend(let room, let id, let suspended, let key):
            try check(key)
            send(.suspend(room, id, suspended), handle, transaction, success(room))
        default: try extra(request, handle, transaction)
        }
    }

    /// Forwarders and announcements.
    private func extra(_ request: AudioBridgeRequest, _ handle: Int64, _ transaction: String) throws(Refusal) {
        func words(_ room: GroupID, _ more: [String: JSONValue] = [:]) -> DoorState.Kind {
            .synchronous(.object(more.merging(["audiobridge": "success", "room": .id(room)]) { own, _ in own }))
        }
        switch request {
        case .forward(let room, let forward, let key):
            try check(key)
            guard let address = SocketAddress(ip: forward.host, port: forward.port) else {
                throw Refusal(.invalidElement, "Invalid element (host should be an IP address)")
            }
            // What we send with is the key that was given: a forwarder never sends to us.
            let keys = try forward.srtp.map { (srtp) throws(Refusal) in try Self.keys(srtp).remote }
            let forwarder = Forwarder(address: address, payloadType: forward.payloadType, ssrc: forward.ssrc, key: keys)
            send(
                .extra(room, .forward(forwarder)), handle, transaction,
                words(room, ["host": .string(forward.host), "port": .int(Int64(forward.port))]))
        case .stopForward(let room, let stream, let key):
            try check(key)
            send(.extra(room, .stopForward(stream)), handle, transaction, words(room, ["stream_id": .int(Int64(stream))]))
        case .listForwarders(let room, let key):
            try check(key)
            send(.extra(room, .forwarders), handle, transaction, words(room, ["audiobridge": "forwarders"]))
        case .playFile(let room, let announcement, let key):
            try check(key)
            try play(announcement, in: room, handle, transaction, words(room))
        case .stopFile(let room, let id, let key):
            try check(key)
            send(.extra(room, .stopFile(id)), handle, transaction, words(room, ["file_id": .string(id)]))
        case .isPlaying(let room, let id, let key):
            try check(key)
            send(.extra(room, .isPlaying(id)), handle, transaction, words(room, ["file_id": .string(id), "playing": false]))
        default: break
        }
    }

    private func play(
        _ wanted: AudioBridgeRequest.Announcement, in room: GroupID, _ handle: Int64, _ transaction: String, _ kind: DoorState.Kind
    ) throws(Refusal) {
        guard let folder = settings.announcements else {
            throw Refusal(.unauthorized, "Announcements are off (set janus.announcements to a folder of Ogg Opus files)")
        }
        let id = wanted.id ?? "announcement-\(UInt32.random(in: 1 ... .max))"
        // The disk is not waited for on the web server's thread.
        _ = ServiceThread(name: "announcement") { [self] in
            switch AnnouncementFile.read(folder + "/" + wanted.filename) {
            case .success(let packets):
                send(.extra(room, .play(Announcement(id: id, packets: packets, loop: wanted.loop))), handle, transaction, kind)
            case .failure(let refusal): fail(refusal, handle, transaction, isSynchronous: true)
            }
        }
    }

    private func check(_ key: String?) throws(Refusal) {
        guard let adminKey = settings.adminKey else {
            throw Refusal(
                .unauthorized, "Unauthorized: rooms are administered through the back office (set janus.admin_key to allow it here)")
        }
        guard key == adminKey else { throw Refusal(.unauthorized, "Unauthorized (wrong admin_key)") }
    }

    private func carryOut(_ body: SignalRequest.Body, _ gid: GroupID, _ word: String, _ handle: Int64, _ transaction: String) {
        let token = state.withLock {
            $0.expect(handle, transaction, .synchronous(["audiobridge": .string(word), "room": .id(gid), "permanent": true]))
        }
        administration.carryOut(SignalRequest(gid: gid, dispatcher: 0, body: body)) { code, message in
            self.deliver(.answer(token: token, code == .ok ? .success(.done) : .failure(Refusal(code, message))))
        }
    }
}
