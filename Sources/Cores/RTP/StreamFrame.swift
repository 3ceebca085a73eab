/// What stands first on a stream that carries datagrams, each behind its length (RFC 4571 §2; ICE's on TCP, RFC 6544 §3).
///
///      0                   1                   2                   3
///     |             LENGTH            |  RTP, RTCP, STUN or DTLS  ...
public enum StreamFrame: Sendable, Equatable {
    /// More must come before it can be said.
    case partial
    /// A datagram of so many bytes, 0…, behind the length.
    case whole(Int)
    /// The datagram is longer than what is taken; the stream can't be followed.
    case tooLong(Int)

    /// Of the length, bytes.
    public static let headerSize = 2

    /// Looks at a stream's bytes, from the beginning of a frame on.
    /// - Parameter maximum: the longest datagram that is taken, bytes; 0…65,535.
    public init(_ bytes: Span<UInt8>, maximum: Int) {
        guard bytes.count >= StreamFrame.headerSize else {
            self = .partial
            return
        }
        let length = Int(bytes[0]) << 8 | Int(bytes[1])
        if length > maximum {
            self = .tooLong(length)
        } else {
            self = bytes.count >= StreamFrame.headerSize + length ? .whole(length) : .partial
        }
    }

    /// What goes before a datagram of so many bytes; 0…65,535.
    public static func header(_ length: Int) -> (UInt8, UInt8) {
        (UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length))
    }
}
