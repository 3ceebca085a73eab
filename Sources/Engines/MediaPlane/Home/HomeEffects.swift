import Floor
import Reactor
import Recorder
import Room
import Talk

// What a room decided is done: its effects, in their order.
extension MediaWorker {
    func run(_ effects: [RoomEffect], in room: RoomHost) {
        for effect in effects { run(effect, in: room) }
    }

    private func run(_ effect: RoomEffect, in room: RoomHost) {
        let gid = room.gid
        switch effect {
        case .tell(let uid, let notice):
            guard let participant = room.machine.participants[uid] else { return }
            doors[participant.endpoint]?.door.deliver(.notice([participant.endpoint], notice, gid))
            guard participant.signalling == .rtcp, let place = room.places[uid], let message = mcpt(notice, to: uid, in: room) else {
                return
            }
            tell(.control(message.encoded, to: uid, except: nil), of: gid, on: place.worker)
        case .tellAll(let uid, let notice):
            deliver(notice, to: room.endpoints(followersOnly: false, except: uid, notifyMax: settings.rules.notifyMax), gid)
            guard let message = mcpt(notice, to: nil, in: room) else { return }
            let command = BranchCommand.control(message.encoded, to: nil, except: uid)
            perform(command, gid)
            for worker in room.branches { tell(command, of: gid, on: worker) }
        case .tellFollowers(let uid, let notice):
            room.audience = nil
            deliver(notice, to: room.endpoints(followersOnly: true, except: uid, notifyMax: settings.rules.notifyMax), gid)
        case .opened(let which, let uid, let talk): opened(which, uid, talk, room)
        case .closed(let which, let uid): closed(which, uid, room)
        case .removed(let participant, let notice): removed(participant, notice, room)
        case .changed(let uid):
            guard let participant = room.machine.participants[uid], let place = room.places[uid] else { return }
            tell(.suspend(uid, participant.suspended), of: gid, on: place.worker)
        case .publish(let news): output.publish(news, of: gid, epoch: room.epoch, atMs: Clocks.wallMs())
        case .persist: output.persist(record(room))
        }
    }

    private func deliver(_ notice: Notice, to endpoints: [EndpointID], _ gid: GroupID) {
        // One door so far: whoever is there came through it.
        guard let first = endpoints.first, let door = doors[first]?.door else { return }
        door.deliver(.notice(endpoints, notice, gid))
    }

    private func opened(_ which: FloorStream, _ uid: UserID, _ talk: TalkID, _ room: RoomHost) {
        guard let stream = room.stream(which) else { return }
        stream.talk = talk
        stream.rewriter.beginBurst()
        // What is played goes on as a burst of its own, whichever stream the talk is on.
        room.main.isAnnouncing = false
        for worker in room.branches { send(BranchRing.Head(kind: .opened, stream: which, gid: room.gid, uid: uid), to: worker) }
        open(which, uid, in: room.branch)
    }

    private func closed(_ which: FloorStream, _ uid: UserID, _ room: RoomHost) {
        guard let stream = room.stream(which) else { return }
        if let recording = stream.recording { ring.end(recording, cause: nil) }
        stream.recording = nil
        stream.talk = nil
        let length = stream.rewriter.burstLength
        for worker in room.branches {
            var head = BranchRing.Head(kind: .closed, stream: which, gid: room.gid, uid: uid)
            head.sequence = length
            send(head, to: worker)
        }
        close(which, uid, length: length, in: room.branch)
    }

    private func removed(_ participant: Participant, _ notice: Notice?, _ room: RoomHost) {
        room.audience = nil
        if let place = room.places[participant.uid], place.generation == participant.generation {
            leaveMix(participant.uid, of: room)
            room.places[participant.uid] = nil
            room.counts[place.worker] -= 1
            count(participant.uid, by: -1)
            tell(.unhost(participant.uid, generation: participant.generation), of: room.gid, on: place.worker)
        }
        map.setVanished(false, participant.uid, in: room.gid)
        guard let (door, gid) = doors[participant.endpoint] else { return }
        if let notice { door.deliver(.ended(participant.endpoint, notice, room.gid)) }
        if gid == room.gid { doors[participant.endpoint] = nil }
    }

    /// Keeps count of whom this node has; tells of first joins and last leaves.
    func count(_ uid: UserID, by step: Int) {
        let (online, people) = map.count(uid, by: step)
        if let online { output.presence(uid, online: online) }
        counters.participants.set(people)
    }

    // MARK: Branches elsewhere

    /// Puts the begin or end of a burst in the ring to another worker and wakes it.
    func send(_ mark: BranchRing.Head, to worker: Int) {
        guard let ring = links.ring(from: index, to: worker) else { return }
        ring.put(mark)
        links.bell(of: worker).ring()
    }

    /// Puts a packet in the ring to another worker and wakes it.
    func send(_ head: BranchRing.Head, payload: UnsafeRawBufferPointer, to worker: Int) {
        guard let ring = links.ring(from: index, to: worker) else { return }
        let dropped = ring.put(head, payload: payload)
        if dropped > 0 { counters.behind.increment(by: dropped) }
        links.bell(of: worker).ring()
    }

    /// What a branch says of somebody; what is about an older stay is passed over.
    func take(_ report: BranchReport, of uid: UserID, generation: UInt64, in gid: GroupID) {
        guard let room = rooms[gid], let participant = room.machine.participants[uid], participant.generation == generation else { return }
        switch report {
        case .floor(let input): run(room.machine.handle(input, at: moment(), random: &random), in: room)
        case .signalsByRTCP: run(room.machine.configure(uid, display: nil, signalling: .rtcp), in: room)
        case .link(let news):
            doors[participant.endpoint]?.door.deliver(.link(participant.endpoint, news))
            guard case .isDown = news else { return }
            run(room.machine.leave(uid, told: .left(uid), at: moment(), random: &random), in: room)
        case .stray:
            guard case .dropAndRevoke = room.machine.media(from: uid, now: Clocks.monotonicNs()) else { return }
            run([.tell(uid, .revoked(.noPermission))], in: room)
        case .silence:
            if room.machine.floor.waiting.contains(uid) { run(room.machine.handle(.release(uid), at: moment(), random: &random), in: room) }
        case .voice:
            run(room.machine.handle(.request(uid, tier: .normal, priority: 0, queue: nil), at: moment(), random: &random), in: room)
        }
        reschedule(room)
    }
}

extension BranchRing.Head {
    /// A head of home → branch.
    init(kind: BranchRing.Kind, stream: FloorStream, gid: GroupID, uid: UserID) {
        self.init()
        self.kind = kind.rawValue
        self.stream = stream == .main ? 0 : 1
        self.gid = gid.value
        self.uid = uid.value
    }
}
