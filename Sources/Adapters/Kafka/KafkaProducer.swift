import CRdKafka
import Synchronization
import Threads

/// Sends records: idempotent, acknowledged by all replicas in sync, in order within a key.
///
/// `send` never waits. What it takes is kept through outages until it is acknowledged (or `messageTimeoutMs` is over, or the producer
/// is closed); when `queueMaxMessages` are waiting it refuses with `queueFull`, which is retriable. Every record that was taken gets
/// exactly one answer, on the producer's own thread.
public final class KafkaProducer: Sendable {
    private let handle: ClientHandle
    private let context: Context

    /// Makes a producer; needs no broker yet.
    /// - Throws: `KafkaError` with code `configuration` that names the property.
    public init(_ settings: KafkaSettings, _ producer: KafkaProducerSettings = .init()) throws {
        let context = Context(log: settings.log)
        let defaults = [
            "enable.idempotence": "true", "acks": "all", "partitioner": "murmur2_random", "linger.ms": String(producer.lingerMs),
            "message.timeout.ms": String(producer.messageTimeoutMs),
            "queue.buffering.max.messages": String(producer.queueMaxMessages),
        ]
        handle = try ClientHandle(RD_KAFKA_PRODUCER, settings: settings, defaults: defaults, context: context) {
            rd_kafka_conf_set_dr_msg_cb($0, answerDelivery)
        }
        self.context = context
        NamedThread.start("kafka-producer") { [handle, context] in Self.serve(handle, context) }
    }

    deinit { context.ask(.stop(within: .zero, then: {}), waking: handle) }

    /// Hands a record to the library; `onDelivery` is called once, on the producer's thread, and must not block.
    /// - Throws: `KafkaError` when the record was not taken (`queueFull`, `closed`, too large); then `onDelivery` is never called.
    public func send(_ record: OutgoingRecord, onDelivery: @escaping @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void) throws {
        guard !context.isStopping else { throw KafkaError(.closed, "the Kafka producer is closed") }
        let answer = Unmanaged.passRetained(Answer(topic: record.topic, onDelivery))
        do {
            try produce(record, opaque: answer.toOpaque())
        } catch {
            answer.release()
            throw error
        }
    }

