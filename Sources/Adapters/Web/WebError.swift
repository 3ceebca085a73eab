/// Why a server could not be started, or a connection not be made.
public struct WebError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public struct Code: Sendable, Hashable {
        private let name: String
        /// The address can't be listened on.
        public static let listen = Code(name: "listen")
        /// A connection could not be made.
        public static let connect = Code(name: "connect")
        /// The address is not one of `ws://host:port/path`.
        public static let address = Code(name: "address")
        /// The server or client was stopped.
        public static let stopped = Code(name: "stopped")
    }

    /// What kind of thing went wrong.
    public let code: Code
    /// What went wrong with which address.
    public let description: String
}
