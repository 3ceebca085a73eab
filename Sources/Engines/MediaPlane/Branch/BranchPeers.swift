import Crypto
import DTLS
import PeerSession
import Reactor
import STUN
import SecureRTP
import Talk

// How a transport's address is found and proved: a plain device latches, a WebRTC peer has a session of its own that decides.
extension MediaWorker {
    /// A STUN message; who sent it is told by its USERNAME and proved by its password.
    func check(_ bytes: Span<UInt8>, from source: SocketAddress) {
        guard let message = STUNMessage(bytes), message.kind == .bindingRequest, let username = message.username else {
            counters.garbage.increment()
            return
        }
        let name = username.split(separator: ":", maxSplits: 1).first.map(String.init) ?? username
        guard let transport = latches[name] ?? afterMail({ self.latches[name] })
        else {
            counters.garbage.increment()
            return
        }
        guard let peer = transport.peer else {
            latch(message, transport, from: source)
            return
        }
        let events = peer.receive(message, from: source, at: Clocks.monotonicNs())
        if !events.contains(.proved(source)) { counters.garbage.increment() }
        perform(events, of: transport)
    }

    /// A plain device's binding moves its address to where it came from.
    private func latch(_ message: STUNMessage, _ transport: Transport, from source: SocketAddress) {
        // Passive TCP is announced to WebRTC peers alone.
        guard !source.isTCP, message.isAuthentic(password: transport.terms.latch.password, hmac: { Digests.hmacSHA1(key: $0, $1) }) else {
            counters.garbage.increment()
            return
        }
        move(transport, to: source)
        send(
            STUNMessage.success(
                transaction: message.transaction, address: source.bytes, port: source.port, password: transport.terms.latch.password,
                hmac: { Digests.hmacSHA1(key: $0, $1) }), to: source)
    }

    private func move(_ transport: Transport, to source: SocketAddress) {
        guard transport.address != source else { return }
        if let old = transport.address { giveUp(old, of: transport) }
        transport.address = source
        take(source, for: transport)
        listen(transport)
    }

    // MARK: Peers

    /// A datagram of a peer that is no media yet, or an alert.
    func handshake(
        _ datagram: UnsafeRawBufferPointer, _ peer: PeerSession<SocketAddress>, _ transport: Transport, from source: SocketAddress,
        _ now: Int64
    ) {
        guard let first = datagram.first, DTLSSession.isDTLS(first) else {
            counters.garbage.increment()
            return
        }
        perform(peer.receive(datagram, from: source, at: now), of: transport)
    }

    private func perform(_ events: [PeerEvent<SocketAddress>], of transport: Transport) {
        for event in events {
            switch event {
            case .send(let datagram, let address): send(datagram, to: address)
            case .selected(let address): move(transport, to: address)
            case .keys(let keys): secure(transport, keys)
            case .over(let ending): report(.link(.isDown(ending.description)), about: transport)
            case .proved(let address):
                if address.isTCP { outlet.streams?.prove(address, by: ObjectIdentifier(transport), at: Clocks.monotonicNs()) }
            case .media: break
            }
        }
        expect(transport, Clocks.monotonicNs())
    }

    private func secure(_ transport: Transport, _ keys: DTLSKeys) {
        do {
            let pair = try Self.keys(keys)
            silence(transport)
            try transport.secure(pair)
            listen(transport)
            report(.link(.isUp), about: transport)
        } catch {
            sayGoodbye(transport)
            report(.link(.isDown("DTLS failed: \(error)")), about: transport)
        }
    }

    private static func keys(_ keys: DTLSKeys) throws -> SRTPKeys {
        guard let suite = SRTPSuite(dtlsProfile: keys.profile) else { throw SRTPKeyError.library }
        let (client, server) = try keys.exported.withUnsafeBytes { bytes throws(SRTPKeyError) in try SRTPKey.pair(suite, dtlsExport: bytes)
        }
        return keys.isClient ? SRTPKeys(remote: server, local: client) : SRTPKeys(remote: client, local: server)
    }

    /// A peer that leaves is told.
    func sayGoodbye(_ transport: Transport) {
        if let peer = transport.peer { perform(peer.close(), of: transport) }
    }

    // MARK: Time

    /// A transport that may have a peer is looked after from now on.
    func watch(_ transport: Transport) {
        guard transport.peer != nil else { return }
        peers[ObjectIdentifier(transport)] = transport
        expect(transport, Clocks.monotonicNs())
    }

    private func expect(_ transport: Transport, _ now: Int64) {
        guard let deadline = transport.peer?.deadline, deadline < now + Self.peerRoundNs else {
            soonDue[ObjectIdentifier(transport)] = nil
            return
        }
        soonDue[ObjectIdentifier(transport)] = transport
        peersDueAt = min(peersDueAt, deadline)
    }

    /// When peers need to be looked at; nil: there are none. Asked twice each turn, so it looks at none of them.
    var peerDeadline: Int64? { peers.isEmpty ? nil : min(peersAt, peersDueAt) }

    /// Only what is due soon is looked at each time: peers that were only offered may be a hundred thousand, and cost once a second.
    func tickPeers(_ now: Int64) {
        peersDueAt = .max
        for transport in Array(soonDue.values) { tickPeer(of: transport, now) }
        guard now >= peersAt else { return }
        peersAt = now + Self.peerRoundNs
        for transport in Array(peers.values) { tickPeer(of: transport, now) }
    }

    private func tickPeer(of transport: Transport, _ now: Int64) {
        guard let peer = transport.peer, let deadline = peer.deadline else { return }
        if deadline <= now { perform(peer.tick(at: now), of: transport) } else { expect(transport, now) }
    }

    /// How often all peers are looked at, ns.
    private static let peerRoundNs: Int64 = 1_000_000_000
}
