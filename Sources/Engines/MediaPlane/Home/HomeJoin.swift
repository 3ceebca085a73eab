import Floor
import Messages
import RTP
import Reactor
import Room
import Talk

// Joins and changes of room. The room decides here; the transport may be on any worker, and stays there until its participant leaves.
extension MediaWorker {
    /// Refuses a declared address that can't be, or is somebody else's.
    func check(_ media: MediaDescription, of joining: Joining) throws(Refusal) {
        guard let declared = media.address else { return }
        guard canReach(declared) else {
            throw Refusal(.invalidElement, "invalid element (rtp.ip and rtp.port: media can't be sent to \(declared))")
        }
        guard let other = map.holder(of: declared), other.uid != joining.uid, !map.isVanished(other.uid, in: other.gid) else { return }
        throw Refusal(.invalidElement, "invalid element (rtp.ip and rtp.port: \(declared) is in use by another participant)")
    }

    /// Whether media may be sent to an address at all: no group address, of the sockets' family, and none of our own ports.
    func canReach(_ address: SocketAddress) -> Bool {
        !address.isUnusable && !ownAddresses.contains(address) && (address.isIPv4 || !addresses[index].isIPv4)
    }

    /// The transport goes along: its place is known to the room that is left, which hands it over.
    func changeRoom(_ from: GroupID, _ to: GroupID, _ joining: Joining, _ token: UInt64, _ door: any Door) throws(Refusal) {
        let old = try room(from, joining.uid, joining.endpoint)
        guard let place = old.places[joining.uid] else { throw Refusal(.notJoined, "user \(joining.uid) is not in room \(from)") }
        var joining = joining
        // Who began to speak of the floor by RTCP goes on so.
        if old.machine.participants[joining.uid]?.signalling == .rtcp { joining.signalling = .rtcp }
        let join = PendingJoin(gid: to, joining: joining, media: place.terms.media, from: (from, place), door: door, token: token)
        let home = map.home(of: to)
        if let home, home != index { mailboxes[home].post(.arrive(join)) } else { lookUp(join) }
    }

    func lookUp(_ join: PendingJoin) {
        guard rooms[join.gid] != nil else {
            let state = ownership.state(of: join.gid)
            let refusal =
                state == .here
                ? Refusal(.noSuchRoom, "no such room (\(join.gid))")
                : Refusal(.notReady, "room \(join.gid) is not served by this node: try again")
            join.door.deliver(.answer(token: join.token, .failure(refusal)))
            return
        }
        let token = nextToken << 6 | UInt64(index)
        nextToken += 1
        joins[token] = join
        isJoining = true
        output.lookUp(join.joining.uid, in: join.gid, token: token)
    }

    func finishJoin(_ token: UInt64, _ answer: RoleAnswer) {
        guard let join = joins.removeValue(forKey: token) else { return }
        do throws(Refusal) {
            let info = try complete(join, answer)
            join.door.deliver(.answer(token: join.token, .success(.joined(info))))
        } catch {
            join.door.deliver(.answer(token: join.token, .failure(error)))
        }
    }

    private func complete(_ join: PendingJoin, _ answer: RoleAnswer) throws(Refusal) -> JoinedInfo {
        let room = try room(join.gid)
        let uid = join.joining.uid
        if answer.isMember == false { throw Refusal(.unauthorized, "user \(uid) is not a member of group \(join.gid)") }
        try room.machine.identity.locks.pin?.check(join.joining.pin, named: "pin")
        if join.from == nil { try check(join.media, of: join.joining) }
        let effects = try room.machine.join(
            join.joining, role: answer.role ?? room.machine.lastRole(of: uid), at: moment(), random: &random)
        guard let participant = room.machine.participants[uid] else { throw Refusal(.unknown, "user \(uid) could not join") }
        // An older stay goes before its transport's place is taken.
        let (removals, rest) = effects.reduce(into: ([RoomEffect](), [RoomEffect]())) { parts, effect in
            if case .removed = effect { parts.0.append(effect) } else { parts.1.append(effect) }
        }
        run(removals, in: room)
        doors[join.joining.endpoint] = (join.door, join.gid)
        map.setVanished(false, uid, in: join.gid)
        let place = settle(join, participant, in: room)
        room.audience = nil
        run(rest, in: room)
        reschedule(room)
        if let (from, _) = join.from, from != join.gid { leaveBehind(from, uid, join.joining.endpoint) }
        if answer.role == nil { output.correctLater(uid, in: join.gid, generation: participant.generation) }
        return info(participant, place, room)
    }

    /// Finds the transport a worker, or keeps the one that it has.
    private func settle(_ join: PendingJoin, _ participant: Participant, in room: RoomHost) -> RoomHost.Place {
        let uid = participant.uid
        let old = room.places[uid]
        var place: RoomHost.Place
        if let carried = join.from?.place {
            place = carried
        } else {
            let worker = map.place(home: index, counts: room.counts, sharing: settings.shareFrom)
            place = RoomHost.Place(worker: worker, generation: 0, terms: MediaTerms(prepared(join.media), latch: newLatch()))
        }
        place.generation = participant.generation
        if let old {
            // The same handle once more: its transport of before goes.
            room.counts[old.worker] -= 1
            tell(.unhost(uid, generation: old.generation), of: room.gid, on: old.worker)
        } else {
            count(uid, by: 1)
        }
        room.counts[place.worker] += 1
        room.places[uid] = place
        openBranch(of: room, on: place.worker)
        let hosting = Hosting(
            uid: uid, generation: participant.generation, terms: place.terms, dual: participant.dual, suspended: participant.suspended,
            usesRTCP: participant.signalling == .rtcp)
        if let (from, _) = join.from {
            tell(.adopt(hosting, from: from), of: room.gid, on: place.worker)
        } else {
            tell(.host(hosting), of: room.gid, on: place.worker)
        }
        return place
    }

