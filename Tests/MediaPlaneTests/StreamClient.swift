import CLinux
import Glibc
import RTP
import STUN

@testable import MediaPlane

/// A peer's end of a TCP connection to a port of ours, and the port's turn of the loop. Waiting is for an event, by poll(2).
final class StreamClient {
    private var descriptor: Int32
    /// As the port sees it.
    let address: SocketAddress

    /// Connects.
    /// - Parameters:
    ///   - ip: where from, on loopback.
    ///   - receiveBuffer: SO_RCVBUF, for who is slow; 0: as the kernel has it.
    init(_ port: StreamPort, from ip: String = "127.0.0.1", receiveBuffer: Int32 = 0) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if receiveBuffer > 0 {
            var size = receiveBuffer
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        guard let target = SocketAddress(ip: "127.0.0.1", port: port.port) else { throw SocketError("no address") }
        var storage = sockaddr_storage()
        let length = withUnsafeMutableBytes(of: &storage) { raw in raw.baseAddress.map { target.write(to: $0, family: AF_INET) } ?? 0 }
        let fd = descriptor
        var source = sockaddr_storage()
        if let address = SocketAddress(ip: ip, port: 0) {
            withUnsafeMutableBytes(of: &source) { raw in
                guard let base = raw.baseAddress else { return }
                _ = bind(fd, base.assumingMemoryBound(to: sockaddr.self), address.write(to: base, family: AF_INET))
            }
        }
        let code = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, length) }
        }
        guard code == 0 else { throw SocketError("connect: \(String(cString: strerror(errno)))") }
        var own = sockaddr_storage()
        var ownLength = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &own) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &ownLength) }
        }
        guard let address = withUnsafePointer(to: &own, { SocketAddress(UnsafeRawPointer($0)) }) else { throw SocketError("no name") }
        self.address = address.overTCP
    }

    deinit { hangUp() }

    func hangUp() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    func write(_ bytes: [UInt8]) { _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Waits for bytes; empty: the other end has closed.
    func read() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return Array(bytes.prefix(max(0, count)))
    }

    /// Reads what is there and what comes while the other end still sends; nothing for a while is the end of it.
    func drain() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&waiting, 1, 100) == 1, recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT)) > 0 {}
    }

    static func framed(_ datagram: [UInt8]) -> [UInt8] {
        let header = StreamFrame.header(datagram.count)
        return [header.0, header.1] + datagram
    }

    /// A check, as far as who can't look into it sees.
    static let check = STUNMessage.request(transaction: Array(0..<12), username: "a:b", password: "c") { _, _ in
        [UInt8](repeating: 0, count: 20)
    }
}

extension StreamPort {
    /// One turn, once there is something to do.
    /// - Returns: what came.
    func turn(at now: Int64 = 0) -> [[UInt8]] {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, 10_000) == 1 else { return [] }
        var datagrams: [[UInt8]] = []
        work(at: now) { _, datagram in datagrams.append(Array(datagram)) }
        return datagrams
    }

    /// Lets a client in.
    func admit(_ client: StreamClient, at now: Int64 = 0) { while connection(client.address) == nil { _ = turn(at: now) } }
}
