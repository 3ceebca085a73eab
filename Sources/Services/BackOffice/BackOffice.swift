import Database
import Glibc
import HTTPClient
import JSON
import Kafka
import Redis
import ServiceKit
import Talk
import Synchronization
import Telemetry
import Web

/// The back office: groups and their roles, talks, the consoles' feed.
public enum BackOffice {
    /// The program that `bo-server` runs.
    public static let program = ServiceProgram<BackOfficeConfiguration>(
        name: "bo-server",
        about: "groups, roles, talks and the consoles' feed over HTTP, and the console itself. Needs Kafka and Redis.",
        read: { BackOfficeConfiguration($0) },
        start: { try await BackOfficeParts(settings: $0, context: $1).start() })
}

/// Puts the parts together, in order; each registers how it is stopped.
struct BackOfficeParts {
    let settings: BackOfficeConfiguration
    let context: ServiceContext

    func start() async throws {
        let (log, metrics, readiness) = (context.logger, context.metrics, context.readiness)
        for part in ["kafka", "redis"] { readiness.block(part, "not there yet") }
        let database = try await Database(path: settings.databaseFile)
        context.onStop("database") { await database.close() }
        try await Migrations(directory: settings.migrations).apply(to: database)
        let feed = try await Feed(database: database, log: log)
        let store = EventStore(database: database, feed: feed)
        metrics.gauge("bo_feed_connections", help: "Consoles that follow the feed") { Double(feed.viewerCount) }
        // Nothing here needs a server yet, so that `/readyz` can tell of the waiting.
        let redis = try RedisClient(url: settings.redisURL) { isUp in
            if isUp { readiness.clear("redis") } else { readiness.block("redis", "not reachable") }
        }
        context.onStop("redis") { await redis.close() }
        let kafka = settings.kafka
        let producer = try KafkaProducer(kafka.settings)
        context.onStop("producer") { await producer.close() }
        let signals = SignalClient(producer: producer, topic: kafka.topics.signalRequests, metrics: metrics)
        let keys = RedisKeys(redis: redis)
        let groups = GroupService(store: store, keys: keys, signals: signals, timeout: settings.signalTimeout, log: log)
        let outbox = Outbox(database: database, signals: signals, log: log) { gid, response in await groups.destroyed(gid, response) }
        context.onStop("outbox") { await outbox.stop() }
        groups.attach(outbox)
        let quality = QualityBoard()
        let client = try HTTPClient()
        context.onStop("HTTP client") { await client.stop() }
        var router = Router()
        router.addServiceRoutes(readiness: readiness, metrics: metrics)
        GroupsAPI(groups: groups, idempotency: IdempotencyKeys(database: database), database: database).add(to: &router)
        TalksAPI(database: database, keys: keys, quality: quality, client: client).add(to: &router)
        // What the last process left under way is over before anybody can ask for something new.
        try await groups.rollBackPending()
        try startWeb(&router, feed)
        keepHouse(store)

        _ = try await context.wait(for: "Redis at \(settings.redisURL) (redis.url)") {
            try await redis.command(["PING"], deadline: .seconds(2))
        }
        _ = try await context.wait(for: "Kafka at \(kafka.settings.bootstrap) (kafka.bootstrap)") { try await kafka.ensureTopics() }
        let cluster = try await context.wait(for: "Kafka at \(kafka.settings.bootstrap)") { try await kafka.clusterID() }
        try await database.transaction { connection in try LiveTable.belong(to: cluster, connection) }
        readiness.clear("kafka")
        try await context.wait(for: "Kafka at \(kafka.settings.bootstrap)") { try await producer.prepare(kafka.topics.signalRequests) }
        try await startResponses(signals)
        try startIntake(store, quality, producer)
        repeatGroups(groups, database)
    }

    /// Ready is only who hears the answers: a response that comes before the consumer stands at the end would be missed.
    private func startResponses(_ signals: SignalClient) async throws {
        let (readiness, log) = (context.readiness, context.logger)
        readiness.block("responses consumer", "does not stand at the end yet")
        let (started, feed) = AsyncStream<Void>.makeStream()
        // A partition is heard when its end was reached, or something came from it: to be assigned is not yet to be fetched from.
        let silent = Mutex<Set<Int32>?>(nil)
        @Sendable func heard(_ partitions: some Sequence<Int32>) {
            let isReady = silent.withLock { silent -> Bool in
                silent?.subtract(partitions)
                return silent?.isEmpty == true
            }
            guard isReady else { return }
            readiness.clear("responses consumer")
            feed.finish()
        }
        let responses = try KafkaConsumer(settings.kafka.settings, .topics([settings.kafka.topics.signalResponses], from: .end)) { event in
            switch event {
            case .records(let records):
                signals.take(records)
                heard(records.map(\.partition))
            case .assigned(let partitions): silent.withLock { $0 = Set(partitions.map(\.partition)) }
            case .endOfPartition(let partition, _): heard([partition.partition])
            case .error(let error): log.warning("Kafka", ["error": .describing(error)])
            default: break
            }
        }
        context.onStop("responses consumer") { await responses.close() }
        for await _ in started {}
        try Task.checkCancellation()
    }

