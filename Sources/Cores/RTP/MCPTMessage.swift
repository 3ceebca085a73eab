/// A floor control message in an RTCP APP packet named `MCPT` (3GPP TS 24.380 §8.2; FLOOR.md, "On the wire").
public struct MCPTMessage: Sendable, Equatable {
    /// The message, in the subtype's low four bits.
    public enum Kind: UInt8, Sendable, CaseIterable {
        case request = 0
        case granted = 1
        case taken = 2
        case deny = 3
        case release = 4
        case idle = 5
        case revoke = 6
        case queuePositionRequest = 8
        case queuePositionInfo = 9
        case ack = 10
    }

    /// A field: id, length and value (§8.2.3).
    public enum Field: Sendable, Equatable {
        /// 0…255.
        case priority(UInt8)
        /// Seconds.
        case duration(UInt16)
        /// A Deny or Revoke cause.
        case cause(UInt16)
        /// Position (254: not queued, 255: unknown) and priority.
        case queueInfo(position: UInt8, priority: UInt8)
        /// The talker.
        case grantedParty(String)
        /// 1: this participant may ask for the floor.
        case permission(UInt16)
        /// The sender, decimal.
        case userID(String)
        /// How many wait.
        case queueSize(UInt16)
        /// Rises with each Taken and Idle.
        case sequence(UInt16)
        /// Who waits.
        case queuedUser(String)
        /// Who the message is from: 2 is the controlling function.
        case source(UInt16)
        /// In an Ack: what it answers.
        case messageType(UInt8)
        /// The bits of `Indicator`.
        case indicator(Indicator)
        /// A stream.
        case ssrc(UInt32)
    }

    /// What kind of call it is (§8.2.3.15).
    public struct Indicator: OptionSet, Sendable {
        /// The number as it stands on the wire.
        public let rawValue: UInt16
        /// Bits as they stand on the wire.
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// A call like any other.
        public static let normal = Indicator(rawValue: 0x8000)
        /// Only the originator talks.
        public static let broadcast = Indicator(rawValue: 0x4000)
        /// A system call.
        public static let system = Indicator(rawValue: 0x2000)
        /// An emergency.
        public static let emergency = Indicator(rawValue: 0x1000)
        /// Imminent peril.
        public static let imminentPeril = Indicator(rawValue: 0x0800)
        /// Requests may wait.
        public static let queueing = Indicator(rawValue: 0x0400)
        /// An override is a second stream.
        public static let dualFloor = Indicator(rawValue: 0x0200)
    }

    /// The packet's name.
    public static let name = Array("MCPT".utf8)
    /// The bit that asks for an Ack; only with 1, 2, 3, 4, 5 and 9.
    static let ackBit: UInt8 = 0x10

    /// The message.
    public var kind: Kind
    /// Whether an Ack is wanted.
    public var wantsAck: Bool
    /// The sender's SSRC.
    public var ssrc: UInt32
    /// In the order of the wire.
    public var fields: [Field]

    /// A message to send.
    public init(_ kind: Kind, ssrc: UInt32, fields: [Field], wantsAck: Bool = false) {
        (self.kind, self.ssrc, self.fields, self.wantsAck) = (kind, ssrc, fields, wantsAck)
    }

    /// Reads an APP packet; nil where it is no `MCPT` or of no known kind. Unknown and broken fields are passed over.
    public init?(_ packet: RTCPPacket) {
        guard case .application(let subtype, let ssrc, let name, let data) = packet, name == MCPTMessage.name,
            let kind = Kind(rawValue: subtype & 0x0F)
        else { return nil }
        self.init(kind, ssrc: ssrc, fields: [], wantsAck: subtype & MCPTMessage.ackBit != 0)
        var offset = 0
        while data.count - offset >= 2 {
            let id = data[offset]
            let length = Int(data[offset + 1])
            let start = offset + 2
            guard start + length <= data.count else { break }
            if let field = Field(id: id, value: Array(data[start..<start + length])) { fields.append(field) }
            offset = (start + length + 3) / 4 * 4
        }
    }

    /// The datagram: the APP packet alone (RFC 5506).
    public var encoded: [UInt8] {
        var data: [UInt8] = []
        for field in fields {
            let (id, value) = field.wire
            data += [id, UInt8(min(value.count, 255))] + value.prefix(255)
            while data.count % 4 != 0 { data.append(0) }
        }
        let subtype = kind.rawValue | (wantsAck ? MCPTMessage.ackBit : 0)
        return RTCPPacket.application(subtype: subtype, ssrc: ssrc, name: MCPTMessage.name, data: data).encoded
    }

    /// The priority asked for; 0 where none was.
    public var priority: UInt8 {
        for case .priority(let value) in fields { return value }
        return 0
    }
    /// The call's kind; empty where none was given.
    public var indicator: Indicator {
        for case .indicator(let value) in fields { return value }
        return []
    }
}

extension MCPTMessage.Field {
    init?(id: UInt8, value: [UInt8]) {
        func number() -> UInt16? { value.count >= 2 ? UInt16(value[0]) << 8 | UInt16(value[1]) : nil }
        func text() -> String { String(decoding: value, as: UTF8.self) }
        let field: Self? =
            switch id {
            case 0: value.first.map { .priority($0) }
            case 1: number().map { .duration($0) }
            case 2: number().map { .cause($0) }
            case 3: number().map { .queueInfo(position: UInt8($0 >> 8), priority: UInt8($0 & 0xFF)) }
            case 4: .grantedParty(text())
            case 5: number().map { .permission($0) }
            case 6: .userID(text())
            case 7: number().map { .queueSize($0) }
            case 8: number().map { .sequence($0) }
            case 9: .queuedUser(text())
            case 10: number().map { .source($0) }
            case 12: value.first.map { .messageType($0) }
            case 13: number().map { .indicator(MCPTMessage.Indicator(rawValue: $0)) }
            case 14: value.count >= 4 ? .ssrc(value.span.uint32(0)) : nil
            default: nil
            }
        guard let field else { return nil }
        self = field
    }

    var wire: (id: UInt8, value: [UInt8]) {
        func number(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
        switch self {
        case .priority(let value): return (0, [value, 0])
        case .duration(let seconds): return (1, number(seconds))
        case .cause(let cause): return (2, number(cause))
        case .queueInfo(let position, let priority): return (3, [position, priority])
        case .grantedParty(let text): return (4, Array(text.utf8))
        case .permission(let value): return (5, number(value))
        case .userID(let text): return (6, Array(text.utf8))
        case .queueSize(let value): return (7, number(value))
        case .sequence(let value): return (8, number(value))
        case .queuedUser(let text): return (9, Array(text.utf8))
        case .source(let value): return (10, number(value))
        case .messageType(let value): return (12, [value, 0])
        case .indicator(let value): return (13, number(value.rawValue))
        case .ssrc(let value):
            var bytes: [UInt8] = []
            bytes.append(big: value)
            return (14, bytes + [0, 0])
        }
    }
}
