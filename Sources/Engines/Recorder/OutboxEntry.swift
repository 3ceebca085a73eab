import JSON
import Messages
import Talk

/// A talk record that is to be published until the archive has the talk: one file, its first line for us, the rest the exact Kafka value.
public struct OutboxEntry: Sendable, Hashable {
    /// The talk.
    public let talkID: TalkID
    /// Its group, the record's key.
    public let gid: GroupID
    /// The MP3 in the spool; empty where nothing could be kept.
    let fileName: String
    /// The value of the Kafka record.
    public let value: [UInt8]

    init(talkID: TalkID, gid: GroupID, fileName: String, value: [UInt8]) {
        (self.talkID, self.gid, self.fileName, self.value) = (talkID, gid, fileName, value)
    }

    var bytes: [UInt8] {
        let facts: JSONValue = ["talk_id": .string(talkID.description), "gid": .id(gid), "file_name": .string(fileName)]
        return facts.encoded() + [UInt8(ascii: "\n")] + value
    }

    init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")), let facts = try? JSONValue(parsing: Array(bytes[..<end])),
            let talkID = facts["talk_id"]?.string.flatMap({ TalkID($0) }), let gid = facts["gid"]?.integer.flatMap({ GroupID($0) }),
            let fileName = facts["file_name"]?.string
        else { return nil }
        self.init(talkID: talkID, gid: gid, fileName: fileName, value: Array(bytes[(end + 1)...]))
    }
}
