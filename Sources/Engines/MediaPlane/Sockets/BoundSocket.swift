import CLinux
import Glibc

/// A socket that can't be had.
public struct SocketError: Error, Sendable, CustomStringConvertible {
    /// The address, the kernel's reason, and the next step.
    public let description: String
    /// The port is another's.
    let isInUse: Bool
    init(_ description: String, isInUse: Bool = false) { (self.description, self.isInUse) = (description, isInUse) }
}

/// A nonblocking socket on an address, closed by who takes it over.
struct BoundSocket {
    let descriptor: Int32
    let family: Int32
    /// As bound, where any was asked for.
    let port: UInt16

    /// Binds.
    /// - Throws: `SocketError` that names the address and the kernel's reason.
    init(_ address: SocketAddress, _ type: __socket_type) throws(SocketError) {
        let name = "\(type == SOCK_DGRAM ? "UDP" : "TCP") \(address)"
        family = address.isIPv4 ? AF_INET : AF_INET6
        let fd = socket(family, Int32(type.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw SocketError("\(name): \(String(cString: strerror(errno)))") }
        if type == SOCK_STREAM {
            // Connections of a service that ended keep nobody from starting it again.
            var on: Int32 = 1
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        }
        var storage = sockaddr_storage()
        let family = self.family
        let length = withUnsafeMutableBytes(of: &storage) { raw -> socklen_t in
            raw.baseAddress.map { address.write(to: $0, family: family) } ?? 0
        }
        let code = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) }
        }
        guard code == 0 else {
            let number = errno
            close(fd)
            throw SocketError("\(name): \(String(cString: strerror(number)))", isInUse: number == EADDRINUSE)
        }
        var boundLength = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &storage) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &boundLength) }
        }
        port = withUnsafePointer(to: &storage) { SocketAddress(UnsafeRawPointer($0)) }?.port ?? address.port
        descriptor = fd
    }
}
