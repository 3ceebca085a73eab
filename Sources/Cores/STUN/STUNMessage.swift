/// A STUN message (RFC 8489 §5), as much of it as latching and connectivity checks need.
///
///     |0 0|     STUN Message Type     |         Message Length        |
///     |                         Magic Cookie                          |
///     |                     Transaction ID (96 bits)                  |
public struct STUNMessage: Sendable, Equatable {
    /// HMAC-SHA1 of a text under a key; comes from outside, as the cores know no cryptography.
    public typealias HMACSHA1 = (_ key: [UInt8], _ text: [UInt8]) -> [UInt8]

    /// The kinds that are used here.
    public enum Kind: UInt16, Sendable {
        case bindingRequest = 0x0001
        case bindingIndication = 0x0011
        case bindingSuccess = 0x0101
        case bindingError = 0x0111
    }
    static let cookie: UInt32 = 0x2112_A442
    static let headerSize = 20

    /// What it is.
    public var kind: Kind
    /// 12 bytes.
    public var transaction: [UInt8]
    /// USERNAME.
    public var username: String?
    /// PRIORITY (RFC 8445 §7.1.1).
    public private(set) var priority: UInt32?
    /// USE-CANDIDATE: the peer chose this path (RFC 8445 §7.1.2).
    public private(set) var nominates = false
    /// ICE-CONTROLLED: the peer takes itself for the one that is told (RFC 8445 §7.1.3).
    public private(set) var isControlled = false
    /// FINGERPRINT is there, and right.
    public private(set) var hasFingerprint = false
    /// ERROR-CODE of an error response.
    public private(set) var errorCode: Int?
    /// Attributes that must be understood and are not (RFC 8489 §14.10: below 0x8000).
    public private(set) var unknownAttributes: [UInt16] = []
    /// Whether MESSAGE-INTEGRITY and FINGERPRINT are there, and where the former starts.
    private var integrityOffset: Int?
    private var raw: [UInt8]

    /// Whether a datagram looks like STUN (RFC 7983: first byte 0…3, and the cookie).
    public static func isSTUN(_ datagram: Span<UInt8>) -> Bool {
        datagram.count >= headerSize && datagram[0] < 4 && uint32(datagram, 4) == cookie
    }

    /// Reads a message; nil for what is malformed, of another method, or has a wrong FINGERPRINT.
    public init?(_ datagram: Span<UInt8>) {
        guard STUNMessage.isSTUN(datagram), datagram.count <= 1_500, datagram.count % 4 == 0,
            Int(STUNMessage.uint16(datagram, 2)) == datagram.count - STUNMessage.headerSize,
            let kind = Kind(rawValue: STUNMessage.uint16(datagram, 0))
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(datagram.count)
        for index in datagram.indices { bytes.append(datagram[index]) }
        self.kind = kind
        raw = bytes
        transaction = Array(bytes[8..<20])
        var offset = STUNMessage.headerSize
        while offset + 4 <= bytes.count {
            let type = STUNMessage.uint16(datagram, offset)
            let length = Int(STUNMessage.uint16(datagram, offset + 2))
            let value = offset + 4
            guard value + length <= bytes.count else { return nil }
            switch type {
            case 0x0006 where length <= 513 && integrityOffset == nil:
                username = String(decoding: bytes[value..<value + length], as: UTF8.self)
            case 0x0008 where length == 20 && integrityOffset == nil: integrityOffset = offset
            case 0x8028:
                guard length == 4, offset + 8 == bytes.count,
                    STUNMessage.uint32(datagram, value) == STUNMessage.fingerprint(Array(bytes[..<offset]), finalLength: bytes.count)
                else { return nil }
                hasFingerprint = true
            default:
                // What stands behind MESSAGE-INTEGRITY is nobody's word (§14.5).
                if integrityOffset == nil { read(type, Array(bytes[value..<value + length])) }
            }
            offset = value + (length + 3) / 4 * 4
        }
    }

    private mutating func read(_ type: UInt16, _ value: [UInt8]) {
        switch type {
        case 0x0024 where value.count == 4: priority = value.reduce(0) { $0 << 8 | UInt32($1) }
        case 0x0025: nominates = true
        case 0x8029: isControlled = true
        case 0x0009 where value.count >= 4: errorCode = Int(value[2] & 7) * 100 + Int(value[3])
        // MAPPED-ADDRESS, USERNAME, MESSAGE-INTEGRITY, UNKNOWN-ATTRIBUTES, REALM, NONCE, XOR-MAPPED-ADDRESS and the like: not for us.
        case 0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x0020, 0x0024, 0x8000...: break
        default: if unknownAttributes.count < 8 { unknownAttributes.append(type) }
        }
    }

    /// Whether MESSAGE-INTEGRITY is there and right under this password (§14.5).
    public func isAuthentic(password: String, hmac: HMACSHA1) -> Bool {
        guard let integrityOffset else { return false }
        var text = Array(raw[..<integrityOffset])
        let length = UInt16(integrityOffset + 24 - STUNMessage.headerSize)
        text[2] = UInt8(length >> 8)
        text[3] = UInt8(length & 0xFF)
        let expected = hmac(Array(password.utf8), text)
        guard expected.count == 20 else { return false }
        // The whole digest is compared, so that timing tells nothing.
        var difference: UInt8 = 0
        for index in 0..<20 { difference |= expected[index] ^ raw[integrityOffset + 4 + index] }
        return difference == 0
    }

