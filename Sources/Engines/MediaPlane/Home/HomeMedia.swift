import Floor
import RTP
import Reactor
import Recorder
import Room
import Talk

// The home's part of the packet path: the floor says whether a packet goes on, the stream numbers it, the recorder gets its copy, and every
// branch sends it.
extension MediaWorker {
    /// What is needed of a talker's packet to number it.
    struct Arrival {
        var ssrc: UInt32
        var sequence: UInt16
        var timestamp: UInt32
        var marker: Bool
        /// Of RFC 6464, −dBov, where the packet bears it.
        var level: UInt8?
        var atNs: Int64
    }

    /// What waited for so long for a branch's worker is no conversation any more, ns.
    private static let staleNs: Int64 = 1_000_000_000

    func forward(_ packet: Arrival, _ payload: UnsafeRawBufferPointer, from uid: UserID, in room: RoomHost) {
        if let mix = room.mix {
            hear(packet, payload, from: uid, in: room, mix)
            return
        }
        guard case .forward(let which, let first) = room.machine.media(from: uid, now: packet.atNs), let stream = room.stream(which) else {
            counters.withoutFloor.increment()
            return
        }
        if first {
            begin(stream, uid, room, packet.atNs)
            reschedule(room)
        }
        guard
            let place = stream.rewriter.place(
                ssrc: packet.ssrc, sequence: packet.sequence, timestamp: packet.timestamp, now: packet.atNs)
        else {
            counters.late.increment()
            return
        }
        let dualOnly = which == .main && room.machine.floor.overrider != nil
        if !room.branches.isEmpty {
            var head = BranchRing.Head(kind: .packet, stream: which, gid: room.gid, uid: uid)
            (head.marker, head.dualOnly) = (place.marker, dualOnly)
            (head.sequence, head.timestamp, head.arrivalNs) = (place.sequence, place.timestamp, packet.atNs)
            // Before our own: the others send at the same time.
            for worker in room.branches { send(head, payload: payload, to: worker) }
        }
        if let recording = stream.recording {
            // The room's own numbering: it runs on where the talker's source starts anew.
            let taken = ring.append(
                recording, sequence: place.sequence, timestamp: place.timestamp, marker: packet.marker, arrivalNs: UInt64(packet.atNs),
                payload: payload)
            if !taken { counters.recorderFull.increment() }
        }
        transmit(place, payload, on: which, dualOnly: dualOnly, in: room.branch)
    }

    /// The first accepted packet of a granted talk: its recording starts, with the wall clock read once.
    private func begin(_ stream: RoomStream, _ uid: UserID, _ room: RoomHost, _ now: Int64) {
        guard let talk = stream.talk, let participant = room.machine.participants[uid] else { return }
        stream.recording = ring.begin(
            BurstStart(
                talkID: talk, gid: room.gid, uid: uid, role: participant.role, groupName: room.machine.identity.name,
                displayName: participant.display, startMs: Clocks.wallMs(), startNs: UInt64(now)))
    }

    /// What another worker put in its ring to this one.
    func take(_ kind: BranchRing.Kind, _ head: BranchRing.Head, _ payload: UnsafeRawBufferPointer) {
        guard let gid = GroupID(head.gid), let uid = UserID(head.uid) else { return }
        let which: FloorStream = head.stream == 0 ? .main : .override
        if kind == .uplink {
            guard let room = rooms[gid] else { return }
            let packet = Arrival(
                ssrc: head.ssrc, sequence: head.sequence, timestamp: head.timestamp, marker: head.marker,
                level: head.level < BranchRing.Head.noLevel ? head.level : nil, atNs: head.arrivalNs)
            forward(packet, payload, from: uid, in: room)
            return
        }
        guard let branch = branches[gid] else { return }
        if kind == .packet || kind == .solo, Clocks.monotonicNs() - head.arrivalNs > MediaWorker.staleNs {
            // This worker was away: who listens here goes on with what is said now.
            counters.behind.increment()
            return
        }
        switch kind {
        case .packet:
            let place = StreamRewriter.Place(sequence: head.sequence, timestamp: head.timestamp, marker: head.marker)
            transmit(place, payload, on: which, dualOnly: head.dualOnly, in: branch)
        case .opened: open(which, uid, in: branch)
        case .closed: close(which, uid, length: head.sequence, in: branch)
        case .soloBegin: setSolo(uid, true, in: branch)
        case .soloEnd: setSolo(uid, false, in: branch)
        case .solo:
            let place = StreamRewriter.Place(sequence: head.sequence, timestamp: head.timestamp, marker: head.marker)
            transmitSolo(place, payload, to: uid, in: branch)
        case .uplink, .padding: break
        }
    }
}
