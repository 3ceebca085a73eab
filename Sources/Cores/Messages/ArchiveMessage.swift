import JSON
import Talk

/// A talk is in the archive (`msg_type` 4, MESSAGES.md §1).
public struct ArchiveMessage: Sendable, Equatable {
    /// Which talk.
    public var talkID: TalkID
    /// Who talked.
    public var uid: UserID
    /// Where.
    public var gid: GroupID
    /// file-server's HTTP address of the audio.
    public var url: String
    /// The place in the storage.
    public var key: String
    /// Hex MD5 of the file.
    public var md5: String
    /// Bytes.
    public var size: Int64
    /// ms.
    public var durationMs: Int64
    /// When it was stored, Unix ms.
    public var storedMs: Int64
    /// The kind of storage: `file`.
    public var backend: String

    /// A notice to write.
    public init(
        talkID: TalkID, uid: UserID, gid: GroupID, url: String, key: String, md5: String, size: Int64, durationMs: Int64, storedMs: Int64,
        backend: String
    ) {
        (self.talkID, self.uid, self.gid, self.url, self.key) = (talkID, uid, gid, url, key)
        (self.md5, self.size, self.durationMs, self.storedMs, self.backend) = (md5, size, durationMs, storedMs, backend)
    }

    /// The body, `archive_msg`.
    public var body: JSONValue {
        [
            "talk_id": .string(talkID.description), "uid": .id(uid), "grp_id": .id(gid), "url": .string(url), "key": .string(key),
            "md5": .string(md5), "size": .int(size), "duration_ms": .int(durationMs), "stored_ms": .int(storedMs),
            "backend": .string(backend),
        ]
    }

    /// The record's value.
    public func encoded(ip: String) -> [UInt8] {
        JSONValue.object(["msg_type": 4, "ip": .string(ip), "archive_msg": body]).encoded()
    }

    /// Reads an archive message; nil for another type.
    /// - Throws: `Refusal` that names the field.
    public init?(_ message: JSONValue) throws(Refusal) {
        guard message["msg_type"]?.integer == 4 else { return nil }
        guard let object = message["archive_msg"]?.object else { throw Refusal(.missingElement, "missing element (archive_msg)") }
        let fields = Fields(object, at: "archive_msg")
        guard let talkID = TalkID(try fields.string("talk_id")) else { throw fields.invalid("talk_id", "must be a UUID") }
        self.init(
            talkID: talkID, uid: try fields.user(), gid: try fields.group("grp_id"), url: try fields.string("url", maximum: 4096),
            key: try fields.string("key", maximum: 4096), md5: try fields.string("md5"),
            size: try fields.integer("size", in: 0...maximumID),
            durationMs: try fields.integer("duration_ms", in: 0...maximumID), storedMs: try fields.integer("stored_ms", in: 0...maximumID),
            backend: try fields.string("backend"))
    }
}
