import Glibc
import HTTPClient
import JSON
import ServiceKit
import Synchronization
import Web

/// `ptt demo`: a stack with radios on it, and what they do told in the terminal.
@MainActor
enum DemoCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(arguments, valued: ["dir", "seconds", "kafka", "web"])
        let signals = Signals.stream()
        let seconds = try words.integer("seconds", default: 0)
        var options = StackOptions(directory: try StackCommand.absolute(words["dir"] ?? "run"))
        options.kafka = words["kafka"] ?? ChildProcess.environment()["KAFKA_BOOTSTRAP"].flatMap { $0.isEmpty ? nil : $0 }
        options.web = try StackCommand.absolute(words["web"] ?? InstalledFiles.path("web"))
        Terminal.out("Starting broker, Redis, media-service, bo-server and file-server …")
        let stack = try Stack(options)
        do {
            try await stack.start()
        } catch {
            await stack.abandon()
            throw error
        }
        Terminal.out("The console: \(stack.console)   (Ctrl-C stops everything)\n")
        let address = try StackAddress(directory: options.directory)
        let running = Task { await stack.run() }
        let play = Task { try await DemoPlay(address: address, directory: options.directory).run(seconds: seconds) }
        let watching = Task {
            for await _ in signals { break }
            play.cancel()
        }
        var status: Int32 = 0
        do {
            let isRight = try await play.value
            status = isRight || seconds == 0 ? 0 : 1
        } catch is CancellationError {
            Terminal.out("\nStopping …")
        } catch {
            Terminal.error("ptt demo: \(error)")
            status = 1
        }
        watching.cancel()
        stack.stop()
        await running.value
        return status
    }
}

/// A talk that was spoken, to be found in the archive.
struct SpokenTalk: Sendable {
    var gid: Int64
    var uid: Int64
    var spokenMs: Int
    var startedMs: Int64
}

/// The scenes of the demo.
@MainActor
final class DemoPlay {
    private let address: StackAddress
    private let directory: String
    private let http: HTTPClient
    private let web: WebSocketClient
    private var spoken: [SpokenTalk] = []
    private var speeches: [String: Speech] = [:]

    private struct Group {
        let name: String
        let base: Int64
        let options: JSONValue
        let names: [String]
        let lines: [String]
    }
    private static let groups = [
        Group(
            name: "Security North", base: 100, options: [:], names: ["Control", "Supervisor", "Gate 1", "Gate 2"],
            lines: [
                "All posts, this is control. Radio check, please answer in turn.", "Supervisor here. Gate one, move the barrier now.",
                "Gate one, all quiet. Two visitors are on their way to the main building.", "Gate two, we have a delivery truck waiting.",
            ]),
        Group(
            name: "Bus Line 7", base: 200, options: ["t2_ms": 4_000, "t3_ms": 300], names: ["Depot", "Inspector", "Bus 71", "Bus 72"],
            lines: [
                "Depot to all buses. The bridge is closed, take the river road.",
                "Inspector on stop nine. Bus seventy one, please wait for me.",
                "Bus seventy one, we are stuck behind the tram, and I will go on talking about the traffic here until somebody stops me, because it is really a long story today.",
                "Bus seventy two, passing the market now.",
            ]),
        Group(
            name: "Mine Shaft 2", base: 300, options: [:], names: ["Surface", "Shift lead", "Loader", "Driller"],
            lines: [
                "Surface to shaft two. Ventilation is back to normal.", "Shift lead. Everybody to the refuge, this is not a drill.",
                "Loader, section four is clear, I am coming up with the last car of this shift.",
                "Driller, water at face six, sending the pump.",
            ]),
    ]

    init(address: StackAddress, directory: String) throws {
        (self.address, self.directory) = (address, directory)
        http = try HTTPClient()
        web = try WebSocketClient(subprotocols: ["janus-protocol"])
    }

