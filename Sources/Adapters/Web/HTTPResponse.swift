import JSON

/// The answer to an HTTP request.
public struct HTTPResponse: Sendable {
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(FileSlice)

        var length: Int {
            switch self {
            case .none: 0
            case .bytes(let bytes): bytes.count
            case .file(let slice): slice.length
            }
        }
    }

    /// The status code.
    public var status: Int
    /// The headers but `Content-Length`, `Date` and `Connection`, which the server writes.
    public var headers: [(name: String, value: String)]
    var body: Body

    init(status: Int, headers: [(name: String, value: String)], body: Body) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// An answer without a body.
    public static func empty(status: Int = 204) -> HTTPResponse { HTTPResponse(status: status, headers: [], body: .none) }

    /// An answer with these bytes.
    public static func bytes(_ bytes: [UInt8], type: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", type)], body: .bytes(bytes))
    }

    /// An answer in plain UTF-8 text.
    public static func text(_ text: String, type: String = "text/plain; charset=utf-8", status: Int = 200) -> HTTPResponse {
        .bytes(Array(text.utf8), type: type, status: status)
    }

    /// An answer in JSON.
    public static func json(_ value: JSONValue, status: Int = 200) -> HTTPResponse {
        .bytes(value.encoded(), type: "application/json", status: status)
    }

    /// The same answer with one more header.
    public func with(_ name: String, _ value: String) -> HTTPResponse {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }

    /// The body where it is in memory; empty for a file. For tests of handlers without a server.
    public var bytes: [UInt8] {
        if case .bytes(let bytes) = body { return bytes }
        return []
    }

    /// The head as it goes on the wire.
    func head(close: Bool, extra: [(name: String, value: String)]) -> [UInt8] {
        var out = Array("HTTP/1.1 \(status) \(Self.reason(status))\r\n".utf8)
        for (name, value) in headers + extra {
            // A line feed in a value would begin another header.
            out += "\(name): ".utf8
            out += value.utf8.filter { $0 >= 0x20 && $0 != 0x7f }
            out += "\r\n".utf8
        }
        if status != 204 && status != 304 { out += "Content-Length: \(body.length)\r\n".utf8 }
        out += close ? "Connection: close\r\n\r\n".utf8 : "\r\n".utf8
        return out
    }

    /// The reason phrase of RFC 9110.
    static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 416: "Range Not Satisfiable"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: status < 400 ? "OK" : "Error"
        }
    }
}
