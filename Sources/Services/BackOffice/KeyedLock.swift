/// Lets one at a time do something with one group, in the order in which they came.
actor KeyedLock<Key: Hashable & Sendable> {
    private var waiters: [Key: [CheckedContinuation<Void, Never>]] = [:]

    func with<Value: Sendable>(_ key: Key, _ body: @Sendable () async throws -> Value) async throws -> Value {
        if waiters[key] == nil {
            waiters[key] = []
        } else {
            await withCheckedContinuation { waiters[key]?.append($0) }
        }
        defer {
            if waiters[key]?.isEmpty ?? true { waiters[key] = nil } else { waiters[key]?.removeFirst().resume() }
        }
        return try await body()
    }
}
