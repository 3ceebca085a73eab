import JSON
import Kafka
import Messages

/// `ptt broker`: librdkafka's mock cluster as a process of its own. It speaks the real protocol, keeps everything in memory, and forgets
/// when it stops: enough to try things, not to run a dispatch centre.
enum Broker {
    /// Starts the broker with all topics, tells its address, and runs until a signal.
    /// - Parameter file: where `{"bootstrap": …}` is written when it answers; nil: standard output.
    static func run(file: String?, signals: AsyncStream<Int32>) async throws {
        let cluster = try MockCluster()
        // It has no CreateTopics for outsiders, so the topics are made here (MESSAGES.md).
        for plan in TopicPlan.all(TopicNames()) { try cluster.createTopic(plan.name, partitions: 12) }
        let line: JSONValue = ["bootstrap": .string(cluster.bootstrap)]
        if let file { try TextFile.replace(file, with: line.encoded()) } else { Terminal.out(line.text) }
        for await _ in signals { break }
        withExtendedLifetime(cluster) {}
    }
}
