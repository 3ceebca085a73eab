/// A talk group's number, and the number of its room. 1…2^53−1, so that every JSON reader keeps it exact (MESSAGES.md §1).
public struct GroupID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The number itself.
    public let value: Int64
    /// - Returns: nil outside 1…2^53−1.
    public init?(_ value: Int64) {
        guard value >= 1, value <= maximumID else { return nil }
        self.value = value
    }
    /// The canonical decimal form: the key of every Kafka record of this group.
    public var description: String { String(value) }
    /// The lesser comes first.
    public static func < (left: GroupID, right: GroupID) -> Bool { left.value < right.value }
}

/// A user's number; a participant of a room is found by it. 1…2^53−1.
public struct UserID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The number itself.
    public let value: Int64
    /// - Returns: nil outside 1…2^53−1.
    public init?(_ value: Int64) {
        guard value >= 1, value <= maximumID else { return nil }
        self.value = value
    }
    /// The decimal form.
    public var description: String { String(value) }
    /// The lesser comes first.
    public static func < (left: UserID, right: UserID) -> Bool { left.value < right.value }
}

/// The largest id: 2^53−1.
public let maximumID: Int64 = 9_007_199_254_740_991

/// What a person is in a group; the higher talks over the lower (FLOOR.md, "Claims and order").
public enum Role: Int, Sendable, Comparable, CaseIterable {
    case member = 0
    case manager = 1
    case owner = 2
    /// The lesser comes first.
    public static func < (left: Role, right: Role) -> Bool { left.rawValue < right.rawValue }
}

/// How urgent a claim to the floor is; within a tier the role decides.
public enum Tier: Int, Sendable, Comparable, CaseIterable {
    case normal = 0
    case imminentPeril = 1
    case emergency = 2
    /// The lesser comes first.
    public static func < (left: Tier, right: Tier) -> Bool { left.rawValue < right.rawValue }

    /// The name in `floor_msg` and in the consoles' API.
    public var name: String {
        switch self {
        case .normal: "normal"
        case .imminentPeril: "imminent_peril"
        case .emergency: "emergency"
        }
    }
    /// The tier of this name.
    public init?(name: String) {
        guard let tier = Tier.allCases.first(where: { $0.name == name }) else { return nil }
        self = tier
    }
}

/// The idempotency key of one talk burst, made at the grant: a UUIDv7 (RFC 9562 §5.7).
public struct TalkID: Hashable, Sendable, CustomStringConvertible {
    /// The lower-case 8-4-4-4-12 form.
    public let description: String

    /// Makes a UUIDv7 of a wall-clock time and 80 random bits.
    /// - Parameters:
    ///   - unixMs: milliseconds since 1970; its low 48 bits are used.
    ///   - random: 128 random bits, of which 74 are used.
    public init(unixMs: Int64, random: (UInt64, UInt64)) {
        let high = UInt64(bitPattern: unixMs) << 16 | 0x7000 | (random.0 & 0x0FFF)
        let low = 0x8000_0000_0000_0000 | (random.1 & 0x3FFF_FFFF_FFFF_FFFF)
        self.init(high: high, low: low)
    }

    /// Takes over a UUID's text of any version.
    /// - Returns: nil unless it has the 8-4-4-4-12 form.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [8, 4, 4, 4, 12], parts.allSatisfy({ $0.allSatisfy(\.isHexDigit) && $0.utf8.count == $0.count })
        else { return nil }
        description = text.lowercased()
    }

    private init(high: UInt64, low: UInt64) {
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        description = [
            hex(high >> 32, 8), hex(high >> 16 & 0xFFFF, 4), hex(high & 0xFFFF, 4), hex(low >> 48, 4), hex(low & 0xFFFF_FFFF_FFFF, 12),
        ].joined(separator: "-")
    }
}
