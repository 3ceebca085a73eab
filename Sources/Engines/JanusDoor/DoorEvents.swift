import Floor
import JSON
import JanusProtocol
import MediaPlane
import Room
import SDP
import Talk
import Web

// What the media plane says, in AudioBridge's words.
extension JanusDoor {
    func handle(_ event: DoorEvent) {
        switch event {
        case .answer(let token, let result): answer(token, result)
        case .notice(let endpoints, let notice, let room): tell(endpoints, notice, room)
        case .link(let endpoint, let news): link(endpoint.handle, news)
        case .ended(let endpoint, let notice, let room):
            let seat = state.withLock { state -> Seat? in
                guard state.seats[endpoint.handle]?.room == room else { return nil }
                return state.seats.removeValue(forKey: endpoint.handle)
            }
            guard let seat else { return }
            switch notice {
            case .kicked: send(["audiobridge": "event", "room": .id(room), "kicked": .id(seat.uid)], to: endpoint.handle)
            case .destroyed: send(["audiobridge": "destroyed", "room": .id(room)], to: endpoint.handle)
            default: send(["audiobridge": "left", "room": .id(room), "id": .id(seat.uid)], to: endpoint.handle)
            }
        }
    }

    // MARK: Answers

    private func answer(_ token: UInt64, _ result: Result<DoorAnswer, Refusal>) {
        guard let pending = state.withLock({ $0.pending.removeValue(forKey: token) }) else { return }
        let (handle, transaction) = (pending.handle, pending.transaction)
        switch result {
        case .failure(let refusal):
            state.withLock { state in
                switch pending.kind {
                case .floor: state.seats[handle]?.asking = nil
                // Who is not there any more has left.
                case .leave: state.seats[handle] = nil
                default: break
                }
            }
            let isSynchronous =
                switch pending.kind {
                case .synchronous, .administration: true
                default: false
                }
            fail(refusal, handle, transaction, isSynchronous: isSynchronous)
        case .success(let answer): succeed(pending, answer, handle, transaction)
        }
        if pending.kind.isMove { resume(handle) }
    }

    private func succeed(_ pending: DoorState.Pending, _ answer: DoorAnswer, _ handle: Int64, _ transaction: String) {
        switch (pending.kind, answer) {
        case (.join(let seat, let offer), .joined(let info)):
            seated(handle, seat, info, "joined", offer, transaction)
        case (.changeRoom(let seat), .joined(let info)):
            seated(handle, seat, info, "roomchanged", nil, transaction)
        case (.leave, _):
            let seat = state.withLock { $0.seats.removeValue(forKey: handle) }
            guard let seat else { return }
            send(["audiobridge": "left", "room": .id(seat.room), "id": .id(seat.uid)], to: handle, transaction: transaction)
        case (.configure(let offer), let answer):
            let found = state.withLock { state -> Seat? in
                if let offer {
                    state.seats[handle]?.isPeer = true
                    state.seats[handle]?.mid = offer.mid
                    state.seats[handle]?.answers += 1
                }
                return state.seats[handle]
            }
            guard let seat = found else { return }
            var jsep: JSONValue?
            if let offer, case .media(let media) = answer { jsep = self.jsep(offer, media, handle, seat.answers) }
            send(["audiobridge": "event", "room": .id(seat.room), "result": "ok"], to: handle, transaction: transaction, jsep: jsep)
        case (.administration(let request), _):
            do throws(Refusal) {
                try perform(request, handle, transaction)
            } catch {
                fail(error, handle, transaction, isSynchronous: true)
            }
        case (.synchronous(let words), let answer):
            let reply = { @Sendable [self] in send(Self.body(words, answer), to: handle, transaction: transaction, word: "success") }
            // This thread goes before media: what may list thousands is written by another.
            if answer.isLong { Task { reply() } } else { reply() }
        default: break
        }
    }

