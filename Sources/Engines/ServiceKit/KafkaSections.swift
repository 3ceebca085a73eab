import Configuration
import Kafka
import Messages
import Telemetry

/// The sections `kafka` and `topics`, which all three services have.
public struct KafkaSections: Sendable {
    /// How the brokers are reached.
    public var settings: KafkaSettings
    /// The topics' names.
    public var topics: TopicNames
    /// Partitions of a topic that is made here.
    public var partitions: Int

    /// Reads them.
    /// - Parameter clientId: this service's name in the brokers' logs.
    public init(_ configuration: Configuration, clientId: String) {
        let kafka = configuration.section("kafka")
        let log = Logger("kafka")
        settings = KafkaSettings(
            bootstrap: kafka.string("bootstrap", default: "127.0.0.1:9092"), clientId: clientId,
            properties: kafka.map("properties", default: [:]),
            // librdkafka tells each lost connection as an error; the services tell outages once, by their readiness.
            log: { severity, line in log.debug("librdkafka", ["severity": .int(severity), "line": .string(line)]) })
        partitions = kafka.int("partitions", default: 12, in: 1...1_000)
        let section = configuration.section("topics")
        var names = TopicNames()
        for (key, path) in TopicNames.keys { names[keyPath: path] = section.string(key, default: names[keyPath: path]) }
        topics = names
        if let problem = names.problem { section.reject("rooms", problem) }
    }

    /// Which Kafka this is: positions and epochs of another one mean nothing here.
    /// - Throws: `KafkaError` where no broker tells.
    public func clusterID() async throws -> String { try await KafkaAdmin(settings).clusterID() }

    /// Makes the topics that are missing, and checks those that must be as they are (MESSAGES.md §1).
    /// - Returns: the number of partitions of the request topic.
    /// - Throws: `StartError` with the command that mends what is wrong; `KafkaError` where the brokers do not answer.
    public func ensureTopics() async throws -> Int {
        let admin = try KafkaAdmin(settings)
        let brokers = try await admin.ready(within: .seconds(5))
        let replication = brokers >= 3 ? 3 : 1
        let known = try await admin.topics()
        for plan in TopicPlan.all(topics) where known[plan.name] == nil {
            var properties = ["cleanup.policy": plan.isCompacted ? "compact" : "delete"]
            properties["retention.ms"] = plan.retentionMs.map { String($0) }
            if replication == 3 { properties["min.insync.replicas"] = "2" }
            _ = try await admin.create(
                TopicSpecification(name: plan.name, partitions: partitions, replication: replication, properties: properties))
        }
        let present = try await admin.topics()
        guard let requests = present[topics.signalRequests], let rooms = present[topics.rooms] else {
            throw StartError(description: "the topics are not there yet, though they were made: try again", mayPass: true)
        }
        if rooms != requests {
            throw StartError(
                description: "topic \(topics.rooms) has \(rooms) partitions and \(topics.signalRequests) has "
                    + "\(requests); they must be equal. " + fix(rooms, requests))
        }
        for topic in [topics.rooms, topics.owners] {
            // The embedded broker does not tell its topics' properties.
            if let policy = try await admin.cleanupPolicy(of: topic), !policy.contains("compact") {
                throw StartError(
                    description: "topic \(topic) is not compacted and would forget rooms; run: kafka-configs.sh --bootstrap-server "
                        + "\(settings.bootstrap) --alter --topic \(topic) --add-config cleanup.policy=compact")
            }
        }
        return requests
    }

    private func fix(_ rooms: Int, _ requests: Int) -> String {
        rooms < requests
            ? "Run: kafka-topics.sh --bootstrap-server \(settings.bootstrap) --alter --topic \(topics.rooms) --partitions \(requests)"
            : "Run: kafka-topics.sh --bootstrap-server \(settings.bootstrap) --alter --topic \(topics.signalRequests) --partitions \(rooms)"
    }
}
