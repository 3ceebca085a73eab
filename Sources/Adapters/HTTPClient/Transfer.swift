import CCurl
import Glibc
import Synchronization

/// One request under way in libcurl; used on the client's thread only, but for `continuation` and `isCancelled`.
///
/// `@unchecked Sendable`: it is made on the caller's thread, handed over through the mailbox, and touched by the client's thread alone.
final class Transfer: @unchecked Sendable {
    let request: HTTPClientRequest
    /// How long a host may take to let a connection in, ms.
    private static let connectLimitMs = 2_000
    /// Its caller wants it no more.
    let isCancelled = Atomic<Bool>(false)
    private let continuation = Mutex<CheckedContinuation<HTTPClientResponse, any Error>?>(nil)
    private(set) var easy: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var headers: [String: String] = [:]
    private var body: [UInt8] = []
    private var byteCount = 0
    private var failure: HTTPClientError.Code?
    private var fileError: Int32 = 0

    init(_ request: HTTPClientRequest) { self.request = request }

    /// Who waits for it; before it is handed over.
    func expect(_ continuation: CheckedContinuation<HTTPClientResponse, any Error>) { self.continuation.withLock { $0 = continuation } }

    deinit {
        curl_slist_free_all(headerList)
        if let easy { curl_easy_cleanup(easy) }
    }

    /// Makes libcurl's handle; nil where it has no memory.
    func prepare() -> UnsafeMutableRawPointer? {
        guard let easy = curl_easy_init() else { return nil }
        self.easy = easy
        let this = Unmanaged.passUnretained(self).toOpaque()
        talkburst_curl_set_text(easy, CURLOPT_URL, request.url)
        talkburst_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        talkburst_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method)
        if request.method == "HEAD" { talkburst_curl_set_long(easy, CURLOPT_NOBODY, 1) }
        talkburst_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        // Signals belong to the process, not to a library's time limit.
        talkburst_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        let limit = request.timeout.components
        talkburst_curl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(limit.seconds * 1000 + limit.attoseconds / 1_000_000_000_000_000))
        // A host that says nothing at all is no slow host.
        talkburst_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Transfer.connectLimitMs)
        talkburst_curl_set_long(easy, CURLOPT_MAXFILESIZE, request.maxBytes)
        for (name, value) in request.headers {
            headerList = curl_slist_append(headerList, "\(name): \(value)".filter { $0 != "\r" && $0 != "\n" && $0 != "\r\n" })
        }
        // No "Expect: 100-continue": it costs a round trip, or a second where the server does not know it.
        headerList = curl_slist_append(headerList, "Expect:")
        talkburst_curl_set_pointer(easy, CURLOPT_HTTPHEADER, headerList)
        if let body = request.body {
            talkburst_curl_set_long(easy, CURLOPT_POSTFIELDSIZE, body.count)
            // libcurl makes a copy.
            body.withUnsafeBytes {
                _ = talkburst_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: $0.baseAddress))
            }
        }
        talkburst_curl_set_write(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, user in
            guard let user, let bytes else { return 0 }
            let part = UnsafeRawBufferPointer(start: bytes, count: size * count)
            return Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue().received(part) ? part.count : 0
        }
        talkburst_curl_set_pointer(easy, CURLOPT_WRITEDATA, this)
        talkburst_curl_set_write(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, user in
            guard let user, let bytes else { return 0 }
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue().header(String(decoding: line, as: UTF8.self))
            return line.count
        }
        talkburst_curl_set_pointer(easy, CURLOPT_HEADERDATA, this)
        return easy
    }

    private func header(_ line: String) {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { return }
        headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }.prefix { !$0.isNewline })
    }

    private func received(_ part: UnsafeRawBufferPointer) -> Bool {
        byteCount += part.count
        guard byteCount <= request.maxBytes else {
            failure = .tooLarge
            return false
        }
        guard let descriptor = request.intoDescriptor else {
            body += part
            return true
        }
        var offset = 0
        while offset < part.count {
            let count = write(descriptor, part.baseAddress?.advanced(by: offset), part.count - offset)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                failure = .file
                fileError = errno
                return false
            }
            offset += count
        }
        return true
    }

    /// Tells the caller how it ended.
    func finish(_ result: CURLcode) {
        if result == CURLE_OK {
            let status = Int(talkburst_curl_status(easy))
            resume(.success(HTTPClientResponse(status: status, headers: headers, body: body, byteCount: byteCount)))
            return
        }
        let code =
            failure
            ?? {
                switch result {
                case CURLE_OPERATION_TIMEDOUT: .timeout
                case CURLE_FILESIZE_EXCEEDED: .tooLarge
                case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .address
                default: .connection
                }
            }()
        let cause =
            switch code {
            case .tooLarge: "the answer is larger than \(request.maxBytes) bytes"
            case .file: "the file can't be written: \(String(cString: strerror(fileError)))"
            default: String(cString: curl_easy_strerror(result))
            }
        fail(code, cause)
    }

    /// Ends it with an error.
    func fail(_ code: HTTPClientError.Code, _ cause: String) {
        resume(.failure(HTTPClientError(code: code, description: "\(request.method) \(shown(request.url)): \(cause)")))
    }

    private func resume(_ result: Result<HTTPClientResponse, any Error>) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(with: result)
    }

    /// An address without what only its owner should know.
    private func shown(_ url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" }
        guard let at = authority.lastIndex(of: "@") else { return url }
        return String(url[..<scheme.upperBound]) + String(url[url.index(after: at)...])
    }
}
