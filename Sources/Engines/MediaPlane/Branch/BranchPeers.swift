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
        let now = Clocks.monotonicNs()
        guard transport.care.checks.take(at: now, Self.checkRate) else {
            counters.overRate.increment()
            return
        }
        let events = peer.receive(message, from: source, at: now)
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
        // What a peer proved it keeps: it may send from there still, or again.
        if let old = transport.address, transport.peer?.paths.contains(old) != true { giveUp(old, of: transport) }
        transport.address = source
        take(source, for: transport)
        listen(transport)
    }

    // MARK: Peers

    /// How many checks a peer may make: browsers try some twenty a second on all their paths together.
    private static let checkRate = TokenBucket.Rate(perSecond: 100, burst: 200)

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

    func perform(_ events: [PeerEvent<SocketAddress>], of transport: Transport) {
        for event in events {
            switch event {
            case .send(let datagram, let address): send(datagram, to: address)
            case .selected(let address): move(transport, to: address)
            case .handshake(let step): advance(transport, step)
            case .keys(let keys): secure(transport, keys)
            case .over(let ending):
                forgetHandshake(of: transport)
                // Nobody is there who would have agreed to what is sent (RFC 7675 §5.1), wherever its participant is by now.
                silence(transport)
                report(.link(.isDown(ending.description)), about: transport)
            case .left(let address): giveUp(address, of: transport)
            case .proved(let address):
                if sources[address] !== transport { take(address, for: transport) }
                if address.isTCP { outlet.streams?.prove(address, by: ObjectIdentifier(transport), at: Clocks.monotonicNs()) }
            case .media: break
            }
        }
        schedule(transport)
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

    // MARK: Handshakes

    private func advance(_ transport: Transport, _ step: HandshakeStep<SocketAddress>) {
        isJoining = true
        if case .begin(let path) = step {
            beginHandshake(of: transport, on: path)
        } else if let number = transport.care.handshake, !desk.tell(HandshakeDesk.Key(worker: index, number: number), step) {
            counters.behind.increment()
        }
    }

    private func beginHandshake(of transport: Transport, on path: SocketAddress) {
        guard let peer = transport.peer else { return }
        let number = nextHandshake
        nextHandshake += 1
        (transport.care.handshake, handshakes[number]) = (number, transport)
        let key = HandshakeDesk.Key(worker: index, number: number)
        if !desk.begin(key, peer.role, fingerprint: peer.fingerprint, on: path) {
            finish(HandshakeEnding(number: number, end: .refused("too many handshakes are under way")))
        }
    }

    /// A handshake has ended; its transport may be gone, or have another peer.
    func finish(_ ending: HandshakeEnding) {
        guard let transport = handshakes.removeValue(forKey: ending.number) else { return }
        transport.care.handshake = nil
        if let peer = transport.peer { perform(peer.finish(ending.end), of: transport) }
    }

    /// There is nobody any more for whom a handshake is under way.
    func forgetHandshake(of transport: Transport) {
        guard transport.peer != nil, let number = transport.care.handshake else { return }
        (transport.care.handshake, handshakes[number]) = (nil, nil)
        desk.forget(HandshakeDesk.Key(worker: index, number: number))
    }

    // MARK: Time

    /// A transport that may have a peer is looked after from now on.
    func watch(_ transport: Transport) {
        guard transport.peer != nil else { return }
        peers[ObjectIdentifier(transport)] = transport
        schedule(transport)
    }

    /// Makes sure that the heap tells of a peer in time; a later deadline is found when the earlier one comes.
    private func schedule(_ transport: Transport) {
        guard !transport.isRetired, let deadline = transport.peer?.deadline else { return }
        if let lookAt = transport.care.lookAt, lookAt <= deadline { return }
        transport.care.lookAt = deadline
        peerTimers.push(TimerHeap.Entry(at: deadline, key: ObjectIdentifier(transport)))
    }

    /// Looks at the peers whose time may be over: of a hundred thousand that were only offered, each comes up once.
    func tickPeers(_ now: Int64) {
        while let due = peerTimers.pop(until: now) {
            guard let transport = peers[due.key], transport.care.lookAt == due.at else { continue }
            transport.care.lookAt = nil
            if let peer = transport.peer, let deadline = peer.deadline, deadline <= now {
                perform(peer.tick(at: now), of: transport)
            } else {
                schedule(transport)
            }
        }
    }
}
