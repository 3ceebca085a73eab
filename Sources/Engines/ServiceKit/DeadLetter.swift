import Kafka

/// A record that could not be used, as it goes to the dead letters (MESSAGES.md §1).
public enum DeadLetter {
    /// What of a value or key is kept where it would not fit, bytes.
    static let kept = (value: 64 << 10, key: 1 << 10, reason: 4 << 10)
    /// The largest value that is kept whole; Kafka's default limit of a batch is 1 MiB.
    static let whole = 900 << 10

    /// Where a record stood.
    public struct Source: Sendable {
        let topic: String
        let partition: Int32?
        let offset: Int64?

        /// - Parameters: nil where it isn't known any more.
        public init(topic: String, partition: Int32?, offset: Int64?) {
            (self.topic, self.partition, self.offset) = (topic, partition, offset)
        }
    }

    /// The letter of a record: its value as it came, and where and why it failed.
    public static func record(of record: KafkaRecord, reason: String, topic: String) -> OutgoingRecord {
        letter(
            key: record.key, value: record.value, from: Source(topic: record.topic, partition: record.partition, offset: record.offset),
            reason: reason, topic: topic)
    }

    /// The letter of what was in a record.
    public static func letter(key: [UInt8]?, value: [UInt8]?, from source: Source, reason: String, topic: String) -> OutgoingRecord {
        var headers = [
            KafkaHeader("error", String(decoding: reason.utf8.prefix(kept.reason), as: UTF8.self)),
            KafkaHeader("source-topic", source.topic),
        ]
        if let partition = source.partition { headers.append(KafkaHeader("source-partition", String(partition))) }
        if let offset = source.offset { headers.append(KafkaHeader("source-offset", String(offset))) }
        var value = value
        if let bytes = value, bytes.count > whole {
            value = Array(bytes.prefix(kept.value))
            headers.append(KafkaHeader("cut", String(bytes.count)))
        }
        return OutgoingRecord(topic: topic, key: key.map { Array($0.prefix(kept.key)) }, value: value, headers: headers)
    }

    /// Sends a letter; one that Kafka will never take holds up nobody.
    /// - Returns: why it was not taken; nil: it is there.
    /// - Throws: what may be over later.
    public static func send(_ letter: OutgoingRecord, _ send: (OutgoingRecord) async throws -> Void) async throws -> KafkaError? {
        do {
            try await send(letter)
            return nil
        } catch let error as KafkaError where !error.isRetriable && error.code != .closed {
            return error
        }
    }
}
