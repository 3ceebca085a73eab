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
                    "INSERT INTO events (type, gid, at_ms, audience, data, kept_ms) VALUES ('talk', 1, 1, ',7,', '{}', ?)",
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
            let (found, audience) = try await database.transaction { connection in
                try GroupTable.replaceMembers(next, connection)
                return (try GroupTable.find(gid, connection), try GroupTable.audience(gid, connection))
            }
            #expect(found == next)
            #expect(audience == next.audience)
        }
        let other = try #require(GroupID(2))
        let (nobody, numbers) = try await database.run { (try GroupTable.audience(other, $0), try GroupTable.numbers(.active, $0)) }
        #expect(nobody.isEmpty)
        #expect(numbers == [gid])
        await database.close()
    }
}
