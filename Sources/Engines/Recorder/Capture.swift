import JSON
import Messages
import Talk

/// The file in which a burst's RTP is kept verbatim until its MP3 is published; only ever appended to.
///
///     "TBRTP001"   length (32 bits)   JSON: what is known of the burst, the MP3's name       numbers are little-endian
///     then entries of
///     +---------------------------------------------------------------+
///     | length of the payload                                         |
///     +---------------+---------------+-------------------------------+
///     | kind          | flag          | sequence                      |
///     +---------------+---------------+-------------------------------+
///     | timestamp                                                     |
///     +---------------------------------------------------------------+
///     | arrival, ns (64 bits)                                         |
///     +---------------------------------------------------------------+
///     | payload …                                                     |
///
/// Kind 1 is a packet (flag: marker), 2 the burst's end (flag: cause, see `causeCode`). A torn or zeroed tail, as a crash leaves it,
/// ends the reading.
enum Capture {
    private static let magic = Array("TBRTP001".utf8)
    private static let entryBytes = 20

    /// What a file holds.
    struct Contents: Sendable, Hashable {
        var start: BurstStart
        var fileName: String
        var packets: [RecordedPacket] = []
        /// Whether the burst's end was written; without it the process died.
        var isEnded = false
        var cause: TalkRecord.Cause?
    }

    /// The beginning of a file.
    static func header(_ start: BurstStart, fileName: String) -> [UInt8] {
        let facts: JSONValue = [
            "talk_id": .string(start.talkID.description), "gid": .id(start.gid), "uid": .id(start.uid),
            "role": .int(Int64(start.role.rawValue)), "group_name": .string(start.groupName), "display_name": .string(start.displayName),
            "start_ms": .int(start.startMs), "start_ns": .string(String(start.startNs)), "file_name": .string(fileName),
        ]
        let text = facts.encoded()
        return magic + little(UInt64(text.count), 4) + text
    }

    /// One packet's entry.
    static func entry(_ packet: RecordedPacket) -> [UInt8] {
        head(packet.payload.count, kind: 1, flag: packet.marker ? 1 : 0, packet.sequence, packet.timestamp, packet.arrivalNs)
            + packet.payload
    }

    /// The last entry.
    static func end(_ cause: TalkRecord.Cause?) -> [UInt8] {
        head(0, kind: 2, flag: causeCode(cause), 0, 0, 0)
    }

    /// Reads a file; nil where not even its beginning is whole.
    static func read(_ bytes: [UInt8]) -> Contents? {
        guard bytes.starts(with: magic), bytes.count >= 12 else { return nil }
        let length = Int(number(bytes, 8, 4))
        guard length <= bytes.count - 12, let facts = try? JSONValue(parsing: Array(bytes[12..<12 + length])), let start = start(facts),
            let name = facts["file_name"]?.string
        else { return nil }
        var contents = Contents(start: start, fileName: name)
        var offset = 12 + length
        while bytes.count - offset >= entryBytes {
            let count = Int(number(bytes, offset, 4))
            let kind = bytes[offset + 4]
            let flag = bytes[offset + 5]
            guard kind == 1 || kind == 2, count <= bytes.count - offset - entryBytes else { break }
            if kind == 2 {
                contents.isEnded = true
                contents.cause = cause(flag)
                break
            }
            contents.packets.append(
                RecordedPacket(
                    sequence: UInt16(number(bytes, offset + 6, 2)), timestamp: UInt32(number(bytes, offset + 8, 4)), marker: flag != 0,
                    arrivalNs: number(bytes, offset + 12, 8),
                    payload: Array(bytes[offset + entryBytes..<offset + entryBytes + count])))
            offset += entryBytes + count
        }
        return contents
    }

    private static func start(_ facts: JSONValue) -> BurstStart? {
        guard let talkID = facts["talk_id"]?.string.flatMap({ TalkID($0) }), let gid = facts["gid"]?.integer.flatMap({ GroupID($0) }),
            let uid = facts["uid"]?.integer.flatMap({ UserID($0) }), let startMs = facts["start_ms"]?.integer
        else { return nil }
        return BurstStart(
            talkID: talkID, gid: gid, uid: uid, role: facts["role"]?.integer.flatMap { Role(rawValue: Int($0)) } ?? .member,
            groupName: facts["group_name"]?.string ?? "", displayName: facts["display_name"]?.string ?? "", startMs: startMs,
            startNs: facts["start_ns"]?.string.flatMap { UInt64($0) } ?? 0)
    }

    private static func head(_ count: Int, kind: UInt8, flag: UInt8, _ sequence: UInt16, _ timestamp: UInt32, _ arrivalNs: UInt64)
        -> [UInt8]
    {
        little(UInt64(count), 4) + [kind, flag] + little(UInt64(sequence), 2) + little(UInt64(timestamp), 4) + little(arrivalNs, 8)
    }

    private static func little(_ number: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << ($1 * 8) }
    }

    static func causeCode(_ cause: TalkRecord.Cause?) -> UInt8 {
        switch cause {
        case nil: 0
        case .crash: 1
        case .spoolFull: 2
        }
    }

    static func cause(_ code: UInt8) -> TalkRecord.Cause? {
        switch code {
        case 1: .crash
        case 2: .spoolFull
        default: nil
        }
    }
}