    private static func body(_ words: JSONValue, _ answer: DoorAnswer) -> JSONValue {
        var body = words.object ?? [:]
        switch answer {
        case .exists(let exists): body[body["playing"] == nil ? "exists" : "playing"] = .bool(exists)
        case .rooms(let rooms):
            body["list"] = .array(
                rooms.map {
                    [
                        "room": .id($0.identity.gid), "description": .string($0.identity.name),
                        "pin_required": .bool($0.identity.locks.pin != nil),
                        "sampling_rate": 48_000, "record": true, "num_participants": .int(Int64($0.participants)),
                    ]
                })
        case .participants(let participants, let talking):
            body["participants"] = .array(participants.map { entry($0, talking: talking.contains($0.uid)) })
        case .passes(let tokens): body["allowed"] = .array((tokens ?? []).map { .string($0) })
        case .forwarder(let id): body["stream_id"] = .int(Int64(id))
        case .forwarders(let list): body["rtp_forwarders"] = .array(list.map(entry))
        case .announcement(let id): body["file_id"] = .string(id)
        case .joined, .media, .done: break
        }
        return .object(body)
    }

    /// Our side of a WebRTC session.
    private func jsep(_ offer: AudioOffer, _ media: MediaAnswer, _ handle: Int64, _ version: Int) -> JSONValue {
        var candidates = [AudioAnswer.Candidate(ip: media.address.ip, port: media.address.port)]
        if plane.isOnTCP { candidates.append(AudioAnswer.Candidate(ip: media.address.ip, port: media.address.port, isTCP: true)) }
        let answer = AudioAnswer(
            sessionID: UInt64(handle), version: version, ufrag: media.latch.username, password: media.latch.password,
            fingerprint: plane.fingerprint, candidates: candidates, isActive: media.role == .client,
            ssrc: media.ssrc, cname: "talkburst")
        return ["type": "answer", "sdp": .string(answer.text(for: offer))]
    }

    /// What happens to a peer's media, in the words of Janus's core.
    private func link(_ handle: Int64, _ news: LinkNews) {
        let found = state.withLock { state in
            state.sessions.connection(of: handle).flatMap { state.connections[$0] }.map {
                ($0, state.sessions.session(of: handle), state.seats[handle]?.mid ?? "")
            }
        }
        guard let (connection, session, mid) = found, let session else { return }
        var members: [String: JSONValue] =
            switch news {
            case .isUp: ["janus": "webrtcup"]
            case .isDown(let reason): ["janus": "hangup", "reason": .string(reason)]
            case .isReceiving(let isReceiving): ["janus": "media", "mid": .string(mid), "type": "audio", "receiving": .bool(isReceiving)]
            // Janus's uplink is what it sends.
            case .isSlow(let isHeard, let lost):
                ["janus": "slowlink", "mid": .string(mid), "media": "audio", "uplink": .bool(isHeard), "lost": .int(Int64(lost))]
            }
        members["session_id"] = .int(session)
        members["sender"] = .int(handle)
        connection.send(text: JSONValue.object(members).encoded())
    }

    private func seated(
        _ handle: Int64, _ seat: Seat, _ info: JoinedInfo, _ word: String, _ offer: AudioOffer?, _ transaction: String
    ) {
        let isAttached = state.withLock { state -> Bool in
            guard state.sessions.session(of: handle) != nil else { return false }
            state.seats[handle] = seat
            return true
        }
        guard isAttached else {
            // It was detached while its role was looked up.
            plane.post(.door(.leave(seat.room, seat.uid, EndpointID(handle)), token: 0, self))
            return
        }
        var body: [String: JSONValue] = [
            "audiobridge": .string(word), "room": .id(seat.room), "id": .id(seat.uid),
            "role": .int(Int64(info.participant.role.rawValue)),
            "participants": .array(info.others.map { Self.entry($0, talking: info.talking.contains($0.uid)) }),
            "participants_total": .int(Int64(info.total)),
        ]
        let media = info.media
        body["ssrc_override"] = media.overrideSSRC.map { .int(Int64($0)) }
        if !seat.isPeer { body["rtp"] = Self.rtp(media) }
        send(.object(body), to: handle, transaction: transaction, jsep: offer.map { jsep($0, media, handle, 0) })
        // How things stand, after the join that it belongs to.
        if seat.speaksFloor { send(Self.floor(info.state, seat.room), to: handle) }
    }

