import Kafka
import Testing

@Suite struct ConsumerTests {
    let broker: TestBroker
    init() throws { broker = try TestBroker() }

    private func produce(_ topic: String, _ partition: Int32, _ values: ClosedRange<UInt8>) async throws {
        let producer = try KafkaProducer(broker.settings)
        for value in values { _ = try await producer.send(OutgoingRecord(topic: topic, partition: partition, key: nil, value: [value])) }
        await producer.close()
    }

    @Test func aWholeTopicIsReadToItsEnd() async throws {
        let topic = try await broker.topic(partitions: 3)
        try await produce(topic, 0, 1...5)
        try await produce(topic, 2, 1...2)
        let reader = try EventReader(broker.consumer, .topics([topic], from: .beginning))
        #expect(await reader.assigned().count == 3)
        let ends = await reader.ends(3)
        #expect(ends == [TopicPartition(topic, 0): 5, TopicPartition(topic, 1): 0, TopicPartition(topic, 2): 2])
        #expect(try await reader.consumer.watermarks(TopicPartition(topic, 0)) == 0..<5)
        try await reader.consumer.seek([TopicPartitionOffset(TopicPartition(topic, 0), 3)])
        #expect(await reader.records(2).map(\.offset) == [3, 4])
        await reader.consumer.close()
    }

    @Test func fromTheEndOnlyWhatComesLaterIsRead() async throws {
        let topic = try await broker.topic(partitions: 2)
        try await produce(topic, 0, 1...3)
        let reader = try EventReader(broker.consumer, .topics([topic], from: .end))
        #expect(await reader.assigned().count == 2)
        try await produce(topic, 0, 9...9)
        try await produce(topic, 1, 8...8)
        #expect(Set(await reader.records(2).map(\.value)) == [[9], [8]])
        await reader.consumer.close()
    }

    @Test func aGroupGoesOnBehindWhatWasStored() async throws {
        let topic = try await broker.topic(partitions: 1)
        let place = TopicPartition(topic, 0)
        try await produce(topic, 0, 1...4)
        let first = try EventReader(broker.consumer, .group(id: "g-\(topic)", instanceId: nil, topics: [topic]))
        #expect(await first.assigned() == [place])
        #expect(await first.records(4).count == 4)
        try first.consumer.store([TopicPartitionOffset(place, 2)])
        await first.consumer.close()
        let second = try EventReader(broker.consumer, .group(id: "g-\(topic)", instanceId: nil, topics: [topic]))
        #expect(await second.records(2).map(\.value) == [[3], [4]])
        #expect(try await second.consumer.committed([place]) == [TopicPartitionOffset(place, 2)])
        try second.consumer.store([TopicPartitionOffset(place, 4)])
        second.consumer.commit()
        await second.consumer.close()
        #expect(throws: Never.self) { try second.consumer.store([TopicPartitionOffset(place, 4)]) }
    }

    /// The mock cluster keeps 5 MiB of a partition; a real Kafka keeps what it is told to, and is not asked for that here.
    @Test(.enabled(if: !TestBroker.isReal)) func whatIsGoneBeforeItWasReadIsTold() async throws {
        let topic = try await broker.topic(partitions: 1)
        let place = TopicPartition(topic, 0)
        let group = KafkaSubscription.group(id: "g-\(topic)", instanceId: nil, topics: [topic])
        try await produce(topic, 0, 1...4)
        let first = try EventReader(broker.consumer, group)
        #expect(await first.records(4).count == 4)
        try first.consumer.store([TopicPartitionOffset(place, 2)])
        await first.consumer.close()
        let producer = try KafkaProducer(broker.settings)
        for value in UInt8(5)...12 {
            let large = [value] + [UInt8](repeating: 0, count: 900_000)
            _ = try await producer.send(OutgoingRecord(topic: topic, partition: 0, key: nil, value: large))
        }
        await producer.close()
        let (lines, feed) = AsyncStream.makeStream(of: String.self)
        var settings = broker.consumer
        settings.log = { _, line in if line.contains("gone") { feed.yield(line) } }
        let second = try EventReader(settings, group)
        let kept = try await second.consumer.watermarks(place)
        #expect(kept.lowerBound > 2)
        var told = lines.makeAsyncIterator()
        #expect(
            await told.next()
                == "\(place): \(kept.lowerBound - 2) records from offset 2 on were gone before they were read; is retention.ms too short?")
        await second.consumer.close()
    }

    @Test func aSecondMemberTakesAShareAndGivesItBack() async throws {
        let topic = try await broker.topic(partitions: 4)
        let settings = broker.consumer
        let group = KafkaSubscription.group(id: "g-\(topic)", instanceId: nil, topics: [topic])
        let first = try EventReader(settings, group)
        #expect(await first.assigned().count == 4)
        let second = try EventReader(settings, group)
        let moved = await first.revoked()
        #expect(moved.partitions.count == 2)
        #expect(!moved.lost)
        #expect(Set(await second.assigned()) == Set(moved.partitions))
        await second.consumer.close()
        #expect(Set(await first.assigned()) == Set(moved.partitions))
        await first.consumer.close()
    }

    @Test func pausedPartitionsTellNothingUntilResumed() async throws {
        let topic = try await broker.topic(partitions: 2)
        let reader = try EventReader(broker.consumer, .topics([topic], from: .beginning))
        _ = await reader.ends(2)
        try reader.consumer.pause([TopicPartition(topic, 0)])
        try await produce(topic, 0, 1...1)
        try await produce(topic, 1, 2...2)
        #expect(await reader.records(1).map(\.partition) == [1])
        try reader.consumer.resume([TopicPartition(topic, 0)])
        #expect(await reader.records(1).map(\.partition) == [0])
        await reader.consumer.close()
    }

    @Test func anOutageIsTold() async throws {
        let cluster = try MockCluster()
        try cluster.createTopic("t", partitions: 1)
        let settings = KafkaSettings(
            bootstrap: cluster.bootstrap,
            properties: ["reconnect.backoff.ms": "10", "reconnect.backoff.max.ms": "50", "fetch.wait.max.ms": "5"])
        let reader = try EventReader(settings, .topics(["t"], from: .beginning))
        _ = await reader.ends(1)
        cluster.setReachable(false)
        #expect(await reader.next { event in if case .down = event { true } else { nil } } == true)
        cluster.setReachable(true)
        #expect(await reader.next { event in if case .up = event { true } else { nil } } == true)
        await reader.consumer.close()
    }

    @Test func topicsAreMadeAndDescribed() async throws {
        let topic = try await broker.topic(partitions: 5)
        let admin = try KafkaAdmin(broker.settings)
        #expect(try await admin.ready(within: .seconds(5)) >= 1)
        #expect(try await admin.topics(within: .seconds(3))[topic] == 5)
    }

    @Test func aClosedConsumerLetsItsHandlerGo() async throws {
        final class Witness: Sendable {}
        weak var gone: Witness?
        let consumer: KafkaConsumer
        do {
            let witness = Witness()
            gone = witness
            consumer = try KafkaConsumer(broker.consumer, .topics(["never-made"], from: .end)) { _ in _ = witness }
        }
        await consumer.close()
        #expect(gone == nil)
        await consumer.close()
    }
}
