import CRdKafka

/// librdkafka's mock cluster: brokers inside this process, on loopback ports that the kernel gives, all in memory.
///
/// It keeps about 5 MB or 100,000 messages a partition, does not compact, and answers a Fetch without data only after the whole
/// `fetch.wait.max.ms`: clients of it set that to a few milliseconds. It ends with this value.
public final class MockCluster: Sendable {
    private let handle: ClientHandle
    private let cluster: Cluster
    /// `host:port` of its brokers, with commas.
    public let bootstrap: String
    /// How many brokers it has, numbered from 1.
    public let brokerCount: Int

    /// Starts `brokers` brokers.
    public init(brokers: Int = 1) throws {
        handle = try ClientHandle(
            RD_KAFKA_PRODUCER, settings: KafkaSettings(bootstrap: "", clientId: "mock"), defaults: [:],
            context: ClientContext(log: { _, _ in }))
        guard let cluster = rd_kafka_mock_cluster_new(handle.client, Int32(clamping: brokers)) else {
            throw KafkaError(.other, "the mock cluster's ports can't be opened")
        }
        self.cluster = Cluster(pointer: cluster)
        bootstrap = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
        brokerCount = brokers
    }

    deinit { rd_kafka_mock_cluster_destroy(cluster.pointer) }

    /// Makes a topic.
    public func createTopic(_ name: String, partitions: Int, replication: Int = 1) throws {
        let code = rd_kafka_mock_topic_create(cluster.pointer, name, Int32(clamping: partitions), Int32(clamping: replication))
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, "topic \(name) of \(partitions) partitions") }
    }

    /// Takes all brokers off the net, or brings them back.
    public func setReachable(_ isReachable: Bool) {
        for broker in 1...Int32(brokerCount) {
            if isReachable {
                rd_kafka_mock_broker_set_up(cluster.pointer, broker)
            } else {
                rd_kafka_mock_broker_set_down(cluster.pointer, broker)
            }
        }
    }

    /// Answers the next produce requests like a broker that lost count of an idempotent producer's records.
    public func loseCount(_ requests: Int) {
        let errors = [rd_kafka_resp_err_t](repeating: RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, count: requests)
        // Produce is request 0 of Kafka's protocol.
        rd_kafka_mock_push_request_errors_array(cluster.pointer, 0, errors.count, errors)
    }

    // `@unchecked`: the mock cluster's functions hand their work to its own thread.
    private struct Cluster: @unchecked Sendable { let pointer: OpaquePointer }
}
