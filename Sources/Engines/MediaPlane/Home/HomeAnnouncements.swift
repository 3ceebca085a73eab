import Floor
import RTP
import Reactor
import Room
import Talk

// Files that are played to rooms at home here. An open room mixes all of them; a PTT room has one stream, so there they are played one after
// the other.
extension MediaWorker {
    /// Of one room, those that wait included.
    private static let announcementsMaximum = 16

    func play(_ announcement: Announcement, in room: RoomHost) throws(Refusal) -> String {
        let id = announcement.id
        guard !room.announcements.contains(where: { $0.announcement.id == id }) else {
            let isOnAir = room.onAir.contains { $0.announcement.id == id }
            throw Refusal(.idExists, "Announcement \(id) \(isOnAir ? "is playing" : "waits to be played") already")
        }
        guard room.announcements.count < Self.announcementsMaximum else {
            throw Refusal(
                .unknown,
                "room \(room.gid) has \(Self.announcementsMaximum) announcements that play or wait: stop one (stop_file), or wait for an end"
            )
        }
        let playing = Playing(announcement, ssrc: UInt32.random(in: 2 ... .max, using: &random))
        room.announcements.append(playing)
        if isOnAir(playing, in: room) { begin(playing, in: room, at: Clocks.monotonicNs()) }
        return id
    }

    /// One that waited was not announced, and so its end is not.
    func stopAnnouncement(_ id: String, in room: RoomHost) throws(Refusal) {
        guard let playing = room.announcements.first(where: { $0.announcement.id == id }) else {
            throw Refusal(.noSuchUser, "No such announcement (\(id))")
        }
        room.mix?.mixer.remove(file: id)
        end(playing, in: room, at: Clocks.monotonicNs())
    }

    /// When the next packet of an announcement is due, ns.
    var announcementDeadline: Int64? { announcing.lazy.compactMap { self.rooms[$0]?.onAir.lazy.map(\.nextAt).min() }.min() }

    func tickAnnouncements(_ now: Int64) {
        for gid in announcing {
            guard let room = rooms[gid], !room.announcements.isEmpty else {
                announcing.remove(gid)
                continue
            }
            for playing in room.onAir { while playing.nextAt <= now, isOnAir(playing, in: room) { step(playing, in: room, now) } }
        }
    }

    private func isOnAir(_ playing: Playing, in room: RoomHost) -> Bool { room.onAir.contains { $0 === playing } }

    private func begin(_ playing: Playing, in room: RoomHost, at time: Int64) {
        (playing.index, playing.nextAt) = (0, time)
        // The same file may have been played a moment ago.
        room.mix?.mixer.remove(file: playing.announcement.id)
        room.main.isAnnouncing = false
        announcing.insert(room.gid)
        run([.tellAll(except: nil, .announcement(playing.announcement.id, isPlaying: true))], in: room)
    }

    private func end(_ playing: Playing, in room: RoomHost, at time: Int64) {
        let wasOnAir = isOnAir(playing, in: room)
        room.announcements.removeAll { $0 === playing }
        guard wasOnAir else { return }
        run([.tellAll(except: nil, .announcement(playing.announcement.id, isPlaying: false))], in: room)
        if room.mix == nil, let next = room.announcements.first { begin(next, in: room, at: time) }
    }

    private func step(_ playing: Playing, in room: RoomHost, _ now: Int64) {
        let packets = playing.announcement.packets
        guard playing.index < packets.count else {
            guard playing.announcement.loop else { return end(playing, in: room, at: playing.nextAt) }
            playing.index = 0
            // What waits behind one that never ends gets its turn between two rounds.
            guard room.mix == nil, room.announcements.count > 1 else { return }
            end(playing, in: room, at: playing.nextAt)
            room.announcements.append(playing)
            return
        }
        let (payload, samples) = packets[playing.index]
        let (sequence, timestamp) = (playing.sequence, playing.timestamp)
        playing.index += 1
        playing.sequence &+= 1
        playing.timestamp &+= UInt32(samples)
        playing.nextAt += Int64(samples) * 1_000_000 / 48
        if let mix = room.mix {
            mix.mixer.push(file: playing.announcement.id, sequence: sequence, payload: payload, now: now)
            mixing.insert(room.gid)
            return
        }
        // Whoever has the floor is more important than what is played, which goes on behind their voice.
        guard room.main.talk == nil, room.override?.talk == nil else { return }
        if !room.main.isAnnouncing {
            room.main.rewriter.beginBurst()
            room.main.isAnnouncing = true
        }
        guard let place = room.main.rewriter.place(ssrc: playing.ssrc, sequence: sequence, timestamp: timestamp, now: now) else { return }
        var head = BranchRing.Head(kind: .packet, stream: .main, gid: room.gid, uid: Self.announcer)
        (head.marker, head.sequence, head.timestamp) = (place.marker, place.sequence, place.timestamp)
        head.arrivalNs = now
        payload.withUnsafeBytes { bytes in
            for worker in room.branches { send(head, payload: bytes, to: worker) }
            transmit(place, bytes, on: .main, dualOnly: false, in: room.branch)
        }
    }

    /// Nobody's number: ids of people are given out from 1 on.
    private static let announcer: UserID = UserID(maximumID) ?? { preconditionFailure("2^53−1 is an id") }()
}
