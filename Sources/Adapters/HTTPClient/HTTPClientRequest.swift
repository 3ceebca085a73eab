/// A request to another server.
public struct HTTPClientRequest: Sendable {
    /// The method, such as `GET`.
    public var method: String
    /// The address, `http://` or `https://`.
    public var url: String
    /// Headers beside those that libcurl makes.
    public var headers: [(name: String, value: String)]
    /// The body; nil for none.
    public var body: [UInt8]?
    /// The largest answer in bytes.
    public var maxBytes: Int
    /// How long all of it may take.
    public var timeout: Duration
    /// A file descriptor that takes the body instead of memory; it stays the caller's.
    public var intoDescriptor: Int32?

    /// A request. Redirects are never followed: whoever allowed an address did not allow where it points.
    public init(
        _ method: String = "GET", _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil,
        maxBytes: Int = 16 << 20, timeout: Duration = .seconds(30), intoDescriptor: Int32? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.maxBytes = maxBytes
        self.timeout = timeout
        self.intoDescriptor = intoDescriptor
    }
}

/// The answer of another server, whatever its status.
public struct HTTPClientResponse: Sendable {
    /// The status code.
    public let status: Int
    /// The headers, their names in lower case.
    public let headers: [String: String]
    /// The body; empty where it went into a file.
    public let body: [UInt8]
    /// The length of the body, also where it went into a file.
    public let byteCount: Int
}
