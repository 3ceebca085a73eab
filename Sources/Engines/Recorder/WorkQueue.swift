import Dispatch
import Reactor
import Synchronization
import Threads

/// Jobs for a few threads of their own: what blocks on the disk, or computes for long, has no place on the cooperative pool.
final class WorkQueue: Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        var jobs: [Job] = []
        var running = 0
        var isClosed = false
        var idle: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    private let available = DispatchSemaphore(value: 0)
    private let threadCount: Int

    init(name: String, threads: Int, _ pace: Pace = .usual) {
        threadCount = threads
        for _ in 0..<threads { ServiceThread(name: name, pace) { [self] in work() }.detach() }
    }

    /// Adds a job behind the others.
    func post(_ job: @escaping Job) {
        state.withLock { state in
            if !state.isClosed { state.jobs.append(job) }
        }
        available.signal()
    }

    /// Adds a job after a while.
    func post(after delay: Duration, _ job: @escaping Job) {
        Task {
            try await Task.sleep(for: delay)
            post(job)
        }
    }

    /// Runs a job on one of the threads and waits for what it gives.
    func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in post { continuation.resume(returning: body()) } }
    }

    /// Returns when no job waits or runs.
    func idle() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.jobs.isEmpty && state.running == 0 { return true }
                state.idle.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    /// Ends the threads after the jobs that wait.
    func close() {
        state.withLock { $0.isClosed = true }
        for _ in 0..<threadCount { available.signal() }
    }

    private func work() {
        while true {
            available.wait()
            let (job, isOver) = state.withLock { state -> (Job?, Bool) in
                guard !state.jobs.isEmpty else { return (nil, state.isClosed) }
                state.running += 1
                return (state.jobs.removeFirst(), false)
            }
            if isOver { return }
            guard let job else { continue }
            job()
            let idle = state.withLock { state in
                state.running -= 1
                guard state.jobs.isEmpty && state.running == 0 else { return [CheckedContinuation<Void, Never>]() }
                defer { state.idle = [] }
                return state.idle
            }
            for continuation in idle { continuation.resume() }
        }
    }
}
