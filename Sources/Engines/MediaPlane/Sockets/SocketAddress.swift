import CLinux
import Glibc
import PeerSession

/// An IPv4 or IPv6 address and port, over UDP or on a TCP connection: what a participant is found by.
public struct SocketAddress: PeerAddress, CustomStringConvertible {
    // IPv4 as ::ffff:a.b.c.d, so that one key serves both families.
    private let high: UInt64
    private let low: UInt64
    /// The port.
    public let port: UInt16
    /// The other end of a TCP connection.
    let isTCP: Bool
    private static let mapped: UInt64 = 0xFFFF_0000_0000

    /// Reads an address in dotted or colon form.
    /// - Returns: nil for anything else; names are not looked up.
    public init?(ip: String, port: UInt16) {
        var four = in_addr()
        if inet_pton(AF_INET, ip, &four) == 1 {
            self.init(high: 0, low: SocketAddress.mapped | UInt64(UInt32(bigEndian: four.s_addr)), port: port)
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, ip, &six) == 1 else { return nil }
        let halves = withUnsafeBytes(of: &six) { ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) }
        self.init(high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1), port: port)
    }

    private init(high: UInt64, low: UInt64, port: UInt16, isTCP: Bool = false) {
        (self.high, self.low, self.port, self.isTCP) = (high, low, port, isTCP)
    }

    /// The same on a TCP connection.
    var overTCP: SocketAddress { SocketAddress(high: high, low: low, port: port, isTCP: true) }

    /// The carrier, which all but a few share, costs nothing here.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(high)
        hasher.combine(low)
        hasher.combine(port)
    }

    /// The same address with the port `index` behind this one; with port 0 as it is.
    func withPort(behind index: Int) -> SocketAddress {
        SocketAddress(high: high, low: low, port: port == 0 ? 0 : port &+ UInt16(truncatingIfNeeded: index))
    }

    /// The same address with another port.
    func withNumber(_ port: UInt16) -> SocketAddress { SocketAddress(high: high, low: low, port: port) }

    /// Reads what recvmmsg(2) wrote.
    init?(_ raw: UnsafeRawPointer) {
        switch Int32(raw.load(as: sockaddr.self).sa_family) {
        case AF_INET:
            let address = raw.load(as: sockaddr_in.self)
            self.init(
                high: 0, low: SocketAddress.mapped | UInt64(UInt32(bigEndian: address.sin_addr.s_addr)),
                port: UInt16(bigEndian: address.sin_port))
        case AF_INET6:
            let port = UInt16(bigEndian: raw.load(as: sockaddr_in6.self).sin6_port)
            // sin6_addr stands at byte 8 (netinet/in.h).
            let high = raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            let low = raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
            self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: port)
        default: return nil
        }
    }

    /// Whether it is an IPv4 address.
    public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// Writes it for sendmmsg(2), for a socket of the given family.
    /// - Returns: the bytes written: 16 or 28.
    func write(to raw: UnsafeMutableRawPointer, family: Int32) -> socklen_t {
        if family == AF_INET {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
            raw.storeBytes(of: address, as: sockaddr_in.self)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        raw.storeBytes(of: address, as: sockaddr_in6.self)
        raw.storeBytes(of: high.bigEndian, toByteOffset: 8, as: UInt64.self)
        raw.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt64.self)
        return socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    /// The address's bytes in network order: 4 or 16.
    public var bytes: [UInt8] {
        let all = [high, low].flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) } }
        return isIPv4 ? Array(all.suffix(4)) : all
    }

    /// The address without its port.
    public var ip: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let raw = bytes
        inet_ntop(isIPv4 ? AF_INET : AF_INET6, raw, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// As people write it.
    public var description: String { (isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)") + (isTCP ? "/tcp" : "") }

    /// Whether it is 0.0.0.0 or ::, which stand for all of this machine's.
    public var isUnspecified: Bool { high == 0 && (low == 0 || low == SocketAddress.mapped) }

    /// Whether media may never be sent there: unspecified, multicast or broadcast.
    var isUnusable: Bool {
        guard port != 0, !isUnspecified else { return true }
        guard isIPv4 else { return high >> 56 == 0xFF }
        let four = UInt32(truncatingIfNeeded: low)
        return four >> 28 == 14 || four == 0xFFFF_FFFF
    }

    /// Whether it lies in a network.
    func isIn(_ network: Network) -> Bool {
        let (ours, theirs) = ([high, low], [network.base.high, network.base.low])
        for (index, bits) in [min(64, network.bits), max(0, network.bits - 64)].enumerated() where bits > 0 {
            let mask: UInt64 = bits == 64 ? .max : ~(.max >> UInt64(bits))
            if ours[index] & mask != theirs[index] & mask { return false }
        }
        return true
    }

    /// An address range in CIDR form: `127.0.0.0/8`, `::1/128`.
    public struct Network: Sendable, Equatable {
        let base: SocketAddress
        let bits: Int
        /// - Returns: nil for anything but an address and a prefix length in its range.
        public init?(_ text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard let ip = parts.first, let base = SocketAddress(ip: String(ip), port: 0), parts.count <= 2 else { return nil }
            let width = base.isIPv4 ? 32 : 128
            guard let bits = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(bits) else { return nil }
            self.base = base
            self.bits = bits + 128 - width
        }
    }
}
