import Dispatch
import Glibc

/// A TCP connection that speaks HTTP by hand, so that what is tested is the wire.
final class RawClient: Sendable {
    struct Answer {
        var status = 0
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var text: String { String(decoding: body, as: UTF8.self) }
        /// Whether the body is this. Not `==` in an expectation, which looks for the least difference of two long bodies, for minutes.
        func holds(_ bytes: [UInt8]) -> Bool { body == bytes }
    }

    private let descriptor: Int32

    init(port: Int) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Sends a request and reads its answer, away from the cooperative pool.
    func request(_ head: String, body: [UInt8] = []) async -> Answer {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: self.exchange(head, body)) }
        }
    }

    /// Whether the server has closed the connection.
    func isClosed() async -> Bool {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var byte: UInt8 = 0
                continuation.resume(returning: recv(self.descriptor, &byte, 1, 0) == 0)
            }
        }
    }

    private func exchange(_ head: String, _ body: [UInt8]) -> Answer {
        let bytes = Array((head.replacing("\n", with: "\r\n") + "\r\n\r\n").utf8) + body
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { break }
            sent += count
        }
        var received: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        var answer = Answer()
        var bodyStart = 0
        while bodyStart == 0 {
            guard let part = read() else { return answer }
            received += part
            if let range = received.firstRange(of: end) { bodyStart = range.upperBound }
        }
        let lines = String(decoding: received[..<(bodyStart - 4)], as: UTF8.self).split(separator: "\r\n")
        answer.status = Int(lines[0].split(separator: " ")[1]) ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            answer.headers[parts[0].lowercased()] = parts[1].trimmingPrefix(" ").description
        }
        answer.body = Array(received[bodyStart...])
        guard !head.hasPrefix("HEAD"), let length = answer.headers["content-length"].flatMap({ Int($0) }) else { return answer }
        while answer.body.count < length, let part = read() { answer.body += part }
        return answer
    }

    private func read() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer[0..<count]) : nil
    }
}
