import Crypto
import DTLS
import ICE
import Reactor
import STUN
import SecureRTP
import Talk

// How a transport's address is found and proved: a plain device latches, a WebRTC peer makes ICE checks and then a DTLS handshake.
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
        if let peer = transport.peer { check(message, of: peer, transport, from: source) } else { latch(message, transport, from: source) }
    }

    /// A plain device's binding moves its address to where it came from.
    private func latch(_ message: STUNMessage, _ transport: Transport, from source: SocketAddress) {
        guard message.isAuthentic(password: transport.latch.password, hmac: { Digests.hmacSHA1(key: $0, $1) }) else {
            counters.garbage.increment()
            return
        }
        move(transport, to: source)
        socket.send(
            STUNMessage.success(
                transaction: message.transaction, address: source.bytes, port: source.port, password: transport.latch.password,
                hmac: { Digests.hmacSHA1(key: $0, $1) }), to: source)
    }

    private func check(_ message: STUNMessage, of peer: WebRTCPeer, _ transport: Transport, from source: SocketAddress) {
        let now = Clocks.monotonicNs()
        let outcome = peer.agent.handle(
            message, from: source, address: source.bytes, port: source.port, now: now, hmac: { Digests.hmacSHA1(key: $0, $1) })
        if let response = outcome.response { socket.send(response, to: source) }
        guard outcome.isValid else {
            counters.garbage.increment()
            return
        }
        if let selected = outcome.selected { move(transport, to: selected) }
        guard peer.state == .waiting, let dtls = try? DTLSSession(identity, peer.offer.role, fingerprint: peer.offer.fingerprint) else {
            return
        }
        (peer.dtls, peer.state) = (dtls, .handshake)
        handshakes[ObjectIdentifier(transport)] = transport
        advance(dtls.start(), peer, transport)
    }

    private func move(_ transport: Transport, to source: SocketAddress) {
        guard transport.address != source else { return }
        if let old = transport.address { giveUp(old, of: transport) }
        transport.address = source
        take(source, for: transport)
        listen(transport)
    }

    // MARK: DTLS

    /// A datagram of a peer that is no media yet, or an alert.
    func handshake(_ datagram: UnsafeRawBufferPointer, _ peer: WebRTCPeer, _ transport: Transport) {
        guard let first = datagram.first, DTLSSession.isDTLS(first), let dtls = peer.dtls else {
            counters.garbage.increment()
            return
        }
        advance(dtls.receive(datagram), peer, transport)
    }

    private func advance(_ event: DTLSSession.Event, _ peer: WebRTCPeer, _ transport: Transport) {
        if let dtls = peer.dtls, let address = transport.address {
            for datagram in dtls.takeOutgoing() { socket.send(datagram, to: address) }
        }
        switch event {
        case .none: break
        case .connected(let keys):
            do {
                let pair = try Self.keys(keys)
                silence(transport)
                try transport.secure(pair)
                peer.state = .up
                listen(transport)
                report(.mediaUp, about: transport)
            } catch {
                end(peer, transport, "DTLS failed: \(error)")
            }
        case .closed: end(peer, transport, "DTLS alert")
        case .failed(let reason): end(peer, transport, reason)
        }
    }

    private static func keys(_ keys: DTLSKeys) throws -> SRTPKeys {
        guard let suite = SRTPSuite(dtlsProfile: keys.profile) else { throw SRTPKeyError.library }
        let (client, server) = try keys.exported.withUnsafeBytes { bytes throws(SRTPKeyError) in try SRTPKey.pair(suite, dtlsExport: bytes)
        }
        return keys.isClient ? SRTPKeys(remote: server, local: client) : SRTPKeys(remote: client, local: server)
    }

    private func end(_ peer: WebRTCPeer, _ transport: Transport, _ reason: String) {
        peer.state = .over
        report(.mediaDown(reason), about: transport)
    }

    /// A peer that leaves is told.
    func sayGoodbye(_ transport: Transport) {
        guard let peer = transport.peer, let dtls = peer.dtls, let address = transport.address else { return }
        dtls.close()
        for datagram in dtls.takeOutgoing() { socket.send(datagram, to: address) }
        peer.state = .over
    }

    // MARK: Time

    /// When a peer needs to be looked at: soon while there are handshakes, else now and then; nil: there are no peers.
    func peerDeadline(_ now: Int64) -> Int64? {
        guard !peers.isEmpty else { return nil }
        var earliest = max(now, peersAt)
        for transport in handshakes.values {
            if let left = transport.peer?.dtls?.timeLeftNs { earliest = min(earliest, now + left) }
        }
        return earliest
    }

    /// Only the handshakes are looked at each time: peers that were only offered may be a hundred thousand, and cost once a second.
    func tickPeers(_ now: Int64) {
        for (key, transport) in handshakes {
            guard let peer = transport.peer, peer.state == .handshake, let dtls = peer.dtls else {
                handshakes[key] = nil
                continue
            }
            if dtls.timeLeftNs == 0 { advance(dtls.retransmit(), peer, transport) }
        }
        guard now >= peersAt else { return }
        peersAt = now + 1_000_000_000
        for transport in Array(peers.values) {
            guard let peer = transport.peer else { continue }
            switch peer.state {
            case .waiting where now >= peer.handshakeEndsAt: end(peer, transport, "no ICE check came")
            case .handshake where now >= peer.handshakeEndsAt: end(peer, transport, "the DTLS handshake took too long")
            case .up where now >= peer.agent.expiresAt: end(peer, transport, "ICE consent expired")
            case .waiting, .handshake, .up, .over: break
            }
        }
    }
}
