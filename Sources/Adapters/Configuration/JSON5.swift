import FoundationEssentials
import JSON

/// Reads JSON5 (json5.org), which people write; what programs send each other is plain JSON.
public enum JSON5 {
    /// The value of one text.
    /// - Throws: `JSONError` when the bytes are not one UTF-8 JSON5 text.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
            return try decoder.decode(Node.self, from: Data(bytes)).value
        } catch let DecodingError.dataCorrupted(context) {
            throw JSONError(
                description: "not valid JSON5: \(context.underlyingError.map { String(describing: $0) } ?? context.debugDescription)")
        } catch {
            throw JSONError(description: "not valid JSON5: \(error)")
        }
    }

    /// Reads whatever kind comes; the order of the attempts is the order of how often a kind comes.
    private struct Node: Decodable {
        let value: JSONValue

        init(from decoder: any Decoder) throws {
            if let members = try? decoder.container(keyedBy: AnyKey.self) {
                var object: [String: JSONValue] = [:]
                for key in members.allKeys { object[key.stringValue] = try members.decode(Node.self, forKey: key).value }
                value = .object(object)
                return
            }
            let single = try decoder.singleValueContainer()
            if let text = try? single.decode(String.self) {
                value = .string(text)
            } else if let number = try? single.decode(Int64.self) {
                value = .int(number)
            } else if let flag = try? single.decode(Bool.self) {
                value = .bool(flag)
            } else if let number = try? single.decode(Double.self) {
                value = .double(number)
            } else if single.decodeNil() {
                value = .null
            } else {
                value = .array(try single.decode([Node].self).map(\.value))
            }
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { return nil }
    }
}
