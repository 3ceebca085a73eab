import CClock
import COpenSSL
import Glibc

/// The keys that a DTLS handshake gave to SRTP (RFC 5764 §4.2).
public struct DTLSKeys: Sendable, Equatable {
    /// The protection profile's IANA number.
    public var profile: UInt16
    /// `EXTRACTOR-dtls_srtp`: client key, server key, client salt, server salt.
    public var exported: [UInt8]
    /// Whether we were the client, and send with its half.
    public var isClient: Bool
}

/// One DTLS 1.2 association with a WebRTC peer: datagrams in, datagrams out, and once the keys for SRTP. For one thread at a time.
///
/// It lives on its caller's clock: OpenSSL, which would look at the wall clock, is told the caller's time in each step (`CClock`). So a
/// wall clock that is set neither holds a handshake up nor floods the peer, and a test can turn the clock by hand.
public final class DTLSSession {
    /// Who begins (RFC 5763 §5: `a=setup`).
    public enum Role: Sendable {
        /// We are `passive`: the peer begins.
        case server
        /// We are `active`.
        case client
    }
    /// What a step brought.
    public enum Event: Sendable, Equatable {
        /// Nothing to tell.
        case none
        /// The handshake is done, and the peer is who the signalling said.
        case connected(DTLSKeys)
        /// The peer said goodbye (close_notify).
        case closed
        /// It can't be done; for the log.
        case failed(String)
    }

    private let role: Role
    private let expected: DTLSFingerprint
    private let queue = DatagramQueue()
    /// OpenSSL's session; nil once the handshake is done.
    private var ssl: OpaquePointer?
    /// What is there instead from then on.
    private var association: DTLSAssociation?
    /// Ours, as it went out; empty where the peer's is the last.
    private var lastFlight: [[UInt8]] = []
    private var isOver = false
    /// When `tick` has something to do, ns on the caller's clock; nil: not at all.
    public private(set) var deadline: Int64?

    /// The largest number of bytes of keys: 2 × (32 + 12).
    private static let exportLabel = "EXTRACTOR-dtls_srtp"

