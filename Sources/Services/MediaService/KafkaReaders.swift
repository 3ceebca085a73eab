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

/// Reads partitions of `ptt.rooms` to their end, each with a consumer of its own.
struct RoomReader: Sendable {
    let settings: KafkaSettings
    let topic: String
    let log: Logger

    /// Reads one; `then` is called once, when its end is reached.
    @Sendable func read(_ partition: Int32, then: @escaping @Sendable (RoomJournal) -> Void) {
        let state = Mutex((journal: RoomJournal(), consumer: KafkaConsumer?.none, isDone: false))
        let shared = Box(state)
        do {
            let consumer = try KafkaConsumer(settings, .partitions([(TopicPartition(topic, partition), from: .beginning)])) { event in
                switch event {
                case .records(let records):
                    shared.value.withLock { state in
                        for record in records {
                            let epoch = record.header("epoch").flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
                            state.journal.read(key: record.key, value: record.value, epochHeader: epoch)
                        }
                    }
                case .endOfPartition:
                    let (journal, consumer, isFirst) = shared.value.withLock { state in
                        defer { state.isDone = true }
                        return (state.journal, state.consumer, !state.isDone)
                    }
                    if isFirst { then(journal) }
                    if let consumer { Task { await consumer.close() } }
                default: break
                }
            }
            // The end may have come before this line.
            let isDone = shared.value.withLock { state in
                state.consumer = consumer
                return state.isDone
            }
            if isDone { Task { await consumer.close() } }
        } catch {
            log.error("rooms can't be read", ["partition": .int(partition), "error": .describing(error)])
        }
    }

    private final class Box: Sendable {
        let value: Mutex<(journal: RoomJournal, consumer: KafkaConsumer?, isDone: Bool)>
        init(_ value: consuming sending Mutex<(journal: RoomJournal, consumer: KafkaConsumer?, isDone: Bool)>) { self.value = value }
    }
}