    private func startIntake(_ store: EventStore, _ quality: QualityBoard, _ producer: KafkaProducer) throws {
        let topics = settings.kafka.topics
        let intake = Intake(
            Intake.Parts(
                store: store, quality: quality, producer: producer, deadLetterTopic: topics.deadLetter, readiness: context.readiness,
                log: context.logger,
                received: context.metrics.counter("bo_records_total", help: "Records read of talks, floor, quality and archive"),
                rejected: context.metrics.counter("bo_records_rejected_total", help: "Records that could not be read")))
        let names = Set([topics.talks, topics.quality, topics.floor, topics.archive]).sorted()
        try intake.start(settings.kafka.settings, group: settings.group, topics: names) { [context, settings] error in
            context.end(for: error, name: settings.group, key: "kafka.group")
        }
        context.onStop("intake") { await intake.stop() }
    }

    /// Tells the media service of all active groups, some at a time, until each is known to be there.
    private func repeatGroups(_ groups: GroupService, _ database: Database) {
        let log = context.logger
        let task = Task {
            var left = try await database.run { try GroupTable.numbers(.active, $0) }
            var pause = Duration.seconds(1)
            while !left.isEmpty, !Task.isCancelled {
                var again: [GroupID] = []
                for start in stride(from: 0, to: left.count, by: 50) {
                    await withTaskGroup(of: GroupID?.self) { tasks in
                        for gid in left[start..<min(start + 50, left.count)] {
                            tasks.addTask { await groups.repeatCreate(gid) ? nil : gid }
                        }
                        for await gid in tasks { if let gid { again.append(gid) } }
                    }
                }
                left = again
                if left.isEmpty { break }
                log.warning("groups not confirmed by the media service yet", ["groups": .int(left.count)])
                try await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(30))
            }
        }
        let mending = Task {
            while (try? await Task.sleep(for: .seconds(1))) != nil { await groups.writeMissedKeys() }
        }
        context.onStop("groups") {
            task.cancel()
            mending.cancel()
        }
    }

    /// Saves the dispatchers' cursors every second and forgets old events every hour.
    private func keepHouse(_ store: EventStore) {
        let (log, keep) = (context.logger, settings.keepEvents)
        let saving = Task {
            while (try? await Task.sleep(for: .seconds(1))) != nil { await store.feed.saveCursors() }
            await store.feed.saveCursors()
        }
        let pruning = Task {
            repeat {
                do {
                    try await store.prune(keep: keep)
                } catch {
                    log.error("old events can't be removed", ["error": .describing(error)])
                }
            } while (try? await Task.sleep(for: .seconds(min(3_600, max(1, keep.components.seconds / 10))))) != nil
        }
        context.onStop("housekeeping") {
            pruning.cancel()
            saving.cancel()
            await saving.value
        }
    }

    /// What the console's page needs beside its own files: where it talks, and what with.
    private func addConsole(_ router: inout Router) {
        let (janus, script) = (settings.janus, settings.janusScript)
        router.get("/v1/console") { _ in .json(["janus": .string(janus), "version": .string(talkburstVersion)]) }
        router.get("/lib/janus.js") { request in
            guard access(script, R_OK) == 0 else {
                throw Problem.notFound(
                    "there is no \(script), which the console talks with: apt-get install libjs-janus-gateway, or set web.janus_script")
            }
            return try HTTPResponse.file(script, for: request, type: "text/javascript; charset=utf-8")
        }
    }

    private func startWeb(_ router: inout Router, _ feed: Feed) throws {
        let (root, openAPI) = (settings.webRoot, settings.openAPI)
        addConsole(&router)
        router.webSocket(
            WebSocketEndpoint(path: "/v1/events", handler: feed, overflowMessage: Array(#"{"type":"overflow"}"#.utf8)) { request in
                do throws(Problem) {
                    _ = try Feed.parameters(request)
                    return nil
                } catch {
                    return error.response
                }
            })
        router.get("/v1/openapi.yaml") { request in try HTTPResponse.file(openAPI, for: request, type: "application/yaml") }
        router.get("/{path*}") { request in
            try HTTPResponse.file(in: root, path: request.parameter("path"), for: request)
                .with("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:")
                .with("X-Content-Type-Options", "nosniff")
        }
        let web = try WebServer(settings.web, router: router)
        context.onStop("web server") { await web.stop() }
        context.logger.info("listening", ["host": .string(settings.web.host), "port": .int(web.boundPort)])
    }
}
