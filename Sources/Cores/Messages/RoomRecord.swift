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
    /// What it asks of who administers it or joins; hashed.
    public var locks = RoomLocks()
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
        var members: [String: JSONValue] = [
            "gid": .id(gid), "group_name": .string(name), "dispatcher_id": .int(dispatcher), "mode": .string(mode.rawValue),
            "options": options.json,
            "status": "active", "emergencies": .array(emergencies.map { .id($0) }), "epoch": .int(epoch), "changed_ms": .int(changedMs),
        ]
        members["secret"] = locks.secret.map { .string($0.text) }
        members["pin"] = locks.pin.map { .string($0.text) }
        return JSONValue.object(members).encoded()
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
        // A lock that can't be read must not leave its room open: the record is refused as a whole.
        locks.secret = try fields.keptSecret("secret")
        locks.pin = try fields.keptSecret("pin")
    }
}

extension KeptSecret {
    /// As a record bears it: the function's name, salt and digest in lower-case hexadecimal, `sha256$…$…`.
    public var text: String { "sha256$\(KeptSecret.hex(salt))$\(KeptSecret.hex(digest))" }

    /// Reads what `text` wrote; nil for anything else.
    public init?(text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "sha256", let salt = KeptSecret.bytes(parts[1]), let digest = KeptSecret.bytes(parts[2])
        else { return nil }
        self.init(salt: salt, digest: digest)
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func bytes(_ hex: Substring) -> [UInt8]? {
        let digits = hex.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == hex.utf8.count, digits.count % 2 == 0 else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

extension Fields {
    fileprivate func keptSecret(_ name: String) throws(Refusal) -> KeptSecret? {
        guard let text = try optionalString(name) else { return nil }
        guard let kept = KeptSecret(text: text) else { throw invalid(name, "must be sha256$, a salt, $ and a digest") }
        return kept
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
