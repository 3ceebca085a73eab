import JSON
import Talk

/// What happens in a room, as told to consoles (`msg_type` 5, MESSAGES.md §1).
public struct FloorMessage: Sendable, Equatable {
    /// What happened.
    public enum State: String, Sendable, CaseIterable {
        case joined, left, role, taken, idle, revoked, queue, emergency, cancelled, inactive, snapshot
    }
    /// Somebody in the room, as a snapshot lists them.
    public struct Participant: Sendable, Equatable {
        /// Who.
        public var uid: UserID
        /// What they are in the group.
        public var role: Role
        /// The name that the device gave.
        public var display: String
        /// When they came, Unix ms.
        public var joinedMs: Int64
        /// A participant.
        public init(uid: UserID, role: Role, display: String, joinedMs: Int64) {
            (self.uid, self.role, self.display, self.joinedMs) = (uid, role, display, joinedMs)
        }
        /// As in a snapshot.
        public var json: JSONValue {
            ["uid": .id(uid), "role": .int(Int64(role.rawValue)), "display": .string(display), "joined_ms": .int(joinedMs)]
        }
    }

    /// The group.
    public var gid: GroupID
    /// The owner's claim under which `seq` counts.
    public var epoch: Int64
    /// Rises by one per room and epoch, from 1.
    public var seq: Int64
    /// Unix ms.
    public var atMs: Int64
    /// What happened.
    public var state: State
    /// Who it is about; nil in a snapshot and where it is about nobody.
    public var uid: UserID?
    /// The name that the device gave.
    public var display: String?
    /// The role of `uid`.
    public var role: Role?
    /// Who has the floor now.
    public var holder: UserID?
    /// The holder's talk.
    public var talkID: TalkID?
    /// The tier of the floor.
    public var tier: Tier
    /// Who waits, next first.
    public var queue: [UserID]
    /// Snapshots only: who is in the room.
    public var participants: [Participant]?

    /// An event.
    public init(
        gid: GroupID, epoch: Int64, seq: Int64, atMs: Int64, state: State, uid: UserID?, display: String?, role: Role?, holder: UserID?,
        talkID: TalkID?, tier: Tier, queue: [UserID], participants: [Participant]?
    ) {
        (self.gid, self.epoch, self.seq, self.atMs, self.state) = (gid, epoch, seq, atMs, state)
        (self.uid, self.display, self.role, self.holder, self.talkID) = (uid, display, role, holder, talkID)
        (self.tier, self.queue, self.participants) = (tier, queue, participants)
    }

    /// The body, `floor_msg`.
    public var body: JSONValue {
        var members: [String: JSONValue] = [
            "grp_id": .id(gid), "epoch": .int(epoch), "seq": .int(seq), "at_ms": .int(atMs), "state": .string(state.rawValue),
            "holder": holder.map { .id($0) } ?? .null, "talk_id": talkID.map { .string($0.description) } ?? .null,
            "tier": .string(tier.name), "queue": .array(queue.map { .id($0) }),
        ]
        members["uid"] = uid.map { .id($0) }
        members["display"] = display.map { .string($0) }
        members["role"] = role.map { .int(Int64($0.rawValue)) }
        members["participants"] = participants.map { .array($0.map(\.json)) }
        return .object(members)
    }

    /// The record's value.
    public func encoded(ip: String) -> [UInt8] {
        JSONValue.object(["msg_type": 5, "ip": .string(ip), "floor_msg": body]).encoded()
    }

    /// Reads a floor message; nil for another type.
    /// - Throws: `Refusal` that names the field.
    public init?(_ message: JSONValue) throws(Refusal) {
        guard message["msg_type"]?.integer == 5 else { return nil }
        guard let object = message["floor_msg"]?.object else { throw Refusal(.missingElement, "missing element (floor_msg)") }
        let fields = Fields(object, at: "floor_msg")
        guard let state = State(rawValue: try fields.string("state")) else { throw fields.invalid("state", "is unknown") }
        func user(_ name: String) throws(Refusal) -> UserID? { try fields.optionalInteger(name, in: 1...maximumID).flatMap { UserID($0) } }
        var people: [Participant]?
        if let list = object["participants"]?.array {
            people = []
            for item in list {
                let one = Fields(item.object ?? [:], at: "floor_msg.participants")
                people?.append(
                    Participant(
                        uid: try one.user(), role: one.object["role"]?.integer.flatMap { Role(rawValue: Int(clamping: $0)) } ?? .member,
                        display: one.object["display"]?.string ?? "", joinedMs: try one.optionalInteger("joined_ms", in: 0...maximumID) ?? 0
                    ))
            }
        }
        self.init(
            gid: try fields.group("grp_id"), epoch: try fields.integer("epoch", in: 0...maximumID),
            seq: try fields.integer("seq", in: 0...maximumID), atMs: try fields.integer("at_ms", in: 0...maximumID), state: state,
            uid: try user("uid"), display: object["display"]?.string,
            role: object["role"]?.integer.flatMap { Role(rawValue: Int(clamping: $0)) }, holder: try user("holder"),
            talkID: object["talk_id"]?.string.flatMap { TalkID($0) }, tier: object["tier"]?.string.flatMap(Tier.init(name:)) ?? .normal,
            queue: object["queue"]?.array?.compactMap { $0.integer.flatMap { UserID($0) } } ?? [], participants: people)
    }
}
