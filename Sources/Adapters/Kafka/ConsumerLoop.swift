import CRdKafka
import Synchronization
import Threads

/// A consumer's thread: polls, gathers records into batches, tells the handler.
///
/// `@unchecked`: `pending`, `next`, `isDown`, `isSuspect` are touched on the poll thread only (callbacks come inside its polls); the rest is in a mutex.
final class ConsumerLoop: ClientContext, @unchecked Sendable {
    private static let batchMax = 500

    private struct State {
        var isStopping = false
        var isEnded = false
        var waiters: [@Sendable () -> Void] = []
    }
    private let state = Mutex(State())
    private let subscription: KafkaSubscription
    /// A closure that is itself a mutex's value would be wrapped once more by each look at it: as a member it is not.
    private struct Handler: Sendable {
        var call: (@Sendable (KafkaEvent) -> Void)?
    }
    // Given up at the end, since a handler often holds the consumer.
    private let handler: Mutex<Handler>
    private var pending: [KafkaRecord] = []
    /// A group's member: which record is expected of each partition that one came from.
    private var next: [TopicPartition: Int64] = [:]
    private var isDown = false
    private var isSuspect = false

    init(
        subscription: KafkaSubscription, log: @escaping @Sendable (Int, String) -> Void, handler: @escaping @Sendable (KafkaEvent) -> Void
    ) {
        self.subscription = subscription
        self.handler = Mutex(Handler(call: handler))
        super.init(log: log)
    }

    /// Ends the loop; `then` is called on its thread when the group is left, or at once when it has ended already.
    func stop(waking handle: ClientHandle, then: @escaping @Sendable () -> Void) {
        let isEnded = state.withLock { state in
            state.isStopping = true
            if !state.isEnded { state.waiters.append(then) }
            return state.isEnded
        }
        if isEnded { return then() }
        wake(handle.client)
    }

