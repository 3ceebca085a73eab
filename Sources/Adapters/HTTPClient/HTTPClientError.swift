/// Why a request brought no answer.
public struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public struct Code: Sendable, Hashable {
        private let name: String
        /// The address is none that can be asked.
        public static let address = Code(name: "address")
        /// No connection, or it broke.
        public static let connection = Code(name: "connection")
        /// The time was over.
        public static let timeout = Code(name: "timeout")
        /// The answer is larger than allowed.
        public static let tooLarge = Code(name: "too_large")
        /// The client was stopped.
        public static let stopped = Code(name: "stopped")
        /// The file could not be written.
        public static let file = Code(name: "file")
    }

    /// What kind of thing went wrong.
    public let code: Code
    /// The address asked, its password left out, and the cause.
    public let description: String
}
