import CSQLite

/// One open database file; lives on its `Database`'s thread and never leaves it.
public final class Connection {
    private static let cachedStatementsMax = 256

    private let handle: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    /// Opens or makes the file: WAL, every commit synced to the disk, foreign keys checked.
    init(path: String) throws(DatabaseError) {
        var handle: OpaquePointer?
        let code = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let handle else {
            let why = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
            sqlite3_close_v2(handle)
            throw DatabaseError(code, "database \(path): \(why)")
        }
        self.handle = handle
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 5_000)
        for pragma in ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"] { _ = try query("PRAGMA \(pragma)") }
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    /// Runs one statement with its values for `?`.
    /// - Returns: how many rows it changed.
    @discardableResult
    public func execute(_ sql: String, _ values: [SQLValue] = []) throws(DatabaseError) -> Int {
        _ = try query(sql, values)
        return Int(sqlite3_changes(handle))
    }

    /// Runs one statement with its values for `?` and takes all rows of its answer.
    @discardableResult
    public func query(_ sql: String, _ values: [SQLValue] = []) throws(DatabaseError) -> [Row] {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        guard sqlite3_bind_parameter_count(statement) == values.count else {
            throw DatabaseError(SQLITE_RANGE, "\(values.count) values for the statement: \(sql)")
        }
        for (index, value) in values.enumerated() { try bind(value, to: statement, at: Int32(index + 1), sql) }
        let names = (0..<sqlite3_column_count(statement)).map { String(cString: sqlite3_column_name(statement, $0)) }
        var rows: [Row] = []
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: rows.append(Row(names: names, values: names.indices.map { Self.value(statement, Int32($0)) }))
            case SQLITE_DONE: return rows
            default: throw failure(sql)
            }
        }
    }

    /// The first row of an answer.
    public func first(_ sql: String, _ values: [SQLValue] = []) throws(DatabaseError) -> Row? { try query(sql, values).first }

    /// Does all or nothing; what `body` throws undoes it.
    public func transaction<Value>(_ body: () throws -> Value) throws -> Value {
        // IMMEDIATE: a transaction that reads first and then writes must not find the file taken half-way.
        try execute("BEGIN IMMEDIATE")
        do {
            let value = try body()
            try execute("COMMIT")
            return value
        } catch {
            // Some errors have rolled back already; then this one has nothing to do.
            if sqlite3_get_autocommit(handle) == 0 { _ = try? execute("ROLLBACK") }
            throw error
        }
    }

    /// Runs a script of several statements without values, for migrations.
    func script(_ sql: String) throws(DatabaseError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure(String(sql.prefix(200))) }
    }

    private func prepared(_ sql: String) throws(DatabaseError) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        guard sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil) == SQLITE_OK, let statement else {
            throw failure(sql)
        }
        if statements.count >= Self.cachedStatementsMax {
            for old in statements.values { sqlite3_finalize(old) }
            statements.removeAll()
        }
        statements[sql] = statement
        return statement
    }

    private func bind(_ value: SQLValue, to statement: OpaquePointer, at index: Int32, _ sql: String) throws(DatabaseError) {
        // SQLite copies the bytes (SQLITE_TRANSIENT, which is -1 as a destructor).
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let code =
            switch value {
            case .null: sqlite3_bind_null(statement, index)
            case .int(let value): sqlite3_bind_int64(statement, index, value)
            case .real(let value): sqlite3_bind_double(statement, index, value)
            case .text(let value): sqlite3_bind_text(statement, index, value, Int32(value.utf8.count), transient)
            case .blob(let value):
                value.isEmpty
                    ? sqlite3_bind_zeroblob(statement, index, 0)
                    : value.withUnsafeBytes { sqlite3_bind_blob64(statement, index, $0.baseAddress, UInt64($0.count), transient) }
            }
        if code != SQLITE_OK { throw failure(sql) }
    }

    private static func value(_ statement: OpaquePointer, _ column: Int32) -> SQLValue {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .int(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
        case SQLITE_TEXT:
            guard let text = sqlite3_column_text(statement, column) else { return .text("") }
            let count = Int(sqlite3_column_bytes(statement, column))
            return .text(String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            guard let bytes = sqlite3_column_blob(statement, column) else { return .blob([]) }
            return .blob(Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, column)))))
        default: return .null
        }
    }

    private func failure(_ sql: String) -> DatabaseError {
        DatabaseError(sqlite3_extended_errcode(handle), "\(String(cString: sqlite3_errmsg(handle))) in: \(sql)")
    }
}
