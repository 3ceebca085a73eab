import CLinux
import Glibc
import Synchronization
import Threads

/// Talks to one Redis over one connection on a thread of its own.
///
/// Commands are sent in the order in which they are submitted, without waiting for earlier answers (pipelining). While Redis is away they
/// wait, each for its own deadline; at most `queueMax` wait. The connection is tried again after 50 ms, doubling to 2 s. A Redis that holds
/// the connection and answers nothing for 2 s is told as away, too.
public final class RedisClient: Sendable {
    /// How many commands may wait or be under way; more fail at once with `overloaded`.
    public static let queueMax = 10_000

    /// What is asked as a unit: one command, or a transaction whose last answer counts.
    struct Command: Sendable {
        var lines: [[String]]
        var deadline: ContinuousClock.Instant
        var then: @Sendable (Result<RedisReply, RedisError>) -> Void
    }

    struct Inbox: Sendable {
        var commands: [Command] = []
        var waiting = 0
        var isClosing = false
        var isEnded = false
        var onEnd: [@Sendable () -> Void] = []
    }

    private let shared: RedisShared

    /// Starts to connect to `redis://[:password@]host[:port][/database]`.
    /// - Parameter onUpChange: told, on the client's thread, when Redis is there and when it is lost.
    /// - Throws: `RedisError` with code `badAddress`.
    public init(url: String, onUpChange: @escaping @Sendable (Bool) -> Void = { _ in }) throws(RedisError) {
        let address = try RedisAddress(url: url)
        shared = RedisShared()
        NamedThread.start("redis") { [shared] in
            var loop = RedisLoop(address: address, shared: shared, onUpChange: onUpChange)
            loop.run()
        }
    }

    deinit { shared.close {} }

    /// Whether a connection stands, and is answered.
    public var isUp: Bool { shared.isUp.load(ordering: .relaxed) }

    /// Sends a command; `then` is called once, on the client's thread, and must not block.
    /// - Parameter command: the name and its arguments.
    public func submit(
        _ command: [String], deadline: Duration, then: @escaping @Sendable (Result<RedisReply, RedisError>) -> Void
    ) {
        shared.add(Command(lines: [command], deadline: .now.advanced(by: deadline), then: then))
    }

    /// Sends a command and awaits its answer.
    /// - Throws: `RedisError`.
    public func command(_ command: [String], deadline: Duration) async throws -> RedisReply {
        try await withCheckedThrowingContinuation { continuation in
            submit(command, deadline: deadline) { result in continuation.resume(with: result.mapError { $0 as any Error }) }
        }
    }

    /// Sends commands as a transaction (MULTI … EXEC): all are done or none.
    /// - Returns: the answers in order; single ones may be `.error`.
    /// - Throws: `RedisError`, with code `server` when Redis refused the whole.
    public func multi(_ commands: [[String]], deadline: Duration) async throws -> [RedisReply] {
        let reply: RedisReply = try await withCheckedThrowingContinuation { continuation in
            shared.add(
                Command(lines: [["MULTI"]] + commands + [["EXEC"]], deadline: .now.advanced(by: deadline)) { result in
                    continuation.resume(with: result.mapError { $0 as any Error })
                })
        }
        return reply.array ?? []
    }

    /// Ends the connection; what waits fails with `closed`.
    public func close() async {
        await withCheckedContinuation { continuation in shared.close { continuation.resume() } }
    }
}

/// What callers and the client's thread share.
final class RedisShared: Sendable {
    let isUp = Atomic<Bool>(false)
    let inbox = Mutex(RedisClient.Inbox())
    /// Readable when there is something in the inbox.
    let wakeup = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))

    deinit { Glibc.close(wakeup) }

    func add(_ command: RedisClient.Command) {
        let refusal: RedisError? = inbox.withLock { inbox in
            if inbox.isClosing { return RedisError(.closed, "the Redis client is closed") }
            guard inbox.waiting < RedisClient.queueMax else {
                return RedisError(.overloaded, "\(RedisClient.queueMax) commands wait for Redis already")
            }
            inbox.waiting += 1
            inbox.commands.append(command)
            return nil
        }
        if let refusal { command.then(.failure(refusal)) } else { wake() }
    }

    func close(then: @escaping @Sendable () -> Void) {
        let isEnded = inbox.withLock { inbox in
            inbox.isClosing = true
            if !inbox.isEnded { inbox.onEnd.append(then) }
            return inbox.isEnded
        }
        if isEnded { then() } else { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeup, &one, 8)
    }
}
