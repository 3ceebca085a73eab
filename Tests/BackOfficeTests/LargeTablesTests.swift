import Database
import JSON
import Messages
import Talk
import Telemetry
import Testing

@testable import BackOffice

/// What must not look at everything that is there.
@Suite struct LargeTablesTests {
    @Test func oldEventsGoSomeAtATime() async throws {
        let database = try await openTestDatabase()
        let store = EventStore(database: database, feed: try await Feed(database: database, log: Logger("test")))
        let now = WallClock.nowMs()
        try await database.transaction { connection in
            for index in 1...5_007 {
                try connection.execute(
                    "INSERT INTO events (type, gid, at_ms, data, kept_ms) VALUES ('talk', 1, 1, '{}', ?)",
                    [.int(index <= 5_004 ? now - 100_000 : now)])
            }
        }
        try await store.prune(keep: .seconds(50))
        let left = try await database.run { try $0.query("SELECT id FROM events ORDER BY id").compactMap { $0.int("id") } }
        #expect(left == [5_005, 5_006, 5_007])
        let pruned = try await database.run { try $0.first("SELECT value FROM counters WHERE name = 'events_pruned'")?.int("value") }
        #expect(pruned == 5_004)
        await database.close()
    }

    private static func seen(_ viewer: Int64, after last: Int64 = 0, limit: Int = 200, _ database: Database) async throws -> [Int64] {
        try await database.run { try EventStore.page(of: viewer, after: last, limit, $0).rows.compactMap { $0.int("id") } }
    }

    @Test func eachSeesTheirEventsAndNoOthers() async throws {
        let database = try await openTestDatabase()
        let store = EventStore(database: database, feed: try await Feed(database: database, log: Logger("test")))
        let gid = try #require(GroupID(1))
        let audiences: [Set<Int64>] = [[7, 8], [8], [], [7], [78]]
        try await store.transaction { _, pending in
            for audience in audiences { try pending.add(.group, gid, atMs: 1, audience: audience, [:]) }
        }
        #expect(try await Self.seen(7, database) == [1, 3])
        #expect(try await Self.seen(8, database) == [1, 2])
        #expect(try await Self.seen(8, after: 1, database) == [2])
        #expect(try await Self.seen(7, limit: 1, database) == [1])
        #expect(try await Self.seen(9, database).isEmpty)
        try await store.prune(keep: .seconds(-1))
        let left = try await database.run { try $0.query("SELECT * FROM event_audience").count }
        #expect(left == 0)
        await database.close()
    }

    @Test func whoSawEventsBeforeSeesThemInTheNewShape() async throws {
        let database = try await openTestDatabase(version: 3)
        try await database.transaction { connection in
            for audience in [",7,18,", ",18,", ",7,"] {
                try connection.execute(
                    "INSERT INTO events (type, gid, at_ms, audience, data, kept_ms) VALUES ('talk', 1, 1, ?, '{}', 1)", [.text(audience)])
            }
        }
        try await Migrations(directory: testMigrations).apply(to: database)
        #expect(try await Self.seen(7, database) == [1, 3])
        #expect(try await Self.seen(18, database) == [1, 2])
        #expect(try await Self.seen(1, database).isEmpty)
        await database.close()
    }

    @Test func ofSnapshotsThatSayNothingNewTheLastIsKept() async throws {
        let database = try await openTestDatabase()
        let store = EventStore(database: database, feed: try await Feed(database: database, log: Logger("test")))
        let (gid, anna) = (try #require(GroupID(1)), try #require(UserID(1)))
        func event(_ seq: Int64, _ state: FloorMessage.State) -> FloorMessage {
            let people = [FloorMessage.Participant(uid: anna, role: .member, display: "Anna", joinedMs: 1)]
            return FloorMessage(
                gid: gid, epoch: 5, seq: seq, atMs: 1, state: state, uid: state == .snapshot ? nil : anna, display: "Anna", role: .member,
                holder: nil, talkID: nil, tier: .normal, queue: [], participants: state == .snapshot ? people : nil)
        }
        let states: [FloorMessage.State] = [.joined, .snapshot, .snapshot, .idle, .snapshot, .snapshot]
        let events = states.enumerated().map { event(Int64($0.offset + 1), $0.element) } + [event(8, .snapshot), event(9, .snapshot)]
        try await store.transaction { connection, pending in
            for event in events { _ = try Intake.write(.floor(event), [7], connection, pending) }
        }
        // 1 and 4 are no snapshots, 7 comes after a gap.
        #expect(try await Self.seen(7, database) == [1, 4, 7, 8])
        await database.close()
    }

    @Test func membersAreWrittenWhereTheyChange() async throws {
        let database = try await openTestDatabase()
        let (gid, dispatcher) = (try #require(GroupID(1)), Int64(99))
        let users = try (1...6).map { try #require(UserID($0)) }
        func group(_ roles: [Role?]) -> Group {
            let members = zip(users, roles).compactMap { uid, role in role.map { (uid, $0) } }
            return Group(
                gid: gid, name: "g", dispatcher: dispatcher, mode: .ptt, options: GroupOptions(), status: .active, createdMs: 1,
                members: Dictionary(uniqueKeysWithValues: members))
        }
        let first = group([.owner, .manager, .member, .member, nil, nil])
        try await database.transaction { try GroupTable.insert(first, $0) }
        // Another owner, the one before a member; one more, one less, and the rest as it was.
        for next in [
            group([.member, .owner, .member, .manager, .member, nil]), group([nil, .manager, .owner, nil, .member, .member]), first,
        ] {
            let (found, audience, card, listed) = try await database.transaction { connection in
                try GroupTable.replaceMembers(next, connection)
                return (
                    try GroupTable.find(gid, connection), try GroupTable.audience(gid, connection), try GroupCard.visible(gid, connection),
                    try GroupCard.list(text: nil, member: nil, after: 0, limit: 10, connection)
                )
            }
            #expect(found == next)
            #expect(audience == next.audience)
            #expect(card == next.card)
            #expect(listed == [next.card])
        }
        // Page by page.
        var pages: [[Int64]] = []
        while pages.last?.isEmpty != true {
            let after = pages.last?.last ?? 0
            let page = try await database.run { try GroupCard.members(of: gid, after: after, limit: 3, $0).map(\.uid.value) }
            pages.append(page)
        }
        #expect(pages == [[1, 2, 3], [4], []])
        let other = try #require(GroupID(2))
        let (nobody, numbers) = try await database.run { (try GroupTable.audience(other, $0), try GroupTable.numbers(.active, $0)) }
        #expect(nobody.isEmpty)
        #expect(numbers == [gid])
        await database.close()
    }
}
