import JSON
import Messages
import Talk

/// Reads a partition of `ptt.rooms` from its beginning: what is left at the end are the rooms to open.
struct RoomJournal {
    private(set) var rooms: [GroupID: RoomRecord] = [:]
    /// The highest claim under which something was written so far.
    private var epoch: Int64 = 0
    /// What could not be read, with its reason.
    private(set) var problems: [String] = []

    /// Takes the next record.
    /// - Parameter epochHeader: the claim of the writer, where the record (a tombstone) has no value to bear it.
    mutating func read(key: [UInt8]?, value: [UInt8]?, epochHeader: Int64?) {
        guard let key, let gid = Int64(String(decoding: key, as: UTF8.self)).flatMap({ GroupID($0) }) else {
            problems.append("a record without a group's number as its key")
            return
        }
        guard let value else {
            // An owner that lost its partition unawares may not undo what its successor did.
            if let epochHeader {
                guard epochHeader >= epoch else { return }
                epoch = epochHeader
            }
            rooms[gid] = nil
            return
        }
        do {
            let record = try RoomRecord(JSONValue(parsing: value))
            guard record.gid == gid else {
                // The key decides the partition: whoever owns this one does not own that room.
                problems.append("room \(gid): the record under its key is of room \(record.gid)")
                return
            }
            guard record.epoch >= epoch else { return }
            epoch = record.epoch
            rooms[gid] = record
        } catch {
            problems.append("room \(gid): \(error)")
        }
    }
}
