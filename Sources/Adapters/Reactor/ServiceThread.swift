import CLinux
import Glibc
import Threads

/// A POSIX thread with a name, for what must not run on the cooperative pool: loops and blocking calls.
public struct ServiceThread: Sendable {
    private let handle: pthread_t

    /// Starts a thread.
    /// - Parameters:
    ///   - name: as `top -H` shows it; 15 bytes of it.
    ///   - pace: how soon it runs when there is something to do.
    ///   - body: what it does; the thread ends with it.
    public init(name: String, _ pace: Pace = .usual, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(name: name, pace: pace, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                clinux_name_thread(box.name)
                box.pace.adopt()
                box.body()
                return nil
            }, box.toOpaque())
        precondition(code == 0, "pthread_create: out of threads")
        handle = thread
    }

    /// Nobody will wait for its end: what the system keeps for it is freed then. A thread that is neither joined nor detached leaks its stack.
    public func detach() { pthread_detach(handle) }

    /// Waits for its end. Blocks: never call it on the cooperative pool.
    public func join() { pthread_join(handle, nil) }

    private final class Box: Sendable {
        let name: String
        let pace: Pace
        let body: @Sendable () -> Void
        init(name: String, pace: Pace, body: @escaping @Sendable () -> Void) {
            (self.name, self.pace, self.body) = (String(name.prefix(15)), pace, body)
        }
    }
}
