/// A value of a log line's field: text, a number or a truth value.
public enum LogValue: Sendable, Hashable {
    case string(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)

    /// Any whole number; what does not fit in 64 bits with a sign is cut to the nearest that does.
    public static func int(_ value: some BinaryInteger) -> LogValue { .int(Int64(clamping: value)) }

    /// An error, or anything else that describes itself.
    public static func describing(_ value: Any) -> LogValue { .string(String(describing: value)) }
}

extension LogValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral {
    /// The text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// The number.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// The number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// The truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// The named values of a log line, in the order in which they are written.
public typealias LogFields = KeyValuePairs<String, LogValue>
