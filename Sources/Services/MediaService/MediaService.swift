import Configuration
import JSON
import JanusDoor
import Kafka
import MediaPlane
import Messages
import Reactor
import Recorder
import Redis
import SecureRTP
import ServiceKit
import Talk
import Telemetry
import Threads
import Web

/// The media service: rooms, the floor, the media plane, and recordings, driven by Kafka.
public enum MediaService {
    /// The program that `media-service` runs.
    public static let program = ServiceProgram<MediaConfiguration>(
        name: "media-service",
        about: "rooms of talk groups: decides who has the floor, relays Opus, records each talk burst. Needs Kafka and Redis.",
        details: { ["SRTP: \(SRTPBackend.best.name)"] },
        read: { MediaConfiguration($0) },
        start: { try await MediaServiceParts(settings: $0, context: $1).start() })
}

/// Puts the parts together, in order; each registers how it is stopped.
struct MediaServiceParts {
    let settings: MediaConfiguration
    let context: ServiceContext

    func start() async throws {
        let (log, metrics, readiness) = (context.logger, context.metrics, context.readiness)
        readiness.block("kafka", "not reached yet")
        let kafka = settings.kafka
        let partitions = try await context.wait(for: "Kafka at \(kafka.settings.bootstrap) (kafka.bootstrap)") {
            try await kafka.ensureTopics()
        }
        readiness.clear("kafka")
        let producers = try await makeProducers()
        readiness.block("redis", "not reached yet")
        let redis = try RedisClient(url: settings.redisURL) { isUp in
            if isUp { readiness.clear("redis") } else { readiness.block("redis", "not reachable: joins take the role that was known last") }
        }
        context.onStop("redis") { await redis.close() }
        _ = try await context.wait(for: "Redis at \(settings.redisURL) (redis.url)") {
            try await redis.command(["PING"], deadline: .seconds(2))
        }

        let planeMail = PlaneMail(workers: settings.media.workers)
        let (directorMail, directorNotes) = (Mailbox<DirectorInput>(), Mailbox<DirectorNote>())
        let roles = RoleDirectory(
            redis: redis, requiresMembership: settings.requiresMembership, deadline: settings.lookupDeadline, mail: planeMail,
            metrics: metrics, log: log)
        context.onStop("roles") { await roles.close() }
        let talks = TalkPublisher(producer: producers.prompt, topic: kafka.topics.talks, log: log) { directorMail.post(.published($0)) }
        let recorder = try await startRecorder(talks)
        let news = RoomPublisher(
            ip: settings.ip, topics: kafka.topics, producer: producers.gathering,
            lost: metrics.counter("events_lost_total", help: "Floor and quality messages that Kafka did not get"))
        context.onStop("room news") { news.stop() }
        let output = PlaneOutput(publisher: news, roles: roles, note: { directorNotes.post($0) })
        let plane = try MediaPlane(settings.media, mail: planeMail, output: output, rings: recorder.rings, metrics: metrics)
        metrics.gauge("media_srtp_backend", help: "What protects listeners' copies", labels: ["name": SRTPBackend.best.name]).set(1)
        // Talks end before the recorder does, so that nothing of them is left open.
        context.onStop("media plane") { plane.stop() }
        let requests = try startDirector(plane, producers, partitions: partitions, mailbox: directorMail, notes: directorNotes)
        let others = try followOthers(requests, recorder)
        context.onStop("archive and claims consumer") { await others.close() }
        try startDoors(plane, recorder, requests)
        announce(roles)
    }

    private func makeProducers() async throws -> Producers {
        let kafka = settings.kafka
        let topics = kafka.topics
        let producers = try Producers(kafka.settings)
        context.onStop("producers") { await producers.close() }
        // The first record of each topic does not wait for its partitions to be known.
        for (producer, names) in [
            (producers.prompt, [topics.signalResponses, topics.talks]),
            (producers.gathering, [topics.floor, topics.rooms, topics.owners, topics.quality, topics.deadLetter]),
        ] {
            for topic in names {
                try await context.wait(for: "topic \(topic) at \(kafka.settings.bootstrap)") { try await producer.prepare(topic) }
            }
        }
        return producers
    }

    private func startRecorder(_ publisher: TalkPublisher) async throws -> Recorder {
        let recorder = try Recorder(
            settings.recorder, workers: settings.media.workers, ip: settings.ip, metrics: context.metrics, log: context.logger
        ) { entry, then in
            publisher.publish(entry.talkID, gid: entry.gid, value: entry.value, then: then)
        }
        context.onStop("recorder") { await recorder.stop() }
        return recorder
    }