    /// Plays; with a number of seconds it ends then, and tells whether all is in the archive.
    func run(seconds: Int) async throws -> Bool {
        mkdir("\(directory)/speech", 0o755)
        var stages: [(gid: Int64, group: Group, radios: [Radio])] = []
        for group in DemoPlay.groups {
            let gid = try await create(group)
            var radios: [Radio] = []
            for (index, name) in group.names.enumerated() {
                let uid = group.base + Int64(index) + 1
                radios.append(try await Radio.join(Radio.Options(url: address.janus, room: gid, uid: uid, display: name), through: web))
                let voice = ["en", "en+m3", "en+f2", "en+m5"][index]
                speeches["\(group.base)-\(index)"] = try await Speech.speak(
                    group.lines[index], voice: voice, into: "\(directory)/speech/\(group.base)-\(index).wav")
            }
            Terminal.out("Group \(gid) \"\(group.name)\": \(group.names.joined(separator: ", "))")
            stages.append((gid, group, radios))
        }
        let clock = ContinuousClock()
        let end = seconds > 0 ? clock.now + .seconds(max(5, seconds - 20)) : nil
        repeat {
            for (gid, group, radios) in stages {
                try await scene(gid, group, radios)
                if let end, clock.now > end { break }
            }
        } while end.map { clock.now < $0 } ?? true
        let isRight = try await isArchived()
        for stage in stages { for radio in stage.radios { await radio.close() } }
        await web.stop()
        return isRight
    }

