/// Why a service can't start with its configuration: everything that is wrong, at once.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing is wrong.
    public struct Code: Sendable, Hashable {
        private let name: String
        /// The file is missing, can't be read or is not JSON5.
        public static let unreadable = Code(name: "unreadable")
        /// Keys are unknown, or values wrong or missing.
        public static let invalid = Code(name: "invalid")
    }

    /// What kind of thing is wrong.
    public let code: Code
    /// One line each: the key's path (or the file), what is wrong with it, and what would be right.
    public let problems: [String]

    /// All problems, a line each.
    public var description: String { problems.joined(separator: "\n") }
}
