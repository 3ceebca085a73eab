import CWebSockets
import Glibc

/// One request on its way to an answer; service thread only.
final class HTTPExchange {
    let id: UInt64
    let wsi: OpaquePointer
    var request: HTTPRequest
    /// Whether the handler has been called, or an answer was found without one.
    var isDispatched = false
    /// Whether the connection must be closed after the answer: the request's end is not known, or was not read.
    var closeAfter: Bool
    private var response: HTTPResponse?
    private var head: [UInt8]?
    private var sentOfBody = 0

    /// How much goes out at once: about what a socket's buffer takes.
    private static let chunkBytes = 64 * 1024

    enum Progress {
        case more
        case done
        case broken
    }

    init(id: UInt64, wsi: OpaquePointer, request: HTTPRequest, closeAfter: Bool) {
        self.id = id
        self.wsi = wsi
        self.request = request
        self.closeAfter = closeAfter
    }

    /// Sets the answer; only the first one counts.
    func answer(_ response: HTTPResponse, extraHeaders: [(name: String, value: String)]) -> Bool {
        guard self.response == nil else { return false }
        head = response.head(close: closeAfter, extra: extraHeaders)
        var answer = response
        if request.method == "HEAD" { answer.body = .none }
        self.response = answer
        return true
    }

    var isAnswered: Bool { response != nil }

    /// Sends the next part of the answer.
    func sendMore(_ loop: ServiceLoop) -> Progress {
        guard let response else { return .more }
        let head = self.head ?? []
        let part = min(response.body.length - sentOfBody, Self.chunkBytes)
        let offset = sentOfBody
        let done = offset + part == response.body.length
        let sent = loop.write(wsi, capacity: head.count + part, done ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) { buffer in
            buffer.copyBytes(from: head)
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[head.count..<head.count + part])
            switch response.body {
            case .none: return head.count
            case .bytes(let bytes): room.copyBytes(from: bytes[offset..<offset + part])
            case .file(let slice):
                // A file that has become shorter ends the connection: the length was promised.
                guard pread(slice.descriptor, room.baseAddress, part, off_t(slice.offset + offset)) == part else { return -1 }
            }
            return head.count + part
        }
        guard sent else { return .broken }
        self.head = nil
        sentOfBody += part
        return done ? .done : .more
    }
}
