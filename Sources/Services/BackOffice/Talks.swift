import Crypto
import Database
import JSON
import Messages
import Talk

/// A talk as bo-server knows it.
struct TalkRow: Sendable, Equatable {
    var talkID: TalkID
    var gid: Int64
    var uid: Int64
    var role: Int64
    var startMs: Int64
    var endMs: Int64
    var fileURL: String
    var archiveURL: String?
    var truncated: Bool

    /// As the API and the feed tell it.
    var json: JSONValue {
        [
            "talk_id": .string(talkID.description), "gid": .int(gid), "uid": .int(uid), "role": .int(role), "start_ms": .int(startMs),
            "end_ms": .int(endMs), "duration_ms": .int(max(0, endMs - startMs)), "file_url": .string(fileURL),
            "archive_url": archiveURL.map { .string($0) } ?? .null, "archived": .bool(archiveURL != nil), "truncated": .bool(truncated),
        ]
    }
}

/// Reads and writes talks; each function runs inside its caller's transaction.
enum TalkTable {
    struct Search: Sendable {
        var gid: GroupID?
        var uid: UserID?
        var fromMs: Int64?
        var toMs: Int64?
        var text: String?
        /// Behind this one, newest first.
        var after: (startMs: Int64, talkID: String)?
        var limit = 50
    }

    private static let columns = "talks.*, archives.url AS archive_url FROM talks LEFT JOIN archives ON archives.talk_id = talks.talk_id"

    /// Puts a talk in; nil when it was there (a repeated record).
    static func insert(_ record: TalkRecord, _ connection: Connection) throws -> TalkRow? {
        // A predecessor's record has no id (MESSAGES.md §1, msg_type 1).
        guard let talkID = record.talkID ?? TalkID(Digests.uuidV5(url: record.filePath)) else { return nil }
        let isNew = try connection.execute(
            """
            INSERT INTO talks (talk_id, gid, uid, role, start_ms, end_ms, file_url, truncated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (talk_id) DO NOTHING
            """,
            [
                .text(talkID.description), .int(record.gid.value), .int(record.uid.value), .int(Int64(record.role.rawValue)),
                .int(record.startMs), .int(record.endMs), .text(record.filePath), .bool(record.truncated),
            ])
        guard isNew > 0 else { return nil }
        try connection.execute("INSERT INTO users (uid) VALUES (?) ON CONFLICT (uid) DO NOTHING", [.int(record.uid.value)])
        return try find(talkID, connection)
    }

    /// Notes where a talk is kept, be it known yet or not; false for a repeated message.
    static func archive(_ message: ArchiveMessage, _ connection: Connection) throws -> Bool {
        try connection.execute(
            "INSERT INTO archives (talk_id, url, stored_ms) VALUES (?, ?, ?) ON CONFLICT (talk_id) DO NOTHING",
            [.text(message.talkID.description), .text(message.url), .int(message.storedMs)]) > 0
    }

    static func find(_ talkID: TalkID, _ connection: Connection) throws -> TalkRow? {
        try connection.first("SELECT \(columns) WHERE talks.talk_id = ?", [.text(talkID.description)]).flatMap(read)
    }

    /// A page of talks, newest first.
    static func list(_ search: Search, _ connection: Connection) throws -> [TalkRow] {
        var conditions = ["1 = 1"]
        var values: [SQLValue] = []
        func add(_ condition: String, _ new: SQLValue...) {
            conditions.append(condition)
            values += new
        }
        if let gid = search.gid { add("talks.gid = ?", .int(gid.value)) }
        if let uid = search.uid { add("talks.uid = ?", .int(uid.value)) }
        if let from = search.fromMs { add("start_ms >= ?", .int(from)) }
        if let to = search.toMs { add("start_ms < ?", .int(to)) }
        if let text = search.text {
            let pattern = SQLValue.text(likePattern(text))
            add(
                """
                (talks.talk_id = ? OR talks.gid IN (SELECT gid FROM groups WHERE group_name LIKE ? ESCAPE '\\')
                OR talks.uid IN (SELECT uid FROM users WHERE user_name LIKE ? ESCAPE '\\' OR nick_name LIKE ? ESCAPE '\\'))
                """, .text(text.lowercased()), pattern, pattern, pattern)
        }
        if let after = search.after {
            add("(start_ms, talks.talk_id) < (?, ?)", .int(after.startMs), .text(after.talkID))
        }
        values.append(.int(Int64(search.limit)))
        let filter = conditions.joined(separator: " AND ")
        return try connection.query("SELECT \(columns) WHERE \(filter) ORDER BY start_ms DESC, talks.talk_id DESC LIMIT ?", values)
            .compactMap(read)
    }

    private static func read(_ row: Row) -> TalkRow? {
        guard let talkID = row.text("talk_id").flatMap({ TalkID($0) }) else { return nil }
        return TalkRow(
            talkID: talkID, gid: row.int("gid") ?? 0, uid: row.int("uid") ?? 0, role: row.int("role") ?? 0,
            startMs: row.int("start_ms") ?? 0, endMs: row.int("end_ms") ?? 0, fileURL: row.text("file_url") ?? "",
            archiveURL: row.text("archive_url"), truncated: row.bool("truncated"))
    }
}
