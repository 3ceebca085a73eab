import Database
import Talk

/// The table of talks; each function is one transaction.
struct TalkTable: Sendable {
    let database: Database

    /// Opens the database and brings it to the present schema.
    static func open(file: String, migrations: String) async throws -> TalkTable {
        let database = try await Database(path: file)
        try await Migrations(directory: migrations).apply(to: database)
        return TalkTable(database: database)
    }

    /// Puts new talks in. One that is there already stays as it is; where it is stored or given up, that is told again.
    func want(_ talks: [TalkFile]) async throws {
        try await database.transaction { connection in
            for talk in talks {
                let isNew = try connection.execute(
                    """
                    INSERT INTO talk_files (talk_id, uid, gid, role, start_ms, end_ms, truncated, file_path, source_md5, source_size, record,
                        source_partition, source_offset, state, wanted_ms, next_ms, announced)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (talk_id) DO NOTHING
                    """, Self.values(talk) + [.bool(talk.state == .empty)])
                if isNew == 0 {
                    try connection.execute(
                        "UPDATE talk_files SET announced = 0 WHERE talk_id = ? AND state = 'stored'", [.text(talk.talkID.description)])
                }
            }
        }
    }

    private static func values(_ talk: TalkFile) -> [SQLValue] {
        [
            .text(talk.talkID.description), .int(talk.uid.value), .int(talk.gid.value), .int(talk.role), .int(talk.startMs),
            .int(talk.endMs), .bool(talk.truncated), .text(talk.filePath), .optional(talk.sourceMD5), .optional(talk.sourceSize),
            .text(talk.record), .optional(talk.source.map { Int64($0.partition) }), .optional(talk.source?.offset),
            .text(talk.state.rawValue), .int(talk.wantedMs), .int(talk.nextMs),
        ]
    }

    /// Talks that are to be fetched now, the longest waiting first.
    func due(nowMs: Int64, limit: Int) async throws -> [TalkFile] {
        try await rows(
            "SELECT * FROM talk_files WHERE state = 'wanted' AND next_ms <= ? ORDER BY next_ms LIMIT ?", [.int(nowMs), .int(Int64(limit))])
    }

    /// When the next talk is to be fetched, Unix ms.
    func nextDueMs() async throws -> Int64? {
        try await database.run { try $0.query("SELECT MIN(next_ms) AS next_ms FROM talk_files WHERE state = 'wanted'") }.first?.int(
            "next_ms")
    }

    /// Talks that are stored or given up without anybody having been told.
    func unannounced(limit: Int) async throws -> [TalkFile] {
        try await rows(
            "SELECT * FROM talk_files WHERE announced = 0 AND state IN ('stored', 'failed') LIMIT ?", [.int(Int64(limit))])
    }

    /// It has been told.
    func announced(_ talkID: TalkID) async throws {
        try await change("UPDATE talk_files SET announced = 1 WHERE talk_id = ?", [.text(talkID.description)])
    }

    /// A talk lies in the archive.
    func store(_ talkID: TalkID, _ stored: TalkFile.Stored) async throws {
        try await change(
            """
            UPDATE talk_files SET state = 'stored', key = ?, md5 = ?, size = ?, stored_ms = ?, backend = ?, reason = NULL, announced = 0
            WHERE talk_id = ?
            """,
            [
                .text(stored.key), .text(stored.md5), .int(stored.size), .int(stored.storedMs), .text(stored.backend),
                .text(talkID.description),
            ])
    }

    /// A fetch failed: it is tried again at `nextMs`, or with nil given up.
    func fail(_ talkID: TalkID, reason: String, nextMs: Int64?) async throws {
        try await change(
            "UPDATE talk_files SET failures = failures + 1, reason = ?, next_ms = ?, state = ?, announced = 0 WHERE talk_id = ?",
            [.text(reason), .int(nextMs ?? 0), .text(nextMs == nil ? "failed" : "wanted"), .text(talkID.description)])
    }

    /// Takes up again what was given up.
    /// - Returns: how many talks.
    func retryFailed(nowMs: Int64) async throws -> Int {
        try await database.run {
            try $0.execute(
                "UPDATE talk_files SET state = 'wanted', failures = 0, wanted_ms = ?, next_ms = ? WHERE state = 'failed'",
                [.int(nowMs), .int(nowMs)])
        }
    }

    /// Puts in what the archive's own files tell; the table's row gives way.
    func reindex(_ talks: [TalkFile]) async throws {
        try await database.transaction { connection in
            for talk in talks {
                guard let stored = talk.stored else { continue }
                try connection.execute(
                    """
                    INSERT OR REPLACE INTO talk_files (talk_id, uid, gid, role, start_ms, end_ms, truncated, file_path, source_md5,
                        source_size, record, source_partition, source_offset, state, wanted_ms, next_ms, announced, key, md5, size, stored_ms,
                        backend)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)
                    """,
                    Self.values(talk) + [
                        .text(stored.key), .text(stored.md5), .int(stored.size), .int(stored.storedMs), .text(stored.backend),
                    ])
            }
        }
    }

    /// One talk.
    func talk(_ talkID: TalkID) async throws -> TalkFile? {
        try await rows("SELECT * FROM talk_files WHERE talk_id = ?", [.text(talkID.description)]).first
    }

    /// What a search asks for.
    struct Search: Sendable {
        var gid: GroupID?
        var uid: UserID?
        var fromMs: Int64?
        var toMs: Int64?
        var state: TalkFile.State?
        /// The last one of the page before.
        var after: (startMs: Int64, talkID: String)?
        var limit = 50
    }

    /// Talks, newest first.
    func search(_ search: Search) async throws -> [TalkFile] {
        var conditions: [String] = []
        var values: [SQLValue] = []
        func add(_ condition: String, _ new: SQLValue...) {
            conditions.append(condition)
            values += new
        }
        if let gid = search.gid { add("gid = ?", .int(gid.value)) }
        if let uid = search.uid { add("uid = ?", .int(uid.value)) }
        if let from = search.fromMs { add("start_ms >= ?", .int(from)) }
        if let to = search.toMs { add("start_ms < ?", .int(to)) }
        if let state = search.state { add("state = ?", .text(state.rawValue)) }
        if let after = search.after {
            add("(start_ms, talk_id) < (?, ?)", .int(after.startMs), .text(after.talkID))
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        values.append(.int(Int64(search.limit)))
        return try await rows("SELECT * FROM talk_files \(filter) ORDER BY start_ms DESC, talk_id DESC LIMIT ?", values)
    }

    private func rows(_ sql: String, _ values: [SQLValue]) async throws -> [TalkFile] {
        try await database.run { try $0.query(sql, values) }.compactMap { TalkFile($0) }
    }

    private func change(_ sql: String, _ values: [SQLValue]) async throws { try await database.run { _ = try $0.execute(sql, values) } }
}
