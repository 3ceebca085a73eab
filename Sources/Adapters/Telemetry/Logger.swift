import Glibc

/// A named source of log lines. Copies are cheap; every part of the program has its own, such as `Logger("kafka")`.
public struct Logger: Sendable {
    /// The name that stands in every line.
    public let label: String
    private let sink: any LogSink
    private let own: [(name: String, value: LogValue)]

    /// A logger that writes to the process's log, or to another sink, such as a test's.
    public init(_ label: String, sink: any LogSink = LogOutput.standardError) {
        self.label = label
        self.sink = sink
        self.own = []
    }

    private init(label: String, sink: any LogSink, own: [(name: String, value: LogValue)]) {
        self.label = label
        self.sink = sink
        self.own = own
    }

    /// The same logger with more fields, which stand in each of its lines.
    public func with(_ fields: LogFields) -> Logger {
        Logger(label: label, sink: sink, own: own + fields.map { (name: $0.key, value: $0.value) })
    }

    /// Whether lines of this level are kept, for callers whose fields cost something.
    public func isEnabled(_ level: LogLevel) -> Bool { level >= sink.level }

    /// Writes a line. The message is the same words each time; what differs goes into the fields.
    public func log(_ level: LogLevel, _ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        guard isEnabled(level) else { return }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let timeMs = Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
        let all = own + fields().map { (name: $0.key, value: $0.value) }
        sink.write(LogRecord(timeMs: timeMs, level: level, label: label, message: message(), fields: all))
    }

    /// Writes a line of level debug.
    public func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.debug, message(), fields())
    }

    /// Writes a line of level info.
    public func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.info, message(), fields())
    }

    /// Writes a line of level warning.
    public func warning(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.warning, message(), fields())
    }

    /// Writes a line of level error.
    public func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.error, message(), fields())
    }
}
