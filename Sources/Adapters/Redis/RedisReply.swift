import CHiredis

/// What Redis answers.
public enum RedisReply: Sendable, Hashable {
    /// Nothing there.
    case null
    /// A status such as `OK`.
    case status(String)
    /// A number.
    case integer(Int64)
    /// A string of bytes.
    case bytes([UInt8])
    /// Several replies.
    case array([RedisReply])
    /// An error within an array (of a transaction); alone it is thrown as `RedisError`.
    case error(String)

    /// The number, where it is one.
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// The bytes of a string or a status.
    public var bytes: [UInt8]? {
        switch self {
        case .bytes(let bytes): bytes
        case .status(let text): Array(text.utf8)
        default: nil
        }
    }

    /// The text of a string or a status.
    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// The elements, where it is an array.
    public var array: [RedisReply]? { if case .array(let elements) = self { elements } else { nil } }

    init(_ reply: redisReply) {
        var bytes: [UInt8] { reply.str.map { Array(UnsafeRawBufferPointer(start: $0, count: reply.len)) } ?? [] }
        switch reply.type {
        case REDIS_REPLY_STRING: self = .bytes(bytes)
        case REDIS_REPLY_STATUS: self = .status(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_ERROR: self = .error(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            self = .array((0..<reply.elements).map { index in reply.element[index].map { RedisReply($0.pointee) } ?? .null })
        default: self = .null
        }
    }
}

/// What went wrong with Redis.
public struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds a caller can act on; more may come.
    public struct Code: Sendable, Hashable {
        private enum Kind { case down, deadline, server, overloaded, closed, badAddress }
        private let kind: Kind
        /// Redis can't be reached, or was lost before it answered; whether the command was done is not known.
        public static let down = Code(kind: .down)
        /// No answer within the deadline; whether the command was done is not known.
        public static let deadline = Code(kind: .deadline)
        /// Redis answered with an error.
        public static let server = Code(kind: .server)
        /// Too many commands wait already; this one was not sent.
        public static let overloaded = Code(kind: .overloaded)
        /// The client was closed.
        public static let closed = Code(kind: .closed)
        /// The address can't be read.
        public static let badAddress = Code(kind: .badAddress)
    }

    /// The kind.
    public let code: Code
    /// What happened, with which command where it is about one.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
