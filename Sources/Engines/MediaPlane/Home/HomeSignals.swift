import Floor
import Messages
import Reactor
import Room
import Talk

// Rooms that are at home here come and go: by signal requests, from their records, and with their partitions.
extension MediaWorker {
    func restore(_ record: RoomRecord, epoch: Int64) {
        guard rooms[record.gid] == nil else { return }
        var identity = RoomIdentity(
            gid: record.gid, name: record.name, dispatcher: record.dispatcher, mode: record.mode, options: record.options)
        identity.locks = record.locks
        let room = open(identity, emergencies: Set(record.emergencies), epoch: epoch)
        // Its devices are not back yet; consoles are told to forget who was here.
        run(room.machine.snapshot(), in: room)
    }

    @discardableResult
    private func open(_ identity: RoomIdentity, emergencies: Set<UserID>, epoch: Int64) -> RoomHost {
        let gid = identity.gid
        let machine = RoomStateMachine(
            identity, rules: settings.rules, emergencies: emergencies, after: map.takeSequence(of: gid, epoch: epoch))
        let main = newStream()
        let branch = Branch(gid: gid, home: index, main: BranchStream(ssrc: main.ssrc, outlet))
        let room = RoomHost(machine, epoch: epoch, main: main, branch: branch, workers: addresses.count)
        if identity.mode == .open { room.mix = OpenMix() }
        rooms[gid] = room
        branches[gid] = branch
        applyOptions(room)
        counters.rooms.set(map.roomCount)
        return room
    }

    private func newStream() -> RoomStream {
        let now = Clocks.monotonicNs()
        return RoomStream(
            ssrc: UInt32.random(in: 1 ... .max, using: &random), sequence: UInt16.random(in: 0 ... .max, using: &random),
            timestamp: streamClock(now), now: now)
    }

    /// All streams of a node run on one clock of 48 kHz, so that who changes from one to another under its own SSRC sees no jump.
    func streamClock(_ now: Int64) -> UInt32 { map.clockOffset &+ UInt32(truncatingIfNeeded: now / 1_000 * 48 / 1_000) }

    /// What the options mean for media, told to every branch. A room that allows a dual floor has a second stream, for everybody.
    private func applyOptions(_ room: RoomHost) {
        if room.machine.floor.settings.dualFloor, room.override == nil { room.override = newStream() }
        let opening = opening(of: room)
        for worker in [index] + room.branches { tell(opening, of: room.gid, on: worker) }
    }

    /// Forgets a room that is another node's now: its people are told to come back, and find it there.
    func close(_ gid: GroupID) {
        guard let room = rooms[gid] else { return }
        run(room.machine.destroy(at: moment(), random: &random), in: room)
        endMix(of: room)
        rooms[gid] = nil
        map.keepSequence(room.machine.seq, of: gid, epoch: room.epoch)
        for worker in [index] + room.branches { tell(.close, of: gid, on: worker) }
        map.forget(gid)
        counters.rooms.set(map.roomCount)
    }

    func record(_ room: RoomHost) -> RoomRecord {
        let identity = room.machine.identity
        var record = RoomRecord(
            gid: identity.gid, name: identity.name, dispatcher: identity.dispatcher, mode: identity.mode, options: identity.options,
            emergencies: room.machine.floor.emergencies.sorted(), epoch: room.epoch, changedMs: moment().wallMs)
        record.locks = identity.locks
        return record
    }

    /// Carries a signal request out.
    func signal(_ request: SignalRequest, epoch: Int64) -> SignalOutcome {
        do throws(Refusal) {
            return try perform(request, epoch: epoch)
        } catch {
            return SignalOutcome(error)
        }
    }

    private func perform(_ request: SignalRequest, epoch: Int64) throws(Refusal) -> SignalOutcome {
        if case .create(let name, let mode, let options) = request.body {
            if let room = rooms[request.gid] {
                let identity = room.machine.identity
                // Who brings locks of their own must not take another's room for theirs.
                guard identity.name == name, identity.dispatcher == request.dispatcher, request.locks == RoomLocks.Change() else {
                    throw Refusal(
                        .roomExists, "room \(request.gid) exists, named \"\(identity.name)\", of dispatcher \(identity.dispatcher)")
                }
                return .ok(.keep(record(room)))
            }
            var identity = RoomIdentity(gid: request.gid, name: name, dispatcher: request.dispatcher, mode: mode, options: options)
            identity.locks = RoomLocks().applying(request.locks)
            return .ok(.keep(record(open(identity, emergencies: [], epoch: epoch))))
        }
        guard let room = rooms[request.gid] else { throw Refusal(.noSuchRoom, "no such room (\(request.gid))") }
        let moment = moment()
        var change = SignalOutcome.Change.none
        var effects: [RoomEffect] = []
        switch request.body {
        case .create: break
        case .destroy:
            let open = [room.main, room.override].compactMap { $0?.recording == nil ? nil : $0?.talk } + (room.mix?.openTalks ?? [])
            close(request.gid)
            return .ok(.tombstone, ended: open)
        case .alterParticipant(let uid, let role):
            effects = try room.machine.setRole(role, of: uid, at: moment, random: &random)
        case .alterGroup(let name, let options):
            effects = room.machine.alter(
                name: name, options: options, locks: request.locks, at: moment, random: &random
            ).filter { $0 != .persist }
            applyOptions(room)
            change = .keep(record(room))
        case .removeParticipant(let uid):
            guard room.machine.participants[uid] != nil else {
                throw Refusal(.notJoined, "user \(uid) is not in room \(request.gid)")
            }
            effects = room.machine.leave(uid, told: .kicked(uid), at: moment, random: &random)
        case .cancelEmergency(let uid):
            effects = room.machine.handle(.cancelEmergency(uid, by: nil), at: moment, random: &random)
            if effects.contains(.persist) {
                effects.removeAll { $0 == .persist }
                change = .keep(record(room))
            }
        }
        run(effects, in: room)
        reschedule(room)
        return .ok(change)
    }
}
