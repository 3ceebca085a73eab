import Glibc
import JSON
import Reactor
import ServiceKit
import Synchronization
import Web

/// `ptt radio`: one device for people and scripts.
enum RadioCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let words = try Words(
            arguments, valued: ["url", "dir", "room", "uid", "display", "say", "listen", "seconds", "priority"], flags: ["emergency"])
        let url = try words["url"] ?? StackAddress(directory: words["dir"] ?? "run").janus
        guard let room = Int64(try words.required("room")), let uid = Int64(try words.required("uid")) else {
            throw ToolError("--room and --uid are numbers")
        }
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        var options = Radio.Options(url: url, room: room, uid: uid, display: words["display"] ?? "radio \(uid)")
        options.records = words["listen"] != nil
        let speech = try words["say"].map { try Speech(file: $0) }
        let radio = try await Radio.join(options, through: client)
        Terminal.error("joined room \(room) as \(uid)")
        let seconds = try words.integer("seconds", default: speech == nil ? 0 : 60)
        let action = words.has("emergency") ? "emergency" : "request"
        let priority = try words.integer("priority", default: 0)
        let status: Int32
        if let speech, !(isatty(STDIN_FILENO) == 1 && words["seconds"] == nil) {
            status = try await say(speech, on: radio, action, priority, patience: seconds)
        } else {
            status = await attend(radio, speech, action, priority, seconds: words["seconds"] == nil ? 0 : seconds)
        }
        if let file = words["listen"] { try TextFile.replace(file, with: radio.recording().bytes) }
        let heard = radio.heard
        let report: JSONValue = [
            "heard_packets": .int(Int64(heard.packets)), "heard_bursts": .int(Int64(heard.bursts)), "lost": .int(Int64(heard.gaps)),
        ]
        Terminal.out(report.text)
        await radio.close()
        await client.stop()
        return status
    }

    /// Asks for the floor, waits for it, talks, releases. 0: all was said; 1: denied, or cut off.
    private static func say(_ speech: Speech, on radio: Radio, _ action: String, _ priority: Int, patience: Int) async throws -> Int32 {
        let wasCut = Mutex(false)
        radio.ask(action, priority: priority)
        let (grants, granted) = AsyncStream<String>.makeStream()
        let watching = Task {
            for await event in radio.floor {
                let state = event["state"]?.string ?? ""
                Terminal.error("floor: \(event.text)")
                if state == "revoked" { wasCut.withLock { $0 = true } }
                granted.yield(state)
            }
        }
        defer { watching.cancel() }
        let timer = Task {
            try await Task.sleep(for: .seconds(patience))
            granted.yield("timeout")
        }
        defer { timer.cancel() }
        for await state in grants {
            switch state {
            case "granted":
                let sent = await radio.send(speech) { !wasCut.withLock { $0 } }
                radio.ask("release")
                try? await Task.sleep(for: .milliseconds(300))
                Terminal.error("said \(sent * 20) ms of \(speech.durationMs) ms")
                return sent == speech.packets.count ? 0 : 1
            case "denied", "timeout":
                Terminal.error("floor not granted: \(state)")
                return 1
            default: continue
            }
        }
        return 1
    }

    /// Stays, with the keys p (talk), r (release) and q (quit), or for some seconds.
    private static func attend(_ radio: Radio, _ speech: Speech?, _ action: String, _ priority: Int, seconds: Int) async -> Int32 {
        // What it says is said once it may, and no longer.
        let floor = Floor()
        let watching = Task {
            for await event in radio.floor {
                Terminal.error("floor: \(event.text)")
                let state = event["state"]?.string ?? ""
                let isGranted = state == "granted"
                // Somebody else's talk, over ours, takes nothing away.
                guard isGranted || ["revoked", "idle", "denied"].contains(state) else { continue }
                guard !floor.isMine.exchange(isGranted, ordering: .relaxed), isGranted, let speech else { continue }
                Task {
                    let sent = await radio.send(speech) { floor.isMine.load(ordering: .relaxed) }
                    if sent == speech.packets.count { radio.ask("release") }
                }
            }
        }
        defer { watching.cancel() }
        if seconds > 0 {
            try? await Task.sleep(for: .seconds(seconds))
            return 0
        }
        Terminal.error("keys, each with Enter: p talks, r releases, q quits")
        for await key in keys() {
            switch key {
            case "p": radio.ask(action, priority: priority)
            case "r": radio.ask("release")
            case "q": return 0
            default: continue
            }
        }
        return 0
    }

    private final class Floor: Sendable {
        let isMine = Atomic<Bool>(false)
    }

    private static func keys() -> AsyncStream<String> {
        AsyncStream { keys in
            ServiceThread(name: "keys") {
                while let line = readLine() { keys.yield(line) }
                keys.finish()
            }.detach()
        }
    }
}