    /// A session whose handshake has not begun.
    /// - Parameter fingerprint: the certificate that the peer must show.
    /// - Throws: `DTLSError` where OpenSSL can't.
    public init(_ identity: DTLSIdentity, _ role: Role, fingerprint: DTLSFingerprint) throws(DTLSError) {
        (self.role, expected) = (role, fingerprint)
        guard let ssl = SSL_new(identity.context(role)) else { throw DTLSError("no session can be made") }
        self.ssl = ssl
        guard let bio = queue.makeBIO() else { throw DTLSError("no session can be made") }
        // One reference serves both directions.
        SSL_set_bio(ssl, bio, bio)
        SSL_ctrl(ssl, DTLS_CTRL_SET_LINK_MTU, DatagramQueue.mtu, nil)
        // RFC 6347 §4.2.4.1 begins with 1 s and doubles; media waits here, and a peer answers within a round trip. OpenSSL gives up
        // after twelve in a row, some 20 s.
        DTLS_set_timer_cb(ssl) { _, before in before == 0 ? 200_000 : min(before * 2, 2_000_000) }
        if role == .server { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
    }

    deinit { SSL_free(ssl) }

    /// Whether a datagram that begins so is DTLS (RFC 7983 §7).
    public static func isDTLS(_ first: UInt8) -> Bool { (20...63).contains(first) }

    /// Datagrams to send, in order; each is given out once.
    public func takeOutgoing() -> [[UInt8]] {
        defer { queue.outgoing = [] }
        return queue.outgoing
    }

    /// Begins, as client; as server it waits.
    /// - Parameter now: monotonic, ns from 0; so in all steps.
    public func start(at now: Int64) -> Event { role == .client ? step(at: now) { proceed($0) } : .none }

    /// Takes a datagram: records of the handshake, or an alert. What is malformed changes nothing.
    public func receive(_ datagram: UnsafeRawBufferPointer, at now: Int64) -> Event {
        guard !isOver else { return .none }
        queue.incoming = datagram
        defer { queue.incoming = nil }
        if association != nil { return read(datagram) }
        return step(at: now) { proceed($0) }
    }

    /// The time is up: sends the last flight again.
    public func tick(at now: Int64) -> Event {
        guard let deadline, deadline <= now else { return .none }
        return step(at: now) { SSL_ctrl($0, DTLS_CTRL_HANDLE_TIMEOUT, 0, nil) < 0 ? fail("no answer") : .none }
    }

    /// Lets OpenSSL work on the caller's clock, and notes when it wants to go on by itself. With the handshake it goes.
    private func step(at now: Int64, _ body: (OpaquePointer) -> Event) -> Event {
        guard let ssl else { return .none }
        // A time of 0 is no time to OpenSSL.
        cclock_tell(max(0, now) + 1_000_000_000)
        defer { cclock_forget() }
        let event = body(ssl)
        var left = timeval()
        if association != nil {
            SSL_free(ssl)
            (self.ssl, deadline) = (nil, nil)
        } else if isOver || SSL_ctrl(ssl, DTLS_CTRL_GET_TIMEOUT, 0, &left) != 1 {
            deadline = nil
        } else {
            deadline = now + Int64(left.tv_sec) * 1_000_000_000 + Int64(left.tv_usec) * 1_000
        }
        return event
    }

    /// Says goodbye.
    public func close() {
        guard let association, !isOver else { return }
        isOver = true
        if let goodbye = association.goodbye() { queue.outgoing.append(goodbye) }
    }

    private func proceed(_ ssl: OpaquePointer) -> Event {
        ERR_clear_error()
        let before = queue.outgoing.count
        let result = SSL_do_handshake(ssl)
        guard result == 1 else {
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .none
            case SSL_ERROR_ZERO_RETURN: return end(.closed)
            default: return fail("handshake")
            }
        }
        if role == .server { lastFlight = Array(queue.outgoing[before...]) }
        return finish(ssl)
    }

    /// The peer must be the one that the signalling spoke of, before anything is made of its keys.
    private func finish(_ ssl: OpaquePointer) -> Event {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return fail("the peer showed no certificate") }
        defer { X509_free(certificate) }
        guard DTLSFingerprint(of: certificate, expected.hash) == expected else {
            return fail("the peer's certificate is not the one whose fingerprint was told")
        }
        guard let profile = SSL_get_selected_srtp_profile(ssl) else { return fail("the peer has no SRTP profile of ours") }
        let number = UInt16(truncatingIfNeeded: profile.pointee.id)
        let size = number == 8 ? 2 * (32 + 12) : number == 7 ? 2 * (16 + 12) : 2 * (16 + 14)
        var keys = [UInt8](repeating: 0, count: size)
        guard SSL_export_keying_material(ssl, &keys, size, Self.exportLabel, Self.exportLabel.utf8.count, nil, 0, 0) == 1 else {
            return fail("no keys")
        }
        do throws(DTLSError) {
            association = try DTLSAssociation(ssl, isClient: role == .client)
        } catch {
            return end(.failed(error.description))
        }
        return .connected(DTLSKeys(profile: number, exported: keys, isClient: role == .client))
    }

    /// After the handshake only alerts and the peer's last flight, once more, come.
    private func read(_ datagram: UnsafeRawBufferPointer) -> Event {
        switch association?.read(datagram) {
        case .goodbye?: return end(.closed)
        case .again?: queue.outgoing += lastFlight
        case DTLSAssociation.Word.none?, nil: break
        }
        return .none
    }

    private func end(_ event: Event) -> Event {
        isOver = true
        return event
    }

    private func fail(_ what: String) -> Event {
        // An alert, where OpenSSL made one, is among what goes out.
        end(.failed(DTLSError(what).description))
    }
}
