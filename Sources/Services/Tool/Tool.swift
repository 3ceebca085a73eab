import Glibc
import JSON
import ServiceKit

/// What `ptt` does: one subcommand a word.
@MainActor
public enum Tool {
    private static let help = """
        ptt \(talkburstVersion): the tool for people around Talkburst
        usage: ptt COMMAND [OPTIONS]

          stack --dir DIR [--json] [--kafka BOOTSTRAP] [--config DIR] [--web DIR]
              runs everything on this machine: broker, Redis, media-service, bo-server, file-server; Ctrl-C stops it
          demo [--dir DIR] [--seconds N]
              a stack with radios on it that talk; with --seconds it ends by itself: 0 if every talk is in the archive
          radio --room GID --uid UID [--url ws://…] [--say FILE] [--listen FILE] [--seconds N] [--emergency] [--priority N]
              a device: joins, asks for the floor, talks from a WAV or Opus file, keeps what it hears; p talks, r releases, q quits
          tail [--kafka BOOTSTRAP] [--from-beginning]
              follows all topics, a readable line per record
          signal create GID NAME | destroy GID | alter GID UID ROLE | rename GID NAME | remove GID UID | cancel-emergency GID [UID]
              [--mode ptt|open] [--kafka BOOTSTRAP] [--dispatcher UID]   asks the media service on Kafka and prints its answer;
              create makes a room where one talks at a time, with --mode open one where everybody does
          load --room GID [--url ws://…] [--listeners N] [--talkers T] [--seconds N] [--json]
              many radios at once; reports what was delivered and lost, and how late
          broker [--file FILE]
              the embedded broker by itself (librdkafka's mock cluster)

        Where --url or --kafka is missing, the stack in ./run (or --dir) is used: ptt stack --dir run.

        """

    /// Runs a command line without the program's name.
    /// - Returns: the exit status: 0 done, 1 failed or wrong words, 2 no command.
    public static func run(_ arguments: [String]) async -> Int32 {
        guard let command = arguments.first, !["--help", "-h", "help"].contains(command) else {
            print(help, terminator: "")
            return arguments.isEmpty ? 2 : 0
        }
        if command == "--version" {
            print("ptt \(talkburstVersion)")
            return 0
        }
        do {
            return try await run(command, Array(arguments.dropFirst()))
        } catch {
            Terminal.error("ptt \(command): \(error)")
            return 1
        }
    }

    private static func run(_ command: String, _ arguments: [String]) async throws -> Int32 {
        switch command {
        case "stack": return try await StackCommand.run(arguments)
        case "demo": return try await DemoCommand.run(arguments)
        case "broker":
            let words = try Words(arguments, valued: ["file"])
            try await Broker.run(file: words["file"], signals: Signals.stream())
            return 0
        case "radio": return try await RadioCommand.run(arguments)
        case "tail": return try await TailCommand.run(arguments)
        case "signal": return try await SignalCommand.run(arguments)
        case "load": return try await LoadCommand.run(arguments)
        default:
            Terminal.error("ptt: no such command: \(command); see ptt --help")
            return 2
        }
    }
}

/// Where a running stack is, from its `stack.json`.
struct StackAddress: Sendable {
    let json: JSONValue

    /// - Throws: `ToolError` that says how to start one.
    init(directory: String) throws(ToolError) {
        guard let text = TextFile.read("\(directory)/stack.json"), let json = try? JSONValue(parsing: text) else {
            throw ToolError("no stack in \(directory): start one with ptt stack --dir \(directory), or give --url or --kafka")
        }
        self.json = json
    }

    var kafka: String { json["kafka"]?.string ?? "" }
    var janus: String { json["media"]?["janus"]?.string ?? "" }
}

/// `ptt stack`.
@MainActor
enum StackCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(arguments, valued: ["dir", "kafka", "config", "web"], flags: ["json"])
        let signals = Signals.stream()
        let directory = try absolute(words.required("dir"))
        var options = StackOptions(directory: directory)
        options.json = words.has("json")
        options.kafka = words["kafka"] ?? ChildProcess.environment()["KAFKA_BOOTSTRAP"].flatMap { $0.isEmpty ? nil : $0 }
        options.config = words["config"]
        options.web = try absolute(words["web"] ?? InstalledFiles.path("web"))
        let stack = try Stack(options)
        let watching = Task {
            for await _ in signals { break }
            stack.stop()
        }
        defer { watching.cancel() }
        do {
            try await stack.start()
        } catch {
            await stack.abandon()
            throw error
        }
        if options.json {
            Terminal.out(stack.description.text)
        } else {
            Terminal.out("Talkburst runs: console \(stack.console), all state in \(directory). Ctrl-C stops it.")
        }
        await stack.run()
        return 0
    }

    /// A folder as an absolute path; made where it is missing.
    static func absolute(_ path: String) throws(ToolError) -> String {
        mkdir(path, 0o755)
        guard let real = realpath(path, nil) else { throw ToolError("\(path): \(String(cString: strerror(errno)))") }
        defer { free(real) }
        return String(cString: real)
    }
}
