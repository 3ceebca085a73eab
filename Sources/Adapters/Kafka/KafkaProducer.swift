import CRdKafka
import Synchronization
import Threads

/// Sends records: idempotent, acknowledged by all replicas in sync, in order within a key.
///
/// `send` never waits. What it takes is kept through outages until it is acknowledged (or `messageTimeoutMs` is over, or the producer
/// is closed); when `queueMaxMessages` are waiting it refuses with `queueFull`, which is retriable. Every record that was taken gets
/// exactly one answer, on the producer's own thread. Where the library's client fails for good another takes its place and sends again what
/// was not acknowledged: a record may come twice then.
public final class KafkaProducer: Sendable {
    private let line: ProducerLine

    /// Makes a producer; needs no broker yet.
    /// - Throws: `KafkaError` with code `configuration` that names the property.
    public init(_ settings: KafkaSettings, _ producer: KafkaProducerSettings = .init()) throws {
        let defaults = [
            "enable.idempotence": "true", "acks": "all", "partitioner": "murmur2_random", "linger.ms": String(producer.lingerMs),
            "message.timeout.ms": String(producer.messageTimeoutMs),
            "queue.buffering.max.messages": String(producer.queueMaxMessages),
        ]
        line = ProducerLine(log: settings.log, queueMax: producer.queueMaxMessages) { line in
            try ClientHandle(RD_KAFKA_PRODUCER, settings: settings, defaults: defaults, context: line) {
                rd_kafka_conf_set_dr_msg_cb($0, answerDelivery)
            }
        }
        try line.open()
        NamedThread.start("kafka-producer") { [line] in Self.serve(line) }
    }

    deinit { line.ask(.stop(within: .zero, then: {})) }

    /// Hands a record to the library; `onDelivery` is called once, on the producer's thread, and must not block.
    /// - Throws: `KafkaError` when the record was not taken (`queueFull`, `closed`, too large); then `onDelivery` is never called.
    public func send(
        _ record: OutgoingRecord, onDelivery: @escaping @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void
    ) throws(KafkaError) {
        try line.send(record, onDelivery)
    }

    /// Sends a record and awaits its acknowledgement.
    /// - Throws: `KafkaError`; `CancellationError` where the task is cancelled meanwhile: the record may be sent all the same.
    public func send(_ record: OutgoingRecord) async throws -> DeliveryReceipt {
        let waiter = DeliveryWaiter()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                waiter.expect(continuation)
                do {
                    try send(record) { result in waiter.end(result.mapError { $0 as any Error }) }
                } catch {
                    waiter.end(.failure(error))
                }
            }
        } onCancel: {
            waiter.end(.failure(CancellationError()))
        }
    }

    /// Asks for a topic's partitions now, so that its first record need not wait for them.
    /// - Throws: `KafkaError` when no broker answers within `timeout`, or there is no such topic.
    public func prepare(_ topic: String, within timeout: Duration = .seconds(5)) async throws {
        guard let handle = line.handle else { throw KafkaError(.closed, "the Kafka producer is closed") }
        _ = try await NamedThread.run("kafka-prepare") {
            try TopicDescription.query(handle.client, topic, timeoutMs: timeout.milliseconds)
        }
    }

    /// Waits until everything sent so far is answered, at most `timeout`; whether it is.
    public func flush(within timeout: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            line.ask(.flush(within: timeout, then: { continuation.resume(returning: $0) }))
        }
    }

    /// Flushes for at most `timeout`, answers the rest with `closed`, and stops. Calls after the first return at once.
    public func close(within timeout: Duration = .seconds(10)) async {
        await withCheckedContinuation { continuation in
            line.ask(.stop(within: timeout, then: { continuation.resume() }))
        }
    }

    /// How many records wait for their acknowledgement.
    public var waiting: Int { line.waiting }

    /// The producer's thread: delivery reports, another client where one failed, flushes, the end.
    private static func serve(_ line: ProducerLine) {
        while let handle = line.handle {
            rd_kafka_poll(handle.client, line.isBroken ? 0 : 60_000)
            if line.isBroken { line.renew() }
            let wishes = line.takeWishes()
            for (index, wish) in wishes.enumerated() where !carryOut(wish, line) {
                return wishes[(index + 1)...].forEach(ProducerLine.answerAfterEnd)
            }
        }
    }

    /// Does what was asked for; false when that was the end.
    private static func carryOut(_ wish: ProducerLine.Wish, _ line: ProducerLine) -> Bool {
        guard let client = line.handle?.client else { return false }
        switch wish {
        case .flush(let timeout, let then):
            then(rd_kafka_flush(client, timeout.milliseconds) == RD_KAFKA_RESP_ERR_NO_ERROR)
            return true
        case .stop(let timeout, let then):
            rd_kafka_flush(client, timeout.milliseconds)
            rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
            // The purged records' answers come through the queue like others.
            rd_kafka_flush(client, 1_000)
            line.end()
            then()
            return false
        }
    }
}

extension Duration {
    /// Whole milliseconds for librdkafka, at least 0.
    var milliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: max(0, seconds.multipliedReportingOverflow(by: 1000).partialValue + attoseconds / 1_000_000_000_000_000))
    }
}

/// Who awaits a delivery: hears of its end once, whichever comes first.
private final class DeliveryWaiter: Sendable {
    private struct State {
        var continuation: CheckedContinuation<DeliveryReceipt, any Error>?
        var end: Result<DeliveryReceipt, any Error>?
    }
    private let state = Mutex(State())

    func expect(_ continuation: CheckedContinuation<DeliveryReceipt, any Error>) {
        let end = state.withLock { state in
            if state.end == nil { state.continuation = continuation }
            return state.end
        }
        if let end { continuation.resume(with: end) }
    }

    func end(_ result: Result<DeliveryReceipt, any Error>) {
        let continuation = state.withLock { state in
            if state.end == nil { state.end = result }
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(with: result)
    }
}
