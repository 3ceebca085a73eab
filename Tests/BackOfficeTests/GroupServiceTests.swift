import Database
import Foundation
import JSON
import Kafka
import Messages
import Redis
import Synchronization
import Talk
import Telemetry
import TestServers
import Testing

@testable import BackOffice

/// The group operations against a real SQLite file, a real redis-server and a Kafka (the mock cluster) with a media service that a test
/// plays.
@Suite(.serialized) struct GroupServiceTests {
    /// Everything of a bo-server but its doors.
    final class Bench: Sendable {
        let cluster: MockCluster
        let server: RedisServer
        let redis: RedisClient
        let database: Database
        let producer: KafkaProducer
        let service: GroupService
        let outbox: Outbox
        let consumers: [KafkaConsumer]

        /// - Parameter media: what the media service answers to a request; nil: nothing.
        init(_ media: @escaping @Sendable (SignalRequest) -> ResultCode?) async throws {
            cluster = try MockCluster()
            for topic in ["requests", "responses"] { try cluster.createTopic(topic, partitions: 2) }
            let kafka = KafkaSettings(bootstrap: cluster.bootstrap)
            var reading = kafka
            reading.properties["fetch.wait.max.ms"] = "5"
            server = try RedisServer()
            redis = try RedisClient(url: server.url)
            _ = try await redis.command(["PING"], deadline: .seconds(10))
            database = try await Database(path: NSTemporaryDirectory() + "bo-test-\(UUID().uuidString).sqlite")
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            try await Migrations(directory: root.path + "/schemas/sql/bo").apply(to: database)
            let producer = try KafkaProducer(kafka)
            self.producer = producer
            for topic in ["requests", "responses"] { try await producer.prepare(topic) }
            let log = Logger("test")
            let signals = SignalClient(producer: producer, topic: "requests", metrics: Metrics())
            let feed = try await Feed(database: database, log: log)
            let service = GroupService(
                store: EventStore(database: database, feed: feed), keys: RedisKeys(redis: redis), signals: signals,
                timeout: .milliseconds(1_000), log: log)
            self.service = service
            outbox = Outbox(database: database, signals: signals, log: log) { await service.destroyed($0, $1) }
            service.attach(outbox)
            let (ready, started) = AsyncStream<Void>.makeStream()
            let requests = try KafkaConsumer(reading, .topics(["requests"], from: .end)) { event in
                if case .assigned = event { started.yield() }
                guard case .records(let records) = event else { return }
                for record in records {
                    guard case .request(let request) = SignalRequest.read(record.value), let code = media(request) else { continue }
                    let answer = OutgoingRecord(
                        topic: "responses", key: record.key, value: request.response(code).encoded, headers: record.headers)
                    try? producer.send(answer) { _ in }
                }
            }
            let responses = try KafkaConsumer(reading, .topics(["responses"], from: .end)) { event in
                if case .assigned = event { started.yield() }
                if case .records(let records) = event { signals.take(records) }
            }
            consumers = [requests, responses]
            var assigned = ready.makeAsyncIterator()
            for _ in 0..<2 { await assigned.next() }
        }

        func stop() async {
            await outbox.stop()
            for consumer in consumers { await consumer.close() }
            await producer.close(within: .zero)
            await redis.close()
            await database.close()
            server.stop()
        }

        func draft(_ name: String = "Alpha") throws -> GroupService.Draft {
            let (owner, manager, member) = (try #require(UserID(7)), try #require(UserID(17)), try #require(UserID(2)))
            return GroupService.Draft(
                name: name, dispatcher: 7, options: GroupOptions(), members: [owner: .owner, manager: .manager, member: .member])
        }

        func status(_ gid: Int64) async throws -> String? {
            try await database.run { try $0.first("SELECT status FROM groups WHERE gid = ?", [.int(gid)])?.text("status") }
        }

        func redisData(_ gid: Int64) async throws -> JSONValue? {
            let reply = try await redis.command(["GET", "grp:\(gid):data"], deadline: .seconds(5))
            return try reply.bytes.map { try JSONValue(parsing: $0) }
        }
    }

    @Test func aGroupIsCreatedChangedAndDeleted() async throws {
        let bench = try await Bench { request in if case .alterParticipant = request.body { .notJoined } else { .ok } }
        let group = try await bench.service.create(try bench.draft(), kept: nil)
        #expect(group.status == .active)
        #expect(try await bench.redisData(group.gid.value)?["group_owner"]?.integer == 7)
        let changed = try await bench.service.alter(group.gid, name: "Beta", options: nil)
        #expect(changed.name == "Beta")
        let two = try #require(UserID(2))
        #expect(try await bench.service.setRole(two, .owner, in: group.gid) == false)
        let data = try await bench.redisData(group.gid.value)
        #expect(data?["group_owner"]?.integer == 2)
        #expect(data?["group_manager"]?.array?.compactMap(\.integer) == [7, 17])
        let deleting = try await bench.service.delete(group.gid)
        #expect(deleting.status == .deleting)
        while try await bench.status(group.gid.value) != nil { await Task.yield() }
        #expect(try await bench.redisData(group.gid.value) == nil)
        await bench.stop()
    }

