/// Why a packet was not protected or unprotected.
public enum SRTPError: Error, Sendable, Hashable, CaseIterable {
    /// Not RTP or RTCP of version 2, or shorter than its own header, tag and index say.
    case malformed
    /// The tag is wrong: forged, damaged, or made with another key or roll-over counter.
    case authentication
    /// Seen already, or older than the replay window (RFC 3711, section 3.3.2).
    case replay
    /// The peer has used more SSRCs under one key than are kept (``SRTPReceiver/sourceLimit``): it must join again, with a new key.
    case tooManySources
    /// To send: the sequence number was used already, or lies too far behind. Two packets must never share a keystream.
    case sequence
    /// All 2^48 RTP or 2^31 RTCP packets of a key are used up (RFC 3711, section 9.2): a new key is needed.
    case keyExhausted
    /// To send: the buffer has no room for the tag.
    case noRoom
    /// OpenSSL or intel-ipsec-mb refused; only where memory is out or the library is broken.
    case library
}

extension SRTPError: CustomStringConvertible {
    /// What is wrong, for a log.
    public var description: String {
        switch self {
        case .malformed: "SRTP: not a whole packet of version 2"
        case .authentication: "SRTP: the authentication tag is wrong; check that both sides have the same suite and key"
        case .replay: "SRTP: the packet was seen before or is too old"
        case .tooManySources: "SRTP: the peer used more than \(SRTPReceiver.sourceLimit) SSRCs with one key; join again with a new key"
        case .sequence: "SRTP: a sequence number to send was used already, or lies too far behind its SSRC's highest"
        case .keyExhausted: "SRTP: the key has protected all packets it may; join again with a new key"
        case .noRoom: "SRTP: no room for the tag behind the packet"
        case .library: "SRTP: the cryptographic library refused; is memory short?"
        }
    }
}

/// Why a key was not taken.
public enum SRTPKeyError: Error, Sendable, Hashable {
    /// Key and salt together have another length than the suite asks for.
    case length(expected: Int, got: Int)
    /// The text does not begin with `inline:` (RFC 4568, section 6.1).
    case notInline
    /// What follows `inline:` is not base64.
    case base64
    /// Several keys, which need a master key identifier to tell them apart.
    case severalKeys
    /// A master key identifier (`|value:length`) is asked for; it is not supported.
    case masterKeyIdentifier
    /// The lifetime is neither a number nor `2^n`, or not in 1…2^48.
    case lifetime
    /// No random numbers, or no memory.
    case library
}

extension SRTPKeyError: CustomStringConvertible {
    /// What is wrong, and what would be right. It never shows the key.
    public var description: String {
        switch self {
        case .length(let expected, let got): "SRTP key and salt must be \(expected) bytes for this suite, not \(got)"
        case .notInline: "an SDES key must look like inline:BASE64"
        case .base64: "the SDES key after inline: is not base64"
        case .severalKeys: "several SDES keys in one attribute are not supported; give one"
        case .masterKeyIdentifier: "SDES keys with a master key identifier (MKI) are not supported; leave |value:length away"
        case .lifetime: "the SDES key's lifetime must be a number or 2^n, at most 2^48"
        case .library: "the cryptographic library gave no random numbers"
        }
    }
}
