import CLinux
import Glibc
import RTP
import Reactor
import STUN

/// A media worker's TCP port, at the number of its UDP port, for peers whose networks let no UDP through: ICE's passive TCP candidate (RFC
/// 6544). Each connection is known by the address of its other end. Used by its worker's thread only.
///
/// A connection is a stranger's until an authentic check has come over it. Strangers are few, the oldest goes first, they have some seconds,
/// and may say nothing but STUN.
final class StreamPort {
    /// Bounds, and how long is waited.
    struct Limits {
        /// Connections without an authentic check.
        var strangers = 64
        /// Connections in all.
        var connections = 1_024
        /// Of one peer: it tries several ways, and keeps one.
        var perPeer = 4
        /// How long a stranger may stay, ns.
        var strangerNs: Int64 = 10_000_000_000
        /// How long after its last check a peer's connection is kept: as consent (RFC 7675 §5.1), ns.
        var idleNs: Int64 = 30_000_000_000
    }

    private let limits: Limits
    private let listener: Int32
    private let poller = Poller()
    private let onDrop: () -> Void
    private var connections: [SocketAddress: StreamConnection] = [:]
    private var tokens: [UInt32: StreamConnection] = [:]
    private var nextToken: UInt32 = 1
    private var closed: [SocketAddress] = []
    /// No connection ends by itself before; nil: there are none.
    private(set) var deadline: Int64?
    /// Out of descriptors: nobody is let in until then.
    private var pausedUntil: Int64?
    private static let listenerToken: UInt32 = 0
    private static let acceptsAtOnce = 16

    /// Listens.
    /// - Parameter onDrop: called for each frame that is dropped since its peer is too slow.
    /// - Throws: `SocketError` that names the address and the kernel's reason.
    init(_ address: SocketAddress, limits: Limits = Limits(), onDrop: @escaping () -> Void) throws(SocketError) {
        let bound = try BoundSocket(address, SOCK_STREAM)
        guard listen(bound.descriptor, 128) == 0 else {
            let reason = String(cString: strerror(errno))
            Glibc.close(bound.descriptor)
            throw SocketError("TCP \(address): \(reason)")
        }
        (self.limits, self.onDrop, listener, port) = (limits, onDrop, bound.descriptor, bound.port)
        poller.watch(listener, token: StreamPort.listenerToken)
    }

    deinit { Glibc.close(listener) }

    /// The port's number.
    let port: UInt16
    /// Readable when there is something to do.
    var descriptor: Int32 { poller.descriptor }
    /// How many connections there are, and how many of them are strangers'.
    var count: (all: Int, strangers: Int) { (connections.count, connections.values.count { !$0.isProved }) }

    func connection(_ address: SocketAddress) -> StreamConnection? { connections[address] }

    /// Does what can be done now: lets connections in, writes what waited, gives out what came.
    /// - Parameter body: gets each datagram, and who sent it.
    func work(at now: Int64, _ body: (SocketAddress, UnsafeMutableRawBufferPointer) -> Void) {
        poller.wait(until: now, now: now) { token in
            if token == StreamPort.listenerToken {
                accept(at: now)
            } else if let connection = tokens[token] {
                serve(connection, body)
            }
        }
    }

    private func serve(_ connection: StreamConnection, _ body: (SocketAddress, UnsafeMutableRawBufferPointer) -> Void) {
        if connection.hasBacklog {
            connection.flush()
            if !connection.hasBacklog { poller.change(connection.descriptor, token: connection.token, output: false) }
        }
        let address = connection.address
        let goesOn = connection.receive { datagram in
            // Who has proved nothing may only try to.
            guard connection.isProved || STUNMessage.isSTUN(UnsafeRawBufferPointer(datagram).bindMemory(to: UInt8.self).span) else {
                return false
            }
            body(address, datagram)
            // What came may have ended it.
            return connections[address] === connection
        }
        if !goesOn { end(connection) }
    }

    // MARK: Out

    /// Sends a datagram that is no media, or drops it where there is no such connection.
    func send(_ datagram: [UInt8], to address: SocketAddress) {
        guard let connection = connections[address], datagram.count <= UDPSocket.datagramSize else { return }
        let header = StreamFrame.header(datagram.count)
        ([header.0, header.1] + datagram).withUnsafeBytes { send($0, on: connection) }
    }

