import Database
import JSON
import Messages
import Talk

/// The pictures of rooms, and who is in them, as the tables keep them.
enum LiveTable {
    static func find(_ gid: GroupID, _ connection: Connection) throws -> LivePicture {
        guard let text = try connection.first("SELECT picture FROM live WHERE gid = ?", [.int(gid.value)])?.text("picture"),
            let stored = try? JSONValue(parsing: Array(text.utf8))
        else { return LivePicture() }
        return LivePicture(stored: stored)
    }

    /// Who is in a room, by rising uid, as snapshots list them.
    static func participants(_ gid: GroupID, _ connection: Connection) throws -> [FloorMessage.Participant] {
        try connection.query("SELECT * FROM live_participants WHERE gid = ? ORDER BY uid", [.int(gid.value)]).compactMap { row in
            guard let uid = row.int("uid").flatMap({ UserID($0) }) else { return nil }
            return FloorMessage.Participant(
                uid: uid, role: row.int("role").flatMap { Role(rawValue: Int($0)) } ?? .member, display: row.text("display") ?? "",
                joinedMs: row.int("joined_ms") ?? 0)
        }
    }

    /// What an event was to its room's picture.
    enum Taken {
        /// It was seen before.
        case seen
        case new
        /// A snapshot that says nothing new; readers need it only for the order of events.
        case saidAgain
    }

    /// Takes an event into its room's picture.
    static func apply(_ event: FloorMessage, _ connection: Connection) throws -> Taken {
        var picture = try find(event.gid, connection)
        let mayRepeat = picture.isSaidAgain(by: event)
        guard case .applied(let steps) = picture.apply(event) else { return .seen }
        // A snapshot of thousands comes every minute, and seldom says anything new.
        let isSameList = try event.participants.map { try $0 == participants(event.gid, connection) } ?? false
        if !isSameList { for step in steps { try take(step, event.gid, connection) } }
        try connection.execute(
            "INSERT INTO live (gid, picture) VALUES (?, ?) ON CONFLICT (gid) DO UPDATE SET picture = excluded.picture",
            [.int(event.gid.value), .text(picture.stored(event.gid).text)])
        return mayRepeat && isSameList ? .saidAgain : .new
    }

    /// Of snapshots that say nothing new the last is enough, for whoever lacks one waits for the next: a room of hundreds that is quiet
    /// for a month would fill gigabytes with them.
    /// - Parameter event: the id of the newest.
    static func keepOnly(_ event: Int64, of gid: GroupID, _ connection: Connection) throws {
        try connection.execute("DELETE FROM events WHERE id = (SELECT repeat_id FROM live WHERE gid = ?)", [.int(gid.value)])
        try connection.execute("UPDATE live SET repeat_id = ? WHERE gid = ?", [.int(event), .int(gid.value)])
    }

    private static func take(_ step: LivePicture.Step, _ gid: GroupID, _ connection: Connection) throws {
        switch step {
        case .clear: try connection.execute("DELETE FROM live_participants WHERE gid = ?", [.int(gid.value)])
        case .put(let one):
            try connection.execute(
                """
                INSERT INTO live_participants (gid, uid, role, display, joined_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (gid, uid) DO UPDATE
                SET role = excluded.role, display = excluded.display, joined_ms = excluded.joined_ms
                """, [.int(gid.value), .int(one.uid.value), .int(Int64(one.role.rawValue)), .text(one.display), .int(one.joinedMs)])
        case .remove(let uid):
            try connection.execute("DELETE FROM live_participants WHERE gid = ? AND uid = ?", [.int(gid.value), .int(uid.value)])
        case .setRole(let uid, let role):
            try connection.execute(
                "UPDATE live_participants SET role = ? WHERE gid = ? AND uid = ?",
                [.int(Int64(role.rawValue)), .int(gid.value), .int(uid.value)])
        }
    }

    /// Forgets a room.
    static func delete(_ gid: GroupID, _ connection: Connection) throws {
        try connection.execute("DELETE FROM live WHERE gid = ?", [.int(gid.value)])
        try connection.execute("DELETE FROM live_participants WHERE gid = ?", [.int(gid.value)])
    }

    /// Forgets the pictures where they are of another Kafka, whose epochs would stand above all that comes.
    static func belong(to cluster: String, _ connection: Connection) throws {
        guard try connection.first("SELECT id FROM kafka_cluster WHERE id = ?", [.text(cluster)]) == nil else { return }
        for table in ["live", "live_participants", "kafka_cluster"] { try connection.execute("DELETE FROM \(table)") }
        try connection.execute("INSERT INTO kafka_cluster (id) VALUES (?)", [.text(cluster)])
    }
}
