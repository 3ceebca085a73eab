import JSON
import Messages
import Talk

/// Who is in a room and who talks, put together from floor events (MESSAGES.md §1, msg_type 5).
///
/// Everything but the list of participants stands in every event; after a gap the list waits for the next snapshot.
struct LivePicture: Sendable, Equatable {
    enum Outcome: Sendable, Equatable { case applied, repeated }

    private(set) var epoch: Int64 = -1
    private(set) var seq: Int64 = 0
    private(set) var holder: UserID?
    private(set) var sinceMs: Int64?
    private(set) var talkID: TalkID?
    private(set) var tier = Tier.normal
    private(set) var queue: [UserID] = []
    /// Whose emergencies are on; they outlive a change of the room's owner.
    private(set) var emergencies: [UserID] = []
    private(set) var participants: [FloorMessage.Participant] = []
    private(set) var isComplete = false

    init() {}

    /// Takes the next event; one that was seen, or is of an owner that lost the room, changes nothing.
    mutating func apply(_ event: FloorMessage) -> Outcome {
        guard event.epoch > epoch || (event.epoch == epoch && event.seq > seq) else { return .repeated }
        let isNext = event.epoch == epoch ? event.seq == seq + 1 : event.seq == 1
        if event.epoch != epoch {
            participants = []
            isComplete = event.seq == 1
        } else if !isNext {
            isComplete = false
        }
        (epoch, seq) = (event.epoch, event.seq)
        if event.holder != holder || event.talkID != talkID { sinceMs = event.holder == nil ? nil : event.atMs }
        (holder, talkID, tier, queue) = (event.holder, event.talkID, event.tier, event.queue)
        switch event.state {
        case .emergency:
            if let uid = event.uid, !emergencies.contains(uid) { emergencies.append(uid) }
        case .cancelled: emergencies.removeAll { event.uid == nil || $0 == event.uid }
        default: break
        }
        if let all = event.participants, event.state == .snapshot {
            participants = all
            isComplete = true
        } else if isComplete, let uid = event.uid {
            change(event, uid)
        }
        return .applied
    }

    private mutating func change(_ event: FloorMessage, _ uid: UserID) {
        switch event.state {
        case .joined:
            participants.removeAll { $0.uid == uid }
            participants.append(
                FloorMessage.Participant(uid: uid, role: event.role ?? .member, display: event.display ?? "", joinedMs: event.atMs))
        case .left: participants.removeAll { $0.uid == uid }
        case .role:
            for index in participants.indices where participants[index].uid == uid { participants[index].role = event.role ?? .member }
        default: break
        }
    }

    /// As the API answers it.
    func json(_ gid: GroupID) -> JSONValue {
        [
            "gid": .id(gid), "holder": holder.map { .id($0) } ?? .null, "since_ms": sinceMs.map { .int($0) } ?? .null,
            "talk_id": talkID.map { .string($0.description) } ?? .null, "tier": .string(tier.name), "queue": .array(queue.map { .id($0) }),
            "emergencies": .array(emergencies.map { .id($0) }), "participants": .array(participants.map(\.json)),
            // The last event that is in it, so that who follows the feed knows which come after.
            "epoch": .int(epoch), "seq": .int(seq),
        ]
    }

    /// As the table keeps it: the API's answer and where it stands in the order of events.
    func stored(_ gid: GroupID) -> JSONValue {
        guard case .object(var members) = json(gid) else { return .null }
        members["complete"] = .bool(isComplete)
        return .object(members)
    }

    /// Reads what `stored` wrote.
    init(stored: JSONValue) {
        epoch = stored["epoch"]?.integer ?? -1
        seq = stored["seq"]?.integer ?? 0
        holder = stored["holder"]?.integer.flatMap { UserID($0) }
        sinceMs = stored["since_ms"]?.integer
        talkID = stored["talk_id"]?.string.flatMap { TalkID($0) }
        tier = stored["tier"]?.string.flatMap { Tier(name: $0) } ?? .normal
        queue = stored["queue"]?.array?.compactMap { $0.integer.flatMap { UserID($0) } } ?? []
        emergencies = stored["emergencies"]?.array?.compactMap { $0.integer.flatMap { UserID($0) } } ?? []
        isComplete = stored["complete"]?.bool ?? false
        participants =
            stored["participants"]?.array?.compactMap { one in
                guard let uid = one["uid"]?.integer.flatMap({ UserID($0) }) else { return nil }
                return FloorMessage.Participant(
                    uid: uid, role: one["role"]?.integer.flatMap { Role(rawValue: Int($0)) } ?? .member,
                    display: one["display"]?.string ?? "", joinedMs: one["joined_ms"]?.integer ?? 0)
            } ?? []
    }
}
