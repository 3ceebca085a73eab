import Configuration
import ServiceKit
import Web

/// The file server's configuration; every key is explained in `config/file-server.json5`.
public struct ArchiveConfiguration: Sendable {
    /// This server's static membership in its consumer group.
    var node: String
    var ip: String
    var kafka: KafkaSections
    var group: String
    var web: WebSettings
    var publicURL: String
    var databaseFile: String
    var migrations: String
    var directory: String
    var allow: [String]
    var workers: Int
    var giveUp: Duration
    var timeout: Duration
    var maxBytes: Int

    /// Reads all sections.
    public init(_ configuration: Configuration) {
        node = configuration.section("node").string("id", default: "file-1")
        ip = configuration.section("node").string("ip", default: "127.0.0.1")
        kafka = KafkaSections(configuration, clientId: node)
        group = configuration.section("kafka").string("group", default: "file-server")
        let webSection = configuration.section("web")
        web = ListenSettings.read(webSection, port: 8090)
        publicURL = webSection.url("public_url", default: "http://127.0.0.1:\(web.port)")
        while publicURL.hasSuffix("/") { publicURL.removeLast() }
        let database = configuration.section("database")
        databaseFile = database.string("file", default: "file-server.sqlite")
        migrations = database.string("migrations", default: InstalledFiles.path("schemas/sql/file"))
        directory = String(
            configuration.section("archive").url("url", default: "file:///var/lib/talkburst/archive", schemes: ["file"]).dropFirst(7))
        let fetch = configuration.section("fetch")
        allow = fetch.list("allow", default: ["http://127.0.0.1:8088/spool/"])
        for prefix in allow where FetchPolicy.Prefix(prefix) == nil {
            fetch.reject("allow", "\(prefix) is no http://, https:// or file:// address and no absolute folder")
        }
        workers = fetch.int("workers", default: 4, in: 1...64)
        giveUp = fetch.duration("give_up_hours", default: .seconds(24 * 3600), in: .zero ... .seconds(365 * 86_400))
        timeout = fetch.duration("timeout_s", default: .seconds(60), in: .seconds(1) ... .seconds(600))
        maxBytes = fetch.int("max_bytes", default: 200 << 20, in: 1024...(1 << 30))
    }
}