    /// Sends a record and awaits its acknowledgement.
    public func send(_ record: OutgoingRecord) async throws -> DeliveryReceipt {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try send(record) { result in continuation.resume(with: result.mapError { $0 as any Error }) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Asks for a topic's partitions now, so that its first record need not wait for them.
    /// - Throws: `KafkaError` when no broker answers within `timeout`, or there is no such topic.
    public func prepare(_ topic: String, within timeout: Duration = .seconds(5)) async throws {
        _ = try await NamedThread.run("kafka-prepare") { [handle] in
            try TopicDescription.query(handle.client, topic, timeoutMs: timeout.milliseconds)
        }
    }

    /// Waits until everything sent so far is answered, at most `timeout`; whether it is.
    public func flush(within timeout: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            context.ask(.flush(within: timeout, then: { continuation.resume(returning: $0) }), waking: handle)
        }
    }

    /// Flushes for at most `timeout`, answers the rest with `closed`, and stops. Calls after the first return at once.
    public func close(within timeout: Duration = .seconds(10)) async {
        await withCheckedContinuation { continuation in
            context.ask(.stop(within: timeout, then: { continuation.resume() }), waking: handle)
        }
    }

    /// How many records wait for their acknowledgement.
    public var waiting: Int { Int(rd_kafka_outq_len(handle.client)) }

    private func produce(_ record: OutgoingRecord, opaque: UnsafeMutableRawPointer) throws {
        var headers: OpaquePointer?
        if !record.headers.isEmpty {
            headers = rd_kafka_headers_new(record.headers.count)
            for header in record.headers {
                header.value.withUnsafeBytes { _ = rd_kafka_header_add(headers, header.name, -1, $0.baseAddress, $0.count) }
            }
        }
        let refusal = record.topic.withCString { topic in
            withOptionalBytes(record.key) { key in
                withOptionalBytes(record.value) { value in
                    var parts = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: 5)
                    parts[0].vtype = RD_KAFKA_VTYPE_TOPIC
                    parts[0].u.cstr = topic
                    parts[1].vtype = RD_KAFKA_VTYPE_PARTITION
                    parts[1].u.i32 = record.partition ?? RD_KAFKA_PARTITION_UA
                    parts[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS
                    parts[2].u.i = RD_KAFKA_MSG_F_COPY
                    parts[3].vtype = RD_KAFKA_VTYPE_OPAQUE
                    parts[3].u.ptr = opaque
                    parts[4].vtype = RD_KAFKA_VTYPE_KEY
                    parts[4].u.mem = .init(ptr: UnsafeMutableRawPointer(mutating: key.baseAddress), size: key.count)
                    var body = rd_kafka_vu_t()
                    body.vtype = RD_KAFKA_VTYPE_VALUE
                    body.u.mem = .init(ptr: UnsafeMutableRawPointer(mutating: value.baseAddress), size: value.count)
                    parts.append(body)
                    if let headers {
                        var part = rd_kafka_vu_t()
                        part.vtype = RD_KAFKA_VTYPE_HEADERS
                        part.u.headers = headers
                        parts.append(part)
                    }
                    return rd_kafka_produceva(handle.client, parts, parts.count)
                }
            }
        }
        guard let refusal else { return }
        // On a refusal the library has not taken the headers.
        if let headers { rd_kafka_headers_destroy(headers) }
        throw KafkaError(taking: refusal, "record for \(record.topic)")
    }

    /// The producer's thread: delivery reports, flushes, the end.
    private static func serve(_ handle: ClientHandle, _ context: Context) {
        while true {
            rd_kafka_poll(handle.client, 60_000)
            for wish in context.takeWishes() {
                switch wish {
                case .flush(let timeout, let then):
                    then(rd_kafka_flush(handle.client, timeout.milliseconds) == RD_KAFKA_RESP_ERR_NO_ERROR)
                case .stop(let timeout, let then):
                    rd_kafka_flush(handle.client, timeout.milliseconds)
                    rd_kafka_purge(handle.client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
                    // The purged records' answers come through the queue like others.
                    rd_kafka_flush(handle.client, 1_000)
                    then()
                    context.end()
                    return
                }
            }
        }
    }

    /// `@unchecked`: its state is in a mutex.
    final class Context: ClientContext, @unchecked Sendable {
        enum Wish: Sendable {
            case flush(within: Duration, then: @Sendable (Bool) -> Void)
            case stop(within: Duration, then: @Sendable () -> Void)
        }
        private struct State {
            var wishes: [Wish] = []
            var isStopping = false
            var isEnded = false
        }
        private let state = Mutex(State())

        var isStopping: Bool { state.withLock { $0.isStopping } }

        func ask(_ wish: Wish, waking handle: ClientHandle) {
            let isEnded = state.withLock { state in
                if case .stop = wish { state.isStopping = true }
                if !state.isEnded { state.wishes.append(wish) }
                return state.isEnded
            }
            guard !isEnded else { return Self.answerAfterEnd(wish) }
            guard let queue = rd_kafka_queue_get_main(handle.client) else { return }
            rd_kafka_queue_yield(queue)
            rd_kafka_queue_destroy(queue)
        }

        func takeWishes() -> [Wish] {
            state.withLock { state in
                defer { state.wishes = [] }
                return state.wishes
            }
        }

        /// After this nobody serves wishes any more; what came meanwhile is answered here.
        func end() {
            let rest = state.withLock { state in
                state.isEnded = true
                defer { state.wishes = [] }
                return state.wishes
            }
            rest.forEach(Self.answerAfterEnd)
        }

        private static func answerAfterEnd(_ wish: Wish) {
            switch wish {
            case .flush(_, let then): then(true)
            case .stop(_, let then): then()
            }
        }

        override func clientError(_ error: KafkaError, _ client: OpaquePointer) { log(error.isFatal ? 2 : 4, error.description) }
    }
}

/// What a record's delivery report finds by its opaque.
private final class Answer: Sendable {
    let topic: String
    let onDelivery: @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void

    init(topic: String, _ onDelivery: @escaping @Sendable (Result<DeliveryReceipt, KafkaError>) -> Void) {
        self.topic = topic
        self.onDelivery = onDelivery
    }
}

private func answerDelivery(_ client: OpaquePointer?, _ report: UnsafePointer<rd_kafka_message_t>?, _ opaque: UnsafeMutableRawPointer?) {
    guard let report = report?.pointee, let pointer = report._private else { return }
    let answer = Unmanaged<Answer>.fromOpaque(pointer).takeRetainedValue()
    if report.err == RD_KAFKA_RESP_ERR_NO_ERROR {
        answer.onDelivery(.success(DeliveryReceipt(partition: report.partition, offset: report.offset)))
    } else {
        answer.onDelivery(.failure(KafkaError(report.err, "record for \(answer.topic)")))
    }
}

private func withOptionalBytes<Result>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard let bytes else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    // An empty array may have no address, and no address would be a null key or a tombstone.
    if bytes.isEmpty { return withUnsafeBytes(of: UInt8(0)) { body(UnsafeRawBufferPointer(rebasing: $0[0..<0])) } }
    return bytes.withUnsafeBytes(body)
}

extension Duration {
    /// Whole milliseconds for librdkafka, at least 0.
    var milliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(clamping: max(0, seconds.multipliedReportingOverflow(by: 1000).partialValue + attoseconds / 1_000_000_000_000_000))
    }
}
