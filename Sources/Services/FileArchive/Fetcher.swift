import Glibc
import HTTPClient
import Kafka
import Reactor
import ServiceKit
import Synchronization
import Talk
import Telemetry

/// Fetches what the table wants, and tells what became of it. It works from the table alone, so a restart loses nothing, and one bad
/// file holds up nobody.
final class Fetcher: Sendable {
    /// What it works with.
    struct Parts: Sendable {
        var table: TalkTable
        var store: ArchiveStore
        var client: HTTPClient
        var policy: FetchPolicy
        var settings: ArchiveConfiguration
        /// Returns when the broker has acknowledged the record.
        var send: @Sendable (OutgoingRecord) async throws -> Void
        var log: Logger
        var stored: Counter
        var failures: Counter
    }

    private let parts: Parts
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    private let busy = Mutex<Set<TalkID>>([])
    private let isAnnouncing = Mutex(false)
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ parts: Parts) {
        self.parts = parts
        (wakes, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Begins to work.
    func start() {
        let work = Task { await run() }
        task.withLock { $0 = work }
        wake()
    }

    /// Something new may be in the table.
    func wake() { waker.yield() }

    /// Ends; what is under way is fetched again at the next start.
    func stop() async {
        waker.finish()
        let work = task.withLock { $0 }
        work?.cancel()
        await work?.value
    }

    private func run() async {
        var timer: Task<Void, Never>?
        await withDiscardingTaskGroup { group in
            for await _ in wakes {
                timer?.cancel()
                var pause = Duration.seconds(5)
                do {
                    // On its own: an outage of Kafka must not hold up the fetching.
                    if beginAnnouncing() { group.addTask { await self.announceAll() } }
                    let free = parts.settings.workers - busy.withLock { $0.count }
                    let now = Clocks.wallMs()
                    // Those under way are in the table still.
                    let due = try await parts.table.due(nowMs: now, limit: parts.settings.workers * 2)
                    let new = due.filter { talk in !busy.withLock { $0.contains(talk.talkID) } }.prefix(max(0, free))
                    for talk in new {
                        busy.withLock { _ = $0.insert(talk.talkID) }
                        group.addTask { await self.work(talk) }
                    }
                    if let next = try await parts.table.nextDueMs(), next > now { pause = min(pause, .milliseconds(next - now)) }
                } catch {
                    parts.log.warning("the archive can't go on yet", ["cause": .describing(error)])
                }
                timer = Task { [waker, pause] in
                    guard (try? await Task.sleep(for: pause)) != nil else { return }
                    waker.yield()
                }
            }
            timer?.cancel()
            group.cancelAll()
        }
    }

    private func work(_ talk: TalkFile) async {
        do {
            do {
                let stored = try await fetch(talk)
                try await parts.table.store(talk.talkID, stored)
                parts.stored.increment()
            } catch {
                parts.store.discardIncoming(talk.talkID)
                if Task.isCancelled { return }
                try await failed(talk, "\(error)")
            }
        } catch {
            parts.log.error("the table can't be written", ["talk_id": .string(talk.talkID.description), "cause": .describing(error)])
            // Nor that it is to be tried later: so later is here.
            try? await Task.sleep(for: .seconds(5))
        }
        busy.withLock { _ = $0.remove(talk.talkID) }
        wake()
    }

    private func fetch(_ talk: TalkFile) async throws -> TalkFile.Stored {
        guard let source = parts.policy.source(talk.filePath) else {
            throw ArchiveError("\(talk.filePath) is not under fetch.allow")
        }
        let descriptor = try parts.store.openIncoming(talk.talkID)
        defer { close(descriptor) }
        switch source {
        case .file(let path, let folder):
            try await parts.store.copy(path, below: folder, into: descriptor, maxBytes: parts.settings.maxBytes)
        case .url(let url):
            let answer = try await parts.client.fetch(
                HTTPClientRequest(
                    "GET", url, maxBytes: parts.settings.maxBytes, timeout: parts.settings.timeout, intoDescriptor: descriptor))
            guard answer.status == 200 else { throw ArchiveError("GET \(url) answered \(answer.status)") }
        }
        return try await parts.store.keep(talk, descriptor, nowMs: Clocks.wallMs())
    }

    private func failed(_ talk: TalkFile, _ reason: String) async throws {
        parts.failures.increment()
        let now = Clocks.wallMs()
        let next = now + FetchPolicy.backoffMs(afterFailures: talk.failures + 1)
        let isOver = next - talk.wantedMs >= parts.settings.giveUp.components.seconds * 1000
        parts.log.warning(
            isOver ? "a talk is given up" : "a talk can't be fetched yet",
            ["talk_id": .string(talk.talkID.description), "failures": .int(talk.failures + 1), "reason": .string(reason)])
        try await parts.table.fail(talk.talkID, reason: reason, nextMs: isOver ? nil : next)
    }

    private func beginAnnouncing() -> Bool {
        isAnnouncing.withLock { isAnnouncing in
            defer { isAnnouncing = true }
            return !isAnnouncing
        }
    }

    private func announceAll() async {
        do {
            try await announce()
        } catch {
            parts.log.warning("stored talks can't be told yet", ["cause": .describing(error)])
        }
        isAnnouncing.withLock { $0 = false }
    }

    /// Tells what is stored (`archive_msg`) or given up (dead letter); what can't be told now stays in the table.
    private func announce() async throws {
        for talk in try await parts.table.unannounced(limit: 100) {
            let key = Array(talk.gid.description.utf8)
            if let message = talk.archiveMessage(publicURL: parts.settings.publicURL), talk.state == .stored {
                try await parts.send(
                    OutgoingRecord(topic: parts.settings.kafka.topics.archive, key: key, value: message.encoded(ip: parts.settings.ip)))
            } else {
                let topics = parts.settings.kafka.topics
                let source = DeadLetter.Source(topic: topics.talks, partition: talk.source?.partition, offset: talk.source?.offset)
                let letter = DeadLetter.letter(
                    key: key, value: Array(talk.record.utf8), from: source, reason: "given up: \(talk.reason ?? "")",
                    topic: topics.deadLetter)
                if let error = try await DeadLetter.send(letter, parts.send) {
                    parts.log.error(
                        "a dead letter was not taken", ["talk_id": .string(talk.talkID.description), "cause": .describing(error)])
                }
            }
            try await parts.table.announced(talk.talkID)
        }
    }
}
