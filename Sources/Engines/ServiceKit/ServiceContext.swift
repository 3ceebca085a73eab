import Kafka
import Synchronization
import Telemetry

/// What a service gets while it starts: where to register what must be stopped, and what all services share.
public final class ServiceContext: Sendable {
    /// The service's metrics.
    public let metrics = Metrics()
    /// The conditions that must hold before it is ready.
    public let readiness = Readiness()
    /// The service's own log.
    public let logger: Logger
    /// How long a needed server is waited for at the start (`start.wait_s`).
    public let startWait: Duration

    private struct Part {
        let name: String
        let stop: @Sendable () async -> Void
    }

    private struct State {
        var parts: [Part] = []
        var failure: String?
    }

    private let state = Mutex(State())
    private let failed: @Sendable () -> Void

    /// - Parameters:
    ///   - name: the service's, for its log.
    ///   - startWait: how long `wait` waits.
    ///   - failed: called when a part says by `fail` that it can't go on.
    public init(name: String, startWait: Duration = .seconds(60), failed: @escaping @Sendable () -> Void = {}) {
        logger = Logger(name)
        self.startWait = startWait
        self.failed = failed
    }

    /// Registers how a part that has just been started is stopped; parts are stopped in the reverse order.
    public func onStop(_ name: String, _ stop: @escaping @Sendable () async -> Void) {
        state.withLock { $0.parts.append(Part(name: name, stop: stop)) }
    }

    /// Ends the service because it can't go on; it stops in order and exits with code 70.
    public func fail(_ reason: String) {
        state.withLock { if $0.failure == nil { $0.failure = reason } }
        logger.error("the service can't go on", ["reason": .string(reason)])
        failed()
    }

    /// Ends the service where a consumer can't go on: it would seem well, and hear nothing more.
    /// - Parameter key: the configuration's key of the name that the consumer goes by.
    public func end(for error: KafkaError, name: String, key: String) {
        fail("\(error): is another process with the name \(name) here? Each needs one of its own (\(key))")
    }

    /// Tries until a needed server is there, for at most `startWait`, and tells of the waiting.
    /// - Parameters:
    ///   - server: its name and address, for people.
    ///   - attempt: throws while the server is not there.
    /// - Throws: `StartError` when the time is over, or at once where the attempt says by one that waiting does not help; `CancellationError`
    ///   when the service is stopped meanwhile.
    public func wait<Value: Sendable>(for server: String, _ attempt: @Sendable () async throws -> Value) async throws -> Value {
        let clock = ContinuousClock()
        let start = clock.now
        var pause = Duration.milliseconds(100)
        var told = start
        while true {
            let cause: String
            do {
                return try await attempt()
            } catch let error as CancellationError {
                throw error
            } catch let error as StartError where !error.mayPass {
                throw error
            } catch {
                cause = "\(error)"
            }
            let waited = start.duration(to: clock.now)
            guard waited + pause < startWait else {
                throw StartError(description: "\(server) is not there after \(startWait.components.seconds) s (start.wait_s): \(cause)")
            }
            if waited < pause || told.duration(to: clock.now) > .seconds(5) {
                told = clock.now
                logger.warning(
                    "waiting for a server",
                    ["server": .string(server), "waited_s": .int(waited.components.seconds), "cause": .string(cause)])
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(2))
        }
    }

    var failure: String? { state.withLock { $0.failure } }

    /// Stops all parts, the last one first.
    public func stopAll() async {
        while let part = state.withLock({ $0.parts.popLast() }) {
            logger.debug("stopping", ["part": .string(part.name)])
            await part.stop()
        }
    }
}

/// Why a service could not start: one clear line.
public struct StartError: Error, Sendable, CustomStringConvertible {
    /// What is missing or wrong, and for how long it was waited for.
    public let description: String

    /// Whether it may be over by itself, so that it is worth trying again.
    public let mayPass: Bool

    /// An error that says this.
    public init(description: String, mayPass: Bool = false) { (self.description, self.mayPass) = (description, mayPass) }
}
