/// One report block of an SR or RR (RFC 3550 §6.4.1).
public struct ReportBlock: Sendable, Equatable {
    /// Whose packets are reported on.
    public var ssrc: UInt32
    /// Lost since the last report, in 1/256.
    public var fractionLost: UInt8
    /// Lost in all; 24 bits, signed.
    public var totalLost: Int32
    /// Highest sequence number, with its cycles in the upper half.
    public var highestSequence: UInt32
    /// Interarrival jitter, timestamp units.
    public var jitter: UInt32
    /// The middle 32 bits of the last SR's NTP time; 0: none came.
    public var lastReport: UInt32
    /// Since then, in 1/65536 s.
    public var delaySinceLastReport: UInt32

    /// A block to send.
    public init(
        ssrc: UInt32, fractionLost: UInt8, totalLost: Int32, highestSequence: UInt32, jitter: UInt32, lastReport: UInt32,
        delaySinceLastReport: UInt32
    ) {
        (self.ssrc, self.fractionLost, self.totalLost, self.highestSequence) = (ssrc, fractionLost, totalLost, highestSequence)
        (self.jitter, self.lastReport, self.delaySinceLastReport) = (jitter, lastReport, delaySinceLastReport)
    }

    init(_ packet: Span<UInt8>, at offset: Int) {
        let lost = packet.uint32(offset + 4)
        let total = Int32(bitPattern: lost << 8) >> 8
        self.init(
            ssrc: packet.uint32(offset), fractionLost: UInt8(lost >> 24), totalLost: total, highestSequence: packet.uint32(offset + 8),
            jitter: packet.uint32(offset + 12), lastReport: packet.uint32(offset + 16), delaySinceLastReport: packet.uint32(offset + 20))
    }
}

/// One packet of an RTCP datagram (RFC 3550 §6); compound and reduced-size (RFC 5506) datagrams are read alike.
public enum RTCPPacket: Sendable, Equatable {
    /// A sender's clock and counts, and what it hears. `ntp` is 32.32 fixed point.
    case senderReport(ssrc: UInt32, ntp: UInt64, timestamp: UInt32, packets: UInt32, octets: UInt32, blocks: [ReportBlock])
    /// What a receiver hears.
    case receiverReport(ssrc: UInt32, blocks: [ReportBlock])
    /// These streams end.
    case bye([UInt32])
    /// An application's packet; `subtype` has 5 bits, `name` 4 characters.
    case application(subtype: UInt8, ssrc: UInt32, name: [UInt8], data: [UInt8])
    /// SDES, feedback and whatever else needs no answer.
    case other(type: UInt8)

    /// Reads a datagram; stops at the first malformed packet, and keeps what came before it.
    public static func read(_ datagram: Span<UInt8>) -> [RTCPPacket] {
        var packets: [RTCPPacket] = []
        var start = 0
        while datagram.count - start >= 4, datagram[start] >> 6 == 2 {
            let size = 4 * (Int(datagram.uint16(start + 2)) + 1)
            guard start + size <= datagram.count else { break }
            // The padding's last byte counts the padding, itself included (RFC 3550 §6.4.1).
            let padding = datagram[start] & 0x20 == 0 ? 0 : Int(datagram[start + size - 1])
            guard padding % 4 == 0, padding <= size - 4, padding > 0 || datagram[start] & 0x20 == 0,
                let packet = RTCPPacket(datagram, at: start, size: size - padding)
            else { break }
            packets.append(packet)
            start += size
        }
        return packets
    }

    private init?(_ bytes: Span<UInt8>, at start: Int, size: Int) {
        let count = Int(bytes[start] & 0x1F)
        switch bytes[start + 1] {
        case 200:
            guard size >= 28 + 24 * count else { return nil }
            self = .senderReport(
                ssrc: bytes.uint32(start + 4), ntp: UInt64(bytes.uint32(start + 8)) << 32 | UInt64(bytes.uint32(start + 12)),
                timestamp: bytes.uint32(start + 16), packets: bytes.uint32(start + 20), octets: bytes.uint32(start + 24),
                blocks: Self.blocks(bytes, start + 28, count))
        case 201:
            guard size >= 8 + 24 * count else { return nil }
            self = .receiverReport(ssrc: bytes.uint32(start + 4), blocks: Self.blocks(bytes, start + 8, count))
        case 203:
            guard size >= 4 + 4 * count else { return nil }
            var sources: [UInt32] = []
            for index in 0..<count { sources.append(bytes.uint32(start + 4 + 4 * index)) }
            self = .bye(sources)
        case 204:
            guard size >= 12 else { return nil }
            self = .application(
                subtype: UInt8(count), ssrc: bytes.uint32(start + 4), name: Self.bytes(bytes, start + 8, start + 12),
                data: Self.bytes(bytes, start + 12, start + size))
        case let type:
            self = .other(type: type)
        }
    }

    private static func blocks(_ bytes: Span<UInt8>, _ start: Int, _ count: Int) -> [ReportBlock] {
        var blocks: [ReportBlock] = []
        for index in 0..<count { blocks.append(ReportBlock(bytes, at: start + 24 * index)) }
        return blocks
    }

    private static func bytes(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(end - start)
        for index in start..<end { copy.append(bytes[index]) }
        return copy
    }
}

extension RTCPPacket {
    /// The packet's bytes; `other` gives none.
    public var encoded: [UInt8] {
        var body: [UInt8] = []
        let count: Int
        let type: UInt8
        switch self {
        case .senderReport(let ssrc, let ntp, let timestamp, let packets, let octets, let blocks):
            (type, count) = (200, blocks.count)
            body.append(big: ssrc)
            body.append(big: ntp)
            body.append(big: timestamp)
            body.append(big: packets)
            body.append(big: octets)
            Self.append(blocks, to: &body)
        case .receiverReport(let ssrc, let blocks):
            (type, count) = (201, blocks.count)
            body.append(big: ssrc)
            Self.append(blocks, to: &body)
        case .bye(let sources):
            (type, count) = (203, sources.count)
            for source in sources { body.append(big: source) }
        case .application(let subtype, let ssrc, let name, let data):
            (type, count) = (204, Int(subtype))
            body.append(big: ssrc)
            body.append(contentsOf: name)
            body.append(contentsOf: data)
        case .other: return []
        }
        var packet: [UInt8] = [0x80 | UInt8(count & 0x1F), type]
        packet.append(big: UInt16(body.count / 4))
        return packet + body
    }

    /// An SDES packet with one CNAME (RFC 3550 §6.5.1), which every compound datagram carries.
    /// - Parameter name: at most 255 bytes of it are used.
    public static func cname(_ name: String, ssrc: UInt32) -> [UInt8] {
        var body: [UInt8] = []
        body.append(big: ssrc)
        let text = Array(name.utf8.prefix(255))
        body += [1, UInt8(text.count)] + text + [0]
        while body.count % 4 != 0 { body.append(0) }
        var packet: [UInt8] = [0x81, 202]
        packet.append(big: UInt16(body.count / 4))
        return packet + body
    }

    private static func append(_ blocks: [ReportBlock], to body: inout [UInt8]) {
        for block in blocks {
            body.append(big: block.ssrc)
            body.append(big: UInt32(block.fractionLost) << 24 | UInt32(bitPattern: block.totalLost) & 0xFF_FFFF)
            body.append(big: block.highestSequence)
            body.append(big: block.jitter)
            body.append(big: block.lastReport)
            body.append(big: block.delaySinceLastReport)
        }
    }
}
