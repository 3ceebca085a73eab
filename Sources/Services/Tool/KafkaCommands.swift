import JSON
import Kafka
import Messages
import Reactor
import ServiceKit
import Synchronization
import Talk

/// `ptt tail`: all topics, a line per record.
enum TailCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(arguments, valued: ["kafka", "dir"], flags: ["from-beginning"])
        let bootstrap = try words["kafka"] ?? StackAddress(directory: words["dir"] ?? "run").kafka
        let topics = TopicPlan.all(TopicNames()).map(\.name)
        let signals = Signals.stream()
        let settings = KafkaSettings(bootstrap: bootstrap, clientId: "ptt-tail", properties: ["fetch.wait.max.ms": "50"])
        let consumer = try KafkaConsumer(settings, .topics(topics, from: words.has("from-beginning") ? .beginning : .end)) { event in
            switch event {
            case .records(let records): for record in records { Terminal.out(line(record)) }
            case .down: Terminal.error("ptt tail: no broker at \(bootstrap)")
            case .error(let error): Terminal.error("ptt tail: \(error)")
            default: break
            }
        }
        for await _ in signals { break }
        await consumer.close()
        return 0
    }

    /// Time, topic, key, and the body in short.
    static func line(_ record: KafkaRecord) -> String {
        let seconds = record.timestampMs / 1_000 % 86_400
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let time = "\(two(seconds / 3_600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
        let key = record.key.map { String(decoding: $0, as: UTF8.self) } ?? "-"
        let value = record.value.map { String(decoding: $0.prefix(2_000), as: UTF8.self) } ?? "(tombstone)"
        return "\(time) \(record.topic)[\(record.partition)]@\(record.offset) \(key) \(value)"
    }
}

/// `ptt signal`: one request to the media service, and its answer.
enum SignalCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(arguments, valued: ["kafka", "dir", "dispatcher", "timeout", "mode"])
        let bootstrap = try words["kafka"] ?? StackAddress(directory: words["dir"] ?? "run").kafka
        let mode = try words["mode"].map { (word) throws(ToolError) in
            guard let mode = RoomMode(rawValue: word), words.positional.first == "create" else {
                throw ToolError("--mode goes with create, and is ptt (one talks at a time) or open (everybody)")
            }
            return mode
        }
        let request = try request(words.positional, mode: mode ?? .ptt, dispatcher: Int64(words.integer("dispatcher", default: 1)))
        let seconds = try words.integer("timeout", default: 5)
        let settings = KafkaSettings(bootstrap: bootstrap, clientId: "ptt-signal", properties: ["fetch.wait.max.ms": "50"])
        let id = "ptt-\(UInt64.random(in: 0 ... .max))"
        let (events, post) = AsyncStream<Event>.makeStream()
        let consumer = try KafkaConsumer(settings, .topics([TopicNames().signalResponses], from: .end)) { event in
            switch event {
            case .assigned: post.yield(.ready)
            case .records(let records):
                for record in records where record.header("request-id").map({ $0.elementsEqual(id.utf8) }) == true {
                    post.yield(.answer(record.value ?? []))
                }
            default: break
            }
        }
        let producer = try KafkaProducer(settings)
        let timer = Task {
            try await Task.sleep(for: .seconds(seconds))
            post.yield(.timeout)
        }
        defer { timer.cancel() }
        var status: Int32 = 1
        loop: for await event in events {
            switch event {
            case .ready:
                let record = OutgoingRecord(
                    topic: TopicNames().signalRequests, key: Array(request.gid.description.utf8), value: request.encoded,
                    headers: [KafkaHeader("request-id", id)])
                _ = try await producer.send(record)
            case .answer(let value):
                Terminal.out(String(decoding: value, as: UTF8.self))
                let code = (try? JSONValue(parsing: value)).flatMap { SignalResponse($0) }?.code
                status = code == .ok ? 0 : 1
                break loop
            case .timeout:
                Terminal.error("ptt signal: no answer within \(seconds) s: is media-service running with \(bootstrap)?")
                break loop
            }
        }
        await consumer.close()
        await producer.close()
        return status
    }

    private enum Event: Sendable {
        case ready
        case answer([UInt8])
        case timeout
    }

    private static func request(_ words: [String], mode: RoomMode, dispatcher: Int64) throws(ToolError) -> SignalRequest {
        let usage = ToolError(
            "say what: create GID NAME [--mode ptt|open] | destroy GID | alter GID UID ROLE | rename GID NAME | remove GID UID | cancel-emergency GID [UID]"
        )
        guard words.count >= 2, let gid = Int64(words[1]).flatMap({ GroupID($0) }) else { throw usage }
        func user(_ index: Int) throws(ToolError) -> UserID {
            guard words.count > index, let uid = Int64(words[index]).flatMap({ UserID($0) }) else { throw usage }
            return uid
        }
        let body: SignalRequest.Body
        switch (words[0], words.count) {
        case ("create", 3...): body = .create(name: words[2...].joined(separator: " "), mode: mode, options: GroupOptions())
        case ("destroy", 2): body = .destroy
        case ("alter", 4):
            guard let role = Int(words[3]).flatMap({ Role(rawValue: $0) }) else { throw usage }
            body = .alterParticipant(try user(2), role)
        case ("rename", 3...): body = .alterGroup(name: words[2...].joined(separator: " "), options: nil)
        case ("remove", 3): body = .removeParticipant(try user(2))
        case ("cancel-emergency", 2): body = .cancelEmergency(nil)
        case ("cancel-emergency", 3): body = .cancelEmergency(try user(2))
        default: throw usage
        }
        return SignalRequest(gid: gid, dispatcher: dispatcher, body: body)
    }
}
