import Crypto
import Database
import JSON
import Messages
import Talk

/// A row of `talk_files`.
struct TalkFile: Sendable, Hashable {
    enum State: String, Sendable {
        case wanted
        case stored
        case failed
        case empty
    }

    /// Where a talk lies in the archive.
    struct Stored: Sendable, Hashable {
        var key: String
        var md5: String
        var size: Int64
        var storedMs: Int64
        var backend: String
    }

    /// Where its record stood on Kafka.
    struct Source: Sendable, Hashable {
        var partition: Int32
        var offset: Int64
    }

    var talkID: TalkID
    var uid: UserID
    var gid: GroupID
    var role: Int64
    var startMs: Int64
    var endMs: Int64
    var truncated: Bool
    var filePath: String
    var sourceMD5: String?
    var sourceSize: Int64?
    var record: String
    /// Nil for rows from the archive's own files.
    var source: Source?
    var state: State
    var failures: Int64 = 0
    var wantedMs: Int64
    var nextMs: Int64
    var reason: String?
    var stored: Stored?

    /// The row of a talk record. Without a `talk_id` (predecessor) it gets the UUIDv5 of its `file_path`.
    /// - Returns: nil for a record that has neither.
    init?(_ record: TalkRecord, value: String, nowMs: Int64) {
        guard let talkID = record.talkID ?? (record.filePath.isEmpty ? nil : TalkID(Digests.uuidV5(url: record.filePath))) else {
            return nil
        }
        self.talkID = talkID
        (uid, gid, role) = (record.uid, record.gid, Int64(record.role.rawValue))
        (startMs, endMs, truncated) = (record.startMs, record.endMs, record.truncated)
        (filePath, sourceMD5) = (record.filePath, record.md5)
        // A predecessor's size may mean something else; ours is exact, and has its talk_id.
        sourceSize = record.talkID == nil ? nil : record.size
        self.record = value
        state = record.filePath.isEmpty ? .empty : .wanted
        (wantedMs, nextMs) = (nowMs, nowMs)
    }

    /// - Returns: nil for a row that is not one of ours.
    init?(_ row: Row) {
        guard let talkID = row.text("talk_id").flatMap({ TalkID($0) }), let uid = row.int("uid").flatMap({ UserID($0) }),
            let gid = row.int("gid").flatMap({ GroupID($0) }), let state = row.text("state").flatMap({ State(rawValue: $0) })
        else { return nil }
        (self.talkID, self.uid, self.gid, self.state) = (talkID, uid, gid, state)
        (role, startMs, endMs) = (row.int("role") ?? 0, row.int("start_ms") ?? 0, row.int("end_ms") ?? 0)
        (truncated, filePath) = (row.bool("truncated"), row.text("file_path") ?? "")
        (sourceMD5, sourceSize, record) = (row.text("source_md5"), row.int("source_size"), row.text("record") ?? "")
        (failures, wantedMs, nextMs) = (row.int("failures") ?? 0, row.int("wanted_ms") ?? 0, row.int("next_ms") ?? 0)
        reason = row.text("reason")
        if let partition = row.int("source_partition").flatMap({ Int32(exactly: $0) }), let offset = row.int("source_offset") {
            source = Source(partition: partition, offset: offset)
        }
        if let key = row.text("key"), let md5 = row.text("md5"), let size = row.int("size"), let storedMs = row.int("stored_ms"),
            let backend = row.text("backend")
        {
            stored = Stored(key: key, md5: md5, size: size, storedMs: storedMs, backend: backend)
        }
    }

    var durationMs: Int64 { max(0, endMs - startMs) }

    /// The place in the archive: by UTC date and group.
    var key: String {
        let (year, month, day) = civil(daysSince1970: Int((startMs / 86_400_000)))
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)/\(two(month))/\(two(day))/\(gid)/\(talkID).mp3"
    }

    /// The talk in the HTTP API.
    func json(publicURL: String) -> JSONValue {
        var members: [String: JSONValue] = [
            "talk_id": .string(talkID.description), "uid": .id(uid), "gid": .id(gid), "role": .int(role), "start_ms": .int(startMs),
            "end_ms": .int(endMs), "duration_ms": .int(durationMs), "truncated": .bool(truncated), "state": .string(state.rawValue),
            "url": .null, "key": .null, "md5": .null, "size": .null, "stored_ms": .null, "backend": .null, "reason": .null,
        ]
        if let stored {
            members["url"] = .string(url(publicURL))
            members["key"] = .string(stored.key)
            members["md5"] = .string(stored.md5)
            members["size"] = .int(stored.size)
            members["stored_ms"] = .int(stored.storedMs)
            members["backend"] = .string(stored.backend)
        } else if let reason {
            members["reason"] = .string(reason)
        }
        return .object(members)
    }

    /// What the others are told when it is stored.
    func archiveMessage(publicURL: String) -> ArchiveMessage? {
        stored.map { stored in
            ArchiveMessage(
                talkID: talkID, uid: uid, gid: gid, url: url(publicURL), key: stored.key, md5: stored.md5, size: stored.size,
                durationMs: durationMs, storedMs: stored.storedMs, backend: stored.backend)
        }
    }

    private func url(_ publicURL: String) -> String { "\(publicURL)/v1/talks/\(talkID)/audio" }
}

/// The date of a day, after Howard Hinnant's `civil_from_days`.
func civil(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    return (yearOfEra + era * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, dayOfYear - (153 * month + 2) / 5 + 1)
}
