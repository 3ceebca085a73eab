import Floor
import Messages
import Reactor
import Room
import Talk

// What doors ask of the rooms at home here.
extension MediaWorker {
    /// - Parameter isBehindMedia: it came over the worker that reads the participant's media.
    func handle(_ request: DoorRequest, _ token: UInt64, _ door: any Door, isBehindMedia: Bool = false) {
        if !isBehindMedia, case .floor(let gid, let uid, _, _) = request, let place = rooms[gid]?.places[uid], place.worker != index {
            // All of them, so that none overtakes another.
            mailboxes[place.worker].post(.detour(request, token: token, door, home: index))
            return
        }
        if let gid = request.home, rooms[gid] == nil, !isHandingOver(request) {
            if let home = map.home(of: gid), home != index {
                // It was opened there after this was posted.
                mailboxes[home].post(.input(.door(request, token: token, door)))
                return
            }
            switch ownership.state(of: gid) {
            case .here: break
            case .elsewhere:
                let refusal = Refusal(.notReady, "room \(gid) is not served by this node: try again")
                return door.deliver(.answer(token: token, .failure(refusal)))
            case .restoring:
                let deadline = Clocks.monotonicNs() + MonotonicNs(settings.joinWaitMs) * 1_000_000
                parked.append(ParkedRequest(request: request, gid: gid, token: token, door: door, deadline: deadline))
                return
            }
        }
        do throws(Refusal) {
            if let answer = try perform(request, token, door) { door.deliver(.answer(token: token, .success(answer))) }
        } catch {
            door.deliver(.answer(token: token, .failure(error)))
        }
    }

    /// Whether somebody goes from a room here to one of another worker: the room that is left begins, for it knows the transport.
    private func isHandingOver(_ request: DoorRequest) -> Bool {
        guard case .changeRoom(let from, let to, _) = request, rooms[from] != nil, let home = map.home(of: to) else { return false }
        return home != index
    }

    func retryParked() {
        let waiting = parked
        parked = []
        for one in waiting {
            if rooms[one.gid] == nil, ownership.state(of: one.gid) == .restoring {
                parked.append(one)
            } else {
                handle(one.request, one.token, one.door)
            }
        }
    }

    func room(_ gid: GroupID) throws(Refusal) -> RoomHost {
        guard let room = rooms[gid] else { throw Refusal(.noSuchRoom, "no such room (\(gid))") }
        return room
    }

    /// The room, where this handle's participant is in it.
    func room(_ gid: GroupID, _ uid: UserID, _ endpoint: EndpointID) throws(Refusal) -> RoomHost {
        let room = try room(gid)
        guard room.machine.participants[uid]?.endpoint == endpoint else {
            throw Refusal(.notJoined, "user \(uid) is not in room \(gid)")
        }
        return room
    }

    private func perform(_ request: DoorRequest, _ token: UInt64, _ door: any Door) throws(Refusal) -> DoorAnswer? {
        switch request {
        case .join(let gid, let joining, let media):
            _ = try room(gid)
            try check(media, of: joining)
            lookUp(PendingJoin(gid: gid, joining: joining, media: media, from: nil, door: door, token: token))
            return nil
        case .changeRoom(let from, let to, let joining):
            try changeRoom(from, to, joining, token, door)
            return nil
        case .leave(let gid, let uid, let endpoint):
            let room = try room(gid, uid, endpoint)
            run(room.machine.leave(uid, at: moment(), random: &random), in: room)
            reschedule(room)
        case .vanish(let gid, let uid, let endpoint):
            let room = try room(gid, uid, endpoint)
            room.machine.vanish(uid, at: moment())
            map.setVanished(true, uid, in: gid)
            reschedule(room)
        case .reclaim(let gid, let uid, let endpoint):
            try room(gid, uid, endpoint).machine.reclaim(uid)
            map.setVanished(false, uid, in: gid)
        case .configure(let gid, let uid, let endpoint, let display, let signalling, let offer):
            let room = try room(gid, uid, endpoint)
            let answer: MediaAnswer? = if let offer { try describe(uid, offer, in: room) } else { nil }
            run(room.machine.configure(uid, display: display, signalling: signalling), in: room)
            if let answer { return .media(answer) }
        case .floor(let gid, let uid, let endpoint, let input):
            let room = try room(gid, uid, endpoint)
            run(room.machine.handle(input, at: moment(), random: &random), in: room)
            reschedule(room)
        case .exists(let gid): return .exists(rooms[gid] != nil)
        case .participants(let gid):
            let room = try room(gid)
            return .participants(room.machine.participants.values.sorted { $0.uid < $1.uid }, talking: talking(room))
        default: return try administer(request)
        }
        return .done
    }

    private func administer(_ request: DoorRequest) throws(Refusal) -> DoorAnswer {
        switch request {
        case .kick(let gid, let uid):
            let room = try room(gid)
            if let uid, room.machine.participants[uid] == nil { throw Refusal(.noSuchUser, "no such user \(uid) in room \(gid)") }
            for one in uid.map({ [$0] }) ?? room.machine.participants.keys.sorted() {
                run(room.machine.leave(one, told: .kicked(one), at: moment(), random: &random), in: room)
            }
            reschedule(room)
        case .mute(let gid, let uid, let muted):
            let room = try room(gid)
            run(try room.machine.mute(muted, uid, at: moment(), random: &random), in: room)
            reschedule(room)
        case .suspend(let gid, let uid, let suspended):
            let room = try room(gid)
            run(try room.machine.suspend(suspended, uid), in: room)
        case .passes(let gid, let change):
            let room = try room(gid)
            switch change {
            case .enable: room.machine.passes = room.machine.passes ?? []
            case .disable: room.machine.passes = nil
            case .add(let tokens): room.machine.passes = (room.machine.passes ?? []).union(tokens)
            case .remove(let tokens): room.machine.passes?.subtract(tokens)
            }
            return .passes(room.machine.passes?.sorted())
        case .extra(let gid, let extra): return try perform(extra, in: try room(gid))
        case .authorize(let gid, let secret): try authorize(secret, gid)
        case .resetDecoder(let gid, let uid, let endpoint):
            let room = try room(gid, uid, endpoint)
            if let place = room.places[uid] { tell(.resetReception(uid), of: gid, on: place.worker) }
        default: break
        }
        return .done
    }

    /// Refuses who does not know a room's secret; without one nothing is told of rooms.
    private func authorize(_ secret: String?, _ gid: GroupID) throws(Refusal) {
        guard let kept = rooms[gid]?.machine.identity.locks.secret else {
            if secret != nil { _ = try room(gid) }
            throw Refusal(.unauthorized, "Unauthorized (room \(gid) has no secret: the admin_key or the back office administers it)")
        }
        try kept.check(secret, named: "secret")
    }

    func talking(_ room: RoomHost) -> Set<UserID> {
        if let mix = room.mix { return Set(mix.recordings.keys) }
        return Set([room.machine.floor.holder, room.machine.floor.overrider].compactMap { $0 })
    }
}
