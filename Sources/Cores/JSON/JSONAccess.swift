extension JSONValue {
    /// The member of this name, or nil where there is none or this is no object.
    public subscript(_ name: String) -> JSONValue? {
        if case .object(let members) = self { return members[name] }
        return nil
    }

    /// The members of an object.
    public var object: [String: JSONValue]? {
        if case .object(let members) = self { return members }
        return nil
    }

    /// The elements of an array.
    public var array: [JSONValue]? {
        if case .array(let elements) = self { return elements }
        return nil
    }

    /// A string's text.
    public var string: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// A truth value.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// A whole number: a JSON number without a fraction, or (reading is liberal) a decimal string.
    public var integer: Int64? {
        switch self {
        case .int(let value): return value
        case .double(let value): return Int64(exactly: value)
        case .string(let text):
            // Only what a decimal integer looks like: no sign but a minus, no spaces.
            guard let first = text.utf8.first, first == UInt8(ascii: "-") || (48...57).contains(first) else { return nil }
            return Int64(text)
        default: return nil
        }
    }

    /// A finite number, also from a decimal string.
    public var number: Double? {
        switch self {
        case .int(let value): return Double(value)
        case .double(let value): return value.isFinite ? value : nil
        case .string(let text):
            // Double also reads "nan", "inf" and hexadecimal digits, which are no numbers of JSON's.
            guard text.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }) else { return nil }
            return Double(text).flatMap { $0.isFinite ? $0 : nil }
        default: return nil
        }
    }

    /// Whether this is `null`.
    public var isNull: Bool { self == .null }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// The literal as a value.
    public init(stringLiteral value: String) { self = .string(value) }
    /// The literal as a value.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// The literal as a value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// The literal as a value.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// The literal as a value.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// The literal as a value.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
    /// The literal as a value.
    public init(nilLiteral: ()) { self = .null }
}
