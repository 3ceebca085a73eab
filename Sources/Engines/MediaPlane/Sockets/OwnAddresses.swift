import Glibc

/// Where this node's media workers are reached themselves: media is never sent there.
struct OwnAddresses: Sendable {
    private let ports: Set<UInt16>
    /// Where they are bound, and what devices are told; each with port 0.
    private let hosts: Set<SocketAddress>
    /// Bound to any address of this machine.
    private let isEverywhere: Bool
    private static let loopback = SocketAddress.Network("127.0.0.0/8")

    /// - Parameters:
    ///   - announced: where devices are told to send, by worker.
    ///   - bound: where the sockets are bound, of any port.
    init(_ announced: [SocketAddress], bound: SocketAddress) {
        ports = Set(announced.map(\.port))
        isEverywhere = bound.isUnspecified
        hosts = Set((announced + (isEverywhere ? Self.ofThisMachine() : [bound])).map { $0.withNumber(0) })
    }

    func contains(_ address: SocketAddress) -> Bool {
        ports.contains(address.port)
            && (hosts.contains(address.withNumber(0)) || isEverywhere && Self.loopback.map { address.isIn($0) } ?? false)
    }

    /// The addresses of its interfaces (getifaddrs(3)).
    private static func ofThisMachine() -> [SocketAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        return sequence(first: list) { $0?.pointee.ifa_next }.prefix { $0 != nil }.compactMap { entry in
            entry?.pointee.ifa_addr.flatMap { SocketAddress(UnsafeRawPointer($0)) }
        }
    }
}
