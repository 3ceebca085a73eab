import Glibc
import Synchronization

/// Where log lines go.
public protocol LogSink: Sendable {
    /// The least level that is kept; a logger asks before it builds a line.
    var level: LogLevel { get }
    /// Takes one line, from any thread; it must not block for long.
    func write(_ record: LogRecord)
}

/// Writes log lines to a file descriptor, each whole, from any thread.
///
/// A reader that does not keep up costs lines, not time: a write waits at most 20 ms for the pipe, then the line is dropped and
/// counted, and the next one that gets through is preceded by the number of those that did not.
public final class LogOutput: LogSink {
    /// The process's log on standard error: text at level info until `configure` says otherwise.
    public static let standardError = LogOutput(descriptor: STDERR_FILENO)

    /// Lines are cut at this many bytes.
    static let maxLineBytes = 16 * 1024

    private let descriptor: Int32
    private let levelValue = Atomic<Int>(LogLevel.info.rawValue)
    private struct State {
        var format = LogFormat.text
        var dropped = 0
    }
    private let state = Mutex(State())

    /// Writes to `descriptor`, which stays the caller's to close.
    public init(descriptor: Int32) { self.descriptor = descriptor }

    /// Sets how lines look, and the least level that is written.
    public func configure(format: LogFormat, level: LogLevel) {
        state.withLock { $0.format = format }
        levelValue.store(level.rawValue, ordering: .relaxed)
    }

    /// The least level that is written.
    public var level: LogLevel { LogLevel(rawValue: levelValue.load(ordering: .relaxed)) ?? .info }

    /// Writes one line, or counts it as dropped.
    public func write(_ record: LogRecord) {
        state.withLock { state in
            var line = state.format.line(record)
            if line.count > Self.maxLineBytes {
                line.removeLast(line.count - Self.maxLineBytes + 1)
                line.append(UInt8(ascii: "\n"))
            }
            if state.dropped > 0 {
                let notice = LogRecord(
                    timeMs: record.timeMs, level: .warning, label: "log", message: "lines dropped, the reader is too slow",
                    fields: [("lines", .int(state.dropped))])
                guard put(state.format.line(notice)) else {
                    state.dropped += 1
                    return
                }
                state.dropped = 0
            }
            if !put(line) { state.dropped += 1 }
        }
    }

    /// Whether all of it was written. A pipe that polls as writable takes PIPE_BUF bytes at once without blocking.
    private func put(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&poller, 1, 20) == 1 else { return false }
            let count = rest.prefix(Int(PIPE_BUF)).withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR && errno != EAGAIN {
                return false
            }
        }
        return true
    }
}
