import Configuration
import Glibc
import JSON
import Telemetry

/// The version of all programs of Talkburst.
public let talkburstVersion = "0.1.0"

/// What a service's `main.swift` runs: command line, configuration, start, signals, stop in order, exit code.
public struct ServiceProgram<Settings: Sendable>: Sendable {
    /// Something the program can do instead of serving, such as `file-server verify`.
    public struct Subcommand: Sendable {
        let name: String
        let help: String
        let run: @Sendable (Settings, [String]) async throws -> Int32

        /// - Parameters:
        ///   - help: one line for `--help`.
        ///   - run: gets the settings and its own arguments; answers the exit code.
        public init(name: String, help: String, run: @escaping @Sendable (Settings, [String]) async throws -> Int32) {
            self.name = name
            self.help = help
            self.run = run
        }
    }

    private let name: String
    private let about: String
    private let details: @Sendable () -> [String]
    private let subcommands: [Subcommand]
    private let read: @Sendable (Configuration) -> Settings
    private let start: @Sendable (Settings, ServiceContext) async throws -> Void

    /// - Parameters:
    ///   - name: the program's name, such as `bo-server`.
    ///   - about: what it is for and needs, for `--help`.
    ///   - details: what `--version` tells beside the version, a line each.
    ///   - read: reads the whole configuration; what is wrong is told by the `Configuration` itself.
    ///   - start: starts the service's parts in order and registers with the context how each is stopped; returns when all run.
    public init(
        name: String, about: String, details: @escaping @Sendable () -> [String] = { [] }, subcommands: [Subcommand] = [],
        read: @escaping @Sendable (Configuration) -> Settings,
        start: @escaping @Sendable (Settings, ServiceContext) async throws -> Void
    ) {
        self.name = name
        self.about = about
        self.details = details
        self.subcommands = subcommands
        self.read = read
        self.start = start
    }

    /// Does what the arguments (without the program's name) say.
    /// - Returns: the exit code: 0 done, 64 wrong arguments, 69 a needed server is missing, 70 failed, 75 did not stop in time, 78 wrong
    ///   configuration.
    public func run(_ arguments: [String]) async -> Int32 {
        let (parsed, problem) = Arguments.parse(arguments, subcommands: subcommands.map(\.name))
        guard let parsed else {
            complain("\(problem); see \(name) --help")
            return 64
        }
        switch parsed.action {
        case .help:
            print(help)
            return 0
        case .version:
            print((["\(name) \(talkburstVersion)"] + details()).joined(separator: "\n"))
            return 0
        case .run, .checkConfig, .subcommand: break
        }
        let configuration: Configuration
        let settings: Settings
        let common: CommonSettings
        do {
            configuration = try Configuration(file: parsed.configFile, environment: Configuration.processEnvironment())
            common = CommonSettings(configuration)
            settings = read(configuration)
            try configuration.finish()
        } catch {
            for line in error.problems { complain(line) }
            return 78
        }
        if parsed.action == .checkConfig {
            print(String(decoding: configuration.effective().encoded(pretty: true), as: UTF8.self))
            for variable in configuration.unusedVariables() { complain("\(variable) is set, but no key of this service asks for it") }
            return 0
        }
        LogOutput.standardError.configure(format: common.logFormat, level: common.logLevel)
        if case .subcommand(let name, let own) = parsed.action { return await runSubcommand(name, settings, own) }
        for variable in configuration.unusedVariables() {
            Logger(name).warning("environment variable is not used", ["variable": .string(variable)])
        }
        return await serve(settings, common)
    }

    private func runSubcommand(_ name: String, _ settings: Settings, _ own: [String]) async -> Int32 {
        guard let subcommand = subcommands.first(where: { $0.name == name }) else { return 64 }
        do {
            return try await subcommand.run(settings, own)
        } catch {
            complain("\(name): \(error)")
            return 70
        }
    }

    private func serve(_ settings: Settings, _ common: CommonSettings) async -> Int32 {
        raiseFileLimit()
        let (failures, failed) = AsyncStream<Int32>.makeStream()
        let context = ServiceContext(name: name, startWait: common.startWait) { failed.yield(0) }
        let signals = Signals.stream()
        // Whatever comes first, a signal or a failure, ends the waiting.
        let over = Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in signals { return } }
                group.addTask { for await _ in failures { return } }
                await group.next()
                group.cancelAll()
            }
        }
        let starting = Task { try await start(settings, context) }
        let watching = Task {
            await over.value
            starting.cancel()
        }
        defer { watching.cancel() }
        var code: Int32 = 0
        do {
            try await starting.value
            if !watching.isCancelled { context.logger.info("running", ["version": .string(talkburstVersion)]) }
            await over.value
        } catch is CancellationError {
            code = 0
        } catch let error as StartError {
            context.logger.error("can't start", ["reason": .string(error.description)])
            code = 69
        } catch {
            context.logger.error("can't start", ["reason": .describing(error)])
            code = 70
        }
        if context.failure != nil { code = 70 }
        context.logger.info("stopping")
        return await stop(context, within: common.stopDeadline) ? code : 75
    }

    private func stop(_ context: ServiceContext, within deadline: Duration) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await context.stopAll()
                return true
            }
            group.addTask {
                // Cancelled when the parts have stopped before.
                guard (try? await Task.sleep(for: deadline)) != nil else { return true }
                context.logger.error("not stopped in time", ["deadline_s": .int(deadline.components.seconds)])
                // Whatever hangs would hang this group too: it waits for all of its children.
                exit(75)
            }
            let done = await group.next() ?? false
            group.cancelAll()
            return done
        }
    }

    /// Every connection and file counts against this limit; the soft one is 1,024 on many systems.
    private func raiseFileLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        setrlimit(resource, &limit)
    }

    private func complain(_ line: String) {
        let bytes = Array("\(name): \(line)\n".utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private var help: String {
        var text = """
            \(name) \(talkburstVersion): \(about)

            usage: \(name) [--config FILE] [--check-config | --version | --help]

              --config FILE    a JSON5 file; without one every key has its default. config/\(name).json5 explains them all.
              --check-config   reads the configuration, prints what holds (secrets masked), and ends: 0, or 78 if something is wrong
              --version        prints the version
              --help           prints this

            A key such as web.port can be set by the environment too: \(Configuration.environmentPrefix)WEB_PORT=8080
            SIGTERM and SIGINT stop the service in order; a second one ends it at once.

            """
        if !subcommands.isEmpty {
            text += "\ninstead of serving:\n"
            for subcommand in subcommands { text += "  \(name) \(subcommand.name)   \(subcommand.help)\n" }
        }
        return text
    }
}

/// What every service reads: sections `log`, `start` and `stop`.
struct CommonSettings: Sendable {
    let logFormat: LogFormat
    let logLevel: LogLevel
    let startWait: Duration
    let stopDeadline: Duration

    init(_ configuration: Configuration) {
        let log = configuration.section("log")
        logFormat = LogFormat(rawValue: log.choice("format", default: "text", of: LogFormat.allCases.map(\.rawValue))) ?? .text
        logLevel = LogLevel(name: log.choice("level", default: "info", of: LogLevel.allCases.map(\.name))) ?? .info
        startWait = configuration.section("start").duration("wait_s", default: .seconds(60), in: .zero ... .seconds(3600))
        stopDeadline = configuration.section("stop").duration("deadline_s", default: .seconds(15), in: .seconds(1) ... .seconds(600))
    }
}
