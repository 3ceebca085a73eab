import Glibc
import JSON

/// One section of a configuration, and how its keys are read.
///
/// Each getter names the key, its default (without one, the key is required) and what is allowed; a wrong value is remembered for
/// `Configuration.finish()`, and the default is answered.
public struct Section: Sendable {
    let configuration: Configuration
    let path: [String]

    /// A section inside this one, such as `topics` in `kafka`.
    public func section(_ name: String) -> Section {
        let inner = Section(configuration: configuration, path: path + [name])
        if let value = inner.value, value.object == nil {
            inner.problem("must be a section { … }")
            configuration.state.withLock { _ = $0.readPaths.insert(inner.path) }
        }
        return inner
    }

    /// Whether the file has this section, or key.
    public func has(_ key: String) -> Bool { raw(key) != nil }

    /// A whole number.
    public func int(_ key: String, default fallback: Int? = nil, in range: ClosedRange<Int> = 0...Int.max) -> Int {
        read(key, fallback, placeholder: range.lowerBound, want: "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            value in
            value.integer.flatMap { Int(exactly: $0) }.flatMap { range.contains($0) ? $0 : nil }
        } show: {
            .int(Int64($0))
        }
    }

    /// A number.
    public func double(_ key: String, default fallback: Double? = nil, in range: ClosedRange<Double>) -> Double {
        read(key, fallback, placeholder: range.lowerBound, want: "a number from \(range.lowerBound) to \(range.upperBound)") { value in
            value.number.flatMap { range.contains($0) ? $0 : nil }
        } show: {
            .double($0)
        }
    }

    /// `true` or `false`.
    public func bool(_ key: String, default fallback: Bool? = nil) -> Bool {
        read(key, fallback, placeholder: false, want: "true or false") { value in
            value.bool ?? value.string.flatMap { Bool($0) }
        } show: {
            .bool($0)
        }
    }

    /// A text.
    public func string(_ key: String, default fallback: String? = nil) -> String {
        read(key, fallback, placeholder: "", want: "a text") {
            plainText($0)
        } show: {
            .string($0)
        }
    }

    /// One of some words.
    public func choice(_ key: String, default fallback: String? = nil, of words: [String]) -> String {
        read(key, fallback, placeholder: words.first ?? "", want: "one of \(words.joined(separator: ", "))") { value in
            plainText(value).flatMap { words.contains($0) ? $0 : nil }
        } show: {
            .string($0)
        }
    }

    /// A list of texts; in an environment variable separated by commas.
    public func list(_ key: String, default fallback: [String]? = nil) -> [String] {
        read(key, fallback, placeholder: [], want: "a list of texts [ … ]") { value in
            if let elements = value.array {
                let texts = elements.compactMap { plainText($0) }
                return texts.count == elements.count ? texts : nil
            }
            return value.string.map { $0.isEmpty ? [] : $0.split(separator: ",").map { String($0.trimmingSpaces) } }
        } show: {
            .array($0.map { .string($0) })
        }
    }

    /// Names and texts, such as a library's own options; values whose name tells of a secret are masked when shown.
    public func map(_ key: String, default fallback: [String: String]? = nil) -> [String: String] {
        read(key, fallback, placeholder: [:], want: "names and texts { … }") { value in
            guard let members = value.object else { return nil }
            var texts: [String: String] = [:]
            for (name, member) in members {
                guard let text = plainText(member) ?? member.bool.map({ String($0) }) else { return nil }
                texts[name] = text
            }
            return texts
        } show: { texts in
            .object(
                Dictionary(
                    uniqueKeysWithValues: texts.map { name, value in
                        let secret = ["password", "secret", "key"].contains { name.lowercased().contains($0) }
                        return (name, .string(secret ? mask : value))
                    }))
        }
    }

    /// A span of time. The key's suffix is its unit: `_ms`, `_s`, `_minutes`, `_hours` or `_days`; the value is a number of them.
    public func duration(
        _ key: String, default fallback: Duration? = nil, in range: ClosedRange<Duration> = .zero ... .seconds(86_400 * 3650)
    ) -> Duration {
        let unit = Self.unit(of: key)
        let name = key.split(separator: "_").last.map(String.init) ?? ""
        return read(
            key, fallback, placeholder: range.lowerBound,
            want: "a number of \(name) from \(number(range.lowerBound / unit).text) to \(number(range.upperBound / unit).text)"
        ) { value in
            guard let count = value.number, count.isFinite, abs(count) < 1e12 else { return nil }
            let span = unit * count
            return range.contains(span) ? span : nil
        } show: {
            number($0 / unit)
        }
    }

