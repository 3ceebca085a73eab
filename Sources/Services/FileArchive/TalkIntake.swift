import Dispatch
import JSON
import Kafka
import Messages
import Reactor
import ServiceKit
import Synchronization
import Telemetry

/// Reads talk records from Kafka into the table. An offset is stored only after the transaction that holds its effect, and after the
/// dead letters that it brought.
final class TalkIntake: Sendable {
    /// What a record means.
    enum Reading: Sendable, Hashable {
        case talk(TalkFile)
        /// For others, or nothing.
        case ignored
        case deadLetter(reason: String)
    }

    private let table: TalkTable
    private let settings: ArchiveConfiguration
    private let send: @Sendable (OutgoingRecord) async throws -> Void
    private let readiness: Readiness
    private let log: Logger
    private let changed: @Sendable () -> Void
    private let consumer = Mutex<KafkaConsumer?>(nil)
    /// The batch that is under way.
    private struct Current: Sendable {
        var work: Task<Void, Never>?
        var isStopping = false
    }
    private let current = Mutex(Current())

    init(
        table: TalkTable, settings: ArchiveConfiguration, send: @escaping @Sendable (OutgoingRecord) async throws -> Void,
        readiness: Readiness, log: Logger, changed: @escaping @Sendable () -> Void
    ) {
        (self.table, self.settings, self.send) = (table, settings, send)
        (self.readiness, self.log, self.changed) = (readiness, log, changed)
    }

    /// Joins the consumer group.
    /// - Parameter end: called where the consumer can't go on.
    func start(end: @escaping @Sendable (KafkaError) -> Void) throws {
        readiness.block("talks", "no partitions assigned yet")
        let consumer = try KafkaConsumer(
            settings.kafka.settings, .group(id: settings.group, instanceId: settings.node, topics: [settings.kafka.topics.talks])
        ) { [weak self] event in
            if case .error(let error) = event, error.isFatal { end(error) }
            self?.handle(event)
        }
        self.consumer.withLock { $0 = consumer }
    }

    /// Leaves the group.
    func stop() async {
        // What is not kept by now is read again by the next one.
        current.withLock { current in
            current.isStopping = true
            return current.work
        }?.cancel()
        let consumer = consumer.withLock { $0 }
        await consumer?.close()
    }

    /// On the consumer's own thread, which waits until what it told is done.
    private func handle(_ event: KafkaEvent) {
        switch event {
        case .records(let records): take(records)
        case .assigned: readiness.clear("talks")
        case .down: readiness.block("kafka", "no broker can be reached")
        case .up: readiness.clear("kafka")
        case .error(let error): log.warning("Kafka says", ["error": .describing(error)])
        case .revoked, .endOfPartition: break
        }
    }

    private func take(_ records: [KafkaRecord]) {
        let done = DispatchSemaphore(value: 0)
        let work = Task {
            await keep(records)
            done.signal()
        }
        let isStopping = current.withLock { current in
            current.work = work
            return current.isStopping
        }
        if isStopping { work.cancel() }
        done.wait()
    }

    /// Tries until it is kept: there is nothing useful to do with the next records before.
    private func keep(_ records: [KafkaRecord]) async {
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            do {
                try await keepOnce(records)
                return
            } catch is CancellationError {
                return
            } catch {
                readiness.block("database", "talk records can't be kept: \(error)")
                log.error("talk records can't be kept yet", ["cause": .describing(error)])
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(10))
            }
        }
    }

    private func keepOnce(_ records: [KafkaRecord]) async throws {
        var talks: [TalkFile] = []
        let now = Clocks.wallMs()
        for record in records {
            switch Self.read(record.value, nowMs: now) {
            case .talk(var talk):
                talk.source = TalkFile.Source(partition: record.partition, offset: record.offset)
                talks.append(talk)
            case .ignored: break
            case .deadLetter(let reason):
                log.warning("not understood", ["offset": .int(record.offset), "reason": .string(reason)])
                let letter = DeadLetter.record(of: record, reason: reason, topic: settings.kafka.topics.deadLetter)
                if let error = try await DeadLetter.send(letter, send) {
                    log.error("a dead letter was not taken", ["offset": .int(record.offset), "cause": .describing(error)])
                }
            }
        }
        if !talks.isEmpty {
            try await table.want(talks)
            changed()
        }
        readiness.clear("database")
        var next: [TopicPartition: Int64] = [:]
        for record in records { next[record.topicPartition] = record.offset + 1 }
        try consumer.withLock { $0 }?.store(next.map { TopicPartitionOffset($0.key, $0.value) })
    }

    /// What a record's value means.
    static func read(_ value: [UInt8]?, nowMs: Int64) -> Reading {
        guard let value else { return .ignored }
        guard let message = try? JSONValue(parsing: value), message.object != nil else {
            return .deadLetter(reason: "not a JSON object")
        }
        guard message["msg_type"]?.integer != nil else { return .deadLetter(reason: "missing element (msg_type)") }
        do {
            guard let record = try TalkRecord(message) else { return .ignored }
            guard let talk = TalkFile(record, value: String(decoding: value, as: UTF8.self), nowMs: nowMs) else {
                return .deadLetter(reason: "missing element (ptt_msg.talk_id and file_path)")
            }
            return .talk(talk)
        } catch {
            return .deadLetter(reason: error.message)
        }
    }
}