    /// A worker that has somebody of a room knows the room, from then on until the room is gone.
    func openBranch(of room: RoomHost, on worker: Int) {
        guard worker != index, !room.branches.contains(worker) else { return }
        room.branches.append(worker)
        tell(opening(of: room), of: room.gid, on: worker)
        for uid in room.mix?.recordings.keys ?? [:].keys {
            send(BranchRing.Head(kind: .soloBegin, stream: .main, gid: room.gid, uid: uid), to: worker)
        }
        // Whoever talks already is heard there from the next packet on.
        for which in [FloorStream.main, .override] {
            guard let stream = room.stream(which), stream.talk != nil,
                let talker = which == .main ? room.machine.floor.holder : room.machine.floor.overrider
            else { continue }
            send(BranchRing.Head(kind: .opened, stream: which, gid: room.gid, uid: talker), to: worker)
        }
    }

    func opening(of room: RoomHost) -> BranchCommand {
        .open(
            home: index, main: room.main.ssrc, override: room.override?.ssrc,
            implicitRequest: room.machine.floor.settings.implicitRequest, isOpen: room.mix != nil)
    }

    private func leaveBehind(_ gid: GroupID, _ uid: UserID, _ endpoint: EndpointID) {
        if rooms[gid] != nil {
            depart(gid, uid, endpoint)
        } else if let home = map.home(of: gid) {
            mailboxes[home].post(.depart(gid, uid, endpoint))
        }
    }

    /// The participant's handle is in another room now, and its transport with it.
    func depart(_ gid: GroupID, _ uid: UserID, _ endpoint: EndpointID) {
        guard let room = rooms[gid], room.machine.participants[uid]?.endpoint == endpoint else { return }
        run(room.machine.leave(uid, at: moment(), random: &random), in: room)
        reschedule(room)
    }

    private func info(_ participant: Participant, _ place: RoomHost.Place, _ room: RoomHost) -> JoinedInfo {
        let others = room.machine.participants.values.lazy.filter { $0.uid != participant.uid }.prefix(settings.rules.notifyMax)
        return JoinedInfo(
            participant: participant, others: others.sorted { $0.uid < $1.uid }, total: room.machine.participants.count,
            talking: talking(room), media: answer(place, room), state: room.machine.state(for: participant.uid))
    }

    func answer(_ place: RoomHost.Place, _ room: RoomHost) -> MediaAnswer {
        let media = place.terms.media
        return MediaAnswer(
            address: addresses[place.worker], payloadType: media.payloadType, ssrc: media.ssrc ?? room.main.ssrc,
            overrideSSRC: room.override?.ssrc, latch: place.terms.latch, srtp: media.srtp?.local, role: media.webRTC?.role ?? .server)
    }

    /// A WebRTC peer gets an SSRC that it keeps.
    private func prepared(_ media: MediaDescription) -> MediaDescription {
        var media = media
        if media.webRTC != nil { media.ssrc = UInt32.random(in: 1 ... .max, using: &random) }
        return media
    }

    /// An offer of somebody who is in the room: their first, new ICE credentials, or another peer's.
    func describe(_ uid: UserID, _ offered: MediaDescription, in room: RoomHost) throws(Refusal) -> MediaAnswer {
        guard var place = room.places[uid] else { throw Refusal(.notJoined, "user \(uid) is not in room \(room.gid)") }
        let before = place.terms.media
        var media = prepared(offered)
        media.ssrc = before.ssrc ?? media.ssrc
        if let old = before.webRTC, let new = offered.webRTC, new.leavesRole, new.fingerprint == old.fingerprint {
            media.webRTC?.role = old.role
        }
        // The same credentials again are no restart: ours stay too.
        let isRestart = before.webRTC.map { $0.credentials != offered.webRTC?.credentials } ?? false
        place.terms = MediaTerms(media, latch: isRestart ? newLatch() : place.terms.latch)
        room.places[uid] = place
        tell(.describe(uid, place.terms), of: room.gid, on: place.worker)
        return answer(place, room)
    }

    /// RFC 8445 §5.3: at least 24 bits of the name and 128 of the password are random. A name of up to 15 bytes needs no memory of its own.
    private func newLatch() -> (username: String, password: String) { (text(10), text(22)) }

    func correct(_ gid: GroupID, _ uid: UserID, _ generation: UInt64, _ role: Role) {
        guard let room = rooms[gid], let participant = room.machine.participants[uid], participant.generation == generation,
            participant.role != role, let effects = try? room.machine.setRole(role, of: uid, at: moment(), random: &random)
        else { return }
        run(effects, in: room)
    }

    /// So many random ice-chars (RFC 8839 §5.4), of six bits each.
    private func text(_ count: Int) -> String {
        String(unsafeUninitializedCapacity: count) { bytes in
            // Each draw is a call of the kernel: one is for ten.
            var bits: UInt64 = 0
            for index in 0..<count {
                bits = index % 10 == 0 ? random.next() : bits >> 6
                bytes[index] = MediaWorker.iceChars[Int(bits & 63)]
            }
            return count
        }
    }

    private static let iceChars = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}
