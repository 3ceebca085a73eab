/// What to do with a POST that bears an `Idempotency-Key` (HTTP.md): a key in flight waits, another body is refused, a 5xx is not kept.
struct IdempotencyStateMachine: Sendable {
    enum Decision: Sendable, Equatable {
        /// Nobody else is at it: look it up in the table, else carry it out; then say `finished`.
        case run
        /// The same request is under way: its answer comes to all `waiters` of `finished`.
        case wait
        /// The key belongs to another request: 422.
        case conflict
    }

    private var inFlight: [String: (fingerprint: String, waiters: [UInt64])] = [:]

    /// - Parameter waiter: who asks, to be named by `finished` if it has to wait.
    mutating func begin(_ key: String, fingerprint: String, waiter: UInt64) -> Decision {
        if let running = inFlight[key] {
            guard running.fingerprint == fingerprint else { return .conflict }
            inFlight[key]?.waiters.append(waiter)
            return .wait
        }
        inFlight[key] = (fingerprint, [])
        return .run
    }

    /// - Returns: who waits for the answer.
    mutating func finished(_ key: String) -> [UInt64] { inFlight.removeValue(forKey: key)?.waiters ?? [] }

    /// Whether an answer is remembered for 24 hours.
    static func keeps(_ status: Int) -> Bool { status < 500 }
}
