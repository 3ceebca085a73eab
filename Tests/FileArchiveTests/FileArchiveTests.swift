import Configuration
import Crypto
import Foundation
import JSON
import Kafka
import Messages
import ServiceKit
import Synchronization
import Talk
import Testing
@testable import Web

@testable import FileArchive

@Suite struct FileArchiveTests {
    /// What comes on topics, to await.
    final class Listener: Sendable {
        private let stream: AsyncStream<KafkaRecord>
        private let consumer: KafkaConsumer
        init(_ settings: KafkaSettings, _ topics: [String]) throws {
            let (stream, feed) = AsyncStream.makeStream(of: KafkaRecord.self)
            self.stream = stream
            consumer = try KafkaConsumer(settings, .topics(topics, from: .beginning)) { event in
                if case .records(let records) = event { for record in records { feed.yield(record) } }
            }
        }
        func next() async -> KafkaRecord? {
            for await record in stream { return record }
            return nil
        }
        func close() async { await consumer.close() }
    }

    static let mp3: [UInt8] = [0xff, 0xf3, 0x48, 0xc4] + (0..<5000).map { UInt8(truncatingIfNeeded: $0) }

    func record(_ number: Int64, path: String, md5: String?) throws -> TalkRecord {
        TalkRecord(
            ip: "127.0.0.1", talkID: TalkID(unixMs: 1_700_000_000_000 + number, random: (UInt64(number), 2)), uid: try #require(UserID(14)),
            gid: try #require(GroupID(470)), role: .manager, md5: md5, size: Int64(Self.mp3.count), filePath: path,
            startMs: 1_700_000_000_000 + number, endMs: 1_700_000_002_140 + number, truncated: false, cause: nil)
    }

    @Test func aTalkGoesFromKafkaToTheArchive() async throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("talkburst-archive-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: root + "/spool", withIntermediateDirectories: true)
        try Data(Self.mp3).write(to: URL(fileURLWithPath: root + "/spool/a.mp3"))
        try Data("no sound".utf8).write(to: URL(fileURLWithPath: root + "/spool/b.mp3"))
        var router = Router()
        router.files(under: "/spool/", from: root + "/spool")
        let spool = try WebServer(WebSettings(), router: router)
        let base = "http://127.0.0.1:\(spool.boundPort)/spool/"

        let broker = try MockCluster()
        let topics = TopicNames()
        for (_, path) in TopicNames.keys { try broker.createTopic(topics[keyPath: path], partitions: 2) }
        let configuration = Configuration([
            "kafka": ["bootstrap": .string(broker.bootstrap), "properties": ["fetch.wait.max.ms": "5"]], "web": ["port": 0],
            "database": ["file": .string(root + "/db.sqlite")], "archive": ["url": .string("file://" + root + "/archive")],
            "fetch": ["allow": [.string(base)], "give_up_hours": 0],
        ])
        let settings = ArchiveConfiguration(configuration)
        try configuration.finish()
        let listener = try Listener(settings.kafka.settings, [topics.archive, topics.deadLetter])
        let producer = try KafkaProducer(settings.kafka.settings)
        func send(_ value: [UInt8]) async throws {
            _ = try await producer.send(OutgoingRecord(topic: topics.talks, key: Array("470".utf8), value: value))
        }

        let context = ServiceContext(name: "file-server")
        try await FileArchive.start(settings, context)
        let good = try record(1, path: base + "a.mp3", md5: Digests.hex(Digests.hash(.md5, Self.mp3)))
        try await send(good.encoded)
        let archived = try #require(await listener.next())
        #expect(archived.topic == topics.archive && archived.key == Array("470".utf8))
        let message = try #require(try ArchiveMessage(try JSONValue(parsing: archived.value ?? [])))
        #expect(message.talkID == good.talkID && message.size == Int64(Self.mp3.count) && message.durationMs == 2140)
        #expect(message.key == "2023/11/14/470/\(message.talkID).mp3")
        #expect(FileManager.default.contents(atPath: "\(root)/archive/\(message.key)") == Data(Self.mp3))

        // A repeat of its record makes it told again, with the same bytes.
        try await send(good.encoded)
        #expect(await listener.next()?.value == archived.value)

        // What is no MP3, not allowed or not understood ends as a dead letter, and holds up nobody.
        try await send(try record(2, path: base + "b.mp3", md5: nil).encoded)
        let noSound = try #require(await listener.next())
        #expect(noSound.topic == topics.deadLetter && String(decoding: noSound.header("error") ?? [], as: UTF8.self).contains("no MP3"))
        try await send(try record(3, path: "http://169.254.169.254/x.mp3", md5: nil).encoded)
        let forbidden = try #require(await listener.next())
        #expect(String(decoding: forbidden.header("error") ?? [], as: UTF8.self).contains("not under fetch.allow"))
        #expect(forbidden.header("source-topic") == Array(topics.talks.utf8) && forbidden.header("source-partition") != nil)
        #expect(forbidden.header("source-offset") == Array("3".utf8))
        // A key and a value that together are more than Kafka takes; a record that was given up and is too large for a letter.
        let junk = [UInt8](repeating: 0x78, count: 850 << 10)
        _ = try await producer.send(
            OutgoingRecord(topic: topics.talks, partition: 0, key: [UInt8](repeating: 0x6B, count: 120 << 10), value: junk))
        #expect(await listener.next()?.value == junk)
        let padding = String(repeating: "x", count: 950 << 10)
        let padded = try record(4, path: "http://169.254.169.254/x.mp3", md5: nil).encoded.dropLast() + Array(#","x":"\#(padding)"}"#.utf8)
        try await send(Array(padded))
        let cut = try #require(await listener.next())
        #expect(cut.value?.count == 64 << 10 && cut.header("cut") == Array(String(padded.count).utf8))
        try await send(Array("no JSON".utf8))
        #expect(await listener.next()?.value == Array("no JSON".utf8))

        await context.stopAll()

        // The table is lost; the files tell it again.
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: root + "/db.sqlite" + suffix) }
        #expect(try await ArchiveCommands.reindex(settings) == 0)
        #expect(try await ArchiveCommands.verify(settings) == 0)
        let table = try await TalkTable.open(file: settings.databaseFile, migrations: settings.migrations)
        let talkID = try #require(good.talkID)
        #expect(try await table.talk(talkID)?.stored?.md5 == message.md5)
        await table.database.close()
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(root)/archive/\(message.key)"))
        #expect(try await ArchiveCommands.verify(settings) == 1)

