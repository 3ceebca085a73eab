import Kafka
import Synchronization
import Testing

@Suite struct ProducerTests {
    let broker: TestBroker
    init() throws { broker = try TestBroker() }

    @Test func recordsComeAsTheyWereSent() async throws {
        let topic = try await broker.topic(partitions: 3)
        let producer = try KafkaProducer(broker.settings)
        let sent = [
            OutgoingRecord(
                topic: topic, partition: 1, key: Array("470".utf8), value: Array("{}".utf8),
                headers: [KafkaHeader("request-id", "a"), KafkaHeader("empty", []), KafkaHeader("request-id", "b")]),
            OutgoingRecord(topic: topic, partition: 1, key: nil, value: []),
            OutgoingRecord(topic: topic, partition: 1, key: [0, 255], value: nil),
        ]
        var receipts: [DeliveryReceipt] = []
        for record in sent { receipts.append(try await producer.send(record)) }
        #expect(receipts.map(\.offset) == [0, 1, 2])
        #expect(receipts.allSatisfy { $0.partition == 1 })
        let reader = try EventReader(broker.consumer, .partitions([(TopicPartition(topic, 1), from: .beginning)]))
        let read = await reader.records(3)
        #expect(read.map(\.key) == sent.map(\.key))
        #expect(read.map(\.value) == sent.map(\.value))
        #expect(read.map(\.headers) == sent.map(\.headers))
        #expect(read.map(\.offset) == [0, 1, 2])
        #expect(read[0].header("request-id") == Array("b".utf8))
        #expect(read[0].timestampMs > 1_500_000_000_000)
        await reader.consumer.close()
        await producer.close()
    }

    @Test func keysGoWhereMurmur2Says() async throws {
        let topic = try await broker.topic(partitions: 12)
        let producer = try KafkaProducer(broker.settings)
        for gid: Int64 in [1, 470, 9_007_199_254_740_991] {
            let receipt = try await producer.send(OutgoingRecord(topic: topic, key: Array(String(gid).utf8), value: [1]))
            #expect(receipt.partition == Murmur2.partition(gid: gid, count: 12))
        }
        await producer.close()
    }

    @Test func anOutageIsRiddenOutInOrder() async throws {
        let cluster = try MockCluster()
        try cluster.createTopic("t", partitions: 1)
        let settings = KafkaSettings(
            bootstrap: cluster.bootstrap,
            properties: ["reconnect.backoff.ms": "10", "reconnect.backoff.max.ms": "50", "retry.backoff.ms": "10"])
        let producer = try KafkaProducer(settings)
        _ = try await producer.send(OutgoingRecord(topic: "t", key: [1], value: [0]))
        cluster.setReachable(false)
        let (answers, feed) = AsyncStream.makeStream(of: Int64.self)
        for number in 1...UInt8(20) {
            try producer.send(OutgoingRecord(topic: "t", key: [1], value: [number])) { result in
                feed.yield((try? result.get().offset) ?? -1)
            }
        }
        #expect(await producer.flush(within: .milliseconds(50)) == false)
        #expect(producer.waiting >= 20)
        cluster.setReachable(true)
        var offsets: [Int64] = []
        for await offset in answers {
            offsets.append(offset)
            if offsets.count == 20 { break }
        }
        #expect(offsets == Array(1...20))
        await producer.close()
    }

    @Test func aClientThatFailedForGoodIsFollowedByAnotherAndNothingIsLost() async throws {
        let cluster = try MockCluster()
        try cluster.createTopic("t", partitions: 1)
        let lines = Mutex<[String]>([])
        // Unlike a real broker the mock takes a request behind the one that it refuses: one at a time, and what is sent at once goes in one, so
        // that nothing stands ready behind it.
        let settings = KafkaSettings(bootstrap: cluster.bootstrap, properties: ["max.in.flight.requests.per.connection": "1"]) { _, line in
            lines.withLock { $0.append(line) }
        }
        var together = KafkaProducerSettings()
        together.lingerMs = 40
        let producer = try KafkaProducer(settings, together)
        let (answers, feed) = AsyncStream.makeStream(of: Bool.self)
        func send(_ numbers: ClosedRange<UInt8>) throws {
            for number in numbers {
                try producer.send(OutgoingRecord(topic: "t", key: [1], value: [number], headers: [KafkaHeader("n", [number])])) { result in
                    feed.yield((try? result.get()) != nil)
                }
            }
        }
        try send(1...20)
        _ = await producer.flush(within: .seconds(5))
        cluster.loseCount(1)
        try send(21...40)
        // Some before the client is found broken, some while it is, some after.
        for number in UInt8(41)...60 {
            try send(number...number)
            try await Task.sleep(for: .milliseconds(60))
        }
        var answered = 0
        for await isTaken in answers {
            #expect(isTaken)
            answered += 1
            if answered == 60 { break }
        }
        #expect(lines.withLock { $0.contains { $0.contains("begins anew") } })
        var broker = broker.consumer
        broker.bootstrap = cluster.bootstrap
        let reader = try EventReader(broker, .partitions([(TopicPartition("t", 0), from: .beginning)]))
        let read = await reader.records(60)
        #expect(read.compactMap { $0.value?.first } == Array(1...60))
        #expect(read.allSatisfy { $0.header("n") == $0.value })
        await reader.consumer.close()
        // Also when two say so at once.
        async let first: Void = producer.close()
        async let second: Void = producer.close()
        _ = await (first, second)
    }

    /// A stop need not wait for a broker that is away.
    @Test func whoAwaitsADeliveryMayGiveUp() async throws {
        let producer = try KafkaProducer(KafkaSettings(bootstrap: "127.0.0.1:1"))
        let task = Task { try await producer.send(OutgoingRecord(topic: "t", key: nil, value: [1])) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        await producer.close(within: .zero)
    }

    @Test func aFullQueueRefusesInsteadOfWaiting() async throws {
        var limits = KafkaProducerSettings()
        limits.queueMaxMessages = 10
        let producer = try KafkaProducer(KafkaSettings(bootstrap: "127.0.0.1:1"), limits)
        let failures = Mutex<[KafkaError.Code]>([])
        var refusal: KafkaError?
        for number in 0..<11 {
            do {
                try producer.send(OutgoingRecord(topic: "t", key: nil, value: [UInt8(number)])) { result in
                    if case .failure(let error) = result { failures.withLock { $0.append(error.code) } }
                }
            } catch { refusal = error }
        }
        #expect(refusal?.code == .queueFull)
        #expect(refusal?.isRetriable == true)
        await producer.close(within: .zero)
        #expect(failures.withLock { $0 } == Array(repeating: .closed, count: 10))
        #expect(throws: KafkaError.self) { try producer.send(OutgoingRecord(topic: "t", key: nil, value: nil)) { _ in } }
        await producer.close()
        #expect(await producer.flush(within: .seconds(1)))
    }

    @Test func anUnknownPropertyIsNamed() {
        let error = #expect(throws: KafkaError.self) {
            try KafkaProducer(KafkaSettings(bootstrap: "127.0.0.1:1", properties: ["no.such.thing": "1"]))
        }
        #expect(error?.code == .configuration)
        #expect(error?.description.contains("no.such.thing") == true)
    }
}
