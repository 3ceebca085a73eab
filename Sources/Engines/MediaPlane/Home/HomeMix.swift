import Floor
import Mixer
import RTP
import Reactor
import Recorder
import Room
import Talk

// Open rooms: everybody's voice is mixed every 20 ms; who is heard hears the others, everybody else one common mix.
extension MediaWorker {
    /// A packet of somebody in an open room.
    func hear(_ packet: Arrival, _ payload: UnsafeRawBufferPointer, from uid: UserID, in room: RoomHost, _ mix: OpenMix) {
        guard room.machine.maySpeak(uid) else {
            counters.withoutFloor.increment()
            if let level = mix.mixer.remove(uid) { fellSilent(uid, level, in: room, mix) }
            return
        }
        mix.mixer.push(uid, sequence: packet.sequence, payload: payload, level: packet.level, now: packet.atNs)
        mixing.insert(room.gid)
        if let burst = mix.recordings[uid]?.burst {
            record(packet, payload, burst)
        } else {
            mix.keep(packet, payload, from: uid)
        }
    }

    private func record(_ packet: Arrival, _ payload: UnsafeRawBufferPointer, _ burst: BurstHandle) {
        let taken = ring.append(
            burst, sequence: packet.sequence, timestamp: packet.timestamp, marker: packet.marker, arrivalNs: UInt64(packet.atNs),
            payload: payload)
        if !taken { counters.recorderFull.increment() }
    }

    /// Every 20 ms, for the rooms where somebody was heard lately.
    func tickMixes(_ now: Int64) {
        for gid in mixing {
            guard let room = rooms[gid], let mix = room.mix else {
                mixing.remove(gid)
                continue
            }
            mix.ticks &+= 1
            let output = mix.mixer.tick(now)
            for uid in output.started { isHeard(uid, in: room, mix) }
            for (uid, level) in output.stopped { fellSilent(uid, level, in: room, mix) }
            send(output, of: room, mix, now)
            if mix.mixer.isIdle { mixing.remove(gid) }
        }
    }

    private func send(_ output: RoomMixer.Output, of room: RoomHost, _ mix: OpenMix, _ now: Int64) {
        guard let common = output.common else {
            mix.isSilent = true
            return
        }
        if mix.isSilent { room.main.rewriter.beginBurst() }
        mix.isSilent = false
        mix.sent &+= 1
        guard let place = room.main.rewriter.place(ssrc: 1, sequence: mix.sent, timestamp: mix.ticks &* 960, now: now) else { return }
        var head = BranchRing.Head()
        (head.gid, head.marker, head.sequence, head.timestamp) = (room.gid.value, place.marker, place.sequence, place.timestamp)
        head.arrivalNs = now
        common.withUnsafeBytes { payload in
            (head.kind, head.uid) = (BranchRing.Kind.packet.rawValue, 1)
            for worker in room.branches { send(head, payload: payload, to: worker) }
            transmit(place, payload, on: .main, dualOnly: false, in: room.branch)
        }
        for (uid, own) in output.own {
            own.withUnsafeBytes { payload in
                guard let worker = room.places[uid]?.worker else { return }
                if worker == index {
                    transmitSolo(place, payload, to: uid, in: room.branch)
                } else {
                    (head.kind, head.uid) = (BranchRing.Kind.solo.rawValue, uid.value)
                    send(head, payload: payload, to: worker)
                }
            }
        }
    }

    /// Somebody's voice came through: it is recorded as a talk, from its beginning.
    private func isHeard(_ uid: UserID, in room: RoomHost, _ mix: OpenMix) {
        guard let participant = room.machine.participants[uid] else { return }
        let now = moment()
        let kept = mix.takeKept(from: uid, at: now.monotonic)
        let startNs = kept.first?.packet.atNs ?? now.monotonic
        let startMs = now.wallMs - max(0, now.monotonic - startNs) / 1_000_000
        let talk = TalkID(unixMs: now.wallMs, random: (random.next(), random.next()))
        let burst = ring.begin(
            BurstStart(
                talkID: talk, gid: room.gid, uid: uid, role: participant.role, groupName: room.machine.identity.name,
                displayName: participant.display, startMs: startMs, startNs: UInt64(startNs)))
        mix.recordings[uid] = (talk, burst)
        for one in kept { one.payload.withUnsafeBytes { record(one.packet, $0, burst) } }
        for worker in room.branches { send(BranchRing.Head(kind: .soloBegin, stream: .main, gid: room.gid, uid: uid), to: worker) }
        setSolo(uid, true, in: room.branch)
        run([.tellAll(except: nil, .talking(uid, level: nil))], in: room)
    }

    /// - Parameter level: the average while they were heard, −dBov.
    func fellSilent(_ uid: UserID, _ level: Int, in room: RoomHost, _ mix: OpenMix) {
        guard let recording = mix.recordings.removeValue(forKey: uid) else { return }
        ring.end(recording.burst, cause: nil)
        mix.forget(uid)
        for worker in room.branches { send(BranchRing.Head(kind: .soloEnd, stream: .main, gid: room.gid, uid: uid), to: worker) }
        setSolo(uid, false, in: room.branch)
        run([.tellAll(except: nil, .silent(uid, level: level))], in: room)
    }

    /// Somebody left an open room.
    func leaveMix(_ uid: UserID, of room: RoomHost) {
        guard let mix = room.mix else { return }
        if let level = mix.mixer.remove(uid) { fellSilent(uid, level, in: room, mix) }
        mix.forget(uid)
    }

    /// The room closes: its open talks end.
    func endMix(of room: RoomHost) {
        guard let mix = room.mix else { return }
        for (_, recording) in mix.recordings { ring.end(recording.burst, cause: nil) }
        mix.recordings = [:]
        mixing.remove(room.gid)
    }
}
