import Database
import Foundation
import Testing

@Suite struct DatabaseTests {
    let folder: String

    init() throws {
        folder = NSTemporaryDirectory() + "database-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/sql", withIntermediateDirectories: true)
    }

    private func script(_ name: String, _ sql: String) throws {
        try sql.write(toFile: "\(folder)/sql/\(name)", atomically: true, encoding: .utf8)
    }

    @Test func valuesComeBackAsTheyWent() async throws {
        let database = try await Database(path: folder + "/a.db")
        let values: [SQLValue] = [nil, 9_007_199_254_740_991, .real(1.5), "ü\0x", "", .blob([0, 255]), .blob([])]
        let rows = try await database.run { connection in
            try connection.execute("CREATE TABLE t (a, b, c, d, e, f, g)")
            try connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            return try connection.query("SELECT * FROM t")
        }
        #expect(rows.map(\.values) == [values])
        #expect(rows[0].int("b") == 9_007_199_254_740_991)
        #expect(rows[0].text("d") == "ü\0x")
        #expect(rows[0]["no such"] == nil)
        await database.close()
    }

    @Test func aTransactionIsAllOrNothingAndSurvivesReopening() async throws {
        struct Stop: Error {}
        let first = try await Database(path: folder + "/b.db")
        try await first.transaction { connection in
            try connection.execute("CREATE TABLE t (id BIGINT PRIMARY KEY)")
            try connection.execute("INSERT INTO t VALUES (1)")
        }
        await #expect(throws: Stop.self) {
            try await first.transaction { connection in
                try connection.execute("INSERT INTO t VALUES (2)")
                throw Stop()
            }
        }
        let error = await #expect(throws: DatabaseError.self) {
            try await first.transaction { connection in _ = try connection.execute("INSERT INTO t VALUES (1)") }
        }
        #expect(error?.code.primary == .constraint)
        await first.close()
        await #expect(throws: DatabaseError.self) { try await first.run { try $0.query("SELECT 1") } }
        let second = try await Database(path: folder + "/b.db")
        #expect(try await second.run { try $0.query("SELECT id FROM t") }.count == 1)
        await second.close()
    }

    @Test func migrationsRunOnceAndMayNotChange() async throws {
        try script("0001_first.sql", "CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);")
        let database = try await Database(path: folder + "/c.db")
        try await Migrations(directory: folder + "/sql").apply(to: database)
        try script("0002_second.sql", "INSERT INTO a VALUES (2);")
        try await Migrations(directory: folder + "/sql").apply(to: database)
        try await Migrations(directory: folder + "/sql").apply(to: database)
        #expect(try await database.run { try $0.query("SELECT x FROM a") }.count == 2)
        try script("0003_bad.sql", "INSERT INTO a VALUES (3); NONSENSE;")
        await #expect(throws: DatabaseError.self) { try await Migrations(directory: folder + "/sql").apply(to: database) }
        #expect(try await database.run { try $0.query("SELECT x FROM a") }.count == 2)
        try FileManager.default.removeItem(atPath: folder + "/sql/0003_bad.sql")
        try script("0001_first.sql", "CREATE TABLE a (x TEXT);")
        let error = await #expect(throws: DatabaseError.self) { try await Migrations(directory: folder + "/sql").apply(to: database) }
        #expect(error?.description.contains("0001_first.sql was changed") == true)
        await database.close()
    }

    @Test func aFileThatCannotBeOpenedIsNamed() async throws {
        let error = await #expect(throws: DatabaseError.self) { try await Database(path: folder + "/none/x.db") }
        #expect(error?.code.primary == .cantOpen)
        #expect(error?.description.contains("none/x.db") == true)
    }
}