    /// A plain device's side of its media (DEVICES.md, `rtp`).
    private static func rtp(_ media: MediaAnswer) -> JSONValue {
        var rtp: [String: JSONValue] = [
            "ip": .string(media.address.ip), "port": .int(Int64(media.address.port)), "payload_type": .int(Int64(media.payloadType)),
            "ssrc": .int(Int64(media.ssrc)),
            "latch": ["username": .string(media.latch.username), "password": .string(media.latch.password)],
        ]
        if let key = media.srtp { rtp["srtp"] = ["suite": .string(key.suite.sdesName), "crypto": .string(key.sdes)] }
        rtp["ssrc_override"] = media.overrideSSRC.map { .int(Int64($0)) }
        return .object(rtp)
    }

    /// An error of the plugin: an event, or the answer itself of a request that is answered at once.
    func fail(_ refusal: Refusal, _ handle: Int64, _ transaction: String, isSynchronous: Bool) {
        send(Self.body(refusal), to: handle, transaction: transaction, word: isSynchronous ? "success" : "event")
    }

    private static func body(_ refusal: Refusal) -> JSONValue {
        ["audiobridge": "event", "error_code": .int(Int64(refusal.code.rawValue)), "error": .string(refusal.message)]
    }

    /// A participant in a list. Who does not talk is muted: that is what a stock client knows of the floor.
    static func entry(_ participant: Participant, talking: Bool) -> JSONValue {
        [
            "id": .id(participant.uid), "display": .string(participant.display), "setup": true,
            "muted": .bool(participant.muted.map { $0 || participant.barred } ?? !talking),
            "suspended": .bool(participant.suspended), "talking": .bool(talking), "role": .int(Int64(participant.role.rawValue)),
        ]
    }

    private static func entry(_ forwarder: Forwarder) -> JSONValue {
        [
            "stream_id": .int(Int64(forwarder.id)), "ip": .string(forwarder.address.ip), "port": .int(Int64(forwarder.address.port)),
            "ptype": .int(Int64(forwarder.payloadType)), "codec": "opus", "always_on": false, "srtp": .bool(forwarder.key != nil),
        ]
    }

    // MARK: Notices

    private func tell(_ endpoints: [EndpointID], _ notice: Notice, _ room: GroupID) {
        var floor: [UInt8]?
        var stock: [[UInt8]]?
        var out: [(WebSocketConnection, [UInt8])] = []
        state.withLock { state in
            for endpoint in endpoints {
                let handle = endpoint.handle
                // A notice of the join itself comes before its answer; `seated` tells how things stand.
                guard let seat = state.seats[handle], seat.room == room else { continue }
                if seat.speaksFloor, notice.isFloor {
                    let body = floor ?? Self.floor(notice, room).encoded()
                    floor = body
                    let asking = notice.isUnasked ? nil : seat.asking
                    if asking != nil { state.seats[handle]?.asking = nil }
                    if let (connection, head) = state.envelope("event", handle, transaction: asking) {
                        out.append((connection, Self.join(head, body)))
                    }
                }
                if stock == nil { stock = Self.stock(notice, room, me: endpoints.count == 1 ? seat.uid : nil).map { $0.encoded() } }
                for body in stock ?? [] where !(seat.speaksFloor && notice.isOwnFloor) {
                    if let (connection, head) = state.envelope("event", handle, transaction: nil) {
                        out.append((connection, Self.join(head, body)))
                    }
                }
            }
        }
        for (connection, text) in out { connection.send(text: text) }
    }

    private func send(
        _ body: JSONValue, to handle: Int64, transaction: String? = nil, word: String = "event", jsep: JSONValue? = nil
    ) {
        guard let (connection, head) = state.withLock({ $0.envelope(word, handle, transaction: transaction) }) else { return }
        connection.send(text: Self.join(head, body.encoded(), jsep))
    }

    private static func join(_ head: String, _ body: [UInt8], _ jsep: JSONValue? = nil) -> [UInt8] {
        var text = Array(head.utf8)
        text.reserveCapacity(text.count + body.count + 2)
        text += body
        text += "}".utf8
        if let jsep { text += ",\"jsep\":".utf8 + jsep.encoded() }
        text += "}".utf8
        return text
    }

