import CRdKafka
import Threads

/// A topic to make where it is missing.
public struct TopicSpecification: Sendable, Hashable {
    /// The name.
    public var name: String
    /// How many partitions.
    public var partitions: Int
    /// How many replicas of each.
    public var replication: Int
    /// Topic properties, such as `cleanup.policy`.
    public var properties: [String: String]

    /// A topic's wish.
    public init(name: String, partitions: Int, replication: Int = 1, properties: [String: String] = [:]) {
        self.name = name
        self.partitions = partitions
        self.replication = replication
        self.properties = properties
    }
}

/// A topic as it is.
struct TopicDescription: Sendable, Hashable {
    /// The name.
    let name: String
    /// How many partitions there are.
    let partitionCount: Int
}

/// Makes and describes topics. Each call runs on a thread of its own.
public final class KafkaAdmin: Sendable {
    private let handle: ClientHandle

    /// Makes a client; needs no broker yet.
    public init(_ settings: KafkaSettings) throws {
        handle = try ClientHandle(RD_KAFKA_PRODUCER, settings: settings, defaults: [:], context: ClientContext(log: settings.log))
    }

    /// The number of brokers, once one answers.
    /// - Throws: `KafkaError`, retriable, when none answered within `timeout`.
    public func ready(within timeout: Duration) async throws -> Int {
        try await NamedThread.run("kafka-ready") { [handle] in
            var metadata: UnsafePointer<rd_kafka_metadata>?
            let code = rd_kafka_metadata(handle.client, 0, nil, &metadata, timeout.milliseconds)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw KafkaError(code, "no Kafka broker answers") }
            defer { rd_kafka_metadata_destroy(metadata) }
            return Int(metadata.pointee.broker_cnt)
        }
    }

    /// Makes a topic; one that is there already is left as it is. Whether it was made.
    public func create(_ topic: TopicSpecification, within timeout: Duration = .seconds(15)) async throws -> Bool {
        try await NamedThread.run("kafka-create") { [handle] in
            do {
                try Self.create(handle.client, topic, timeoutMs: timeout.milliseconds)
                return true
            } catch let error as KafkaError where error.code == .topicExists {
                return false
            }
        }
    }

    /// All topics, by name, with their numbers of partitions. Asking for all makes none, as asking for one may.
    public func topics(within timeout: Duration = .seconds(10)) async throws -> [String: Int] {
        try await NamedThread.run("kafka-topics") { [handle] in
            var metadata: UnsafePointer<rd_kafka_metadata>?
            let code = rd_kafka_metadata(handle.client, 1, nil, &metadata, timeout.milliseconds)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw KafkaError(code, "the brokers do not tell their topics") }
            defer { rd_kafka_metadata_destroy(metadata) }
            var found: [String: Int] = [:]
            for index in 0..<Int(metadata.pointee.topic_cnt) {
                let topic = metadata.pointee.topics[index]
                if topic.err == RD_KAFKA_RESP_ERR_NO_ERROR { found[String(cString: topic.topic)] = Int(topic.partition_cnt) }
            }
            return found
        }
    }

    /// The cluster's own name, which it has from its first start.
    /// - Throws: `KafkaError`, retriable, where no broker tells it in time.
    public func clusterID(within timeout: Duration = .seconds(10)) async throws -> String {
        try await NamedThread.run("kafka-cluster") { [handle] in
            guard let id = rd_kafka_clusterid(handle.client, timeout.milliseconds) else {
                throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "the brokers do not tell which cluster they are")
            }
            defer { rd_kafka_mem_free(handle.client, id) }
            return String(cString: id)
        }
    }

    /// A topic's `cleanup.policy`; nil where the brokers don't tell it.
    public func cleanupPolicy(of topic: String, within timeout: Duration = .seconds(10)) async throws -> String? {
        try await NamedThread.run("kafka-policy") { [handle] in
            // librdkafka's mock cluster knows no DescribeConfigs, and would be waited for in vain.
            if let id = rd_kafka_clusterid(handle.client, timeout.milliseconds) {
                defer { rd_kafka_mem_free(handle.client, id) }
                if String(cString: id).hasPrefix("mockCluster") { return nil }
            }
            return Self.property("cleanup.policy", of: topic, handle.client, timeoutMs: timeout.milliseconds)
        }
    }

    private static func create(_ client: OpaquePointer, _ topic: TopicSpecification, timeoutMs: Int32) throws {
        var text = [CChar](repeating: 0, count: 512)
        guard
            let wish = rd_kafka_NewTopic_new(
                topic.name, Int32(clamping: topic.partitions), Int32(clamping: topic.replication), &text, text.count)
        else { throw KafkaError(.configuration, "topic \(topic.name): \(message(text))") }
        defer { rd_kafka_NewTopic_destroy(wish) }
        for (name, value) in topic.properties { rd_kafka_NewTopic_set_config(wish, name, value) }
        var wishes: [OpaquePointer?] = [wish]
        let event = try request(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, "topic \(topic.name)", timeoutMs: timeoutMs) { options, queue in
            rd_kafka_CreateTopics(client, &wishes, 1, options, queue)
        }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        guard let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count), count == 1 else {
            return
        }
        let code = rd_kafka_topic_result_error(results[0])
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw KafkaError(code, "topic \(topic.name)", detail: rd_kafka_topic_result_error_string(results[0]).map { String(cString: $0) })
    }

    /// A topic's property, or nil where the broker doesn't tell it.
    private static func property(_ name: String, of topic: String, _ client: OpaquePointer, timeoutMs: Int32) -> String? {
        guard let resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic) else { return nil }
        defer { rd_kafka_ConfigResource_destroy(resource) }
        var resources: [OpaquePointer?] = [resource]
        let answer = try? request(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, "topic \(topic)", timeoutMs: timeoutMs) { options, queue in
            rd_kafka_DescribeConfigs(client, &resources, 1, options, queue)
        }
        guard let event = answer else { return nil }
        defer { rd_kafka_event_destroy(event) }
        var count = 0
        guard let found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count), count == 1,
            rd_kafka_ConfigResource_error(found[0]) == RD_KAFKA_RESP_ERR_NO_ERROR
        else { return nil }
        var entryCount = 0
        guard let entries = rd_kafka_ConfigResource_configs(found[0], &entryCount) else { return nil }
        for index in 0..<entryCount where rd_kafka_ConfigEntry_name(entries[index]).map({ String(cString: $0) }) == name {
            return rd_kafka_ConfigEntry_value(entries[index]).map { String(cString: $0) }
        }
        return nil
    }

    private static func request(
        _ client: OpaquePointer, _ kind: rd_kafka_admin_op_t, _ what: String, timeoutMs: Int32,
        _ call: (_ options: OpaquePointer?, _ queue: OpaquePointer?) -> Void
    ) throws -> OpaquePointer {
        let queue = rd_kafka_queue_new(client)
        defer { rd_kafka_queue_destroy(queue) }
        let options = rd_kafka_AdminOptions_new(client, kind)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var text = [CChar](repeating: 0, count: 256)
        let code = rd_kafka_AdminOptions_set_request_timeout(options, max(1, timeoutMs), &text, text.count)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code, what, detail: message(text)) }
        call(options, queue)
        guard let event = rd_kafka_queue_poll(queue, timeoutMs + 1_000) else {
            throw KafkaError(.timedOut, "\(what): no answer", isRetriable: true)
        }
        let outcome = rd_kafka_event_error(event)
        guard outcome == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let detail = rd_kafka_event_error_string(event).map { String(cString: $0) }
            rd_kafka_event_destroy(event)
            throw KafkaError(outcome, what, detail: detail)
        }
        return event
    }
}

extension TopicDescription {
    static func query(_ client: OpaquePointer, _ name: String, timeoutMs: Int32) throws -> TopicDescription {
        guard let topic = rd_kafka_topic_new(client, name, nil) else { throw KafkaError(rd_kafka_last_error(), "topic \(name)") }
        defer { rd_kafka_topic_destroy(topic) }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(client, 0, topic, &metadata, timeoutMs)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw KafkaError(code, "topic \(name)") }
        defer { rd_kafka_metadata_destroy(metadata) }
        guard metadata.pointee.topic_cnt == 1 else { throw KafkaError(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "topic \(name)") }
        let found = metadata.pointee.topics[0]
        guard found.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(found.err, "topic \(name)") }
        guard found.partition_cnt > 0 else { throw KafkaError(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "topic \(name)") }
        return TopicDescription(name: name, partitionCount: Int(found.partition_cnt))
    }
}
