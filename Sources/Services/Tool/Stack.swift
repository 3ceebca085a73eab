import CLinux
import Glibc
import HTTPClient
import JSON
import Reactor
import Synchronization

/// How `ptt stack` runs (HTTP.md).
struct StackOptions: Sendable {
    var directory: String
    var json = false
    /// An outside broker; nil: the embedded one.
    var kafka: String?
    /// A folder with the services' configuration files.
    var config: String?
    /// Where the console's page is.
    var web: String?
}

/// Everything on one machine: broker, Redis and the three services as children of this process, kept running until it is told to stop.
@MainActor
final class Stack {
    private let options: StackOptions
    private var ports = Ports()
    private var children: [String: ChildProcess] = [:]
    private var failures: [String: (count: Int, startedAt: Int64)] = [:]
    private var isStopping = false
    /// Somebody wants it to end, perhaps before all is there.
    private nonisolated let stopWanted = Atomic<Bool>(false)
    private let events: AsyncStream<Event>
    private let post: AsyncStream<Event>.Continuation
    private let http: HTTPClient
    private var bootstrap = ""

    private enum Event: Sendable {
        case ended(String, pid_t, Int32)
        case restart(String)
        case stop
    }
    private struct Ports {
        // As many as there may be media workers, each with UDP and TCP.
        var rtp = FreePort.both(count: 64)
        var redis: Int
        var janus: Int
        var media: Int
        var backOffice: Int
        var file: Int

        init() {
            var used = Set(rtp..<rtp + 64)
            func other() -> Int {
                let port = FreePort.tcp(except: used)
                used.insert(port)
                return port
            }
            (redis, janus, media, backOffice, file) = (other(), other(), other(), other(), other())
        }
    }
    private static let services = ["media-service", "bo-server", "file-server"]

    init(_ options: StackOptions) throws {
        self.options = options
        (events, post) = AsyncStream.makeStream()
        http = try HTTPClient()
    }

    /// What others need to know to use it.
    var description: JSONValue {
        var pids: [String: JSONValue] = [:]
        for (name, child) in children { pids[name] = .int(Int64(child.pid)) }
        return [
            "kafka": .string(bootstrap), "redis": .string("127.0.0.1:\(ports.redis)"),
            "media": [
                "janus": .string("ws://127.0.0.1:\(ports.janus)"), "rtp": .string("127.0.0.1:\(ports.rtp)"),
                "http": .string("http://127.0.0.1:\(ports.media)"),
            ],
            "bo": .string("http://127.0.0.1:\(ports.backOffice)"), "file": .string("http://127.0.0.1:\(ports.file)"),
            "spool": .string("\(options.directory)/spool"), "archive": .string("\(options.directory)/archive"), "pids": .object(pids),
        ]
    }

    /// Starts all, waits until they are ready.
    /// - Throws: `ToolError` that names what does not start, and its log.
    func start() async throws {
        for folder in ["", "spool", "archive", "redis", "log"] { mkdir("\(options.directory)/\(folder)", 0o755) }
        try await startBroker()
        try await spawn("redis")
        try await waitForRedis()
        for name in Stack.services { try await spawn(name) }
        for name in Stack.services { try await waitUntilReady(name, within: 90) }
        try save()
    }

    /// Keeps all running until `stop`; then ends them in order.
    func run() async {
        loop: for await event in events {
            switch event {
            case .ended(let name, let pid, let status): await ended(name, pid, status)
            case .restart(let name): await restart(name)
            case .stop: break loop
            }
        }
        await stopAll()
    }

    /// Ends what was started, when not all could be.
    func abandon() async { await stopAll() }

    /// The console's address.
    var console: String { "http://127.0.0.1:\(ports.backOffice)/" }

    /// Ends `run`.
    nonisolated func stop() {
        stopWanted.store(true, ordering: .relaxed)
        post.yield(.stop)
    }

    // MARK: Starting

    private func startBroker() async throws {
        if let kafka = options.kafka {
            bootstrap = kafka
            return
        }
        let file = "\(options.directory)/broker.json"
        unlink(file)
        try await spawn("kafka")
        try await wait(within: 15, for: "the embedded broker (\(options.directory)/log/kafka.log)") {
            guard let text = TextFile.read(file), let bootstrap = (try? JSONValue(parsing: text))?["bootstrap"]?.string else {
                return false
            }
            self.bootstrap = bootstrap
            return true
        }
    }

    private func spawn(_ name: String) async throws {
        let post = self.post
        let ended: @Sendable (pid_t, Int32) -> Void = { post.yield(.ended(name, $0, $1)) }
        let log = "\(options.directory)/log/\(name).log"
        let directory = options.directory
        switch name {
        case "kafka":
            let own = try ChildProcess.find("ptt")
            children[name] = try await ChildProcess(name, own, ["broker", "--file", "\(directory)/broker.json"], log: log, ended: ended)
        case "redis":
            let server = try ChildProcess.find("redis-server", package: "redis-server")
            children[name] = try await ChildProcess(
                name, server,
                [
                    "--port", "\(ports.redis)", "--bind", "127.0.0.1", "--dir", "\(directory)/redis", "--appendonly", "yes",
                    "--appendfsync",
                    "everysec", "--save", "", "--daemonize", "no",
                ], log: log, ended: ended)
        default:
            var arguments: [String] = []
            if let config = options.config, access("\(config)/\(name).json5", R_OK) == 0 {
                arguments = ["--config", "\(config)/\(name).json5"]
            }
            children[name] = try await ChildProcess(
                name, try ChildProcess.find(name), arguments, environment: environment(of: name), log: log, ended: ended)
        }
        failures[name] = (failures[name]?.count ?? 0, Clocks.monotonicNs())
    }

