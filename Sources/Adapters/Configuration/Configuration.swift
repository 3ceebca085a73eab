import Glibc
import JSON
import Synchronization

/// A service's configuration: one JSON5 file, overridden by environment variables `TALKBURST_SECTION_KEY`.
///
/// The parts of a service read their keys with their defaults and ranges from a `Section`; whatever is wrong is remembered, and the
/// reader gets the default meanwhile. `finish()` then throws everything that is wrong, unknown keys included, at once.
public final class Configuration: Sendable {
    /// How environment variables that override keys begin.
    public static let environmentPrefix = "TALKBURST_"

    struct State {
        var problems: [String] = []
        var readPaths: Set<[String]> = []
        var readVariables: Set<String> = []
        var effective = JSONValue.object([:])
    }

    let root: JSONValue
    let environment: [String: String]
    let state = Mutex(State())

    /// A configuration from a value that is there already.
    /// - Parameter environment: the variables that may override; others than `TALKBURST_…` are ignored.
    public init(_ root: JSONValue, environment: [String: String] = [:]) {
        self.root = root
        self.environment = environment.filter { $0.key.hasPrefix(Self.environmentPrefix) }
    }

    /// Reads a JSON5 file; without one, everything has its default or comes from the environment.
    /// - Throws: `ConfigurationError` with code `unreadable`.
    public convenience init(file: String?, environment: [String: String]) throws(ConfigurationError) {
        guard let file else {
            self.init(.object([:]), environment: environment)
            return
        }
        guard let bytes = readWholeFile(file, limit: 1 << 20) else {
            let cause = errno == 0 ? "it is larger than 1 MiB" : String(cString: strerror(errno))
            throw ConfigurationError(code: .unreadable, problems: ["configuration file \(file) can't be read: \(cause)"])
        }
        do {
            let root = try JSON5.parse(bytes)
            guard root.object != nil else {
                throw ConfigurationError(code: .unreadable, problems: ["configuration file \(file) must hold one object { … }"])
            }
            self.init(root, environment: environment)
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw ConfigurationError(code: .unreadable, problems: ["configuration file \(file): \(error)"])
        }
    }

    /// The environment variables of this process.
    public static func processEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let line = String(cString: text)
            if let equals = line.firstIndex(of: "=") { variables[String(line[..<equals])] = String(line[line.index(after: equals)...]) }
            entry += 1
        }
        return variables
    }

    /// A top-level section, such as `web`; it may be absent, then all its keys have their defaults.
    public func section(_ name: String) -> Section { Section(configuration: self, path: []).section(name) }

    /// Ends the reading.
    /// - Throws: `ConfigurationError` with every wrong value and every key in the file that nobody has read.
    public func finish() throws(ConfigurationError) {
        let state = state.withLock { $0 }
        var problems = state.problems
        collectUnknown(root, path: [], read: state.readPaths, into: &problems)
        if !problems.isEmpty { throw ConfigurationError(code: .invalid, problems: problems.sorted()) }
    }

    /// The configuration that holds: every key that was read, with its value, secrets masked.
    public func effective() -> JSONValue { state.withLock { $0.effective } }

    /// `TALKBURST_…` variables that no key has asked for: probably misspelt, or another service's.
    public func unusedVariables() -> [String] {
        let read = state.withLock { $0.readVariables }
        return environment.keys.filter { !read.contains($0) }.sorted()
    }

    private func collectUnknown(_ value: JSONValue, path: [String], read: Set<[String]>, into problems: inout [String]) {
        guard !read.contains(path) else { return }
        guard let members = value.object, path.isEmpty || read.contains(where: { $0.count > path.count && $0.starts(with: path) }) else {
            problems.append("\(path.joined(separator: ".")): unknown key; it may be misspelt, or belong to another section")
            return
        }
        for (name, member) in members { collectUnknown(member, path: path + [name], read: read, into: &problems) }
    }
}

/// A whole file, or nil with `errno` set (0 where it is larger than `limit` bytes).
func readWholeFile(_ path: String, limit: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        if count == 0 { return bytes }
        if count < 0 {
            if errno == EINTR { continue }
            return nil
        }
        bytes += chunk[0..<count]
        if bytes.count > limit {
            errno = 0
            return nil
        }
    }
}
