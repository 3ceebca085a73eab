/// The header of an RTP packet, read in place (RFC 3550 §5.1).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     |V=2|P|X|  CC   |M|     PT      |       sequence number         |
///     |                           timestamp                           |
///     |           synchronization source (SSRC) identifier            |
///     |            contributing source (CSRC) identifiers …           |
public struct RTPHeader: Sendable, Equatable {
    /// The fixed part, in bytes.
    public static let size = 12
    /// The first packet after a silence.
    public var marker: Bool
    /// 0…127.
    public var payloadType: UInt8
    /// Rises by one per packet, wraps.
    public var sequence: UInt16
    /// In units of the clock rate (Opus: 48 kHz), wraps.
    public var timestamp: UInt32
    /// The sender's stream.
    public var ssrc: UInt32
    /// Where the payload starts in the packet.
    public var payloadOffset: Int
    /// The payload's bytes, padding left out.
    public var payloadSize: Int
    /// The audio level (RFC 6464), −dBov 0…127, where the packet carries it under the id that was asked for.
    public var level: UInt8?

    /// Reads a packet.
    /// - Parameter levelExtension: the id (1…14) under which audio levels come; 0: none.
    /// - Returns: nil for anything that is no well-formed RTP version 2 packet.
    public init?(_ packet: Span<UInt8>, levelExtension: UInt8 = 0) {
        guard packet.count >= RTPHeader.size, packet[0] >> 6 == 2 else { return nil }
        var offset = RTPHeader.size + 4 * Int(packet[0] & 0x0F)
        level = nil
        if packet[0] & 0x10 != 0 {
            guard packet.count >= offset + 4 else { return nil }
            let length = 4 * Int(packet.uint16(offset + 2))
            let start = offset + 4
            guard packet.count >= start + length else { return nil }
            if levelExtension != 0, packet.uint16(offset) == 0xBEDE {
                level = RTPHeader.level(packet, from: start, to: start + length, id: levelExtension)
            }
            offset = start + length
        }
        var end = packet.count
        if packet[0] & 0x20 != 0 {
            let padding = Int(packet[packet.count - 1])
            guard padding > 0 else { return nil }
            end -= padding
        }
        guard end >= offset else { return nil }
        marker = packet[1] & 0x80 != 0
        payloadType = packet[1] & 0x7F
        sequence = packet.uint16(2)
        timestamp = packet.uint32(4)
        ssrc = packet.uint32(8)
        payloadOffset = offset
        payloadSize = end - offset
    }

    /// Finds a one-byte-header extension element (RFC 8285 §4.2).
    private static func level(_ packet: Span<UInt8>, from start: Int, to end: Int, id: UInt8) -> UInt8? {
        var offset = start
        while offset < end {
            let head = packet[offset]
            if head == 0 {
                offset += 1
                continue
            }
            if head >> 4 == 15 { return nil }
            let length = Int(head & 0x0F) + 1
            guard offset + 1 + length <= end else { return nil }
            if head >> 4 == id { return packet[offset + 1] & 0x7F }
            offset += 1 + length
        }
        return nil
    }

    /// Writes the fixed header: no padding, extension or CSRC.
    /// - Returns: 12 bytes.
    public static func bytes(marker: Bool, payloadType: UInt8, sequence: UInt16, timestamp: UInt32, ssrc: UInt32) -> [UInt8] {
        var bytes: [UInt8] = [0x80, (marker ? 0x80 : 0) | (payloadType & 0x7F)]
        bytes.append(big: sequence)
        bytes.append(big: timestamp)
        bytes.append(big: ssrc)
        return bytes
    }

    /// Whether a packet is RTCP (RFC 5761 §4: payload types 64…95 are taken by 192…223).
    public static func isRTCP(_ packet: Span<UInt8>) -> Bool { packet.count >= 2 && (192...223).contains(packet[1]) }
}

extension Span<UInt8> {
    /// Two bytes in network order.
    func uint16(_ offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }
    /// Four bytes in network order.
    func uint32(_ offset: Int) -> UInt32 { UInt32(uint16(offset)) << 16 | UInt32(uint16(offset + 2)) }
}

extension [UInt8] {
    /// Appends a number in network order.
    mutating func append(big value: some FixedWidthInteger) { Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) } }
}
