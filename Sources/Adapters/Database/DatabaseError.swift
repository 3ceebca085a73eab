import CSQLite

/// What the database refused.
public struct DatabaseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// SQLite's (extended) result code; SQLite may know more than are named here.
    public struct ResultCode: RawRepresentable, Sendable, Hashable {
        /// The number, as <https://sqlite.org/rescode.html> lists it.
        public let rawValue: Int32
        /// A code of this number.
        public init(rawValue: Int32) { self.rawValue = rawValue }
        /// The code without its extension.
        public var primary: ResultCode { ResultCode(rawValue: rawValue & 0xff) }
        /// A constraint would be violated.
        public static let constraint = ResultCode(rawValue: SQLITE_CONSTRAINT)
        /// Somebody else holds the file.
        public static let busy = ResultCode(rawValue: SQLITE_BUSY)
        /// The file can't be opened.
        public static let cantOpen = ResultCode(rawValue: SQLITE_CANTOPEN)
        /// The disk is full.
        public static let full = ResultCode(rawValue: SQLITE_FULL)
        /// The database was closed, or is used wrongly.
        public static let misuse = ResultCode(rawValue: SQLITE_MISUSE)
        /// Anything that has no code of its own, such as a migration that was changed.
        public static let error = ResultCode(rawValue: SQLITE_ERROR)
    }

    /// The result code.
    public let code: ResultCode
    /// What happened, with the file or the statement.
    public let description: String

    init(_ code: Int32, _ description: String) {
        self.code = ResultCode(rawValue: code)
        self.description = description
    }
}
