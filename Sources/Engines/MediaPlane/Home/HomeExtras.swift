import Floor
import RTP
import Reactor
import Room
import SecureRTP
import Talk

// What rooms at home here do beside serving their participants; and their forwarders.
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
        case .stopFile(let id): try stopAnnouncement(id, in: room)
        case .isPlaying(let id): return .exists(room.onAir.contains { $0.announcement.id == id })
        }
        return .done
    }

    private func add(_ forwarder: Forwarder, to room: RoomHost) throws(Refusal) -> UInt32 {
        guard canReach(forwarder.address) else {
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
}
