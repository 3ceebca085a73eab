import Kafka
import Synchronization
import Telemetry

/// Stores offsets of a consumer that is made after what stores them.
final class OffsetStore: Sendable {
    private let topic: String
    private let consumer = Mutex<KafkaConsumer?>(nil)

    init(topic: String) { self.topic = topic }

    func attach(_ consumer: KafkaConsumer) { self.consumer.withLock { $0 = consumer } }

    /// Says that everything below `offset` is done. What can't be stored is read again, and changes nothing.
    func store(_ partition: Int32, _ offset: Int64) {
        try? consumer.withLock { $0 }?.store([TopicPartitionOffset(TopicPartition(topic, partition), offset)])
    }
}

/// Reads partitions of `ptt.rooms` to their end, those that are asked for together with one consumer.
struct RoomReader: Sendable {
    let settings: KafkaSettings
    let topic: String
    let log: Logger

    /// Reads some; `then` is called once for each, when its end is reached.
    @Sendable func read(_ partitions: [Int32], then: @escaping @Sendable (Int32, RoomJournal) -> Void) {
        let progress = Progress(partitions)
        do {
            let places = partitions.map { (TopicPartition(topic, $0), from: KafkaStart.beginning) }
            let consumer = try KafkaConsumer(settings, .partitions(places)) { event in
                switch event {
                case .records(let records): progress.take(records)
                case .endOfPartition(let place, _): progress.end(place.partition, then)
                default: break
                }
            }
            progress.closes(consumer)
        } catch {
            log.error("rooms can't be read", ["partitions": .string("\(partitions)"), "error": .describing(error)])
        }
    }

    private final class Progress: Sendable {
        private struct State {
            /// Those whose end is still to come.
            var journals: [Int32: RoomJournal]
            var consumer: KafkaConsumer?
        }
        private let state: Mutex<State>

        init(_ partitions: [Int32]) {
            state = Mutex(State(journals: Dictionary(partitions.map { ($0, RoomJournal()) }) { first, _ in first }))
        }

        func take(_ records: [KafkaRecord]) {
            state.withLock { state in
                for record in records {
                    let epoch = record.header("epoch").flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
                    state.journals[record.partition]?.read(key: record.key, value: record.value, epochHeader: epoch)
                }
            }
        }

        func end(_ partition: Int32, _ then: (Int32, RoomJournal) -> Void) {
            let (journal, finished) = state.withLock { state in
                let journal = state.journals.removeValue(forKey: partition)
                return (journal, state.journals.isEmpty ? state.consumer.take() : nil)
            }
            if let journal { then(partition, journal) }
            if let finished { Task { await finished.close() } }
        }

        /// Takes the consumer to close it when all is read, which may have come before this.
        func closes(_ consumer: KafkaConsumer) {
            let isFinished = state.withLock { state in
                if state.journals.isEmpty { return true }
                state.consumer = consumer
                return false
            }
            if isFinished { Task { await consumer.close() } }
        }
    }
}