    /// A notice for clients that speak of the floor.
    static func floor(_ notice: Notice, _ room: GroupID) -> JSONValue {
        var body: [String: JSONValue] = ["audiobridge": "floor", "room": .id(room)]
        switch notice {
        case .granted(let durationMs, let priority, let tier, let stream):
            body["state"] = "granted"
            body["duration"] = durationMs.map { .int(Int64(($0 + 999) / 1_000)) }
            body["priority"] = .int(Int64(priority))
            body["tier"] = .string(tier.name)
            if stream == .override { body["override"] = true }
        case .taken(let holder, let display, let stream, let tier, let sequence):
            body["state"] = "taken"
            body["holder"] = .id(holder)
            body["display"] = .string(display)
            body["tier"] = .string(tier.name)
            body["sequence"] = .int(Int64(sequence))
            if stream == .override { body["override"] = true }
        case .idle(let sequence):
            body["state"] = "idle"
            body["sequence"] = .int(Int64(sequence))
        case .denied(let cause, let wait):
            body["state"] = "denied"
            body["cause"] = .int(Int64(cause.rawValue))
            body["retry_after_ms"] = wait.map { .int(Int64($0)) }
        case .queued(let position, let priority, let size):
            body["state"] = "queued"
            body["position"] = position.map { .int(Int64($0)) } ?? .null
            body["priority"] = .int(Int64(priority))
            body["queue_size"] = .int(Int64(size))
        case .revoked(let cause):
            body["state"] = "revoked"
            body["cause"] = .int(Int64(cause.rawValue))
        default: break
        }
        return .object(body)
    }

    /// A notice for stock clients, which know `muted` and `talking` only.
    private static func stock(_ notice: Notice, _ room: GroupID, me: UserID?) -> [JSONValue] {
        func event(_ members: [String: JSONValue]) -> JSONValue {
            .object(members.merging(["audiobridge": "event", "room": .id(room)]) { own, _ in own })
        }
        func muted(_ uid: UserID?, _ muted: Bool) -> [JSONValue] {
            guard let uid else { return [] }
            return [event(["participants": [["id": .id(uid), "muted": .bool(muted)]]])]
        }
        switch notice {
        // An open room tells who is muted and who is heard by themselves.
        case .granted(durationMs: nil, _, _, _): return []
        case .granted: return muted(me, false) + (me.map { [["audiobridge": "talking", "room": .id(room), "id": .id($0)]] } ?? [])
        case .taken(let holder, _, _, _, _):
            return muted(holder, false) + [["audiobridge": "talking", "room": .id(room), "id": .id(holder)]]
        case .stopped(let uid): return muted(uid, true) + [["audiobridge": "stopped-talking", "room": .id(room), "id": .id(uid)]]
        case .talking(let uid, _): return [["audiobridge": "talking", "room": .id(room), "id": .id(uid)]]
        case .silent(let uid, let level):
            return [["audiobridge": "stopped-talking", "room": .id(room), "id": .id(uid), "audio_level_average": .int(Int64(level))]]
        case .announcement(let id, let isPlaying):
            return [
                ["audiobridge": isPlaying ? "announcement-started" : "announcement-stopped", "room": .id(room), "file_id": .string(id)]
            ]
        case .denied, .queued, .revoked: return muted(me, true)
        case .joined(let participant, let talking): return [event(["participants": [entry(participant, talking: talking)]])]
        case .left(let uid): return [event(["leaving": .id(uid)])]
        case .kicked(let uid): return [event(["kicked": .id(uid)])]
        case .muted(let uid, let isMuted): return muted(uid, isMuted)
        case .roomMuted(let isMuted): return [event(["muted": .bool(isMuted)])]
        case .idle, .destroyed: return []
        }
    }
}

extension Notice {
    /// Said by a `floor` event to those who speak of it.
    fileprivate var isFloor: Bool {
        switch self {
        case .granted, .taken, .idle, .denied, .queued, .revoked: true
        default: false
        }
    }
    /// No answer to a `floor` request, whatever is asked meanwhile: media came too soon, or somebody may not talk any more.
    fileprivate var isUnasked: Bool { if case .revoked(.noPermission) = self { true } else { false } }
    /// About the participant's own place on the floor, which a `floor` event says better.
    fileprivate var isOwnFloor: Bool {
        switch self {
        case .denied, .queued, .revoked: true
        default: false
        }
    }
}

extension DoorAnswer {
    /// Whether it may list thousands.
    fileprivate var isLong: Bool {
        switch self {
        case .rooms, .participants: true
        default: false
        }
    }
}
