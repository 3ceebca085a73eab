import Crypto
import DTLS
import ICE
import STUN

/// A WebRTC peer on its way to keys and as long as it is there: ICE (a lite agent), then DTLS, over whatever carries datagrams. Datagrams
/// and the time go in, events come out; it knows no socket and reads no clock. After each step the caller does what the events say, and
/// comes back when `deadline` is there.
///
/// The DTLS handshake itself, which computes for longer than media may wait, is a ``PeerHandshake``'s, on any thread: this one says what
/// comes for it, and is told how it ended. From then on DTLS is here.
///
/// For one thread at a time.
public final class PeerSession<Address: PeerAddress> {
    /// What a step brings.
    public typealias Event = PeerEvent<Address>

    private enum State {
        /// No valid check has come.
        case waiting
        /// There is a path; DTLS is under way.
        case handshake
        /// There are keys.
        case up
        case over
    }

    /// How long a peer has from its offer to its keys, ns.
    public static var handshakeNs: Int64 { 30_000_000_000 }

    /// Of the certificate that the peer must show.
    public let fingerprint: DTLSFingerprint
    /// Which part of the DTLS handshake is ours (RFC 5763 §5).
    public let role: DTLSSession.Role
    private var handshakeEndsAt: Int64
    private var agent: ICEAgent<Address>
    /// Once its handshake is done.
    private var dtls: DTLSSession?
    private var state = State.waiting

    /// A session that waits for the peer's first check.
    /// - Parameters:
    ///   - role: which part of the DTLS handshake is ours (RFC 5763 §5).
    ///   - now: monotonic, ns from 0; so in all steps.
    public init(
        _ role: DTLSSession.Role, fingerprint: DTLSFingerprint, local: ICECredentials, remote: ICECredentials, at now: Int64
    ) {
        (self.role, self.fingerprint) = (role, fingerprint)
        agent = ICEAgent(local: local, remote: remote, now: now)
        handshakeEndsAt = now + Self.handshakeNs
    }

    /// Where media goes; nil: there is no path.
    public var selected: Address? { agent.selected }

    /// Where the peer was proved to be: what comes from there is looked at.
    public var paths: [Address] { agent.paths }

    /// Nothing more comes of it.
    public var isOver: Bool { state == .over }

    /// When `tick` has something to do, ns; nil: the session is over.
    public var deadline: Int64? {
        switch state {
        case .waiting, .handshake: handshakeEndsAt
        case .up: agent.expiresAt
        case .over: nil
        }
    }

    // MARK: Datagrams

    /// Takes a datagram of any kind; which one it is, its first byte tells (RFC 7983 §7). DTLS and media count only on a path that a
    /// check has proved.
    /// - Returns: `.media` alone where it is media; nothing where it is garbage, or comes too late or too early.
    public func receive(_ datagram: UnsafeRawBufferPointer, from source: Address, at now: Int64) -> [Event] {
        guard let first = datagram.first else { return [] }
        switch first {
        case 0...3: return STUNMessage(datagram.bindMemory(to: UInt8.self).span).map { receive($0, from: source, at: now) } ?? []
        case 20...63:
            guard agent.paths.contains(source) else { return [] }
            switch state {
            // That it is the peer's own will show; until then no media goes anywhere.
            case .handshake: return heard(from: source, at: now) + [.handshake(.datagram(Array(datagram), from: source))]
            case .up: return dtls.map { hear($0.receive(datagram, at: now)) } ?? []
            case .waiting, .over: return []
            }
        case 128...191: return state == .up && agent.paths.contains(source) ? [.media] : []
        default: return []
        }
    }

    /// Takes a STUN message that was read already. The peer's own brings `.proved`; all others at most an answer.
    public func receive(_ message: STUNMessage, from source: Address, at now: Int64) -> [Event] {
        guard state != .over else { return [] }
        let outcome = agent.handle(
            message, from: source, address: source.bytes, port: source.port, now: now, hmac: { Digests.hmacSHA1(key: $0, $1) })
        var events: [Event] = []
        if let response = outcome.response { events.append(.send(response, to: source)) }
        guard outcome.isValid else { return events }
        events.append(.proved(source))
        if let left = outcome.left { events.append(.left(left)) }
        guard let selected = outcome.selected else { return events }
        events.append(.selected(selected))
        switch state {
        // Begun with the first valid check, so that half-open peers cost little.
        case .waiting:
            state = .handshake
            events.append(.handshake(.begin(selected)))
        case .handshake: events.append(.handshake(.path(selected)))
        case .up, .over: break
        }
        return events
    }

    /// Media that is authentic came from there: the peer sends on that path, and hears on it.
    public func heard(from source: Address, at now: Int64) -> [Event] { agent.heard(on: source, at: now).map { [.selected($0)] } ?? [] }

    /// The handshake's end, as ``PeerHandshake`` tells it; once.
    public func finish(_ end: HandshakeEnd) -> [Event] {
        guard state == .handshake else { return [] }
        switch end {
        case .up(let established):
            (state, dtls) = (.up, established.session)
            return [.keys(established.keys)]
        case .refused(let reason): return self.end(.refused(reason))
        case .goodbye: return self.end(.goodbye)
        }
    }

    /// What DTLS says after its handshake, once what it has to send has gone on the selected path.
    private func hear(_ event: DTLSSession.Event) -> [Event] {
        let events = outgoing()
        switch event {
        case .none, .connected: return events
        case .closed: return events + end(.goodbye)
        case .failed(let reason): return events + end(.refused(reason))
        }
    }

    private func outgoing() -> [Event] {
        guard let dtls else { return [] }
        let datagrams = dtls.takeOutgoing()
        // Without a path what would go is lost; the peer asks again.
        guard let selected = agent.selected else { return [] }
        return datagrams.map { .send($0, to: selected) }
    }

    // MARK: Time, and what the signalling says

    /// Does what is due.
    public func tick(at now: Int64) -> [Event] {
        switch state {
        case .waiting: return now >= handshakeEndsAt ? end(.neverChecked) : []
        case .handshake: return now >= handshakeEndsAt ? end(.handshakeTooLong) : []
        case .up: return now >= agent.expiresAt ? end(.consentExpired) : []
        case .over: return []
        }
    }

    /// The same peer with new ICE credentials: DTLS and the keys stay (RFC 8445 §9). The same credentials again change nothing.
    public func restart(local: ICECredentials, remote: ICECredentials, at now: Int64) {
        guard local != agent.local || remote != agent.remote else { return }
        agent.restart(local: local, remote: remote, now: now)
        // Who has another try has its time.
        if state == .waiting { handshakeEndsAt = now + Self.handshakeNs }
    }

    /// What carried a path is gone (a TCP connection), or it is somebody else's: what comes next on another selects that.
    public func lose(_ path: Address) { agent.lose(path) }

    /// Ends the session from our side.
    /// - Returns: the goodbye, where there is somebody to hear it.
    public func close() -> [Event] {
        guard state != .over else { return [] }
        dtls?.close()
        state = .over
        return outgoing()
    }

    private func end(_ ending: PeerEnding) -> [Event] {
        state = .over
        return [.over(ending)]
    }
}
