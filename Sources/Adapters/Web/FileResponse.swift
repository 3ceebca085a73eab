import Glibc

/// A part of an open file, read as the answer goes out; it closes the file when it goes.
final class FileSlice: Sendable {
    let descriptor: Int32
    let offset: Int
    let length: Int

    init(descriptor: Int32, offset: Int, length: Int) {
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
    }

    deinit { close(descriptor) }
}

extension HTTPResponse {
    /// A file or the range of it that the request asks for, sent in parts, never held in memory as a whole.
    /// - Parameters:
    ///   - type: the content type; by default told by the name.
    ///   - etag: without quotation marks; by default made of size and time of change.
    /// - Throws: `Problem` 404 where there is no such regular file.
    public static func file(_ path: String, for request: HTTPRequest, type: String? = nil, etag: String? = nil) throws(Problem)
        -> HTTPResponse
    {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .notFound("there is no file \(request.path)") }
        return try file(descriptor: descriptor, for: request, type: type ?? contentType(ofName: path), etag: etag)
    }

    /// The same for a file that is open already; the answer closes it.
    public static func file(
        descriptor: Int32, for request: HTTPRequest, type: String, etag: String? = nil
    ) throws(Problem) -> HTTPResponse {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .notFound("there is no file \(request.path)")
        }
        let size = Int(facts.st_size)
        let tag =
            "\"\(etag ?? "\(String(facts.st_mtim.tv_sec, radix: 16))\(String(facts.st_mtim.tv_nsec, radix: 16))-\(String(size, radix: 16))")\""
        let modified = httpDate(facts.st_mtim.tv_sec)
        var headers: [(name: String, value: String)] = [("ETag", tag), ("Last-Modified", modified), ("Accept-Ranges", "bytes")]

        if let known = request.headers["if-none-match"], matches(known, tag) {
            close(descriptor)
            return HTTPResponse(status: 304, headers: headers, body: .none)
        }
        headers.append(("Content-Type", type))
        // If-Range: a range of the file the caller knows, else all of the present one.
        let unchanged = request.headers["if-range"].map { $0 == tag || $0 == modified } ?? true
        switch ByteRange(header: unchanged ? request.headers["range"] : nil, length: size) {
        case .whole:
            return HTTPResponse(status: 200, headers: headers, body: .file(FileSlice(descriptor: descriptor, offset: 0, length: size)))
        case .part(let range):
            headers.append(("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"))
            let slice = FileSlice(descriptor: descriptor, offset: range.lowerBound, length: range.count)
            return HTTPResponse(status: 206, headers: headers, body: .file(slice))
        case .unsatisfiable:
            close(descriptor)
            let problem = Problem(status: 416, code: "range_not_satisfiable", detail: "the file has \(size) bytes")
            return problem.response.with("Content-Range", "bytes */\(size)")
        }
    }

    /// A file below `folder`, or its `index.html`; `path` is relative and may not lead out of the folder.
    /// - Throws: `Problem` 404.
    public static func file(in folder: String, path: String, for request: HTTPRequest) throws(Problem) -> HTTPResponse {
        let parts = path.split(separator: "/")
        // Names that begin with a dot are nobody's business: this keeps out `..` and hidden files alike.
        guard parts.allSatisfy({ !$0.hasPrefix(".") && !$0.utf8.contains(0) }) else {
            throw .notFound("there is no file \(request.path)")
        }
        let name = parts.isEmpty || path.hasSuffix("/") ? parts + ["index.html"] : parts
        return try file(folder + "/" + name.joined(separator: "/"), for: request)
    }

    private static func matches(_ header: String, _ tag: String) -> Bool {
        header.split(separator: ",").contains { part in
            let known = part.drop { $0 == " " }
            return known == "*" || known == tag || known == "W/" + tag
        }
    }
}

/// The content type that a file's name tells.
func contentType(ofName name: String) -> String {
    let suffix = name.split(separator: ".").last.map { $0.lowercased() } ?? ""
    return switch suffix {
    case "html": "text/html; charset=utf-8"
    case "css": "text/css; charset=utf-8"
    case "js", "mjs": "text/javascript; charset=utf-8"
    case "json", "map": "application/json"
    case "yaml": "application/yaml"
    case "svg": "image/svg+xml"
    case "png": "image/png"
    case "ico": "image/x-icon"
    case "woff2": "font/woff2"
    case "mp3": "audio/mpeg"
    case "wav": "audio/wav"
    case "wasm": "application/wasm"
    case "txt", "md": "text/plain; charset=utf-8"
    default: "application/octet-stream"
    }
}

/// A time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
func httpDate(_ seconds: Int) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900) "
        + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
}
