import Testing

/// For tests that compute for long or block their thread: one of them runs at a time, in the whole process.
///
/// All tests share the cooperative pool's threads, one a core, and begin together: whoever awaits something would come back only behind all
/// of these, and find that its request or its patience has run out meanwhile. A time limit counts the wait for the turn too.
public struct OneAtATime: SuiteTrait, TestTrait, TestScoping {
    /// Each case has a turn of its own.
    public var isRecursive: Bool { true }

    /// Waits for the turn.
    public func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        guard testCase != nil else { return try await function() }
        await Turns.shared.take()
        do {
            try await function()
        } catch {
            await Turns.shared.give()
            throw error
        }
        await Turns.shared.give()
    }
}

extension Trait where Self == OneAtATime {
    /// One at a time, among all that say so.
    public static var oneAtATime: Self { Self() }
}

private actor Turns {
    static let shared = Turns()
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        guard isTaken else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func give() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}