    private func startDirector(
        _ plane: MediaPlane, _ producers: Producers, partitions: Int, mailbox: Mailbox<DirectorInput>, notes: Mailbox<DirectorNote>
    ) throws -> SignalDirector {
        let kafka = settings.kafka
        let topics = kafka.topics
        let store = OffsetStore(topic: topics.signalRequests)
        let director = SignalDirector(
            SignalDirector.Parts(
                node: settings.node, topics: topics, partitions: partitions, producers: producers,
                readRooms: RoomReader(settings: kafka.settings, topic: topics.rooms, log: context.logger).read, plane: plane,
                store: { store.store($0, $1) }, readiness: context.readiness, metrics: context.metrics, log: context.logger),
            mailbox: mailbox, notes: notes)
        context.onStop("director") { director.stop() }
        let consumer = try KafkaConsumer(
            kafka.settings, .group(id: settings.group, instanceId: settings.node, topics: [topics.signalRequests])
        ) { event in
            endIfFatal(event)
            director.take(event)
        }
        store.attach(consumer)
        context.onStop("request consumer") { await consumer.close() }
        return director
    }

    /// Reads what concerns this node alone: others' claims, and what is in the archive, which need not be sent again and whose file may go
    /// some time later.
    private func followOthers(_ director: SignalDirector, _ recorder: Recorder) throws -> KafkaConsumer {
        let topics = settings.kafka.topics
        let (log, archive) = (context.logger, OffsetStore(topic: topics.archive))
        let claims = OffsetStore(topic: topics.owners)
        let consumer = try KafkaConsumer(
            settings.kafka.settings,
            .group(id: "\(settings.group)-node-\(settings.node)", instanceId: settings.node, topics: [topics.archive, topics.owners])
        ) { event in
            endIfFatal(event)
            guard case .records(let records) = event else { return }
            for record in records {
                if record.topic == topics.owners {
                    Self.claimSeen(record, director)
                    claims.store(record.partition, record.offset + 1)
                } else {
                    Self.archived(record, recorder, log)
                    archive.store(record.partition, record.offset + 1)
                }
            }
        }
        for store in [archive, claims] { store.attach(consumer) }
        return consumer
    }

    private func endIfFatal(_ event: KafkaEvent) {
        if case .error(let error) = event, error.isFatal { context.end(for: error, name: settings.node, key: "node.id") }
    }

    private static func claimSeen(_ record: KafkaRecord, _ director: SignalDirector) {
        guard let key = record.key.flatMap({ Int32(String(decoding: $0, as: UTF8.self)) }), let value = record.value,
            let claim = (try? JSONValue(parsing: value)).flatMap({ OwnerClaim($0) })
        else { return }
        director.post(.claimSeen(partition: key, node: claim.node, epoch: record.offset))
    }

    private static func archived(_ record: KafkaRecord, _ recorder: Recorder, _ log: Logger) {
        guard let value = record.value, let message = try? JSONValue(parsing: value) else { return }
        do {
            if let archived = try ArchiveMessage(message) { recorder.archived(archived.talkID) }
        } catch {
            log.warning("archive message not understood", ["offset": .int(record.offset), "error": .describing(error)])
        }
    }

    private func startDoors(_ plane: MediaPlane, _ recorder: Recorder, _ director: SignalDirector) throws {
        var router = Router()
        router.addServiceRoutes(readiness: context.readiness, metrics: context.metrics)
        let spool = settings.recorder.directory
        router.get("/spool/{name}") { request in try SpoolFiles.answer(request, directory: spool) }
        let web = try WebServer(settings.web, router: router)
        context.onStop("web server") { await web.stop() }
        let door = JanusDoor(settings.janus, plane: plane, administration: director, log: context.logger)
        context.onStop("janus door") { door.close() }
        var janusRouter = Router()
        janusRouter.webSocket(door.endpoint)
        let janus = try WebServer(settings.janusWeb, router: janusRouter)
        door.serve(on: janus)
        context.onStop("janus server") { await janus.stop() }
        if case .realTime(let priority) = settings.janusWeb.pace, !Pace.mayBeRealTime(priority) {
            context.logger.warning(
                "not all media threads may be real-time: where others compute, packets and presses wait for some milliseconds",
                [
                    "remedy": .string(
                        "CAP_SYS_NICE, or RLIMIT_RTPRIO of \(priority) (ulimit -r \(priority), LimitRTPRIO=\(priority), ulimits.rtprio)")
                ])
        }
        context.logger.info(
            "listening",
            [
                "http": .string("http://\(settings.web.host):\(web.boundPort)"),
                "janus": .string("ws://\(settings.janusWeb.host):\(janus.boundPort)"),
                "rtp": .string(plane.addresses.map(\.description).joined(separator: " ")),
            ])
    }

    /// Keeps this node's card in Redis alive.
    private func announce(_ roles: RoleDirectory) {
        let (node, ip, region, metrics) = (settings.node, settings.ip, settings.region, context.metrics)
        let rooms = metrics.gauge("media_rooms", help: "Rooms on this node")
        let participants = metrics.gauge("media_participants", help: "Participants on this node")
        let task = Task {
            var card = NodeCard(address: ip, region: region, processors: MediaSettings.processors, nowNs: Clocks.monotonicNs())
            while !Task.isCancelled {
                let now = card.json(rooms: Int(rooms.value), participants: Int(participants.value), nowNs: Clocks.monotonicNs())
                await roles.announce(node: node, now)
                try? await Task.sleep(for: .seconds(5))
            }
        }
        context.onStop("node card") { task.cancel() }
    }
}
