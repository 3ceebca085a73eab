import CLinux
import CSQLite
import Glibc
import Synchronization
import Threads

/// A SQLite file with a thread of its own: all work on it is done there, in the order in which it was asked.
public final class Database: Sendable {
    private struct State: Sendable {
        var jobs: [@Sendable (Connection?) -> Void] = []
        var isClosing = false
    }
    private let shared: Shared

    /// Opens or makes the file at `path` on its new thread.
    /// - Throws: `DatabaseError` that names the file.
    public init(path: String) async throws {
        let shared = Shared()
        self.shared = shared
        try await withCheckedThrowingContinuation { (opened: CheckedContinuation<Void, any Error>) in
            NamedThread.start("database") {
                do {
                    let connection = try Connection(path: path)
                    opened.resume()
                    shared.work(on: connection)
                } catch {
                    shared.close {}
                    opened.resume(throwing: error)
                }
            }
        }
    }

    deinit { shared.close {} }

    /// Runs `body` with the connection on the database's thread.
    public func run<Value: Sendable>(_ body: @escaping @Sendable (Connection) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            shared.add { connection in
                guard let connection else {
                    continuation.resume(throwing: DatabaseError(SQLITE_MISUSE, "the database is closed"))
                    return
                }
                continuation.resume(with: Result { try body(connection) })
            }
        }
    }

    /// Runs `body` in a transaction: all that it did is on the disk when this returns, and nothing of it when this throws.
    public func transaction<Value: Sendable>(_ body: @escaping @Sendable (Connection) throws -> Value) async throws -> Value {
        try await run { connection in try connection.transaction { try body(connection) } }
    }

    /// Does what was asked before, and closes the file.
    public func close() async {
        await withCheckedContinuation { continuation in shared.close { continuation.resume() } }
    }

    /// What callers and the thread share.
    private final class Shared: Sendable {
        private let state = Mutex(State())
        /// Counts the jobs; reading it blocks while there is none.
        private let counter = eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE))

        deinit { Glibc.close(counter) }

        func add(_ job: @escaping @Sendable (Connection?) -> Void) {
            let isClosing = state.withLock { state in
                if !state.isClosing { state.jobs.append(job) }
                return state.isClosing
            }
            if isClosing { job(nil) } else { post() }
        }

        func close(then: @escaping @Sendable () -> Void) {
            let wasClosing = state.withLock { state in
                defer { state.isClosing = true }
                if !state.isClosing { state.jobs.append { _ in then() } }
                return state.isClosing
            }
            if wasClosing { then() } else { post() }
        }

        func work(on connection: Connection) {
            while true {
                var count: UInt64 = 0
                guard read(counter, &count, 8) == 8 || errno == EINTR else { return }
                guard count > 0, let (job, isLast) = next() else { continue }
                job(isLast ? nil : connection)
                if isLast { return }
            }
        }

        private func next() -> (@Sendable (Connection?) -> Void, isLast: Bool)? {
            state.withLock { state in
                guard !state.jobs.isEmpty else { return nil }
                let job = state.jobs.removeFirst()
                return (job, state.isClosing && state.jobs.isEmpty)
            }
        }

        private func post() {
            var one: UInt64 = 1
            _ = write(counter, &one, 8)
        }
    }
}
