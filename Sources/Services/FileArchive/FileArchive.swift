import HTTPClient
import Kafka
import ServiceKit
import Web

/// The file server: fetches finished talks, keeps them, and serves them.
public enum FileArchive {
    /// The program that `file-server` runs.
    public static let program = ServiceProgram<ArchiveConfiguration>(
        name: "file-server",
        about: "fetches the talks that media services record, keeps them in an archive, and serves them. Needs Kafka.",
        subcommands: [
            .init(name: "retry", help: "takes up again the talks that were given up") { settings, _ in
                try await ArchiveCommands.retry(settings)
            },
            .init(name: "reindex", help: "makes the table again from the archive's files") { settings, _ in
                try await ArchiveCommands.reindex(settings)
            },
            .init(name: "verify", help: "reads every file against its MD5; 1 if one is wrong") { settings, _ in
                try await ArchiveCommands.verify(settings)
            },
        ],
        read: { ArchiveConfiguration($0) },
        start: { try await start($0, $1) })

    /// Starts the parts, in order.
    static func start(_ settings: ArchiveConfiguration, _ context: ServiceContext) async throws {
        let (readiness, metrics) = (context.readiness, context.metrics)
        readiness.block("kafka", "not reached yet")
        let table = try await TalkTable.open(file: settings.databaseFile, migrations: settings.migrations)
        context.onStop("database") { await table.database.close() }
        let store = ArchiveStore(directory: settings.directory)
        try await store.prepare()

        var router = Router()
        router.addServiceRoutes(readiness: readiness, metrics: metrics)
        ArchiveAPI(table: table, store: store, publicURL: settings.publicURL).add(to: &router)
        let web = try WebServer(settings.web, router: router)
        context.onStop("web server") { await web.stop() }
        context.logger.info("listening", ["host": .string(settings.web.host), "port": .int(web.boundPort)])

        let kafka = settings.kafka
        _ = try await context.wait(for: "Kafka at \(kafka.settings.bootstrap) (kafka.bootstrap)") { try await kafka.ensureTopics() }
        readiness.clear("kafka")
        let producer = try KafkaProducer(kafka.settings)
        context.onStop("producer") { await producer.close() }
        let client = try HTTPClient()
        context.onStop("HTTP client") { await client.stop() }
        let fetcher = Fetcher(
            Fetcher.Parts(
                table: table, store: store, client: client, policy: FetchPolicy(allow: settings.allow), settings: settings,
                send: { _ = try await producer.send($0) }, log: context.logger,
                stored: metrics.counter("ptt_archive_stored_total", help: "Talks that were stored."),
                failures: metrics.counter("ptt_archive_fetch_failures_total", help: "Fetches that failed, each try.")))
        fetcher.start()
        context.onStop("fetcher") { await fetcher.stop() }
        let intake = TalkIntake(
            table: table, settings: settings, send: { _ = try await producer.send($0) }, readiness: readiness, log: context.logger,
            changed: { fetcher.wake() })
        try intake.start { [context, settings] error in context.end(for: error, name: settings.node, key: "node.id") }
        context.onStop("talks consumer") { await intake.stop() }
    }
}
