import JSON
import Messages
import Talk

/// Who talks in a room and who is there, put together from floor events (MESSAGES.md §1, msg_type 5).
///
/// Everything but the list of participants and whose emergencies are on stands in every event; after a gap the list waits for the next
/// snapshot. The list may have thousands of entries, so it is kept elsewhere, and an event says only what it changes.
struct LivePicture: Sendable, Equatable {
    /// What an event changes.
    enum Outcome: Sendable, Equatable {
        /// It is taken; the list of participants changes by these steps.
        case applied([Step])
        /// It was seen before, or is of an owner that lost the room.
        case repeated
    }
    /// A step to the present list of participants.
    enum Step: Sendable, Equatable {
        /// Nobody is known to be there.
        case clear
        /// Somebody is there from now on, or as told here.
        case put(FloorMessage.Participant)
        case remove(UserID)
        case setRole(UserID, Role)
    }

    private(set) var epoch: Int64 = -1
    private(set) var seq: Int64 = 0
    private(set) var holder: UserID?
    private(set) var sinceMs: Int64?
    private(set) var talkID: TalkID?
    private(set) var tier = Tier.normal
    private(set) var queue: [UserID] = []
    /// Whose emergencies are on; they outlive a change of the room's owner.
    private(set) var emergencies: [UserID] = []
    /// Whether nothing is missing from the list.
    private(set) var isComplete = false

    init() {}

    /// Takes the next event; one that was seen, or is of an owner that lost the room, changes nothing.
    mutating func apply(_ event: FloorMessage) -> Outcome {
        guard event.epoch > epoch || (event.epoch == epoch && event.seq > seq) else { return .repeated }
        let isNext = event.epoch == epoch ? event.seq == seq + 1 : event.seq == 1
        var steps: [Step] = []
        if event.epoch != epoch {
            steps.append(.clear)
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
            steps = [.clear] + all.map { .put($0) }
            isComplete = true
        } else if isComplete, let uid = event.uid, let step = Self.step(event, uid) {
            steps.append(step)
        }
        return .applied(steps)
    }

    /// Whether this is a snapshot that comes next and, but for the list of participants, says what is known already.
    func isSaidAgain(by event: FloorMessage) -> Bool {
        event.state == .snapshot && isComplete && event.epoch == epoch && event.seq == seq + 1 && event.holder == holder
            && event.talkID == talkID && event.tier == tier && event.queue == queue
    }

    private static func step(_ event: FloorMessage, _ uid: UserID) -> Step? {
        switch event.state {
        case .joined:
            .put(FloorMessage.Participant(uid: uid, role: event.role ?? .member, display: event.display ?? "", joinedMs: event.atMs))
        case .left: .remove(uid)
        case .role: .setRole(uid, event.role ?? .member)
        default: nil
        }
    }

    /// As the API answers it.
    func json(_ gid: GroupID, _ participants: [FloorMessage.Participant]) -> JSONValue {
        guard case .object(var members) = json(gid) else { return .null }
        members["participants"] = .array(participants.map(\.json))
        return .object(members)
    }

    /// As the table keeps it: the API's answer without the participants, and where it stands in the order of events.
    func stored(_ gid: GroupID) -> JSONValue {
        guard case .object(var members) = json(gid) else { return .null }
        members["complete"] = .bool(isComplete)
        return .object(members)
    }

    private func json(_ gid: GroupID) -> JSONValue {
        [
            "gid": .id(gid), "holder": holder.map { .id($0) } ?? .null, "since_ms": sinceMs.map { .int($0) } ?? .null,
            "talk_id": talkID.map { .string($0.description) } ?? .null, "tier": .string(tier.name), "queue": .array(queue.map { .id($0) }),
            "emergencies": .array(emergencies.map { .id($0) }),
            // The last event that is in it, so that who follows the feed knows which come after.
            "epoch": .int(epoch), "seq": .int(seq),
        ]
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
    }
}