        await listener.close()
        await producer.close()
        await spool.stop()
        try FileManager.default.removeItem(atPath: root)
    }

    @Test func thePageAndTheAudioAreServed() async throws {
        let table = try await TalkTable.open(file: ":memory:", migrations: InstalledFiles.path("schemas/sql/file"))
        var talks: [TalkFile] = []
        for number in Int64(1)...5 {
            let record = try record(number, path: "/spool/\(number).mp3", md5: nil)
            talks.append(try #require(TalkFile(record, value: record.encoded.text, nowMs: number)))
        }
        try await table.want(talks)
        var router = Router()
        ArchiveAPI(table: table, store: ArchiveStore(directory: "/nowhere"), publicURL: "http://x").add(to: &router)
        func get(_ path: String, _ query: [(name: String, value: String)] = []) async throws -> JSONValue {
            guard case .found(let handler, let parameters) = router.match(method: "GET", path: path) else { throw Problem.notFound(path) }
            var request = HTTPRequest(path: path, query: query)
            request.parameters = parameters
            return try JSONValue(parsing: try await handler(request).bytes)
        }
        let first = try await get("/v1/talks", [("limit", "2"), ("gid", "470")])
        #expect(first["items"]?.array?.compactMap { $0["start_ms"]?.integer } == [1_700_000_000_005, 1_700_000_000_004])
        let next = try #require(first["next"]?.string)
        let second = try await get("/v1/talks", [("limit", "3"), ("cursor", next)])
        #expect(second["items"]?.array?.count == 3 && second["next"] == .null)
        #expect(try await get("/v1/talks", [("uid", "15")])["items"] == [])
        #expect(try await get("/v1/talks", [("from_ms", "1700000000002"), ("to_ms", "1700000000004")])["items"]?.array?.count == 2)
        #expect(try await get("/v1/talks/\(talks[0].talkID)")["state"] == "wanted")
        for query in [("limit", "0"), ("gid", "x"), ("cursor", "1"), ("state", "y")] {
            await #expect(throws: Problem.self) { _ = try await get("/v1/talks", [(name: query.0, value: query.1)]) }
        }
        await #expect(throws: Problem.self) { _ = try await get("/v1/talks/\(talks[0].talkID)/audio") }
        await #expect(throws: Problem.self) { _ = try await get("/v1/talks/nonsense") }
        await table.database.close()
    }

    @Test func predecessorsRecordsAreTaken() throws {
        let old =
            #"{"msg_type":1,"ip":"1.2.3.4","ptt_msg":{"uid":"14","m_type":"ptt","md5":"md5","size":"8712","grp_id":"1","timestamp":"1569569697","file_path":"https://h:9666/a.mp3","duration":"2.14"}}"#
        guard case .talk(let talk) = TalkIntake.read(Array(old.utf8), nowMs: 5) else {
            Issue.record("not taken")
            return
        }
        #expect(talk.talkID.description == Digests.uuidV5(url: "https://h:9666/a.mp3"))
        #expect(talk.sourceMD5 == nil && talk.sourceSize == nil && talk.durationMs == 2140 && talk.endMs == 1_569_569_697_000)
        #expect(TalkIntake.read(Array(#"{"msg_type":3}"#.utf8), nowMs: 0) == .ignored)
        #expect(TalkIntake.read(nil, nowMs: 0) == .ignored)
        #expect(TalkIntake.read(Array("{}".utf8), nowMs: 0) == .deadLetter(reason: "missing element (msg_type)"))
        #expect(TalkIntake.read(Array(#"{"msg_type":1}"#.utf8), nowMs: 0) == .deadLetter(reason: "missing element (ptt_msg)"))
    }
}

extension [UInt8] {
    fileprivate var text: String { String(decoding: self, as: UTF8.self) }
}