    @Test func aRefusalRollsBackAndSendsTheDestroy() async throws {
        let destroys = Mutex(0)
        let bench = try await Bench { request in
            if case .destroy = request.body { destroys.withLock { $0 += 1 } }
            return if case .create = request.body { .unknown } else { .noSuchRoom }
        }
        await #expect(throws: (any Error).self) { try await bench.service.create(try bench.draft(), kept: nil) }
        while try await bench.status(1) != nil { await Task.yield() }
        #expect(destroys.withLock { $0 } == 1)
        #expect(try await bench.redisData(1) == nil)
        await bench.stop()
    }

    /// The number is another room's, made past this service: that one stays.
    @Test func aRoomOfSomebodyElseIsNotDestroyed() async throws {
        let destroys = Mutex(0)
        let bench = try await Bench { request in
            if case .destroy = request.body { destroys.withLock { $0 += 1 } }
            return if case .create = request.body { .roomExists } else { .ok }
        }
        await #expect(throws: (any Error).self) { try await bench.service.create(try bench.draft(), kept: nil) }
        #expect(try await bench.status(1) == nil)
        #expect(try await bench.redisData(1) == nil)
        #expect(destroys.withLock { $0 } == 0)
        // Nor are its keys lost, which devices' roles are read from.
        var draft = try bench.draft()
        draft.gid = GroupID(470)
        for command in [
            ["SET", "grp:470:data", #"{"group_owner":5}"#], ["SADD", "grp:470:mem", "5", "2"], ["SADD", "usr:2:grps", "470"],
        ] {
            _ = try await bench.redis.command(command, deadline: .seconds(5))
        }
        await #expect(throws: (any Error).self) { try await bench.service.create(draft, kept: nil) }
        #expect(try await bench.redisData(470) == ["group_owner": 5])
        func set(_ key: String) async throws -> Set<String> {
            Set(try await bench.redis.command(["SMEMBERS", key], deadline: .seconds(5)).array?.compactMap(\.text) ?? [])
        }
        #expect(try await set("grp:470:mem") == ["5", "2"])
        #expect(try await set("usr:2:grps") == ["470"])
        #expect(try await set("usr:7:grps").isEmpty)
        await bench.stop()
    }

    /// What is decided while Redis is away is in it once it is back.
    @Test func keysThatRedisMissedAreWrittenLater() async throws {
        let bench = try await Bench { request in if case .alterParticipant = request.body { .notJoined } else { .ok } }
        let group = try await bench.service.create(try bench.draft(), kept: nil)
        bench.server.signal(SIGSTOP)
        let changed = try await bench.service.alter(group.gid, name: "Beta", options: nil)
        bench.server.signal(SIGCONT)
        #expect(changed.name == "Beta")
        _ = try await bench.redis.command(["PING"], deadline: .seconds(10))
        await bench.service.writeMissedKeys()
        #expect(try await bench.redisData(group.gid.value)?["group_name"]?.string == "Beta")
        await bench.stop()
    }

    @Test func whatTheMediaServiceRefusesIsUndone() async throws {
        let bench = try await Bench { request in if case .create = request.body { .ok } else { .unknown } }
        let group = try await bench.service.create(try bench.draft(), kept: nil)
        let two = try #require(UserID(2))
        await #expect(throws: (any Error).self) { try await bench.service.setRole(two, .owner, in: group.gid) }
        await #expect(throws: (any Error).self) { try await bench.service.alter(group.gid, name: "Beta", options: nil) }
        let now = try await bench.database.run { try GroupTable.find(group.gid, $0) }
        #expect(now == group)
        #expect(try await bench.redisData(group.gid.value)?["group_owner"]?.integer == 7)
        await bench.stop()
    }

    @Test func whatWasPendingAtTheEndIsRolledBackAtTheStart() async throws {
        let bench = try await Bench { _ in .ok }
        let draft = try bench.draft()
        try await bench.database.transaction { connection in
            let group = Group(
                gid: try GroupTable.nextNumber(connection), name: "Lost", dispatcher: 7, mode: .ptt, options: GroupOptions(),
                status: .pending, createdMs: 1, members: draft.members)
            try GroupTable.insert(group, connection)
        }
        try await bench.service.rollBackPending()
        while try await bench.status(1) != nil { await Task.yield() }
        let next = try await bench.service.create(draft, kept: nil)
        #expect(next.gid.value == 2)
        await bench.stop()
    }
}
