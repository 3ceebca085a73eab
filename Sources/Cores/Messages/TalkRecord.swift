import JSON
import Talk

/// One talk burst, as told on Kafka (`msg_type` 1, MESSAGES.md §1). Written with strings only; read liberally.
public struct TalkRecord: Sendable, Equatable {
    /// Why a talk is cut short.
    public enum Cause: String, Sendable {
        /// The media service died in the middle of it.
        case crash
        /// The spool could not take all of it.
        case spoolFull = "spool_full"
    }

    /// The media node's address, for the predecessor's consumers.
    public var ip: String
    /// The idempotency key; nil in a predecessor's record (then UUIDv5 of `filePath`).
    public var talkID: TalkID?
    /// Who talked.
    public var uid: UserID
    /// Where.
    public var gid: GroupID
    /// The talker's role at the grant.
    public var role: Role
    /// Hex MD5 of the file; nil where the writer left it out.
    public var md5: String?
    /// The file's size in bytes, where told.
    public var size: Int64?
    /// Where the MP3 is; empty if nothing could be kept.
    public var filePath: String
    /// Wall clock at the first packet, Unix ms.
    public var startMs: Int64
    /// `startMs` and the duration.
    public var endMs: Int64
    /// Something cut the talk.
    public var truncated: Bool
    /// What cut it.
    public var cause: Cause?

    /// A record to write.
    public init(
        ip: String, talkID: TalkID?, uid: UserID, gid: GroupID, role: Role, md5: String?, size: Int64?, filePath: String, startMs: Int64,
        endMs: Int64, truncated: Bool, cause: Cause?
    ) {
        (self.ip, self.talkID, self.uid, self.gid, self.role) = (ip, talkID, uid, gid, role)
        (self.md5, self.size, self.filePath, self.startMs, self.endMs) = (md5, size, filePath, startMs, endMs)
        (self.truncated, self.cause) = (truncated, cause)
    }

    /// How long the talk is, ms.
    public var durationMs: Int64 { max(0, endMs - startMs) }

    /// The record's value: the same bytes for the same talk.
    public var encoded: [UInt8] {
        var body: [String: JSONValue] = [
            "uid": .string(uid.description), "m_type": "ptt", "grp_id": .string(gid.description),
            "timestamp": .string(String(endMs / 1000)), "file_path": .string(filePath), "duration": .string(TalkRecord.seconds(durationMs)),
            "start_ms": .string(String(startMs)), "end_ms": .string(String(endMs)), "role": .string(String(role.rawValue)), "codec": "mp3",
            "truncated": .string(truncated ? "1" : "0"),
        ]
        body["md5"] = md5.map { .string($0) }
        body["size"] = size.map { .string(String($0)) }
        body["talk_id"] = talkID.map { .string($0.description) }
        body["cause"] = cause.map { .string($0.rawValue) }
        return JSONValue.object(["msg_type": 1, "ip": .string(ip), "ptt_msg": .object(body)]).encoded()
    }

    /// Milliseconds as seconds with two decimals: 2140 → `2.14`.
    static func seconds(_ milliseconds: Int64) -> String {
        let hundredths = (milliseconds + 5) / 10
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// Reads a talk record.
    /// - Returns: nil for a message of another type.
    /// - Throws: `Refusal` that names the field that is missing or wrong.
    public init?(_ message: JSONValue) throws(Refusal) {
        guard message["msg_type"]?.integer == 1 else { return nil }
        guard let object = message["ptt_msg"]?.object else { throw Refusal(.missingElement, "missing element (ptt_msg)") }
        let fields = Fields(object, at: "ptt_msg")
        let time = 0...maximumID / 1000
        let end = try fields.optionalInteger("end_ms", in: time)
        let start = try fields.optionalInteger("start_ms", in: time)
        let stamp = end == nil || start == nil ? try fields.integer("timestamp", in: time) * 1000 : 0
        let duration = object["duration"]?.number.map { Int64((min(max($0, 0), 1e9) * 1000).rounded()) } ?? 0
        let path = try fields.required("file_path")
        guard let path = path.string, path.utf8.count <= 4096 else {
            throw fields.invalid("file_path", "must be a string of at most 4096 bytes")
        }
        var talkID: TalkID?
        if let text = try fields.optionalString("talk_id") {
            guard let id = TalkID(text) else { throw fields.invalid("talk_id", "must be a UUID") }
            talkID = id
        }
        self.init(
            ip: message["ip"]?.string ?? "", talkID: talkID, uid: try fields.user(), gid: try fields.group("grp_id"),
            role: object["role"]?.integer.flatMap { Role(rawValue: Int(clamping: $0)) } ?? .member,
            md5: object["md5"]?.string.flatMap { TalkRecord.digest($0) }, size: try fields.optionalInteger("size", in: 0...maximumID),
            filePath: path, startMs: start ?? (end ?? stamp) - duration, endMs: end ?? start.map { $0 + duration } ?? stamp,
            truncated: object["truncated"]?.integer == 1, cause: object["cause"]?.string.flatMap(Cause.init(rawValue:)))
    }

    /// The predecessor's example has `"md5":"md5"`: what is no MD5 counts as left out.
    private static func digest(_ text: String) -> String? {
        text.utf8.count == 32 && text.allSatisfy(\.isHexDigit) ? text.lowercased() : nil
    }
}
