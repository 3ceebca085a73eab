import Database
import JSON
import Messages
import Talk
import Web

/// A talk group as bo-server keeps it.
struct Group: Sendable, Equatable {
    var gid: GroupID
    var name: String
    var dispatcher: Int64
    var mode: RoomMode
    var options: GroupOptions
    var status: GroupStatus
    var createdMs: Int64
    /// Everybody, owner and managers included, by their role.
    var members: [UserID: Role]

    var owner: UserID? { members.first { $0.value == .owner }?.key }
    var managers: [UserID] { members.filter { $0.value == .manager }.keys.sorted() }

    /// Who is shown what happens in the group.
    var audience: Set<Int64> { Set([dispatcher] + (owner.map { [$0.value] } ?? []) + managers.map(\.value)) }

    var createRequest: SignalRequest {
        SignalRequest(gid: gid, dispatcher: dispatcher, body: .create(name: name, mode: mode, options: options))
    }
    var destroyRequest: SignalRequest { SignalRequest(gid: gid, dispatcher: dispatcher, body: .destroy) }
}

/// Reads and writes groups; each function runs inside its caller's transaction.
enum GroupTable {
    static func find(_ gid: GroupID, _ connection: Connection) throws -> Group? {
        try connection.first("SELECT * FROM groups WHERE gid = ?", [.int(gid.value)]).flatMap { try read($0, connection) }
    }

    /// Whom a group's events are for, as ``Group/audience`` says; nobody where there is no such group.
    static func audience(_ gid: GroupID, _ connection: Connection) throws -> Set<Int64> {
        let rows = try connection.query(
            "SELECT dispatcher_id AS id FROM groups WHERE gid = ? UNION SELECT uid FROM group_members WHERE gid = ? AND role > 0",
            [.int(gid.value), .int(gid.value)])
        return Set(rows.compactMap { $0.int("id") })
    }

    static func all(_ status: GroupStatus, _ connection: Connection) throws -> [Group] {
        try connection.query("SELECT * FROM groups WHERE status = ? ORDER BY gid", [.text(status.rawValue)]).compactMap {
            try read($0, connection)
        }
    }

    /// The numbers of all in a state, by rising number.
    static func numbers(_ status: GroupStatus, _ connection: Connection) throws -> [GroupID] {
        try connection.query("SELECT gid FROM groups WHERE status = ? ORDER BY gid", [.text(status.rawValue)]).compactMap {
            $0.int("gid").flatMap { GroupID($0) }
        }
    }

    static func insert(_ group: Group, _ connection: Connection) throws {
        try connection.execute(
            "INSERT INTO groups (gid, group_name, dispatcher_id, mode, options, status, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                .int(group.gid.value), .text(group.name), .int(group.dispatcher), .text(group.mode.rawValue),
                .text(group.options.json.text),
                .text(group.status.rawValue), .int(group.createdMs),
            ])
        for (uid, role) in group.members { try setRole(uid, role, in: group.gid, connection) }
    }

    static func update(_ group: Group, _ connection: Connection) throws {
        try connection.execute(
            "UPDATE groups SET group_name = ?, options = ?, status = ? WHERE gid = ?",
            [.text(group.name), .text(group.options.json.text), .text(group.status.rawValue), .int(group.gid.value)])
    }

    /// Writes the members as they are now, each whose role is not as it was. Owners last: there is never more than one.
    static func replaceMembers(_ group: Group, _ connection: Connection) throws {
        let present = try members(group.gid, connection)
        for uid in present.keys where group.members[uid] == nil {
            try connection.execute("DELETE FROM group_members WHERE gid = ? AND uid = ?", [.int(group.gid.value), .int(uid.value)])
        }
        let changed = group.members.filter { present[$0.key] != $0.value }
        for (uid, role) in changed.sorted(by: { $0.value.rawValue < $1.value.rawValue }) {
            try setRole(uid, role, in: group.gid, connection)
        }
    }

    static func delete(_ gid: GroupID, _ connection: Connection) throws {
        try connection.execute("DELETE FROM groups WHERE gid = ?", [.int(gid.value)])
        try LiveTable.delete(gid, connection)
    }

    /// The next number of our own; one that was given out is never given out again.
    static func nextNumber(_ connection: Connection) throws -> GroupID {
        while true {
            try connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'gid'")
            let value = try connection.first("SELECT value FROM counters WHERE name = 'gid'")?.int("value") ?? 0
            guard let gid = GroupID(value) else { throw Problem(status: 503, code: "out_of_gids", detail: "all group numbers are used up") }
            if try connection.first("SELECT gid FROM groups WHERE gid = ?", [.int(value)]) == nil { return gid }
        }
    }

    private static func setRole(_ uid: UserID, _ role: Role, in gid: GroupID, _ connection: Connection) throws {
        try connection.execute("INSERT INTO users (uid) VALUES (?) ON CONFLICT (uid) DO NOTHING", [.int(uid.value)])
        try connection.execute(
            "INSERT INTO group_members (gid, uid, role) VALUES (?, ?, ?) ON CONFLICT (gid, uid) DO UPDATE SET role = excluded.role",
            [.int(gid.value), .int(uid.value), .int(Int64(role.rawValue))])
    }

    /// A row of `group_members`.
    static func member(_ row: Row) -> (uid: UserID, role: Role)? {
        guard let uid = row.int("uid").flatMap({ UserID($0) }) else { return nil }
        return (uid, row.int("role").flatMap { Role(rawValue: Int($0)) } ?? .member)
    }

    private static func members(_ gid: GroupID, _ connection: Connection) throws -> [UserID: Role] {
        let rows = try connection.query("SELECT uid, role FROM group_members WHERE gid = ?", [.int(gid.value)])
        return Dictionary(uniqueKeysWithValues: rows.compactMap(member))
    }

    private static func read(_ row: Row, _ connection: Connection) throws -> Group? {
        guard var group = read(row) else { return nil }
        group.members = try members(group.gid, connection)
        return group
    }

    /// A row of `groups`, without its members.
    static func read(_ row: Row) -> Group? {
        guard let gid = row.int("gid").flatMap({ GroupID($0) }), let status = row.text("status").flatMap(GroupStatus.init(rawValue:)) else {
            return nil
        }
        let stored = try? JSONValue(parsing: Array((row.text("options") ?? "{}").utf8)).object.map { Fields($0, at: "options") }
        return Group(
            gid: gid, name: row.text("group_name") ?? "", dispatcher: row.int("dispatcher_id") ?? 0,
            mode: row.text("mode").flatMap(RoomMode.init(rawValue:)) ?? .ptt,
            options: stored.flatMap { try? GroupOptions($0) } ?? GroupOptions(), status: status, createdMs: row.int("created_ms") ?? 0,
            members: [:])
    }
}

/// The pattern of `LIKE … ESCAPE '\'` that finds this text anywhere.
func likePattern(_ text: String) -> String {
    var pattern = "%"
    for character in text {
        if "%_\\".contains(character) { pattern.append("\\") }
        pattern.append(character)
    }
    return pattern + "%"
}
