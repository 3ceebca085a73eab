/// A value as SQL knows it.
public enum SQLValue: Sendable, Hashable {
    case null
    case int(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    /// A number, or null.
    public static func optional(_ value: Int64?) -> SQLValue { value.map { .int($0) } ?? .null }
    /// A text, or null.
    public static func optional(_ value: String?) -> SQLValue { value.map { .text($0) } ?? .null }
    /// 1 or 0: not every database has truth values.
    public static func bool(_ value: Bool) -> SQLValue { .int(value ? 1 : 0) }
}

extension SQLValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral {
    /// The text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// The number.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// Null.
    public init(nilLiteral: ()) { self = .null }
}

/// A row of an answer.
public struct Row: Sendable, Hashable {
    let names: [String]
    /// The values in the order of the columns.
    public let values: [SQLValue]

    /// The value of a column; null where there is no such column.
    public subscript(_ name: String) -> SQLValue { names.firstIndex(of: name).map { values[$0] } ?? .null }

    /// A whole number, or nil where the column is null or something else.
    public func int(_ name: String) -> Int64? { if case .int(let value) = self[name] { value } else { nil } }

    /// A text, or nil where the column is null or something else.
    public func text(_ name: String) -> String? { if case .text(let value) = self[name] { value } else { nil } }

    /// Whether a number is there that is not 0.
    public func bool(_ name: String) -> Bool { (int(name) ?? 0) != 0 }
}
