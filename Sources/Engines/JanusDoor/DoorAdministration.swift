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
    /// Carries a request out for who knows the admin key, or asks the room's home whether the secret is the room's first.
    func administer(_ request: AudioBridgeRequest, _ handle: Int64, _ transaction: String) throws(Refusal) {
        guard let (room, key) = request.administration else { return }
        if case .create = request {
            try checkAdmin(key.adminKey)
        } else if key.adminKey != nil {
            try checkAdmin(key.adminKey)
        } else if let room, key.secret.map({ adminKey?.matches($0) == true }) != true {
            return send(.authorize(room, secret: key.secret), handle, transaction, .administration(request))
        }
        try perform(request, handle, transaction)
    }

    /// An administrator's request, once it is known that it is one's.
    func perform(_ request: AudioBridgeRequest, _ handle: Int64, _ transaction: String) throws(Refusal) {
        func success(_ room: GroupID) -> DoorState.Kind { .synchronous(["audiobridge": "success", "room": .id(room)]) }
        switch request {
        case .create(let room, let description, let mode, let locks, _):
            guard let gid = room ?? GroupID(Int64.random(in: 1...maximumID)) else { return }
            let body = SignalRequest.Body.create(name: description ?? "Room \(gid)", mode: mode, options: GroupOptions())
            carryOut(body, try Self.change(locks), gid, "created", handle, transaction)
        case .edit(let room, let description, let locks, _):
            carryOut(.alterGroup(name: description, options: nil), try Self.change(locks), room, "edited", handle, transaction)
        case .destroy(let room, _):
            carryOut(.destroy, RoomLocks.Change(), room, "destroyed", handle, transaction)
        case .allowed(let room, let action, let tokens, _):
            let change: PassChange =
                switch action {
                case "enable": .enable
                case "disable": .disable
                case "add": .add(tokens)
                default: .remove(tokens)
                }
            send(.passes(room, change), handle, transaction, success(room))
        case .kick(let room, let id, _):
            send(.kick(room, id), handle, transaction, success(room))
        case .mute(let room, let id, let muted, _):
            send(.mute(room, id, muted), handle, transaction, success(room))
        case .suspend(let room, let id, let suspended, _):
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
        case .forward(let room, let forward, _):
            guard let address = SocketAddress(ip: forward.host, port: forward.port) else {
                throw Refusal(.invalidElement, "Invalid element (host should be an IP address)")
            }
            // What we send with is the key that was given: a forwarder never sends to us.
            let keys = try forward.srtp.map { (srtp) throws(Refusal) in try Self.keys(srtp).remote }
            let forwarder = Forwarder(address: address, payloadType: forward.payloadType, ssrc: forward.ssrc, key: keys)
            send(
                .extra(room, .forward(forwarder)), handle, transaction,
                words(room, ["host": .string(forward.host), "port": .int(Int64(forward.port))]))
        case .stopForward(let room, let stream, _):
            send(.extra(room, .stopForward(stream)), handle, transaction, words(room, ["stream_id": .int(Int64(stream))]))
        case .listForwarders(let room, _):
            send(.extra(room, .forwarders), handle, transaction, words(room, ["audiobridge": "forwarders"]))
        case .playFile(let room, let announcement, _):
            try play(announcement, in: room, handle, transaction, words(room))
        case .stopFile(let room, let id, _):
            send(.extra(room, .stopFile(id)), handle, transaction, words(room, ["file_id": .string(id)]))
        case .isPlaying(let room, let id, _):
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
        ServiceThread(name: "announcement") { [self] in
            switch AnnouncementFile.read(folder + "/" + wanted.filename) {
            case .success(let packets):
                send(.extra(room, .play(Announcement(id: id, packets: packets, loop: wanted.loop))), handle, transaction, kind)
            case .failure(let refusal): fail(refusal, handle, transaction, isSynchronous: true)
            }
        }.detach()
    }

    private func checkAdmin(_ key: String?) throws(Refusal) {
        guard let adminKey else {
            throw Refusal(
                .unauthorized, "Unauthorized: rooms are made through the back office (set janus.admin_key to allow it here)")
        }
        guard let key, adminKey.matches(key) else { throw Refusal(.unauthorized, "Unauthorized (wrong admin_key)") }
    }

    /// What is kept of a secret and a PIN; the texts end here. As in Janus an empty PIN opens the room again, an empty secret is none.
    private static func change(_ locks: AudioBridgeRequest.Locks) throws(Refusal) -> RoomLocks.Change {
        func kept(_ text: String) throws(Refusal) -> KeptSecret {
            guard let kept = KeptSecret(text) else { throw Refusal(.unknown, "No random bytes could be had for a salt: try again") }
            return kept
        }
        var change = RoomLocks.Change()
        if let secret = locks.secret, !secret.isEmpty { change.secret = try kept(secret) }
        if let pin = locks.pin { change.pin = pin.isEmpty ? .removed : .kept(try kept(pin)) }
        return change
    }

    private func carryOut(
        _ body: SignalRequest.Body, _ locks: RoomLocks.Change, _ gid: GroupID, _ word: String, _ handle: Int64, _ transaction: String
    ) {
        var request = SignalRequest(gid: gid, dispatcher: 0, body: body)
        request.locks = locks
        let token = state.withLock {
            $0.expect(handle, transaction, .synchronous(["audiobridge": .string(word), "room": .id(gid), "permanent": true]))
        }
        administration.carryOut(request) { code, message in
            self.deliver(.answer(token: token, code == .ok ? .success(.done) : .failure(Refusal(code, message))))
        }
    }
}