    private func wake(_ client: OpaquePointer) {
        guard let queue = rd_kafka_queue_get_consumer(client) else { return }
        rd_kafka_queue_yield(queue)
        rd_kafka_queue_destroy(queue)
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    func run(_ handle: ClientHandle) {
        let client = handle.client
        var isReading = false
        while !isStopping {
            // While nothing is subscribed yet, or no broker is there, the wait is what spaces the attempts.
            if !isReading {
                isReading = start(client)
                if !isReading { poll(handle, timeoutMs: 200) }
                continue
            }
            poll(handle, timeoutMs: isDown ? 200 : 60_000)
            if isSuspect || isDown { lookForBroker(client) }
        }
        rd_kafka_consumer_close(client)
        flush()
        handler.withLock { $0.call = nil }
        let waiters = state.withLock { state in
            state.isEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        waiters.forEach { $0() }
    }

    // MARK: reading

    private func poll(_ handle: ClientHandle, timeoutMs: Int32) {
        var timeoutMs = timeoutMs
        while let message = rd_kafka_consumer_poll(handle.client, timeoutMs) {
            take(message, handle)
            rd_kafka_message_destroy(message)
            if pending.count >= Self.batchMax { break }
            timeoutMs = 0
        }
        flush()
    }

    private func take(_ pointer: UnsafeMutablePointer<rd_kafka_message_t>, _ handle: ClientHandle) {
        let message = pointer.pointee
        let topic = message.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? ""
        switch message.err {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            let record = KafkaRecord(pointer, topic: topic)
            if case .group = subscription { lookForLoss(before: record, handle) }
            pending.append(record)
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            tell(.endOfPartition(TopicPartition(topic, message.partition), offset: message.offset))
        default:
            let detail = message.payload.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: message.len), as: UTF8.self) }
            tell(.error(KafkaError(message.err, topic.isEmpty ? "Kafka consumer" : topic, detail: detail)))
        }
    }

    /// Kafka drops what is older than it shall keep, read or not, and the library goes on with the oldest that is left without a word.
    private func lookForLoss(before record: KafkaRecord, _ handle: ClientHandle) {
        let partition = record.topicPartition
        guard let expected = next.updateValue(record.offset + 1, forKey: partition), expected < record.offset else { return }
        // A compacted topic and a transaction leave gaps too, but above the oldest that is kept. To ask for that takes as long as a Fetch
        // waits on the same connection: nobody waits for it here.
        let count = record.offset - expected
        NamedThread.start("kafka-loss") { [self] in
            guard let kept = try? queryWatermarks(handle.client, partition, timeoutMs: 10_000), expected < kept.lowerBound else { return }
            log(3, "\(partition): \(count) records from offset \(expected) on were gone before they were read; is retention.ms too short?")
        }
    }

    private func flush() {
        guard !pending.isEmpty else { return }
        let records = pending
        pending = []
        deliver(.records(records))
    }

    /// Tells an event after the records that came before it.
    func tell(_ event: KafkaEvent) {
        flush()
        deliver(event)
    }

    private func deliver(_ event: KafkaEvent) {
        if isDown, case .records = event {
            isDown = false
            deliver(.up)
        }
        let current = handler.withLock { $0.call }
        current?(event)
    }

    // MARK: outages

    override func clientError(_ error: KafkaError, _ client: OpaquePointer) {
        if error.isFatal { return tell(.error(error)) }
        // A single broker's trouble is the library's to mend: worth a line. librdkafka 2.0.2 does not always say that it was the last one
        // (the group's coordinator counts as one more), so each such error makes the loop look for itself.
        log(4, error.description)
        guard error.code == .down else { return }
        isSuspect = true
        // A poll that served only callbacks goes on waiting; the loop wants to look now.
        wake(client)
    }

    private func lookForBroker(_ client: OpaquePointer) {
        isSuspect = false
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let isReachable = rd_kafka_metadata(client, 0, nil, &metadata, 500) == RD_KAFKA_RESP_ERR_NO_ERROR
        if isReachable { rd_kafka_metadata_destroy(metadata) }
        guard isDown == isReachable else { return }
        isDown = !isReachable
        tell(isReachable ? .up : .down)
    }

    // MARK: assignment

    /// Subscribes or assigns; false when a broker or a topic is missing, to be tried again.
    private func start(_ client: OpaquePointer) -> Bool {
        do {
            switch subscription {
            case .group(_, _, let topics):
                let list = PartitionList(topics.map { TopicPartition($0, RD_KAFKA_PARTITION_UA) })
                let code = list.lend { rd_kafka_subscribe(client, $0) }
                if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, "subscribe to \(topics.joined(separator: ", "))") }
            case .partitions(let starts):
                try assign(client, starts.map { ($0.0, $0.from) })
            case .topics(let topics, let from):
                var starts: [(TopicPartition, KafkaStart)] = []
                for topic in topics {
                    let found = try TopicDescription.query(client, topic, timeoutMs: 1_000)
                    starts += (0..<Int32(found.partitionCount)).map { (TopicPartition(topic, $0), from) }
                }
                try assign(client, starts)
            }
            return true
        } catch {
            guard let error = error as? KafkaError else { return false }
            if error.isRetriable || error.code == .unknownTopic { log(6, error.description) } else { tell(.error(error)) }
            return false
        }
    }

    private func assign(_ client: OpaquePointer, _ starts: [(TopicPartition, KafkaStart)]) throws {
        let places = try starts.map { partition, from in
            switch from {
            case .beginning: TopicPartitionOffset(partition, Int64(RD_KAFKA_OFFSET_BEGINNING))
            case .offset(let offset): TopicPartitionOffset(partition, offset)
            // Asked now: the library's own "end" is wherever the end is at the first fetch, so records could slip by unseen.
            case .end: TopicPartitionOffset(partition, try queryWatermarks(client, partition, timeoutMs: 2_000).upperBound)
            }
        }
        let code = PartitionList(places).lend { rd_kafka_assign(client, $0) }
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, "assign") }
        tell(.assigned(starts.map { $0.0 }))
    }

    /// Called inside a poll (or the close) on the poll thread.
    func rebalance(_ client: OpaquePointer, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
        let partitions = elements(of: list).map { TopicPartition(String(cString: $0.topic), $0.partition) }
        switch code {
        case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
            // The library would ask for these next. Where there is none, or no answer, it does, and begins as `auto.offset.reset` says.
            if !partitions.isEmpty, rd_kafka_committed(client, list, 2_000) == RD_KAFKA_RESP_ERR_NO_ERROR {
                for one in elements(of: list) where one.offset >= 0 {
                    next[TopicPartition(String(cString: one.topic), one.partition)] = one.offset
                }
            }
            // Assigned before it is told, so that the handler may pause them.
            if let error = rd_kafka_incremental_assign(client, list) { tell(.error(KafkaError(taking: error, "assign"))) }
            if !partitions.isEmpty { tell(.assigned(partitions)) }
        case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
            // Told before it is gone, so that the handler may store its last offsets, which the library then commits.
            let isLost = rd_kafka_assignment_lost(client) != 0
            for partition in partitions { next[partition] = nil }
            if !partitions.isEmpty { tell(.revoked(partitions, lost: isLost)) }
            if let error = rd_kafka_incremental_unassign(client, list) { tell(.error(KafkaError(taking: error, "unassign"))) }
        default:
            rd_kafka_assign(client, nil)
            tell(.error(KafkaError(code, "rebalance")))
        }
    }
}

extension KafkaRecord {
    /// Copies what the library lends. It wants its own pointer back for the headers: there is more behind the public part.
    init(_ pointer: UnsafeMutablePointer<rd_kafka_message_t>, topic: String) {
        let message = pointer.pointee
        self.topic = topic
        partition = message.partition
        offset = message.offset
        key = message.key.map { Array(UnsafeRawBufferPointer(start: $0, count: message.key_len)) }
        value = message.payload.map { Array(UnsafeRawBufferPointer(start: $0, count: message.len)) }
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        timestampMs = rd_kafka_message_timestamp(pointer, &kind)
        var found: [KafkaHeader] = []
        var list: OpaquePointer?
        if rd_kafka_message_headers(pointer, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list {
            var name: UnsafePointer<CChar>?
            var value: UnsafeRawPointer?
            var size = 0
            while rd_kafka_header_get_all(list, found.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name {
                found.append(KafkaHeader(String(cString: name), value.map { Array(UnsafeRawBufferPointer(start: $0, count: size)) } ?? []))
            }
        }
        headers = found
    }
}
