import DTLS

/// What a ``PeerSession`` says to its peer's handshake, in order.
public enum HandshakeStep<Address: PeerAddress>: Sendable, Equatable {
    /// There is a path: it begins.
    case begin(Address)
    /// The path is another from now on.
    case path(Address)
    /// A datagram of the peer's, by this path; what answers it goes there.
    case datagram([UInt8], from: Address)
}

/// How a handshake ended.
public enum HandshakeEnd: Sendable {
    /// The peer is who the signalling said.
    case up(Established)
    /// It can't be done; the reason, for the log.
    case refused(String)
    /// The peer said goodbye (close_notify).
    case goodbye

    /// What a handshake leads to.
    ///
    /// `unchecked` Sendable is right: the handshake gives its session away with this, and only the ``PeerSession`` takes it.
    public struct Established: @unchecked Sendable {
        /// For the peer's media.
        public let keys: DTLSKeys
        let session: DTLSSession
    }
}

/// A peer's DTLS handshake: what its ``PeerSession`` says and the time go in, datagrams and at last an end come out. It computes for some
/// tenths of a millisecond, so it has no place on a thread that media waits for.
///
/// For one thread at a time.
public final class PeerHandshake<Address: PeerAddress> {
    private let session: DTLSSession
    private let endsAt: Int64
    /// Where its datagrams go.
    public private(set) var path: Address

    /// A handshake on a path; `start` begins it.
    /// - Parameters:
    ///   - fingerprint: of the certificate that the peer must show.
    ///   - now: monotonic, ns from 0; so in all steps.
    /// - Throws: `DTLSError` where OpenSSL can't.
    public init(
        _ identity: DTLSIdentity, _ role: DTLSSession.Role, fingerprint: DTLSFingerprint, on path: Address, at now: Int64
    ) throws(DTLSError) {
        (session, self.path) = (try DTLSSession(identity, role, fingerprint: fingerprint), path)
        endsAt = now + PeerSession<Address>.handshakeNs
    }

    /// When `tick` has something to do, ns.
    public var deadline: Int64 { min(session.deadline ?? endsAt, endsAt) }

    /// Begins, as client; as server it waits.
    public func start(at now: Int64) -> HandshakeEnd? { end(session.start(at: now)) }

    /// Takes a datagram of the peer's.
    /// - Returns: nil while it goes on. After an end there is nothing more to do.
    public func receive(_ datagram: UnsafeRawBufferPointer, at now: Int64) -> HandshakeEnd? { end(session.receive(datagram, at: now)) }

    /// Sends the last flight again where it is time to, or gives up.
    public func tick(at now: Int64) -> HandshakeEnd? {
        now >= endsAt ? .refused(PeerEnding.handshakeTooLong.description) : end(session.tick(at: now))
    }

    /// The peer's path is another from now on.
    public func move(to path: Address) { self.path = path }

    /// Datagrams to send on the path, in order; each is given out once.
    public func takeOutgoing() -> [[UInt8]] { session.takeOutgoing() }

    private func end(_ event: DTLSSession.Event) -> HandshakeEnd? {
        switch event {
        case .none: nil
        case .connected(let keys): .up(HandshakeEnd.Established(keys: keys, session: session))
        case .closed: .goodbye
        case .failed(let reason): .refused(reason)
        }
    }
}