    /// An address of one of some schemes; a password in it is masked when shown.
    public func url(_ key: String, default fallback: String? = nil, schemes: [String] = ["http", "https"]) -> String {
        let want = "an address that begins with " + schemes.map { $0 + "://" }.joined(separator: " or ")
        return read(key, fallback, placeholder: "", want: want) { value in
            guard let text = value.string else { return nil }
            let fits = schemes.contains { text.hasPrefix($0 + "://") && text.utf8.count > $0.utf8.count + 3 }
            return fits && !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) ? text : nil
        } show: {
            .string(withoutPassword($0))
        }
    }

    /// A secret text, masked when shown; `file:/path` stands for what that file holds, a line feed at its end left out.
    public func secret(_ key: String, default fallback: String? = nil) -> String {
        let text = read(key, fallback, placeholder: "", want: "a text, or file:/path") {
            plainText($0)
        } show: {
            .string($0.isEmpty ? "" : mask)
        }
        guard text.hasPrefix("file:") else { return text }
        let file = String(text.dropFirst("file:".count))
        guard let bytes = readWholeFile(file, limit: 64 * 1024) else {
            let inner = Section(configuration: configuration, path: path + [key])
            inner.problem("the file \(file) can't be read: \(String(cString: strerror(errno)))")
            return ""
        }
        var secret = bytes[...]
        while let last = secret.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { secret.removeLast() }
        return String(decoding: secret, as: UTF8.self)
    }

    /// Tells of something wrong that only the reader could see, such as two keys that don't go together.
    public func reject(_ key: String, _ reason: String) { Section(configuration: configuration, path: path + [key]).problem(reason) }

    // MARK: How a key is read

    private var mask: String { "***" }

    private func read<Value>(
        _ key: String, _ fallback: Value?, placeholder: Value, want: String, parse: (JSONValue) -> Value?, show: (Value) -> JSONValue
    ) -> Value {
        let here = Section(configuration: configuration, path: path + [key])
        let found = raw(key)
        var result = fallback ?? placeholder
        if let found {
            if let parsed = parse(found) {
                result = parsed
            } else {
                here.problem("must be \(want), but is \(found.text)")
            }
        } else if fallback == nil {
            here.problem("is missing; it must be \(want)")
        }
        let shown = show(result)
        configuration.state.withLock { state in
            state.readPaths.insert(here.path)
            state.readVariables.insert(here.variable)
            state.effective.set(shown, at: here.path[...])
        }
        return result
    }

    /// The value from the environment, else from the file.
    private func raw(_ key: String) -> JSONValue? {
        let here = Section(configuration: configuration, path: path + [key])
        if let text = configuration.environment[here.variable] {
            if text.hasPrefix("[") || text.hasPrefix("{"), let value = try? JSON5.parse(Array(text.utf8)) {
                return value
            }
            return .string(text)
        }
        return here.value
    }

    private var variable: String {
        Configuration.environmentPrefix
            + path.joined(separator: "_").uppercased().map { $0 == "-" || $0 == "." ? "_" : String($0) }.joined()
    }

    private var value: JSONValue? { path.reduce(configuration.root as JSONValue?) { $0?[$1] } }

    private func problem(_ text: String) {
        let line = "\(path.joined(separator: ".")): \(text)"
        configuration.state.withLock { state in
            if !state.problems.contains(line) { state.problems.append(line) }
        }
    }

    /// Numbers are texts too where a text is wanted: `gid: 5` and `gid: "5"` mean the same.
    private func plainText(_ value: JSONValue) -> String? { value.string ?? value.integer.map { String($0) } }

    private func number(_ value: Double) -> JSONValue { Int64(exactly: value).map { .int($0) } ?? .double(value) }

    private static func unit(of key: String) -> Duration {
        let units: [(suffix: String, unit: Duration)] = [
            ("_ms", .milliseconds(1)), ("_s", .seconds(1)), ("_minutes", .seconds(60)), ("_hours", .seconds(3600)),
            ("_days", .seconds(86_400)),
        ]
        let unit = units.first { key.hasSuffix($0.suffix) }?.unit
        precondition(unit != nil, "the key \(key) must end with its unit")
        return unit ?? .seconds(1)
    }
}

/// The address with the password between `://user:` and `@` masked.
func withoutPassword(_ url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return url }
    let rest = url[scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    guard let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") else { return url }
    return url[...colon] + "***" + url[at...]
}

extension JSONValue {
    /// Puts a value at a path, making objects on the way.
    fileprivate mutating func set(_ value: JSONValue, at path: ArraySlice<String>) {
        guard let name = path.first else {
            self = value
            return
        }
        var members = object ?? [:]
        var inner = members[name] ?? .object([:])
        inner.set(value, at: path.dropFirst())
        members[name] = inner
        self = .object(members)
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}
