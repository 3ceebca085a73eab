import Synchronization

/// The conditions that must hold before a service is ready, each with the reason why it does not hold yet.
public final class Readiness: Sendable {
    private let conditions = Mutex<[String: String?]>([:])

    /// A board without conditions, which is ready.
    public init() {}

    /// Says that a condition does not hold, and why; a new condition begins this way.
    public func block(_ condition: String, _ reason: String) { conditions.withLock { $0[condition] = .some(reason) } }

    /// Says that a condition holds.
    public func clear(_ condition: String) { conditions.withLock { $0[condition] = .some(nil) } }

    /// Whether every condition holds.
    public var isReady: Bool { reasons.isEmpty }

    /// The conditions that don't hold, by name, and why.
    public var reasons: [(condition: String, reason: String)] {
        conditions.withLock { conditions in
            conditions.compactMap { name, reason in reason.map { (condition: name, reason: $0) } }.sorted { $0.condition < $1.condition }
        }
    }
}
