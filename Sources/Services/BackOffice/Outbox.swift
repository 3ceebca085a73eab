import Database
import Foundation
import Messages
import Talk
import Telemetry

/// Signal requests that must reach the media service whatever happens to this process: rows of `requests`, sent again until answered.
///
/// It is the reaper of MESSAGES.md §3: destroys of groups that are deleted or rolled back stand here too.
actor Outbox {
    /// How long an attempt waits, at first and at last.
    private static let firstWaitMs: Int64 = 1_000
    private static let longestWaitMs: Int64 = 30_000

    private let database: Database
    private let signals: SignalClient
    private let log: Logger
    private let onDestroyed: @Sendable (GroupID, SignalResponse) async -> Void
    private var underWay: Set<String> = []
    private var alarm: Task<Void, Never>?
    private var isStopped = false

    /// - Parameter onDestroyed: told of each answer to a destroy; the row is removed by whoever removes the group.
    init(
        database: Database, signals: SignalClient, log: Logger, onDestroyed: @escaping @Sendable (GroupID, SignalResponse) async -> Void
    ) {
        (self.database, self.signals, self.log, self.onDestroyed) = (database, signals, log, onDestroyed)
    }

    /// Puts a request in; call `wake` when the transaction is done.
    static func add(_ request: SignalRequest, _ connection: Connection) throws {
        try connection.execute(
            "INSERT INTO requests (request_id, gid, signal_type, value, attempts, next_ms) VALUES (?, ?, ?, ?, 0, 0)",
            [
                .text(UUID().uuidString), .int(request.gid.value), .int(request.signalType),
                .text(String(decoding: request.encoded, as: UTF8.self)),
            ])
    }

    /// Removes a group's destroys, in the transaction that removes the group.
    static func removeDestroys(of gid: GroupID, _ connection: Connection) throws {
        try connection.execute("DELETE FROM requests WHERE gid = ? AND signal_type = 2", [.int(gid.value)])
    }

    /// Looks for what is due.
    func wake() async {
        guard !isStopped else { return }
        let nowMs = WallClock.nowMs()
        let due: [Row]
        do {
            due = try await database.run { connection in
                try connection.query("SELECT * FROM requests WHERE next_ms <= ? ORDER BY next_ms LIMIT 100", [.int(nowMs)])
            }
        } catch {
            log.error("the outbox can't be read", ["error": .describing(error)])
            return setAlarm(afterMs: Self.firstWaitMs)
        }
        for row in due {
            guard let id = row.text("request_id"), let gid = row.int("gid").flatMap({ GroupID($0) }), underWay.insert(id).inserted else {
                continue
            }
            Task { await self.send(id, gid, row) }
        }
        await setAlarmForNext()
    }

    func stop() {
        isStopped = true
        alarm?.cancel()
    }

    private func send(_ id: String, _ gid: GroupID, _ row: Row) async {
        let attempts = row.int("attempts") ?? 0
        let waitMs = min(Self.firstWaitMs << min(attempts, 10), Self.longestWaitMs)
        let response = await signals.ask(
            value: Array((row.text("value") ?? "").utf8), gid: gid, requestID: id, within: .milliseconds(waitMs))
        var isDone = false
        if let response, response.code != .notReady {
            if row.int("signal_type") == 2 {
                await onDestroyed(gid, response)
            } else {
                // Refused or done: the media service has decided, asking again changes nothing.
                isDone = true
            }
        }
        let (nextMs, isOver) = (WallClock.nowMs() + (response == nil ? 0 : Self.firstWaitMs), isDone)
        do {
            _ = try await database.transaction { connection in
                if isOver {
                    try connection.execute("DELETE FROM requests WHERE request_id = ?", [.text(id)])
                } else {
                    try connection.execute(
                        "UPDATE requests SET attempts = attempts + 1, next_ms = ? WHERE request_id = ?", [.int(nextMs), .text(id)])
                }
            }
        } catch {
            log.error("the outbox can't be written", ["request_id": .string(id), "error": .describing(error)])
        }
        underWay.remove(id)
        await setAlarmForNext()
    }

    private func setAlarmForNext() async {
        let ids = underWay
        let next = try? await database.run { connection in
            try connection.query("SELECT request_id, next_ms FROM requests ORDER BY next_ms LIMIT 200").first { row in
                !ids.contains(row.text("request_id") ?? "")
            }?.int("next_ms")
        }
        guard let next else { return }
        setAlarm(afterMs: max(0, next - WallClock.nowMs()))
    }

    private func setAlarm(afterMs: Int64) {
        guard !isStopped else { return }
        alarm?.cancel()
        alarm = Task {
            guard (try? await Task.sleep(for: .milliseconds(max(10, afterMs)))) != nil else { return }
            await self.wake()
        }
    }
}

/// Wall time, for what is written down.
enum WallClock {
    /// Unix milliseconds.
    static func nowMs() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
