import Foundation
import Kafka
import Testing

/// A broker for a test: the mock cluster, or the real Kafka that `KAFKA_BOOTSTRAP` names; with topics of its own either way.
struct TestBroker: Sendable {
    let settings: KafkaSettings
    private let mock: MockCluster?

    private static let real = ProcessInfo.processInfo.environment["KAFKA_BOOTSTRAP"]
    /// Whether tests run on a real Kafka.
    static var isReal: Bool { real != nil }

    init() throws {
        if let bootstrap = Self.real {
            settings = KafkaSettings(bootstrap: bootstrap)
            mock = nil
        } else {
            let cluster = try MockCluster()
            settings = KafkaSettings(bootstrap: cluster.bootstrap)
            mock = cluster
        }
    }

    /// Consumers of the mock cluster ask often: it lets a Fetch wait its whole time, and a rebalance almost a whole session.
    var consumer: KafkaSettings {
        var copy = settings
        if mock != nil {
            copy.properties["fetch.wait.max.ms"] = "5"
            copy.properties["session.timeout.ms"] = "6000"
        }
        copy.properties["heartbeat.interval.ms"] = "200"
        return copy
    }

    func topic(partitions: Int) async throws -> String {
        let name = "test-\(UUID().uuidString)"
        if let mock {
            try mock.createTopic(name, partitions: partitions)
        } else {
            let admin = try KafkaAdmin(settings)
            #expect(try await admin.create(TopicSpecification(name: name, partitions: partitions)))
        }
        return name
    }
}

/// A consumer whose events a test takes one by one.
final class EventReader {
    let consumer: KafkaConsumer
    private var events: AsyncStream<KafkaEvent>.AsyncIterator

    init(_ settings: KafkaSettings, _ subscription: KafkaSubscription) throws {
        let (stream, feed) = AsyncStream.makeStream(of: KafkaEvent.self)
        events = stream.makeAsyncIterator()
        consumer = try KafkaConsumer(settings, subscription) { feed.yield($0) }
    }

    /// The first event from here on that `pick` makes something of; others are dropped.
    func next<Value>(_ pick: (KafkaEvent) -> Value?) async -> Value? {
        while let event = await events.next() {
            if let value = pick(event) { return value }
        }
        return nil
    }

    /// This many records.
    func records(_ count: Int) async -> [KafkaRecord] {
        var found: [KafkaRecord] = []
        while found.count < count,
            let more = await next({ event -> [KafkaRecord]? in if case .records(let list) = event { list } else { nil } })
        {
            found += more
        }
        return found
    }

    func assigned() async -> [TopicPartition] {
        await next { event in if case .assigned(let list) = event { list } else { nil } } ?? []
    }

    func revoked() async -> (partitions: [TopicPartition], lost: Bool) {
        await next { event in if case .revoked(let list, let lost) = event { (list, lost) } else { nil } } ?? ([], false)
    }

    func ends(_ count: Int) async -> [TopicPartition: Int64] {
        var found: [TopicPartition: Int64] = [:]
        while found.count < count,
            let end = await next({ event in if case .endOfPartition(let place, let offset) = event { (place, offset) } else { nil } })
        {
            found[end.0] = end.1
        }
        return found
    }
}
