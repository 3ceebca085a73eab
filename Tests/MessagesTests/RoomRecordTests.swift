import JSON
import Talk
import Testing

@testable import Messages

@Suite struct RoomRecordTests {
    private func record() throws -> RoomRecord {
        RoomRecord(
            gid: try #require(GroupID(470)), name: "n", dispatcher: 7, mode: .open, options: GroupOptions(),
            emergencies: [try #require(UserID(5))], epoch: 3, changedMs: 4)
    }

    @Test func comesBackAsItWent() throws {
        var room = try record()
        #expect(try RoomRecord(JSONValue(parsing: room.encoded)) == room)
        let bytes = (0..<UInt8(32)).map { $0 &* 9 }
        room.locks.secret = KeptSecret(salt: Array(bytes.prefix(16)), digest: bytes)
        #expect(room.locks.secret != nil)
        #expect(try RoomRecord(JSONValue(parsing: room.encoded)) == room)
        room.locks.pin = KeptSecret(salt: Array(bytes.suffix(16)), digest: bytes.reversed())
        #expect(try RoomRecord(JSONValue(parsing: room.encoded)) == room)
    }

    /// A lock that can't be read must not leave its room open to everybody.
    @Test(arguments: [
        "\"4711\"", "4711", "{}", "\"\"", "\"sha256$00$00\"", "\"md5$00112233445566778899aabbccddeeff$00\"",
        "\"sha256$00112233445566778899aabbccddeeff\"", "\"sha256$0011223344556677889-aabbccddeeff$00\"",
    ]) func aLockThatIsNoneIsRefused(_ lock: String) {
        let text = #"{"gid":1,"group_name":"n","dispatcher_id":7,"pin":\#(lock)}"#
        let refusal = #expect(throws: Refusal.self) { try RoomRecord(JSONValue(parsing: Array(text.utf8))) }
        #expect(refusal?.code == .invalidElement && refusal?.message.contains("pin") == true)
    }

    @Test func changesOfLocks() throws {
        func kept(_ byte: UInt8) throws -> KeptSecret {
            try #require(KeptSecret(salt: Array(repeating: byte, count: 16), digest: Array(repeating: byte, count: 32)))
        }
        var change = RoomLocks.Change()
        let locks = RoomLocks()
        #expect(locks.applying(change) == locks)
        let (secret, pin) = (try kept(1), try kept(2))
        (change.secret, change.pin) = (secret, .kept(pin))
        let locked = locks.applying(change)
        #expect(locked.secret == secret && locked.pin == pin)
        #expect(locked.applying(RoomLocks.Change()) == locked)
        change = RoomLocks.Change()
        change.pin = .removed
        #expect(locked.applying(change).pin == nil && locked.applying(change).secret == locked.secret)
        #expect(KeptSecret(salt: [], digest: []) == nil)
    }
}
