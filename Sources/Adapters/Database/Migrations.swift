import FoundationEssentials

/// Brings a database to its present shape by numbered scripts, each run once, in order.
public struct Migrations: Sendable {
    private let folder: String

    /// The scripts in a folder.
    public init(directory: String) { folder = directory }

    /// Runs the scripts `0001_name.sql`, `0002_…` that were not run yet, each in a transaction with its entry in
    /// `schema_migrations`.
    /// - Throws: `DatabaseError` when a script fails, or one that was run has been changed or is gone.
    public func apply(to database: Database) async throws {
        let folder = self.folder
        let scripts = try Self.load(folder)
        try await database.run { connection in
            try connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)")
            var done: [Int64: Row] = [:]
            for row in try connection.query("SELECT version, name, checksum FROM schema_migrations") {
                done[row.int("version") ?? 0] = row
            }
            for script in scripts {
                if let row = done.removeValue(forKey: script.version) {
                    guard row.text("checksum") == script.checksum else {
                        throw DatabaseError(
                            DatabaseError.ResultCode.error.rawValue,
                            "migration \(folder)/\(script.name) was changed after it was run; put it back and add a new one")
                    }
                    continue
                }
                try connection.transaction {
                    try connection.script(script.sql)
                    try connection.execute(
                        "INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)",
                        [.int(script.version), .text(script.name), .text(script.checksum)])
                }
            }
            if let missing = done.values.first {
                throw DatabaseError(
                    DatabaseError.ResultCode.error.rawValue,
                    "migration \(missing.text("name") ?? "") was run on this database but is not in \(folder): the program is too old for it"
                )
            }
        }
    }

    private struct Script: Sendable {
        var version: Int64
        var name: String
        var sql: String
        var checksum: String
    }

    private static func load(_ folder: String) throws -> [Script] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".sql") }.sorted()
        } catch {
            throw DatabaseError(DatabaseError.ResultCode.cantOpen.rawValue, "the migrations' folder \(folder) can't be read")
        }
        var scripts: [Script] = []
        for name in names {
            guard let version = Int64(name.prefix { $0 != "_" }), let data = FileManager.default.contents(atPath: "\(folder)/\(name)"),
                version > scripts.last?.version ?? 0
            else {
                throw DatabaseError(
                    DatabaseError.ResultCode.error.rawValue,
                    "migration \(folder)/\(name): name it like 0001_what.sql, with a number of its own")
            }
            scripts.append(Script(version: version, name: name, sql: String(decoding: data, as: UTF8.self), checksum: checksum(data)))
        }
        guard !scripts.isEmpty else {
            throw DatabaseError(DatabaseError.ResultCode.cantOpen.rawValue, "there are no migrations in \(folder)")
        }
        return scripts
    }

    /// FNV-1a, 64 bits: it has to notice an edit, not an attack.
    private static func checksum(_ bytes: some Sequence<UInt8>) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
