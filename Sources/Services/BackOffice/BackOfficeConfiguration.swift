import Configuration
import ServiceKit
import Web

/// bo-server's configuration; every key is explained in `config/bo-server.json5`.
public struct BackOfficeConfiguration: Sendable {
    var kafka: KafkaSections
    var group: String
    var redisURL: String
    var databaseFile: String
    var migrations: String
    var signalTimeout: Duration
    var keepEvents: Duration
    var web: WebSettings
    var webRoot: String
    var openAPI: String
    var janusScript: String
    /// Where the console finds door A.
    var janus: String

    /// Reads all sections.
    public init(_ configuration: Configuration) {
        kafka = KafkaSections(configuration, clientId: "bo-server")
        group = configuration.section("kafka").string("group", default: "bo-server")
        redisURL = configuration.section("redis").url("url", default: "redis://127.0.0.1:6379", schemes: ["redis"])
        let database = configuration.section("database")
        databaseFile = database.string("file", default: "bo-server.sqlite")
        migrations = database.string("migrations", default: InstalledFiles.path("schemas/sql/bo"))
        signalTimeout = configuration.section("signal").duration(
            "timeout_ms", default: .milliseconds(500), in: .milliseconds(10) ... .seconds(50))
        keepEvents = configuration.section("events").duration(
            "keep_days", default: .seconds(30 * 86_400), in: .seconds(1) ... .seconds(86_400 * 3650))
        let section = configuration.section("web")
        web = ListenSettings.read(section, port: 8080)
        web.webSocket.queueLimitBytes = 4 << 20
        webRoot = section.string("root", default: InstalledFiles.path("web"))
        openAPI = section.string("openapi", default: InstalledFiles.path("schemas/openapi/bo-server.yaml"))
        janusScript = section.string("janus_script", default: "/usr/share/javascript/janus-gateway/janus.js")
        janus = configuration.section("console").url("janus", default: "ws://127.0.0.1:8188", schemes: ["ws", "wss"])
    }
}
