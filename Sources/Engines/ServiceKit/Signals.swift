import Dispatch
import Glibc

/// SIGTERM and SIGINT as events.
public enum Signals {
    private static let numbers = [SIGTERM, SIGINT]
    private static let queue = DispatchQueue(label: "signals")

    /// The signals as they come; the second one ends the process at once. The sources live as long as the process.
    public static func stream() -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream<Int32>.makeStream()
        let count = Count()
        signal(SIGPIPE, SIG_IGN)
        for number in numbers {
            // Dispatch only watches: the default action would still end the process.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                if count.next() > 1 { _exit(128 + number) }
                continuation.yield(number)
                // The handler keeps its source alive.
                withExtendedLifetime(source) {}
            }
            source.resume()
        }
        return stream
    }

    /// `@unchecked Sendable`: used on the one serial queue only.
    private final class Count: @unchecked Sendable {
        private var value = 0
        func next() -> Int {
            value += 1
            return value
        }
    }
}
