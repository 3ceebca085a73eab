import CLinux
import Glibc
import RTP
import Reactor

/// A radio's UDP socket on loopback, or wherever the media service is.
///
/// `@unchecked`: the descriptor never changes; sendto(2) and recv(2) may be called from any thread.
final class RTPSocket: @unchecked Sendable {
    private let descriptor: Int32
    /// The local port.
    let port: UInt16
    private var remote = sockaddr_in()

    /// Binds a port that the kernel chooses.
    /// - Throws: `ToolError` where there is none.
    init() throws(ToolError) {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = descriptor
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(fd, pointer, length) == 0 ? getsockname(fd, pointer, &length) : -1
            }
        }
        guard fd >= 0, code == 0 else { throw ToolError("no UDP port: \(String(cString: strerror(errno)))") }
        port = UInt16(bigEndian: address.sin_port)
        // A receiver that is to stop looks up once in a while.
        var timeout = timeval(tv_sec: 0, tv_usec: 200_000)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Says where to send; to be called once, before the first `send`.
    func connect(ip: String, port: UInt16) {
        remote.sin_family = sa_family_t(AF_INET)
        remote.sin_addr.s_addr = inet_addr(ip)
        remote.sin_port = port.bigEndian
    }

    /// Sends a datagram.
    func send(_ bytes: [UInt8]) {
        withUnsafePointer(to: &remote) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Waits up to 200 ms for a datagram; nil: none came.
    func receive(into buffer: inout [UInt8]) -> Int? {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? count : nil
    }
}