    /// A binding request with USERNAME, MESSAGE-INTEGRITY and FINGERPRINT; a connectivity check where it has a priority.
    /// - Parameters:
    ///   - transaction: 12 random bytes.
    ///   - priority: PRIORITY and ICE-CONTROLLING (or ICE-CONTROLLED) of a check.
    ///   - nominates: USE-CANDIDATE.
    public static func request(
        transaction: [UInt8], username: String, password: String, priority: UInt32? = nil, nominates: Bool = false,
        isControlled: Bool = false, hmac: HMACSHA1
    ) -> [UInt8] {
        var message = header(.bindingRequest, transaction)
        append(0x0006, Array(username.utf8), to: &message)
        if let priority {
            append(0x0024, (0..<4).map { UInt8(truncatingIfNeeded: priority >> (24 - 8 * UInt32($0))) }, to: &message)
            append(isControlled ? 0x8029 : 0x802A, Array(transaction.prefix(8)), to: &message)
        }
        if nominates { append(0x0025, [], to: &message) }
        return sealed(message, password, hmac)
    }

    /// An error response (§6.3.4).
    /// - Parameters:
    ///   - code: 300…699.
    ///   - unknown: what a 420 is about.
    ///   - password: seals it; nil where the requester is not known.
    public static func error(
        _ code: Int, _ reason: String, transaction: [UInt8], unknown: [UInt16] = [], password: String?, hmac: HMACSHA1
    ) -> [UInt8] {
        var message = header(.bindingError, transaction)
        append(0x0009, [0, 0, UInt8(code / 100 & 7), UInt8(code % 100)] + reason.utf8, to: &message)
        if !unknown.isEmpty { append(0x000A, unknown.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }, to: &message) }
        guard let password else { return fingerprinted(message) }
        return sealed(message, password, hmac)
    }

    /// The answer to a binding request, with XOR-MAPPED-ADDRESS (§14.2).
    /// - Parameters:
    ///   - address: the sender's: 4 or 16 bytes.
    ///   - port: the sender's.
    public static func success(transaction: [UInt8], address: [UInt8], port: UInt16, password: String, hmac: HMACSHA1) -> [UInt8] {
        var message = header(.bindingSuccess, transaction)
        let mask = Array(message[4..<20])
        var value: [UInt8] = [0, address.count == 4 ? 1 : 2]
        value += [UInt8(port >> 8) ^ mask[0], UInt8(port & 0xFF) ^ mask[1]]
        for (index, byte) in address.enumerated() { value.append(byte ^ mask[index]) }
        append(0x0020, value, to: &message)
        return sealed(message, password, hmac)
    }

    private static func header(_ kind: Kind, _ transaction: [UInt8]) -> [UInt8] {
        var bytes = [UInt8(kind.rawValue >> 8), UInt8(kind.rawValue & 0xFF), 0, 0, 0x21, 0x12, 0xA4, 0x42]
        bytes += transaction.prefix(12)
        while bytes.count < headerSize { bytes.append(0) }
        return bytes
    }

    private static func append(_ type: UInt16, _ value: [UInt8], to message: inout [UInt8]) {
        message += [UInt8(type >> 8), UInt8(type & 0xFF), UInt8(value.count >> 8), UInt8(value.count & 0xFF)] + value
        while message.count % 4 != 0 { message.append(0) }
        setLength(&message, message.count)
    }

    private static func sealed(_ message: [UInt8], _ password: String, _ hmac: HMACSHA1) -> [UInt8] {
        var message = message
        var text = message
        setLength(&text, message.count + 24)
        append(0x0008, hmac(Array(password.utf8), text), to: &message)
        return fingerprinted(message)
    }

    private static func fingerprinted(_ message: [UInt8]) -> [UInt8] {
        var message = message
        let crc = fingerprint(message, finalLength: message.count + 8)
        append(0x8028, [UInt8(crc >> 24), UInt8(crc >> 16 & 0xFF), UInt8(crc >> 8 & 0xFF), UInt8(crc & 0xFF)], to: &message)
        return message
    }

    private static func setLength(_ message: inout [UInt8], _ size: Int) {
        message[2] = UInt8((size - headerSize) >> 8)
        message[3] = UInt8((size - headerSize) & 0xFF)
    }

    /// CRC-32 of the message up to the attribute, with the final length, XORed as §14.7 says.
    static func fingerprint(_ message: [UInt8], finalLength: Int) -> UInt32 {
        var text = message
        setLength(&text, finalLength)
        var crc: UInt32 = 0xFFFF_FFFF
        let table = crcTable
        for byte in text { crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8 }
        return ~crc ^ 0x5354_554E
    }

    /// What each byte makes of a CRC-32 (ITU-T V.42, reflected): anybody may send long messages whose fingerprint is to be looked at.
    private static let crcTable = (0..<256 as Range<UInt32>).map { byte in
        (0..<8).reduce(byte) { crc, _ in crc & 1 != 0 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }

    private static func uint16(_ bytes: Span<UInt8>, _ offset: Int) -> UInt16 { UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) }
    private static func uint32(_ bytes: Span<UInt8>, _ offset: Int) -> UInt32 {
        UInt32(uint16(bytes, offset)) << 16 | UInt32(uint16(bytes, offset + 2))
    }
}
