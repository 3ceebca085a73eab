import Talk

/// Publishes talk records until they are archived: at once, and again after 60 s, doubling to 1 h.
actor Outbox {
    private let publish: Recorder.Publish
    private var sending: [TalkID: (entry: OutboxEntry, task: Task<Void, Never>)] = [:]
    private var acknowledged: Set<TalkID> = []
    private var waiting: [TalkID: [CheckedContinuation<Void, Never>]] = [:]
    private var isStopped = false

    private static let firstRepeat: Duration = .seconds(60)
    private static let lastRepeat: Duration = .seconds(3600)
    private static let firstRetry: Duration = .seconds(1)
    private static let lastRetry: Duration = .seconds(60)

    private let ended: @Sendable (OutboxEntry) -> Void

    /// - Parameter ended: called for an entry that is done without an `archive_msg`.
    init(publish: @escaping Recorder.Publish, ended: @escaping @Sendable (OutboxEntry) -> Void) {
        self.publish = publish
        self.ended = ended
    }

    /// How many records are not archived yet.
    var count: Int { sending.count }

    /// Begins to publish.
    func add(_ entry: OutboxEntry) {
        guard !isStopped, sending[entry.talkID] == nil else { return }
        sending[entry.talkID] = (entry, Task { await self.send(entry) })
    }

    private func send(_ entry: OutboxEntry) async {
        var retry = Self.firstRetry
        var again = Self.firstRepeat
        while !Task.isCancelled {
            let isAcknowledged = await withCheckedContinuation { continuation in
                publish(entry) { continuation.resume(returning: $0) }
            }
            if isAcknowledged { acknowledge(entry.talkID) }
            if isAcknowledged && entry.fileName.isEmpty {
                // There is nothing that the archive could ever have.
                sending[entry.talkID] = nil
                ended(entry)
                return
            }
            let pause = isAcknowledged ? again : retry
            // Cancelled when the talk is archived, or the outbox stops.
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            if isAcknowledged {
                again = min(again * 2, Self.lastRepeat)
            } else {
                retry = min(retry * 2, Self.lastRetry)
            }
        }
    }

    private func acknowledge(_ talkID: TalkID) {
        acknowledged.insert(talkID)
        for continuation in waiting.removeValue(forKey: talkID) ?? [] { continuation.resume() }
    }

    /// Returns when the record of a talk has been acknowledged once, or the outbox is stopped.
    func published(_ talkID: TalkID) async {
        if acknowledged.contains(talkID) || isStopped { return }
        await withCheckedContinuation { waiting[talkID, default: []].append($0) }
    }

    /// The archive has a talk: its record is not sent any more.
    /// - Returns: its entry, where it was ours.
    func archived(_ talkID: TalkID) -> OutboxEntry? {
        acknowledge(talkID)
        acknowledged.remove(talkID)
        guard let (entry, task) = sending.removeValue(forKey: talkID) else { return nil }
        task.cancel()
        return entry
    }

    /// Returns when every record has been acknowledged once, or the outbox is stopped.
    func flush() async { for talkID in Array(sending.keys) where sending[talkID] != nil { await published(talkID) } }

    /// Ends all sending; what is not archived is sent again after the next start.
    func stop() {
        isStopped = true
        for (_, task) in sending.values { task.cancel() }
        sending = [:]
        let all = waiting.values.flatMap { $0 }
        waiting = [:]
        for continuation in all { continuation.resume() }
    }
}
