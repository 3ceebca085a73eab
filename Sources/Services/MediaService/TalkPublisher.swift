import Kafka
import Messages
import Synchronization
import Talk
import Telemetry

/// Puts finished talks' records on Kafka; the bytes are the outbox's, the same each time.
final class TalkPublisher: Sendable {
    private let producer: KafkaProducer
    private let topic: String
    private let log: Logger
    private let delivered: @Sendable (TalkID) -> Void

    init(producer: KafkaProducer, topic: String, log: Logger, delivered: @escaping @Sendable (TalkID) -> Void) {
        (self.producer, self.topic, self.log, self.delivered) = (producer, topic, log, delivered)
    }

    /// Sends a record; `then` is told whether Kafka has it.
    func publish(_ talk: TalkID, gid: GroupID, value: [UInt8], then: @escaping @Sendable (Bool) -> Void) {
        let (log, delivered) = (self.log, self.delivered)
        do {
            try producer.send(OutgoingRecord(topic: topic, key: Array(gid.description.utf8), value: value)) { result in
                switch result {
                case .success:
                    delivered(talk)
                    then(true)
                case .failure(let error):
                    log.warning(
                        "talk record not delivered, it is sent again later",
                        ["talk_id": .string(talk.description), "error": .describing(error)])
                    then(false)
                }
            }
        } catch {
            log.warning(
                "talk record not taken, it is sent again later", ["talk_id": .string(talk.description), "error": .describing(error)])
            then(false)
        }
    }
}
