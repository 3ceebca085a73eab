import Floor
import RTP
import Reactor
import Room
import SecureRTP
import Talk

// Forwarders and announcements of the rooms that are at home here.
extension MediaWorker {
    func perform(_ extra: RoomExtra, in room: RoomHost) throws(Refusal) -> DoorAnswer {
        switch extra {
        case .forward(let forwarder): return .forwarder(try add(forwarder, to: room))
        case .stopForward(let id):
            guard let (_, listener) = room.forwarders.removeValue(forKey: id) else {
                throw Refusal(.noSuchUser, "No such stream (\(id))")
            }
            room.branch.main.fanOut.remove(listener)
        case .forwarders: return .forwarders(room.forwarders.values.map(\.forwarder).sorted { $0.id < $1.id })
        case .play(let announcement): return .announcement(try play(announcement, in: room))
        case .stopFile(let id):
            guard room.playing[id] != nil else { throw Refusal(.noSuchUser, "No such announcement (\(id))") }
            endAnnouncement(id, in: room)
        case .isPlaying(let id): return .exists(room.playing[id] != nil)
        }
        return .done
    }

    private func add(_ forwarder: Forwarder, to room: RoomHost) throws(Refusal) -> UInt32 {
        guard !forwarder.address.isUnusable, !addresses.contains(forwarder.address) else {
            throw Refusal(.invalidElement, "Invalid element (host and port: media can't be sent to \(forwarder.address))")
        }
        guard room.forwarders.count < 100_000 else { throw Refusal(.unknown, "room \(room.gid) has too many forwarders") }
        var forwarder = forwarder
        repeat { forwarder.id = UInt32.random(in: 1 ... .max, using: &random) } while room.forwarders[forwarder.id] != nil
        var sender: SRTPSender?
        if let key = forwarder.key {
            do throws(SRTPError) {
                sender = try SRTPSender(key)
            } catch {
                throw Refusal(.unknown, "\(error)")
            }
        }
        let listener = Listener(payloadType: forwarder.payloadType, dual: true, sender: sender, ssrc: forwarder.ssrc)
        room.forwarders[forwarder.id] = (forwarder, listener)
        room.branch.main.fanOut.add(listener, to: forwarder.address)
        return forwarder.id
    }

    // MARK: Announcements

    private func play(_ announcement: Announcement, in room: RoomHost) throws(Refusal) -> String {
        guard room.playing[announcement.id] == nil else {
            throw Refusal(.idExists, "Announcement \(announcement.id) is playing already")
        }
        guard room.playing.count < 16 else { throw Refusal(.unknown, "too many announcements are playing in room \(room.gid)") }
        let playing = Playing(announcement, ssrc: UInt32.random(in: 2 ... .max, using: &random), now: Clocks.monotonicNs())
        room.playing[announcement.id] = playing
        announcing.insert(room.gid)
        run([.tellAll(except: nil, .announcement(announcement.id, isPlaying: true))], in: room)
        return announcement.id
    }

    /// When the next packet of an announcement is due, ns.
    var announcementDeadline: Int64? {
        announcing.lazy.compactMap { self.rooms[$0]?.playing.values.lazy.map(\.nextAt).min() }.min()
    }

    func tickAnnouncements(_ now: Int64) {
        for gid in announcing {
            guard let room = rooms[gid], !room.playing.isEmpty else {
                announcing.remove(gid)
                continue
            }
            for (id, playing) in room.playing {
                while playing.nextAt <= now, room.playing[id] != nil { step(playing, id, in: room, now) }
            }
        }
    }

    private func step(_ playing: Playing, _ id: String, in room: RoomHost, _ now: Int64) {
        let packets = playing.announcement.packets
        guard playing.index < packets.count else {
            if playing.announcement.loop { playing.index = 0 } else { endAnnouncement(id, in: room) }
            return
        }
        let (payload, samples) = packets[playing.index]
        playing.index += 1
        playing.sequence &+= 1
        playing.timestamp &+= UInt32(samples)
        playing.nextAt += Int64(samples) * 1_000_000 / 48
        payload.withUnsafeBytes { bytes in
            if let mix = room.mix {
                mix.mixer.push(file: id, sequence: playing.sequence, payload: payload, now: now)
                mixing.insert(room.gid)
                return
            }
            // Whoever has the floor is more important than what is played.
            guard room.main.talk == nil, room.override?.talk == nil,
                let place = room.main.rewriter.place(
                    ssrc: playing.ssrc, sequence: playing.sequence, timestamp: playing.timestamp, now: now)
            else { return }
            var head = BranchRing.Head(kind: .packet, stream: .main, gid: room.gid, uid: Self.announcer)
            (head.marker, head.sequence, head.timestamp) = (place.marker, place.sequence, place.timestamp)
            head.arrivalNs = now
            for worker in room.branches { send(head, payload: bytes, to: worker) }
            transmit(place, bytes, on: .main, dualOnly: false, in: room.branch)
        }
    }

    private func endAnnouncement(_ id: String, in room: RoomHost) {
        room.playing[id] = nil
        run([.tellAll(except: nil, .announcement(id, isPlaying: false))], in: room)
    }

    /// Nobody's number: ids of people are given out from 1 on.
    static let announcer: UserID = UserID(maximumID) ?? { preconditionFailure("2^53−1 is an id") }()
}
