import CRdKafka
import Synchronization
import Threads

/// What a consumer reads, and from where.
public enum KafkaSubscription: Sendable {
    /// A share of the topics' partitions as a member of the group `id` (cooperative-sticky), from the committed offsets, else from the
    /// beginning. With `instanceId` a member that is back within the session keeps its partitions.
    case group(id: String, instanceId: String?, topics: [String])
    /// These partitions from these places; no group.
    case partitions([(TopicPartition, from: KafkaStart)])
    /// All partitions of these topics from one place; no group. Waits for topics that are not there yet.
    case topics([String], from: KafkaStart)
}

/// Where reading starts.
public enum KafkaStart: Sendable, Hashable {
    /// The oldest record kept.
    case beginning
    /// Behind the last record there is when `.assigned` comes: whatever is produced after that is read.
    case end
    /// This offset.
    case offset(Int64)
}

/// What a consumer tells its handler, one after the other, in order.
public enum KafkaEvent: Sendable {
    /// Records as they stand in their partitions, a few hundred at most.
    case records([KafkaRecord])
    /// These partitions are read from now on, besides those before.
    case assigned([TopicPartition])
    /// These partitions are read no more. `lost`: the group decided without us, others may have them already; storing is pointless.
    case revoked([TopicPartition], lost: Bool)
    /// All there is in this partition has been told; `offset` is the next one's. Not told to members of groups, who never look for an end.
    case endOfPartition(TopicPartition, offset: Int64)
    /// Something failed; the consumer goes on unless it is fatal.
    case error(KafkaError)
    /// No broker can be reached.
    case down
    /// A broker can be reached again.
    case up
}

/// Reads records on a thread of its own and tells them, and what happens to its assignment, to one handler.
///
/// The handler is called on that thread; while it has not returned nothing more is told, so a handler that can't take more simply stays
/// (for less than `max.poll.interval.ms`, 5 minutes), or pauses partitions. Offsets are stored by hand; what is stored is committed at once
/// where nothing was within the last 500 ms, else within 5 s, when partitions are revoked and when the consumer is closed. Records of a
/// group that Kafka dropped before they were read (`retention.ms`) are logged as an error: which, and how many.
public final class KafkaConsumer: Sendable {
    private let handle: ClientHandle
    private let loop: ConsumerLoop
    private let committedAt = Mutex<ContinuousClock.Instant?>(nil)
    private static let commitInterval = Duration.milliseconds(500)

    /// Makes a consumer; needs no broker yet. `handler` may be called before this returns.
    /// - Throws: `KafkaError` with code `configuration` that names the property.
    public init(_ settings: KafkaSettings, _ subscription: KafkaSubscription, handler: @escaping @Sendable (KafkaEvent) -> Void) throws {
        let loop = ConsumerLoop(subscription: subscription, log: settings.log, handler: handler)
        var defaults = [
            "enable.auto.offset.store": "false", "auto.offset.reset": "earliest",
            // The library's timer costs CPU also while nothing is stored: `store` is what commits soon.
            "auto.commit.interval.ms": "5000", "fetch.error.backoff.ms": "100",
        ]
        if case .group(let id, let instanceId, _) = subscription {
            defaults["group.id"] = id
            defaults["partition.assignment.strategy"] = "cooperative-sticky"
            if let instanceId { defaults["group.instance.id"] = instanceId }
        } else {
            defaults["enable.partition.eof"] = "true"
            // The library wants a name even where no group is ever joined.
            defaults["group.id"] = "\(settings.clientId)-no-group"
            defaults["enable.auto.commit"] = "false"
        }
        handle = try ClientHandle(RD_KAFKA_CONSUMER, settings: settings, defaults: defaults, context: loop) {
            rd_kafka_conf_set_rebalance_cb($0, forwardRebalance)
            rd_kafka_conf_set_offset_commit_cb($0, forwardCommit)
        }
        self.loop = loop
        rd_kafka_poll_set_consumer(handle.client)
        NamedThread.start("kafka-consumer") { [handle, loop] in loop.run(handle) }
    }

    deinit { loop.stop(waking: handle, then: {}) }