    private func environment(of name: String) -> [String: String] {
        var variables = ["TALKBURST_KAFKA_BOOTSTRAP": bootstrap, "TALKBURST_REDIS_URL": "redis://127.0.0.1:\(ports.redis)"]
        // librdkafka's mock cluster answers a waiting fetch only when its time is up, and knows no static members: a group waits for one
        // that died until its session is over (and for 3 s before any group starts, so that a session must be longer).
        if options.kafka == nil {
            let profile: JSONValue = ["fetch.wait.max.ms": "5", "session.timeout.ms": "6000", "heartbeat.interval.ms": "1500"]
            variables["TALKBURST_KAFKA_PROPERTIES"] = profile.text
        }
        let own: [String: String] =
            switch name {
            case "media-service":
                [
                    "WEB_PORT": "\(ports.media)", "JANUS_PORT": "\(ports.janus)", "MEDIA_PORT": "\(ports.rtp)",
                    "SPOOL_DIRECTORY": "\(options.directory)/spool", "FILES_PUBLIC_URL": "http://127.0.0.1:\(ports.media)",
                ]
            case "bo-server":
                [
                    "WEB_PORT": "\(ports.backOffice)", "DATABASE_FILE": "\(options.directory)/bo-server.sqlite",
                    "CONSOLE_JANUS": "ws://127.0.0.1:\(ports.janus)",
                ].merging(options.web.map { ["WEB_ROOT": $0] } ?? [:]) { _, new in new }
            default:
                [
                    "WEB_PORT": "\(ports.file)", "DATABASE_FILE": "\(options.directory)/file-server.sqlite",
                    "ARCHIVE_URL": "file://\(options.directory)/archive", "WEB_PUBLIC_URL": "http://127.0.0.1:\(ports.file)",
                    "FETCH_ALLOW": "[\"http://127.0.0.1:\(ports.media)/spool/\"]",
                ]
            }
        for (key, value) in own { variables["TALKBURST_\(key)"] = value }
        return variables
    }

    private func port(of name: String) -> Int {
        name == "media-service" ? ports.media : name == "bo-server" ? ports.backOffice : ports.file
    }

    private func waitForRedis() async throws {
        let port = ports.redis
        try await wait(within: 10, for: "redis-server (\(options.directory)/log/redis.log)") { TCPProbe.answers(port) }
    }

    private func waitUntilReady(_ name: String, within seconds: Int) async throws {
        let url = "http://127.0.0.1:\(port(of: name))/readyz"
        let log = "\(options.directory)/log/\(name).log"
        try await wait(within: seconds, for: "\(name) (\(log))") { [http] in
            if let child = children[name], kill(child.pid, 0) != 0 {
                let last = (TextFile.read(log) ?? []).split(separator: UInt8(ascii: "\n")).last.map { String(decoding: $0, as: UTF8.self) }
                throw ToolError("\(name) ended before it was ready: \(last ?? "it said nothing") (\(log))")
            }
            return (try? await http.fetch(HTTPClientRequest("GET", url, timeout: .seconds(2))).status) == 200
        }
    }

    private func wait(within seconds: Int, for what: String, _ check: () async throws -> Bool) async throws {
        let deadline = Clocks.monotonicNs() + Int64(seconds) * 1_000_000_000
        while !(try await check()) {
            guard !stopWanted.load(ordering: .relaxed) else { throw ToolError("stopped before \(what) was ready") }
            guard Clocks.monotonicNs() < deadline else { throw ToolError("\(what) is not ready after \(seconds) s: look there") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func save() throws {
        try TextFile.replace("\(options.directory)/stack.json", with: description.encoded())
    }

    // MARK: Keeping it running

    private func ended(_ name: String, _ pid: pid_t, _ status: Int32) async {
        guard !isStopping, children[name]?.pid == pid else { return }
        children[name] = nil
        saveOrTell()
        let word = status & 0x7F == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
        tell("\(name) ended (\(word)), starting it again")
        let lived = Clocks.monotonicNs() - (failures[name]?.startedAt ?? 0)
        let count = lived > 10_000_000_000 ? 0 : failures[name]?.count ?? 0
        failures[name] = (count + 1, 0)
        guard count > 0 else {
            await restart(name)
            return
        }
        let post = self.post
        let pause = Duration.milliseconds(min(5_000, 100 << min(count, 6)))
        Task {
            try? await Task.sleep(for: pause)
            post.yield(.restart(name))
        }
    }

    private func restart(_ name: String) async {
        guard !isStopping, children[name] == nil else { return }
        do {
            if name == "kafka" {
                // It forgot everything and has another port: the services start again with it.
                for service in Stack.services { await end(service) }
                try await startBroker()
                for service in Stack.services { try await spawn(service) }
            } else {
                try await spawn(name)
            }
            try save()
        } catch {
            tell("\(name): \(error)")
            post.yield(.restart(name))
        }
    }

    private func stopAll() async {
        isStopping = true
        for name in Stack.services.reversed() { children[name]?.signal(SIGTERM) }
        for name in Stack.services { await end(name) }
        await end("redis")
        await end("kafka")
        saveOrTell()
    }

    private func saveOrTell() {
        do { try save() } catch { tell("\(error)") }
    }

    private func end(_ name: String) async {
        guard let child = children.removeValue(forKey: name) else { return }
        child.signal(SIGTERM)
        let deadline = Clocks.monotonicNs() + 20_000_000_000
        while kill(child.pid, 0) == 0 {
            if Clocks.monotonicNs() > deadline { child.signal(SIGKILL) }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func tell(_ line: String) { Terminal.error("ptt stack: \(line)") }
}
