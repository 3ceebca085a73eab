import FoundationEssentials

/// Any JSON text as a value, for messages whose shape is known only after a look inside.
///
/// Reading goes through Foundation's parser (RFC 8259; at most 512 levels deep, UTF-8 only), which passes over a comma before a closing
/// bracket.
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
}

extension JSONValue {
    /// Parses one JSON text.
    /// - Throws: `JSONError` when the bytes are not one UTF-8 JSON text, or nest deeper than 512 levels.
    public init(parsing bytes: some Sequence<UInt8>, json5: Bool = false) throws {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = json5
        do {
            self = try decoder.decode(JSONValue.self, from: Data(bytes))
        } catch let DecodingError.dataCorrupted(context) {
            let cause = context.underlyingError.map { String(describing: $0) } ?? context.debugDescription
            throw JSONError(description: "not valid JSON: \(cause)")
        } catch {
            throw JSONError(description: "not valid JSON: \(error)")
        }
    }

    /// The text: keys sorted, no white space, so that equal values give equal bytes.
    public func encoded(pretty: Bool = false) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        guard let data = try? encoder.encode(self) else { return Array("null".utf8) }
        return Array(data)
    }

    /// The text of `encoded()` as a string.
    public var text: String { String(decoding: encoded(), as: UTF8.self) }
}

extension JSONValue: Codable {
    // The order of the attempts is the order of how often a kind comes: each miss costs the decoder an error.
    /// Reads whatever kind comes.
    public init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: AnyKey.self) {
            var object: [String: JSONValue] = [:]
            for key in members.allKeys { object[key.stringValue] = try members.decode(JSONValue.self, forKey: key) }
            self = .object(object)
            return
        }
        let single = try decoder.singleValueContainer()
        if let value = try? single.decode(String.self) {
            self = .string(value)
        } else if let value = try? single.decode(Int64.self) {
            self = .int(value)
        } else if let value = try? single.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? single.decode(Double.self) {
            self = .double(value)
        } else if single.decodeNil() {
            self = .null
        } else {
            self = .array(try single.decode([JSONValue].self))
        }
    }

    /// Writes the value as what it is.
    public func encode(to encoder: any Encoder) throws {
        var single = encoder.singleValueContainer()
        switch self {
        case .null: try single.encodeNil()
        case .bool(let value): try single.encode(value)
        case .int(let value): try single.encode(value)
        case .double(let value): try single.encode(value)
        case .string(let value): try single.encode(value)
        case .array(let values): try single.encode(values)
        case .object(let members): try single.encode(members)
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }
}
