import CLinux
import Glibc

/// A thread of its own for a C library that blocks: the cooperative pool has only as many threads as cores.
public enum NamedThread {
    /// Runs `body` on a new detached thread named `name` (at most 15 bytes are shown by the kernel).
    ///
    /// When the system has no more threads the process ends: nothing sensible can go on without.
    /// - Parameter pace: how soon it runs when there is something to do.
    public static func start(_ name: String, _ pace: Pace = .usual, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Start(name: name, pace: pace, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                clinux_name_thread(String(start.name.prefix(15)))
                start.pace.adopt()
                start.body()
                return nil
            }, box.toOpaque())
        precondition(code == 0, "cannot start the thread \(name): error \(code)")
        pthread_detach(thread)
    }

    /// Runs one blocking call on a new thread and awaits its result: for calls that are seldom made.
    public static func run<Value: Sendable>(_ name: String, _ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            start(name) { continuation.resume(with: Result { try body() }) }
        }
    }

    private final class Start: Sendable {
        let name: String
        let pace: Pace
        let body: @Sendable () -> Void
        init(name: String, pace: Pace, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.pace = pace
            self.body = body
        }
    }
}
