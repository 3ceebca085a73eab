import Database
import Dispatch
import JSON
import Kafka
import Messages
import ServiceKit
import Synchronization
import Talk
import Telemetry

/// Takes what media services and file-server tell (talks, floor, quality, archive) into the tables and the feed.
///
/// A batch is one transaction; its offsets are stored after it, and repeated records change nothing, so that each takes effect once
/// wherever the process may die.
final class Intake: Sendable {
    struct Parts: Sendable {
        var store: EventStore
        var quality: QualityBoard
        var producer: KafkaProducer
        var deadLetterTopic: String
        var readiness: Readiness
        var log: Logger
        var received: Counter
        var rejected: Counter
    }

    private let parts: Parts
    private let batches: AsyncStream<[KafkaRecord]>
    private let feed: AsyncStream<[KafkaRecord]>.Continuation
    /// One batch at a time: Kafka's thread waits here until its batch is on the disk.
    private let done = DispatchSemaphore(value: 0)
    private let consumer = Mutex<KafkaConsumer?>(nil)
    private let isStopping = Atomic<Bool>(false)
    /// The batch that is under way.
    private let current = Mutex<Task<Void, Never>?>(nil)

    init(_ parts: Parts) {
        self.parts = parts
        (batches, feed) = AsyncStream.makeStream()
    }

    /// - Parameter end: called where the consumer can't go on.
    func start(_ settings: KafkaSettings, group: String, topics: [String], end: @escaping @Sendable (KafkaError) -> Void) throws {
        parts.readiness.block("events consumer", "no partitions assigned yet")
        Task {
            for await batch in self.batches {
                let work = Task { await self.take(batch) }
                self.current.withLock { $0 = work }
                if self.isStopping.load(ordering: .sequentiallyConsistent) { work.cancel() }
                await work.value
                self.done.signal()
            }
        }
        // There is one bo-server per installation: as a static member it has its partitions back at once, however it ended.
        let made = try KafkaConsumer(settings, .group(id: group, instanceId: group, topics: topics)) { event in
            if case .error(let error) = event, error.isFatal { end(error) }
            self.handle(event)
        }
        consumer.withLock { $0 = made }
    }

    func stop() async {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        current.withLock { $0 }?.cancel()
        if let consumer = consumer.withLock({ $0 }) { await consumer.close() }
        feed.finish()
    }

    private func handle(_ event: KafkaEvent) {
        switch event {
        case .records(let records):
            feed.yield(records)
            done.wait()
        case .assigned: parts.readiness.clear("events consumer")
        case .down: parts.readiness.block("kafka", "no broker can be reached")
        case .up: parts.readiness.clear("kafka")
        case .error(let error): parts.log.warning("Kafka", ["error": .describing(error)])
        case .revoked, .endOfPartition: break
        }
    }

    private func take(_ batch: [KafkaRecord]) async {
        var inputs: [Input] = []
        for record in batch {
            do throws(Refusal) {
                if let input = try Input(record) { inputs.append(input) }
            } catch {
                await reject(record, error.message)
            }
        }
        parts.received.increment(by: batch.count)
        // What can't be written now is tried until it can: the offsets wait meanwhile.
        while !isStopping.load(ordering: .relaxed) {
            do {
                try await write(inputs)
                store(batch)
                return
            } catch {
                parts.log.error("events can't be written, tried again", ["error": .describing(error)])
                parts.readiness.block("database", "\(error)")
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func write(_ inputs: [Input]) async throws {
        for case .quality(let message) in inputs { parts.quality.add(message) }
        let live = try await parts.store.transaction { connection, pending in
            var audiences: [GroupID: Set<Int64>] = [:]
            func audience(_ gid: GroupID) throws -> Set<Int64> {
                if let known = audiences[gid] { return known }
                let found = try GroupTable.audience(gid, connection)
                audiences[gid] = found
                return found
            }
            var live: [FeedEvent] = []
            for input in inputs {
                let seen = try audience(input.gid)
                if let event = try Self.write(input, seen, connection, pending) { live.append(event) }
            }
            return live
        }
        parts.store.feed.publish(live)
        parts.readiness.clear("database")
    }

    /// Writes one; answers an event that is told but not kept.
    static func write(_ input: Input, _ audience: Set<Int64>, _ connection: Connection, _ pending: EventStore.Pending) throws
        -> FeedEvent?
    {
        switch input {
        case .talk(let record):
            guard let talk = try TalkTable.insert(record, connection) else { return nil }
            try pending.add(.talk, record.gid, atMs: talk.endMs, audience: audience, talk.json)
        case .archive(let message):
            guard try TalkTable.archive(message, connection) else { return nil }
            try pending.add(.archive, message.gid, atMs: message.storedMs, audience: audience, message.body)
        case .floor(let message):
            let taken = try LiveTable.apply(message, connection)
            guard taken != .seen else { return nil }
            let event = try pending.add(.floor, message.gid, atMs: message.atMs, audience: audience, message.body)
            if let event, taken == .saidAgain { try LiveTable.keepOnly(event, of: message.gid, connection) }
        case .quality(let message):
            return FeedEvent(id: nil, kind: .quality, gid: message.gid.value, atMs: message.atMs, audience: audience, data: message.body)
        }
        return nil
    }

    private func store(_ batch: [KafkaRecord]) {
        var next: [TopicPartition: Int64] = [:]
        for record in batch { next[record.topicPartition] = record.offset + 1 }
        // Before `start` has returned there is no consumer to tell yet; then the batch is read again, and changes nothing.
        try? consumer.withLock { $0 }?.store(next.map { TopicPartitionOffset($0.key, $0.value) })
    }

    private func reject(_ record: KafkaRecord, _ reason: String) async {
        parts.rejected.increment()
        parts.log.warning("record dead-lettered", ["from": .describing(record.topicPartition), "reason": .string(reason)])
        let letter = DeadLetter.record(of: record, reason: reason, topic: parts.deadLetterTopic)
        // The batch's offsets wait for it.
        while !isStopping.load(ordering: .relaxed) {
            do {
                let refusal = try await DeadLetter.send(letter) { _ = try await parts.producer.send($0) }
                if let refusal { parts.log.error("a dead letter was not taken", ["cause": .describing(refusal)]) }
                return
            } catch {
                parts.log.warning("a dead letter is sent again", ["cause": .describing(error)])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// What a record says.
    enum Input: Sendable {
        case talk(TalkRecord)
        case archive(ArchiveMessage)
        case floor(FloorMessage)
        case quality(QualityMessage)

        var gid: GroupID {
            switch self {
            case .talk(let record): record.gid
            case .archive(let message): message.gid
            case .floor(let message): message.gid
            case .quality(let message): message.gid
            }
        }

        /// Nil for what is meant for others: a tombstone, another `msg_type`.
        init?(_ record: KafkaRecord) throws(Refusal) {
            guard let value = record.value else { return nil }
            guard let message = try? JSONValue(parsing: value), message.object != nil else {
                throw Refusal(.invalidJSON, "not a JSON object")
            }
            guard message["msg_type"]?.integer != nil else { throw Refusal(.missingElement, "no usable msg_type") }
            if let talk = try TalkRecord(message) {
                self = .talk(talk)
            } else if let archive = try ArchiveMessage(message) {
                self = .archive(archive)
            } else if let floor = try FloorMessage(message) {
                self = .floor(floor)
            } else if let quality = try QualityMessage(message) {
                self = .quality(quality)
            } else {
                return nil
            }
        }
    }
}
