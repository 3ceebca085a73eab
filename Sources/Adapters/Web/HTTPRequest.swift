import JSON

/// One HTTP request, or the request that opens a WebSocket.
public struct HTTPRequest: Sendable {
    /// The method, such as `GET`.
    public var method: String
    /// The path, percent-decoded.
    public var path: String
    /// The parts of the query in their order, percent-decoded.
    public var query: [(name: String, value: String)]
    /// The headers, their names in lower case; what came more than once is joined.
    public var headers: [String: String]
    /// The body; empty where there was none.
    public var body: [UInt8]
    /// The address the request came from.
    public var remoteAddress: String
    /// What the names in the route's pattern stand for.
    public var parameters: [String: String] = [:]

    /// A request; a server makes them, and tests may.
    public init(
        method: String = "GET", path: String = "/", query: [(name: String, value: String)] = [], headers: [String: String] = [:],
        body: [UInt8] = [], remoteAddress: String = ""
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
    }

    /// The first value of this name in the query.
    public func query(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// What this name in the route's pattern stands for; the empty text where the pattern has no such name.
    public func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// The body as JSON.
    /// - Throws: `Problem` 400 `invalid_json`.
    public func json() throws(Problem) -> JSONValue {
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw Problem(status: 400, code: "invalid_json", detail: "\(error)")
        }
    }
}