    /// Says that everything below these offsets is done. Partitions that are not ours (any more) are passed over: their next owner
    /// reads those records again.
    /// - Throws: `KafkaError` when nothing could be stored for another reason.
    public func store(_ offsets: [TopicPartitionOffset]) throws {
        guard !offsets.isEmpty else { return }
        let code = PartitionList(offsets).lend { rd_kafka_offsets_store(handle.client, $0) }
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return commitSoon() }
        guard code != RD_KAFKA_RESP_ERR__STATE, code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION else { return }
        throw KafkaError(code, "offset store")
    }

    private func commitSoon() {
        let isDue = committedAt.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < Self.commitInterval { return false }
            last = now
            return true
        }
        if isDue { commit() }
    }

    /// Starts to commit what is stored, now instead of within seconds; a failure comes as `.error`.
    public func commit() {
        let code = rd_kafka_commit(handle.client, nil, 1)
        if code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR__NO_OFFSET {
            loop.log(4, KafkaError(code, "offset commit").description)
        }
    }

    /// Stops fetching from these partitions until `resume`.
    public func pause(_ partitions: [TopicPartition]) throws {
        try check(PartitionList(partitions).lend { rd_kafka_pause_partitions(handle.client, $0) }, "pause")
    }

    /// Fetches from these partitions again.
    public func resume(_ partitions: [TopicPartition]) throws {
        try check(PartitionList(partitions).lend { rd_kafka_resume_partitions(handle.client, $0) }, "resume")
    }

    /// Reads on from these places; records fetched before and not yet told are dropped.
    public func seek(_ offsets: [TopicPartitionOffset]) async throws {
        try await NamedThread.run("kafka-seek") { [handle] in
            let list = PartitionList(offsets)
            if let error = list.lend({ rd_kafka_seek_partitions(handle.client, $0, 10_000) }) { throw KafkaError(taking: error, "seek") }
            for (partition, code) in list.failures { throw KafkaError(code, "seek in \(partition)") }
        }
    }

    /// The group's committed offsets of these partitions; those without one are missing in the answer.
    public func committed(_ partitions: [TopicPartition], within timeout: Duration = .seconds(10)) async throws -> [TopicPartitionOffset] {
        try await NamedThread.run("kafka-committed") { [handle] in
            let list = PartitionList(partitions)
            let code = list.lend { rd_kafka_committed(handle.client, $0, timeout.milliseconds) }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, "committed offsets") }
            return list.offsets.filter { $0.offset >= 0 }
        }
    }

    /// The oldest offset kept in a partition and the next one to be written, asked from its leader.
    public func watermarks(_ partition: TopicPartition, within timeout: Duration = .seconds(10)) async throws -> Range<Int64> {
        try await NamedThread.run("kafka-watermark") { [handle] in
            try queryWatermarks(handle.client, partition, timeoutMs: timeout.milliseconds)
        }
    }

    /// Commits what is stored, leaves the group and stops; nothing is told afterwards. Not to be awaited inside the handler.
    public func close() async {
        await withCheckedContinuation { continuation in loop.stop(waking: handle, then: { continuation.resume() }) }
    }

    private func check(_ code: rd_kafka_resp_err_t, _ what: String) throws {
        if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code, what) }
    }
}

func queryWatermarks(_ client: OpaquePointer, _ partition: TopicPartition, timeoutMs: Int32) throws -> Range<Int64> {
    var low: Int64 = 0
    var high: Int64 = 0
    let code = rd_kafka_query_watermark_offsets(client, partition.topic, partition.partition, &low, &high, timeoutMs)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, "offsets of \(partition)") }
    return low..<max(low, high)
}

private func forwardRebalance(
    _ client: OpaquePointer?, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?,
    _ opaque: UnsafeMutableRawPointer?
) {
    guard let client, let list, let loop = consumerLoop(opaque) else { return }
    loop.rebalance(client, code, list)
}

private func forwardCommit(
    _ client: OpaquePointer?, _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?,
    _ opaque: UnsafeMutableRawPointer?
) {
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR__NO_OFFSET else { return }
    consumerLoop(opaque)?.tell(.error(KafkaError(code, "offset commit")))
}

private func consumerLoop(_ opaque: UnsafeMutableRawPointer?) -> ConsumerLoop? {
    guard let opaque else { return nil }
    return Unmanaged<ClientContext>.fromOpaque(opaque).takeUnretainedValue() as? ConsumerLoop
}