    private func create(_ group: Group) async throws -> Int64 {
        let base = group.base
        let body: JSONValue = [
            "group_name": .string(group.name), "dispatcher_id": .int(base + 1), "owner": .int(base + 1), "managers": [.int(base + 2)],
            "members": [.int(base + 3), .int(base + 4)], "options": group.options,
        ]
        let answer = try await http.fetch(
            HTTPClientRequest(
                "POST", "\(address.json["bo"]?.string ?? "")/v1/groups", headers: [("content-type", "application/json")],
                body: body.encoded()))
        guard answer.status == 201, let gid = (try? JSONValue(parsing: answer.body))?["gid"]?.integer else {
            throw ToolError("group \"\(group.name)\" was not created: \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
        }
        return gid
    }

    /// A member talks, another waits in the queue, and then somebody of a higher role cuts in.
    private func scene(_ gid: Int64, _ group: Group, _ radios: [Radio]) async throws {
        async let first = talk(gid, group, 2, radios[2])
        try await Task.sleep(for: .milliseconds(700))
        async let queued = talk(gid, group, 3, radios[3])
        _ = try await (first, queued)
        async let long = talk(gid, group, 2, radios[2])
        try await Task.sleep(for: .milliseconds(1_200))
        async let cut = talk(gid, group, 1, radios[1])
        _ = try await (long, cut)
        try await talk(gid, group, 0, radios[0])
        try await Task.sleep(for: .milliseconds(500))
    }

    /// Asks, waits for the grant, talks until done or cut off, releases.
    private func talk(_ gid: Int64, _ group: Group, _ index: Int, _ radio: Radio) async throws {
        guard let speech = speeches["\(group.base)-\(index)"] else { return }
        let name = "\(group.name) · \(group.names[index])"
        let isOver = Mutex(false)
        let spokenMs = Mutex((0, Int64(0)))
        radio.ask("request")
        var sending: Task<Void, Never>?
        for await event in radio.floor {
            try Task.checkCancellation()
            switch event["state"]?.string ?? "" {
            case "queued": Terminal.out("  … \(name) waits, place \(event["position"]?.integer ?? 0)")
            case "denied":
                Terminal.out("  ✗ \(name) is denied (cause \(event["cause"]?.integer ?? 0))")
                return
            case "granted":
                guard sending == nil else { continue }
                Terminal.out("  ▶ \(name) talks: \"\(group.lines[index].prefix(60))\"")
                sending = Task {
                    let sent = await radio.send(speech) { !isOver.withLock { $0 } }
                    spokenMs.withLock { $0.0 = sent * 20 }
                    radio.ask("release")
                }
            case "revoked":
                let cause = event["cause"]?.integer ?? 0
                Terminal.out("  ■ \(name) is cut off (\(cause == 4 ? "somebody higher talks" : "too long"))")
                isOver.withLock { $0 = true }
            case "idle", "taken":
                // The first such event after the grant ends this talk.
                guard let sending else { continue }
                isOver.withLock { $0 = true }
                await sending.value
                spoken.append(SpokenTalk(gid: gid, uid: radio.options.uid, spokenMs: spokenMs.withLock { $0.0 }, startedMs: 0))
                return
            default: continue
            }
        }
    }

    /// Whether every talk that was spoken is in the archive, can be played, and is as long as it was.
    private func isArchived() async throws -> Bool {
        Terminal.out("\nLooking for \(spoken.count) talks in the archive …")
        var missing: [String] = []
        for attempt in 0..<40 {
            missing = []
            for gid in Set(spoken.map(\.gid)).sorted() { missing += try await check(gid) }
            if missing.isEmpty { break }
            if attempt < 39 { try await Task.sleep(for: Duration.milliseconds(500)) }
        }
        for line in missing { Terminal.error("  ✗ \(line)") }
        if missing.isEmpty { Terminal.out("  ✓ all \(spoken.count) talks are there, playable, and of the right length") }
        return missing.isEmpty
    }

    private func check(_ gid: Int64) async throws -> [String] {
        let base = address.json["file"]?.string ?? ""
        let answer = try await http.fetch(HTTPClientRequest("GET", "\(base)/v1/talks?gid=\(gid)&limit=500"))
        let items = (try? JSONValue(parsing: answer.body))?["items"]?.array ?? []
        var stored = items.filter { $0["state"]?.string == "stored" }.sorted {
            ($0["start_ms"]?.integer ?? 0) < ($1["start_ms"]?.integer ?? 0)
        }
        var problems: [String] = []
        for talk in spoken where talk.gid == gid {
            guard let index = stored.firstIndex(where: { $0["uid"]?.integer == talk.uid }), let id = stored[index]["talk_id"]?.string else {
                problems.append("group \(gid), user \(talk.uid): a talk of \(talk.spokenMs) ms is not in the archive")
                continue
            }
            let duration = Int(stored[index]["duration_ms"]?.integer ?? 0)
            stored.remove(at: index)
            if abs(duration - talk.spokenMs) > 250 {
                problems.append("group \(gid), user \(talk.uid): \(talk.spokenMs) ms were spoken, \(duration) ms are in the archive")
            }
            let audio = try await http.fetch(HTTPClientRequest("GET", "\(base)/v1/talks/\(id)/audio"))
            let played = MP3Frames.durationMs(audio.body)
            if audio.status != 200 || abs(played - duration) > 150 {
                problems.append("talk \(id): the file plays \(played) ms instead of \(duration) ms (HTTP \(audio.status))")
            }
        }
        return problems
    }
}

/// How long an MP3 file plays, by its frames (ISO 13818-3: MPEG-2 layer III, 576 samples each, and MPEG-1's 1,152).
enum MP3Frames {
    static func durationMs(_ bytes: [UInt8]) -> Int {
        var offset = 0
        if bytes.starts(with: Array("ID3".utf8)), bytes.count > 10 {
            offset = 10 + bytes[6..<10].reduce(0) { $0 << 7 | Int($1) }
        }
        var milliseconds: Double = 0
        while offset + 4 <= bytes.count, bytes[offset] == 0xFF, bytes[offset + 1] & 0xE0 == 0xE0 {
            let isMPEG1 = bytes[offset + 1] >> 3 & 3 == 3
            let rates = isMPEG1 ? [44_100, 48_000, 32_000] : [22_050, 24_000, 16_000]
            let kilobits =
                isMPEG1
                ? [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
                : [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
            let (rate, kilobit) = (Int(bytes[offset + 2] >> 2 & 3), Int(bytes[offset + 2] >> 4))
            guard rate < 3, kilobit > 0, kilobit < 15 else { break }
            let samples = isMPEG1 ? 1_152 : 576
            milliseconds += Double(samples) * 1_000 / Double(rates[rate])
            offset += samples / 8 * kilobits[kilobit] * 1_000 / rates[rate] + Int(bytes[offset + 2] >> 1 & 1)
        }
        return Int(milliseconds)
    }
}
