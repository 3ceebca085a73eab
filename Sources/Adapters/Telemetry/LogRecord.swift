/// One log line before it is written.
public struct LogRecord: Sendable {
    /// Wall time in milliseconds since 1970.
    public let timeMs: Int64
    /// How much it matters.
    public let level: LogLevel
    /// The part of the program that says it, such as `kafka`.
    public let label: String
    /// What happened, the same words each time; what differs stands in the fields.
    public let message: String
    /// The named values, the logger's own first.
    public let fields: [(name: String, value: LogValue)]
}

/// How log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
    /// For people: `2026-01-31T12:00:00.000Z info kafka: connected brokers=3`.
    case text
    /// For machines: one JSON object a line with `time`, `level`, `label`, `message` and the fields.
    case json
}

extension LogFormat {
    /// The line with its line feed.
    func line(_ record: LogRecord) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(160)
        switch self {
        case .text:
            appendISO8601(record.timeMs, to: &out)
            out.append(UInt8(ascii: " "))
            out += record.level.name.utf8
            out.append(UInt8(ascii: " "))
            out += record.label.utf8
            out += ": ".utf8
            appendPlain(record.message, to: &out)
            for (name, value) in record.fields {
                out.append(UInt8(ascii: " "))
                out += name.utf8
                out.append(UInt8(ascii: "="))
                appendText(value, to: &out)
            }
        case .json:
            out += "{\"time\":\"".utf8
            appendISO8601(record.timeMs, to: &out)
            out += "\",\"level\":\"\(record.level.name)\",\"label\":".utf8
            appendQuoted(record.label, to: &out)
            out += ",\"message\":".utf8
            appendQuoted(record.message, to: &out)
            for (name, value) in record.fields {
                out.append(UInt8(ascii: ","))
                appendQuoted(name, to: &out)
                out.append(UInt8(ascii: ":"))
                appendJSON(value, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
        out.append(UInt8(ascii: "\n"))
        return out
    }

    private func appendJSON(_ value: LogValue, to out: inout [UInt8]) {
        switch value {
        case .string(let text): appendQuoted(text, to: &out)
        case .int(let number): out += String(number).utf8
        case .double(let number):
            if number.isFinite { out += String(number).utf8 } else { appendQuoted(String(number), to: &out) }
        case .bool(let truth): out += String(truth).utf8
        }
    }

    private func appendText(_ value: LogValue, to out: inout [UInt8]) {
        switch value {
        case .string(let text):
            // Quoted only where a reader could not tell the value's end.
            let plain =
                !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=") && $0 != 0x7f }
            if plain { out += text.utf8 } else { appendQuoted(text, to: &out) }
        case .int(let number): out += String(number).utf8
        case .double(let number): out += String(number).utf8
        case .bool(let truth): out += String(truth).utf8
        }
    }

    /// Text as it is, control characters as spaces: a message can't forge a second line.
    private func appendPlain(_ text: String, to out: inout [UInt8]) {
        for byte in text.utf8 { out.append(byte < 0x20 || byte == 0x7f ? 0x20 : byte) }
    }

    private func appendQuoted(_ text: String, to out: inout [UInt8]) {
        let hex = Array("0123456789abcdef".utf8)
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): out += "\\n".utf8
            case UInt8(ascii: "\r"): out += "\\r".utf8
            case UInt8(ascii: "\t"): out += "\\t".utf8
            case 0..<0x20, 0x7f: out += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

/// `2026-01-31T12:00:00.000Z`, after Howard Hinnant's `civil_from_days`.
func appendISO8601(_ timeMs: Int64, to out: inout [UInt8]) {
    let days = Int((timeMs / 86_400_000) - (timeMs % 86_400_000 < 0 ? 1 : 0))
    let msOfDay = Int(timeMs - Int64(days) * 86_400_000)
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func append(_ number: Int, _ width: Int, _ separator: Character) {
        let text = String(number)
        for _ in text.utf8.count..<max(width, text.utf8.count) { out.append(UInt8(ascii: "0")) }
        out += text.utf8
        out += separator.utf8
    }
    append(year, 4, "-")
    append(month, 2, "-")
    append(day, 2, "T")
    append(msOfDay / 3_600_000, 2, ":")
    append(msOfDay / 60_000 % 60, 2, ":")
    append(msOfDay / 1000 % 60, 2, ".")
    append(msOfDay % 1000, 3, "Z")
}