    /// Sends a frame, with its length before it.
    func send(_ frame: UnsafeRawBufferPointer, on connection: StreamConnection) {
        let hadBacklog = connection.hasBacklog
        if connection.send(frame) { onDrop() }
        if connection.hasBacklog, !hadBacklog { poller.change(connection.descriptor, token: connection.token, output: true) }
    }

    // MARK: Who may stay

    /// An authentic check came over a connection: it is that peer's.
    func prove(_ address: SocketAddress, by owner: ObjectIdentifier, at now: Int64) {
        guard let connection = connections[address] else { return }
        (connection.provedAt, connection.owner) = (now, owner)
        let own = connections.values.filter { $0.owner == owner }
        // The one that it uses is checked all the time.
        if own.count > limits.perPeer, let idle = own.min(by: { ($0.provedAt ?? 0) < ($1.provedAt ?? 0) }) { end(idle) }
    }

    /// A peer is gone, and its connections with it.
    func close(of owner: ObjectIdentifier) { for connection in connections.values where connection.owner == owner { end(connection) } }

    /// Ends what has been silent for too long.
    func tick(at now: Int64) {
        if let pausedUntil, pausedUntil <= now {
            self.pausedUntil = nil
            poller.watch(listener, token: StreamPort.listenerToken)
        }
        guard let deadline, deadline <= now else { return }
        for connection in connections.values where endsAt(connection) <= now { end(connection) }
        self.deadline = (connections.values.map(endsAt) + [pausedUntil].compactMap { $0 }).min()
    }

    /// The other ends of connections that are gone; each is told once.
    func takeClosed() -> [SocketAddress] {
        guard !closed.isEmpty else { return [] }
        defer { closed = [] }
        return closed
    }

    private func endsAt(_ connection: StreamConnection) -> Int64 {
        connection.provedAt.map { $0 + limits.idleNs } ?? connection.acceptedAt + limits.strangerNs
    }

    private func end(_ connection: StreamConnection) {
        guard connections[connection.address] === connection else { return }
        poller.forget(connection.descriptor)
        connections[connection.address] = nil
        tokens[connection.token] = nil
        closed.append(connection.address)
    }

    private func accept(at now: Int64) {
        for _ in 0..<StreamPort.acceptsAtOnce {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { clinux_accept(listener, $0, &length) }
            }
            guard descriptor >= 0 else {
                if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM { pause(at: now) }
                return
            }
            guard let address = withUnsafePointer(to: &storage, { SocketAddress(UnsafeRawPointer($0)) })?.overTCP else {
                Glibc.close(descriptor)
                continue
            }
            admit(StreamConnection(descriptor, address, token: freeToken(), at: now))
        }
    }

    private func admit(_ connection: StreamConnection) {
        // From the same port: the one before has ended, which was only not seen yet.
        if let before = connections[connection.address] { end(before) }
        let strangers = connections.values.filter { !$0.isProved }
        if strangers.count >= limits.strangers || connections.count >= limits.connections {
            // Where all are peers', the newcomer goes: its descriptor is closed with it.
            guard let victim = StreamPort.victim(of: strangers, for: connection) else { return }
            end(victim)
        }
        connections[connection.address] = connection
        tokens[connection.token] = connection
        poller.watch(connection.descriptor, token: connection.token)
        deadline = min(deadline ?? endsAt(connection), endsAt(connection))
    }

    /// The oldest of those who come from where most do, the newcomer counted: a flood from one place puts nobody else out.
    private static func victim(of strangers: [StreamConnection], for newcomer: StreamConnection) -> StreamConnection? {
        let places = Dictionary(grouping: strangers) { $0.address.withNumber(0) }
        let own = newcomer.address.withNumber(0)
        let most = places.max { (left, right) in
            let (fewer, more) = (left.value.count + (left.key == own ? 1 : 0), right.value.count + (right.key == own ? 1 : 0))
            return fewer < more
        }
        return most?.value.min { $0.acceptedAt < $1.acceptedAt }
    }

    private func freeToken() -> UInt32 {
        while nextToken == StreamPort.listenerToken || tokens[nextToken] != nil { nextToken &+= 1 }
        defer { nextToken &+= 1 }
        return nextToken
    }

    /// Who waits to be let in would wake us for nothing.
    private func pause(at now: Int64) {
        poller.forget(listener)
        let end = now + 1_000_000_000
        pausedUntil = end
        deadline = min(deadline ?? end, end)
    }
}
