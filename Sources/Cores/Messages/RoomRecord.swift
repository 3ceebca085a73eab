import JSON
import Talk

/// A room as kept in the compacted topic `ptt.rooms` (key: the gid; a tombstone when it is destroyed). MESSAGES.md, "Who owns a room".
public struct RoomRecord: Sendable, Equatable {
    /// The group.
    public var gid: GroupID
    /// Its name.
    public var name: String
    /// Who created it.
    public var dispatcher: Int64
    /// How people talk there.
    public var mode: RoomMode
    /// What it sets for itself.
    public var options: GroupOptions
    /// Whose emergencies are on.
    public var emergencies: [UserID]
    /// The claim of the owner who wrote this.
    public var epoch: Int64
    /// Unix ms.
    public var changedMs: Int64

    /// A record to write.
    public init(
        gid: GroupID, name: String, dispatcher: Int64, mode: RoomMode = .ptt, options: GroupOptions, emergencies: [UserID], epoch: Int64,
        changedMs: Int64
    ) {
        (self.gid, self.name, self.dispatcher, self.mode, self.options) = (gid, name, dispatcher, mode, options)
        (self.emergencies, self.epoch, self.changedMs) = (emergencies, epoch, changedMs)
    }

    /// The record's value.
    public var encoded: [UInt8] {
        JSONValue.object([
            "gid": .id(gid), "group_name": .string(name), "dispatcher_id": .int(dispatcher), "mode": .string(mode.rawValue),
            "options": options.json,
            "status": "active", "emergencies": .array(emergencies.map { .id($0) }), "epoch": .int(epoch), "changed_ms": .int(changedMs),
        ]).encoded()
    }

    /// Reads a record.
    /// - Throws: `Refusal` that names the field.
    public init(_ message: JSONValue) throws(Refusal) {
        let fields = Fields(message.object ?? [:], at: "")
        self.init(
            gid: try fields.group(), name: try fields.string("group_name"),
            dispatcher: try fields.integer("dispatcher_id", in: 0...maximumID),
            mode: fields.object["mode"]?.string.flatMap(RoomMode.init(rawValue:)) ?? .ptt,
            options: try fields.optionalFields("options").map(GroupOptions.init) ?? GroupOptions(),
            emergencies: fields.object["emergencies"]?.array?.compactMap { $0.integer.flatMap { UserID($0) } } ?? [],
            epoch: try fields.optionalInteger("epoch", in: 0...maximumID) ?? 0,
            changedMs: try fields.optionalInteger("changed_ms", in: 0...maximumID) ?? 0)
    }
}

/// A node's claim to a partition's rooms, in the compacted topic `ptt.owners` (key: the partition). Its offset is its epoch.
public struct OwnerClaim: Sendable, Equatable {
    /// The media node's id.
    public var node: String
    /// Unix ms.
    public var claimedMs: Int64
    /// A claim to write.
    public init(node: String, claimedMs: Int64) { (self.node, self.claimedMs) = (node, claimedMs) }

    /// The record's value.
    public var encoded: [UInt8] { JSONValue.object(["node": .string(node), "claimed_ms": .int(claimedMs)]).encoded() }

    /// Reads a claim; nil where it is none.
    public init?(_ message: JSONValue) {
        guard let node = message["node"]?.string else { return nil }
        self.init(node: node, claimedMs: message["claimed_ms"]?.integer ?? 0)
    }
}
