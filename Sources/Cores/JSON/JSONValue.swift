import CJansson

/// Any JSON text as a value, for messages whose shape is known only after a look inside.
///
/// Reading and writing go through jansson (RFC 8259; UTF-8 only).
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])
}

/// Why a text is not JSON, in the parser's words.
public struct JSONError: Error, Sendable, CustomStringConvertible {
    /// What is wrong and, where the parser knows it, at which line and column.
    public let description: String

    /// An error in somebody's words.
    public init(description: String) { self.description = description }
}

extension JSONValue {
    /// How deep a text may nest.
    public static let maxDepth = 512

    /// Parses one JSON text. Where a whole number is beyond 64 bits, all of the text's numbers become doubles. Of a member that is named
    /// twice the last counts.
    /// - Throws: `JSONError` when the bytes are not one UTF-8 JSON text, or nest deeper than 512 levels.
    public init(parsing bytes: [UInt8]) throws(JSONError) {
        let result = bytes.withUnsafeBytes { text in Result { () throws(JSONError) in try JSONValue(text: text) } }
        self = try result.get()
    }

    private init(text: UnsafeRawBufferPointer) throws(JSONError) {
        var problem = json_error_t()
        let flags = JSON_DECODE_ANY | JSON_ALLOW_NUL
        var tree = Self.load(text, flags, &problem)
        if tree == nil, json_error_code(&problem) == json_error_numeric_overflow {
            tree = Self.load(text, flags | JSON_DECODE_INT_AS_REAL, &problem)
        }
        guard let tree else { throw JSONError(problem) }
        defer { json_decref(tree) }
        self = try JSONValue(tree, depth: 0)
    }

    private static func load(_ text: UnsafeRawBufferPointer, _ flags: Int32, _ problem: inout json_error_t)
        -> UnsafeMutablePointer<json_t>?
    {
        // An empty buffer may have no address, which the library would take for a mistake of the caller.
        guard let start = text.baseAddress else { return json_loadb("", 0, Int(flags), &problem) }
        return json_loadb(start.assumingMemoryBound(to: CChar.self), text.count, Int(flags), &problem)
    }

    private init(_ tree: UnsafeMutablePointer<json_t>, depth: Int) throws(JSONError) {
        guard depth <= Self.maxDepth else { throw JSONError(description: "not valid JSON: nested deeper than \(Self.maxDepth) levels") }
        switch tree.pointee.type {
        case JSON_OBJECT:
            var members = [String: JSONValue](minimumCapacity: json_object_size(tree))
            var place = json_object_iter(tree)
            while let here = place {
                let name = Self.string(json_object_iter_key(here), json_object_iter_key_len(here))
                members[name] = try JSONValue(json_object_iter_value(here), depth: depth + 1)
                place = json_object_iter_next(tree, here)
            }
            self = .object(members)
        case JSON_ARRAY:
            var elements: [JSONValue] = []
            elements.reserveCapacity(json_array_size(tree))
            for index in 0..<json_array_size(tree) { elements.append(try JSONValue(json_array_get(tree, index), depth: depth + 1)) }
            self = .array(elements)
        case JSON_STRING: self = .string(Self.string(json_string_value(tree), json_string_length(tree)))
        case JSON_INTEGER: self = .int(json_integer_value(tree))
        case JSON_REAL: self = .double(json_real_value(tree))
        case JSON_TRUE: self = .bool(true)
        case JSON_FALSE: self = .bool(false)
        default: self = .null
        }
    }

    private static func string(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// The text: keys sorted, no white space, so that equal values give equal bytes. Doubles have up to 15 significant digits; what JSON can't
    /// say of them is a string: "inf", "-inf", "nan".
    public func encoded(pretty: Bool = false) -> [UInt8] {
        let tree = tree
        defer { json_decref(tree) }
        // JSON_INDENT(2) and JSON_REAL_PRECISION(15), which are macros with arguments.
        let flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | (pretty ? 2 : JSON_COMPACT) | (15 << 11)
        func write(_ buffer: UnsafeMutableBufferPointer<CChar>) -> Int { json_dumpb(tree, buffer.baseAddress, buffer.count, Int(flags)) }
        // Most messages fit at once; what does not is written again, now that its length is known.
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2_048) { first in
            let count = write(first)
            // It fails only where memory ends.
            if count == 0 { return Array("null".utf8) }
            return [UInt8](unsafeUninitializedCapacity: count) { bytes, written in
                bytes.withMemoryRebound(to: CChar.self) { bytes in
                    if count > first.count {
                        _ = write(bytes)
                    } else {
                        _ = bytes.update(fromContentsOf: first.prefix(count))
                    }
                }
                written = count
            }
        }
    }

    /// The text of `encoded()` as a string.
    public var text: String { String(decoding: encoded(), as: UTF8.self) }

    private var tree: UnsafeMutablePointer<json_t>? {
        switch self {
        case .null: return json_null()
        case .bool(let value): return value ? json_true() : json_false()
        case .int(let value): return json_integer(value)
        case .double(let value):
            if value.isFinite { return json_real(value) }
            return JSONValue.string(value.isNaN ? "nan" : value < 0 ? "-inf" : "inf").tree
        case .string(let value):
            var value = value
            return value.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { json_stringn_nocheck($0.baseAddress, $0.count) }
            }
        case .array(let elements):
            let made = json_array()
            for element in elements { json_array_append_new(made, element.tree) }
            return made
        case .object(let members):
            let made = json_object()
            for (name, value) in members {
                var name = name
                name.withUTF8 { bytes in
                    bytes.withMemoryRebound(to: CChar.self) { key in
                        _ = json_object_setn_new_nocheck(made, key.baseAddress, key.count, value.tree)
                    }
                }
            }
            return made
        }
    }
}

extension JSONError {
    fileprivate init(_ problem: json_error_t) {
        let words = withUnsafeBytes(of: problem.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        description = "not valid JSON: \(words) at line \(problem.line), column \(problem.column)"
    }
}
