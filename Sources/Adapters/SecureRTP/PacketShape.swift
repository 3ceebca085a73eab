/// As much of RTP and RTCP as SRTP must know: where the header ends, and whose packet it is. All offsets are checked here.
enum PacketShape {
    static let rtpHeader = 12
    /// Of RTCP the first header and the SSRC stay in the clear (RFC 3711, section 3.4).
    static let rtcpHeader = 8

    // RFC 3550, section 5.1, and 5.3.1 for the extension:
    //
    //   |V=2|P|X|  CC   |M|     PT      |        sequence number        |
    //   |                           timestamp                           |
    //   |                             SSRC                              |
    //   |              CSRC × CC, then, where X, the extension           |

    /// The length of fixed header, CSRCs and extension in bytes, nil where they are not whole within `count` bytes.
    @inline(__always)
    static func rtpHeaderBytes(_ packet: UnsafeRawBufferPointer, count: Int) -> Int? {
        guard count >= rtpHeader, count <= packet.count, packet[0] >> 6 == 2 else { return nil }
        var length = rtpHeader + 4 * Int(packet[0] & 15)
        if packet[0] & 0x10 != 0 {
            guard length + 4 <= count else { return nil }
            length += 4 + 4 * (Int(packet[length + 2]) << 8 | Int(packet[length + 3]))
        }
        return length <= count ? length : nil
    }

    /// Whether a compound RTCP packet may begin like this.
    static func isRTCP(_ packet: UnsafeRawBufferPointer, count: Int) -> Bool {
        count >= rtcpHeader && count <= packet.count && packet[0] >> 6 == 2
    }

    @inline(__always)
    static func sequence(_ packet: UnsafeRawPointer) -> UInt16 {
        UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }

    @inline(__always)
    static func ssrc(_ packet: UnsafeRawPointer) -> UInt32 { UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) }

    @inline(__always)
    static func rtcpSSRC(_ packet: UnsafeRawPointer) -> UInt32 {
        UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    }
}
