/// How much a log line matters, least first.
public enum LogLevel: Int, Sendable, Comparable, CaseIterable {
    /// What a developer wants to see, also what C libraries say.
    case debug
    /// The normal course of things, seldom enough to be kept on.
    case info
    /// Something that mends itself, but somebody should know.
    case warning
    /// Something that somebody has to do something about.
    case error

    /// The name in a configuration and in a line: `debug`, `info`, `warning`, `error`.
    public var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    /// The level of this name, or nil where there is none.
    public init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    /// Whether `left` matters less than `right`.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}
