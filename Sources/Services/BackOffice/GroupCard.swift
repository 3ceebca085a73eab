import Database
import JSON
import Messages
import Talk
import Web

/// What callers are shown of a group: who leads it, and how many it has. Of a list of groups, each may have thousands of members.
struct GroupCard: Sendable, Equatable {
    var gid: GroupID
    var name: String
    var dispatcher: Int64
    var mode: RoomMode
    var options: GroupOptions
    var status: GroupStatus
    var createdMs: Int64
    var owner: UserID?
    /// By rising number.
    var managers: [UserID]
    /// All, with the owner and the managers.
    var memberCount: Int64

    /// As the API answers it.
    var json: JSONValue {
        [
            "gid": .id(gid), "group_name": .string(name), "dispatcher_id": .int(dispatcher), "owner": owner.map { .id($0) } ?? .null,
            "managers": .array(managers.map { .id($0) }), "member_count": .int(memberCount), "mode": .string(mode.rawValue),
            "options": options.json, "status": .string(status.rawValue), "created_ms": .int(createdMs),
        ]
    }
}

extension Group {
    var card: GroupCard {
        GroupCard(
            gid: gid, name: name, dispatcher: dispatcher, mode: mode, options: options, status: status, createdMs: createdMs,
            owner: owner, managers: managers, memberCount: Int64(members.count))
    }
}

extension GroupCard {
    /// A group that callers may see.
    static func visible(_ gid: GroupID, _ connection: Connection) throws -> GroupCard {
        let row = try connection.first("SELECT * FROM groups WHERE gid = ? AND status <> 'rolling_back'", [.int(gid.value)])
        guard let card = try row.flatMap({ try read($0, connection) }) else { throw GroupService.unknown(gid) }
        return card
    }

    /// A page of groups above `after`, those that are rolling back left out.
    static func list(text: String?, member: UserID?, after: Int64, limit: Int, _ connection: Connection) throws -> [GroupCard] {
        var conditions = ["status <> 'rolling_back'", "gid > ?"]
        var values: [SQLValue] = [.int(after)]
        if let text {
            conditions.append("(group_name LIKE ? ESCAPE '\\' OR CAST(gid AS TEXT) = ?)")
            values += [.text(likePattern(text)), .text(text)]
        }
        if let member {
            conditions.append("gid IN (SELECT gid FROM group_members WHERE uid = ?)")
            values.append(.int(member.value))
        }
        values.append(.int(Int64(limit)))
        return try connection.query("SELECT * FROM groups WHERE \(conditions.joined(separator: " AND ")) ORDER BY gid LIMIT ?", values)
            .compactMap { try read($0, connection) }
    }

    /// A page of a group's members above `after`, by rising number.
    static func members(
        of gid: GroupID, after: Int64, limit: Int, _ connection: Connection
    ) throws -> [(uid: UserID, role: Role)] {
        try connection.query(
            "SELECT uid, role FROM group_members WHERE gid = ? AND uid > ? ORDER BY uid LIMIT ?",
            [.int(gid.value), .int(after), .int(Int64(limit))]
        ).compactMap(GroupTable.member)
    }

    private static func read(_ row: Row, _ connection: Connection) throws -> GroupCard? {
        guard var card = GroupTable.read(row)?.card else { return nil }
        let leading = try connection.query(
            "SELECT uid, role FROM group_members WHERE gid = ? AND role > 0 ORDER BY uid", [.int(card.gid.value)])
        for (uid, role) in leading.compactMap(GroupTable.member) {
            if role == .owner { card.owner = uid } else { card.managers.append(uid) }
        }
        let counted = try connection.first("SELECT COUNT(*) AS count FROM group_members WHERE gid = ?", [.int(card.gid.value)])
        card.memberCount = counted?.int("count") ?? 0
        return card
    }
}
