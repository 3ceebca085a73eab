/// The words after a subcommand: positional ones, and options `--name value` or `--name`.
struct Words: Sendable {
    private(set) var positional: [String] = []
    private var options: [String: String] = [:]

    /// - Parameters:
    ///   - valued: options that take a value.
    ///   - flags: options that take none.
    /// - Throws: `ToolError` that names the option that is not known or lacks its value.
    init(_ arguments: [String], valued: Set<String>, flags: Set<String> = []) throws(ToolError) {
        var index = 0
        while index < arguments.count {
            let word = arguments[index]
            index += 1
            guard word.hasPrefix("--") else {
                positional.append(word)
                continue
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
            let name = parts.first ?? ""
            if flags.contains(name), parts.count == 1 {
                options[name] = "true"
            } else if valued.contains(name) {
                if parts.count == 2 {
                    options[name] = parts[1]
                } else if index < arguments.count {
                    options[name] = arguments[index]
                    index += 1
                } else {
                    throw ToolError("--\(name) needs a value")
                }
            } else {
                throw ToolError("unknown option \(word)")
            }
        }
    }

    subscript(_ name: String) -> String? { options[name] }

    /// Whether a flag is given.
    func has(_ name: String) -> Bool { options[name] != nil }

    /// A whole number.
    /// - Throws: `ToolError` where it is none.
    func integer(_ name: String, default fallback: Int) throws(ToolError) -> Int {
        guard let text = options[name] else { return fallback }
        guard let value = Int(text), value >= 0 else { throw ToolError("--\(name) must be a number, not \(text)") }
        return value
    }

    /// A value that must be there.
    func required(_ name: String) throws(ToolError) -> String {
        guard let value = options[name] else { throw ToolError("--\(name) is needed") }
        return value
    }
}
