import DTLS

/// Where a peer's datagrams come from and go to, as a check's answer tells it (RFC 8489 §14.2).
public protocol PeerAddress: Hashable, Sendable {
    /// The IP address, in network order: 4 or 16 bytes.
    var bytes: [UInt8] { get }
    /// 1…65535.
    var port: UInt16 { get }
}

/// What a ``PeerSession`` wants done, in order.
public enum PeerEvent<Address: PeerAddress>: Sendable, Equatable {
    /// To be sent as one datagram.
    case send([UInt8], to: Address)
    /// A check from there was the peer's own: its integrity is right.
    case proved(Address)
    /// Media goes there from now on.
    case selected(Address)
    /// One of too many paths: nothing is believed any more that comes from there.
    case left(Address)
    /// For the peer's ``PeerHandshake``.
    case handshake(HandshakeStep<Address>)
    /// The handshake is done, and the peer is who the signalling said: these are the keys for its media.
    case keys(DTLSKeys)
    /// The datagram was SRTP or SRTCP: the caller's, who says so with `heard` where it is authentic.
    case media
    /// Nothing more comes of this session.
    case over(PeerEnding)
}

/// Why a session ended.
public enum PeerEnding: Sendable, Equatable, CustomStringConvertible {
    /// No valid check came in the time that a peer has to get up.
    case neverChecked
    /// There was a path, but no end of the handshake in that time.
    case handshakeTooLong
    /// The handshake can't be done; the reason, for the log.
    case refused(String)
    /// The peer's checks stopped (RFC 7675 §5.1).
    case consentExpired
    /// The peer said goodbye (close_notify).
    case goodbye

    /// For people.
    public var description: String {
        switch self {
        case .neverChecked: "no ICE check came"
        case .handshakeTooLong: "the DTLS handshake took too long"
        case .refused(let reason): reason
        case .consentExpired: "ICE consent expired"
        case .goodbye: "DTLS alert"
        }
    }
}
