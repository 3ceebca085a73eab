import JSON
import Messages
import Talk
import Testing

@testable import MediaService

@Suite struct RoomJournalTests {
    private static func key(_ gid: Int64) -> [UInt8] { Array(String(gid).utf8) }

    private static func value(_ gid: Int64, _ name: String, epoch: Int64) throws -> [UInt8] {
        RoomRecord(
            gid: try #require(GroupID(gid)), name: name, dispatcher: 7, options: GroupOptions(), emergencies: [], epoch: epoch, changedMs: 1
        ).encoded
    }

    private static func names(_ journal: RoomJournal) -> [Int64: String] {
        Dictionary(uniqueKeysWithValues: journal.rooms.map { ($0.key.value, $0.value.name) })
    }

    @Test func theLastRecordOfARoomCounts() throws {
        var journal = RoomJournal()
        for (gid, name) in [(1, "A"), (2, "B"), (1, "C")] as [(Int64, String)] {
            journal.read(key: Self.key(gid), value: try Self.value(gid, name, epoch: 3), epochHeader: 3)
        }
        #expect(Self.names(journal) == [1: "C", 2: "B"])
        #expect(journal.problems.isEmpty)
    }

    @Test func anOwnerOfBeforeChangesNothingAnyMore() throws {
        var journal = RoomJournal()
        journal.read(key: Self.key(1), value: try Self.value(1, "new", epoch: 5), epochHeader: 5)
        journal.read(key: Self.key(1), value: try Self.value(1, "old", epoch: 4), epochHeader: 4)
        journal.read(key: Self.key(2), value: try Self.value(2, "old", epoch: 4), epochHeader: 4)
        journal.read(key: Self.key(1), value: nil, epochHeader: 4)
        #expect(Self.names(journal) == [1: "new"])
        journal.read(key: Self.key(1), value: try Self.value(1, "newest", epoch: 6), epochHeader: 6)
        #expect(Self.names(journal) == [1: "newest"])
    }

    @Test func aTombstoneEndsARoomAndMayBeFollowedByAnother() throws {
        var journal = RoomJournal()
        journal.read(key: Self.key(9), value: nil, epochHeader: nil)
        journal.read(key: Self.key(1), value: try Self.value(1, "A", epoch: 2), epochHeader: 2)
        journal.read(key: Self.key(1), value: nil, epochHeader: 2)
        #expect(journal.rooms.isEmpty)
        journal.read(key: Self.key(1), value: try Self.value(1, "B", epoch: 2), epochHeader: 2)
        #expect(Self.names(journal) == [1: "B"])
        // By hand, as a person makes one: without a claim.
        journal.read(key: Self.key(1), value: nil, epochHeader: nil)
        #expect(journal.rooms.isEmpty)
    }

    /// A tombstone is written under a claim as a record is: what its writer's predecessor says after it is late.
    @Test func aTombstoneFencesToo() throws {
        var journal = RoomJournal()
        journal.read(key: Self.key(1), value: try Self.value(1, "A", epoch: 2), epochHeader: 2)
        journal.read(key: Self.key(1), value: nil, epochHeader: 3)
        journal.read(key: Self.key(1), value: try Self.value(1, "late", epoch: 2), epochHeader: 2)
        #expect(journal.rooms.isEmpty)
    }

    @Test(arguments: [
        "", "{", "null", "[]", "7", #""text""#, "{}", #"{"gid":1}"#, #"{"gid":"x","group_name":"A","dispatcher_id":1}"#,
        #"{"gid":1,"group_name":7,"dispatcher_id":1}"#, #"{"gid":1,"group_name":"A","dispatcher_id":1,"epoch":-1}"#,
        #"{"gid":1,"group_name":"A","dispatcher_id":1,"options":[]}"#, #"{"gid":1,"group_name":"A","dispatcher_id":1,"secret":"clear"}"#,
    ])
    func whatCanNotBeReadIsToldAndTheRestIsThere(garbage: String) throws {
        var journal = RoomJournal()
        journal.read(key: Self.key(2), value: try Self.value(2, "before", epoch: 1), epochHeader: 1)
        journal.read(key: Self.key(1), value: Array(garbage.utf8), epochHeader: 1)
        journal.read(key: Self.key(3), value: try Self.value(3, "behind", epoch: 1), epochHeader: 1)
        #expect(Self.names(journal) == [2: "before", 3: "behind"])
        #expect(journal.problems.count == 1 && journal.problems[0].hasPrefix("room 1: "))
    }

    @Test(arguments: [nil, "", "x", "0", "-1", "9007199254740992", "99999999999999999999"] as [String?])
    func aKeyThatIsNoGroupIsToldAndOpensNothing(key: String?) throws {
        var journal = RoomJournal()
        journal.read(key: key.map { Array($0.utf8) }, value: try Self.value(1, "A", epoch: 1), epochHeader: nil)
        journal.read(key: key.map { Array($0.utf8) }, value: nil, epochHeader: nil)
        #expect(journal.rooms.isEmpty)
        #expect(journal.problems.count == 2)
    }

    /// A record under another room's key would open a room that its partition does not own.
    @Test func aRecordUnderAnotherRoomsKeyOpensNothing() throws {
        var journal = RoomJournal()
        journal.read(key: Self.key(1), value: try Self.value(2, "B", epoch: 1), epochHeader: 1)
        #expect(journal.rooms.isEmpty)
        #expect(journal.problems.count == 1)
    }
}
