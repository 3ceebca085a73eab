import Database
import Foundation
import JSON
import Synchronization
import Talk
import Telemetry
import Web

/// Something that a group's dispatcher, owner and managers are told.
struct FeedEvent: Sendable, Equatable {
    enum Kind: String, Sendable { case talk, floor, quality, archive, group }

    /// Rises; nil for what is live only.
    var id: Int64?
    var kind: Kind
    var gid: Int64
    var atMs: Int64
    var audience: Set<Int64>
    var data: JSONValue

    var text: [UInt8] { Self.text(id: id, kind: kind.rawValue, gid: gid, atMs: atMs, data: data) }

    static func text(id: Int64?, kind: String, gid: Int64, atMs: Int64, data: JSONValue) -> [UInt8] {
        var members: [String: JSONValue] = ["type": .string(kind), "gid": .int(gid), "at_ms": .int(atMs), "data": data]
        members["id"] = id.map { .int($0) }
        return JSONValue.object(members).encoded()
    }
}

/// The table of events, and the transactions that make some.
struct EventStore: Sendable {
    let database: Database
    let feed: Feed

    /// What a transaction has to tell once it is on the disk.
    final class Pending {
        fileprivate var events: [FeedEvent] = []
        private let connection: Connection

        fileprivate init(_ connection: Connection) { self.connection = connection }

        /// Keeps an event and tells it after the commit. Without anybody to tell it to, nothing is kept.
        /// - Returns: the event's id; nil where it is not kept.
        @discardableResult
        func add(_ kind: FeedEvent.Kind, _ gid: GroupID, atMs: Int64, audience: Set<Int64>, _ data: JSONValue) throws -> Int64? {
            guard !audience.isEmpty else { return nil }
            try connection.execute(
                "INSERT INTO events (type, gid, at_ms, data, kept_ms) VALUES (?, ?, ?, ?, ?)",
                [.text(kind.rawValue), .int(gid.value), .int(atMs), .text(data.text), .int(WallClock.nowMs())])
            guard let id = try connection.first("SELECT last_insert_rowid() AS id")?.int("id") else { return nil }
            for uid in audience {
                try connection.execute("INSERT INTO event_audience (uid, event_id) VALUES (?, ?)", [.int(uid), .int(id)])
            }
            events.append(FeedEvent(id: id, kind: kind, gid: gid.value, atMs: atMs, audience: audience, data: data))
            return id
        }

        /// Tells that a group has changed.
        func add(_ group: Group) throws {
            try add(.group, group.gid, atMs: WallClock.nowMs(), audience: group.audience, group.card.json)
        }
    }

    /// Runs a transaction and tells its events, in the order of their ids: still on the database's thread, where commits are in order too.
    func transaction<Value: Sendable>(_ body: @escaping @Sendable (Connection, Pending) throws -> Value) async throws -> Value {
        let feed = self.feed
        return try await database.run { connection in
            let pending = Pending(connection)
            let value = try connection.transaction { try body(connection, pending) }
            feed.publish(pending.events)
            return value
        }
    }

    /// What a dispatcher, owner or manager is to see after an event, oldest first, at most `limit`; and the id of the last of all events.
    static func page(of viewer: Int64, after last: Int64, _ limit: Int, _ connection: Connection) throws -> (rows: [Row], end: Int64) {
        let rows = try connection.query(
            """
            SELECT events.* FROM event_audience JOIN events ON events.id = event_audience.event_id
            WHERE event_audience.uid = ? AND event_audience.event_id > ? ORDER BY event_audience.event_id LIMIT ?
            """, [.int(viewer), .int(last), .int(Int64(limit))])
        return (rows, try connection.first("SELECT MAX(id) AS id FROM events")?.int("id") ?? last)
    }

    /// Forgets what is older than `keep`.
    func prune(keep: Duration) async throws {
        let limit = WallClock.nowMs() - keep.components.seconds * 1000
        let found = try await database.transaction { connection in
            let last = try connection.first(
                "SELECT id FROM events WHERE kept_ms < ? ORDER BY kept_ms DESC, id DESC LIMIT 1", [.int(limit)])?.int("id")
            if let last { try connection.execute("UPDATE counters SET value = ? WHERE name = 'events_pruned'", [.int(last)]) }
            return last
        }
        guard let last = found else { return }
        // Some at a time: what happens meanwhile is written in between.
        while try await database.transaction({ connection in
            try connection.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= ? ORDER BY id LIMIT ?)",
                [.int(last), .int(Self.pruneSize)])
        }) == Self.pruneSize {}
    }

    private static let pruneSize: Int64 = 5_000
}

/// The WebSockets of consoles: first what they missed, from the table, then what happens (HTTP.md, "The feed").
final class Feed: WebSocketHandler {
    private static let pageSize = 200
    /// While more than this waits for a reader, no further page is sent to it, bytes.
    private static let waitingMax = 256 << 10

    private struct Viewer: Sendable {
        let connection: WebSocketConnection
        let dispatcher: Int64
        /// Live: gets what is published. Before, it is served from the table.
        var isLive = false
    }

    private struct State: Sendable {
        var viewers: [UInt64: Viewer] = [:]
        var lastPublished: Int64 = 0
        var cursors: [Int64: Int64] = [:]
        var changed: Set<Int64> = []
    }

    private let database: Database
    private let log: Logger
    private let state: Mutex<State>

    init(database: Database, log: Logger) async throws {
        (self.database, self.log) = (database, log)
        var start = State()
        start.lastPublished = try await database.run { try $0.first("SELECT MAX(id) AS id FROM events")?.int("id") ?? 0 }
        for row in try await database.run({ try $0.query("SELECT * FROM dispatcher_cursors") }) {
            guard let dispatcher = row.int("dispatcher_id"), let last = row.int("last_id") else { continue }
            start.cursors[dispatcher] = last
        }
        state = Mutex(start)
    }

    var viewerCount: Int { state.withLock { $0.viewers.count } }

    /// Tells events to who may see them and is live. Called in the order of the ids.
    func publish(_ events: [FeedEvent]) {
        guard !events.isEmpty else { return }
        state.withLock { state in
            for event in events {
                if let id = event.id { state.lastPublished = max(state.lastPublished, id) }
                let viewers = state.viewers.values.filter { $0.isLive && event.audience.contains($0.dispatcher) }
                guard !viewers.isEmpty else { continue }
                let text = event.text
                for viewer in viewers {
                    if viewer.connection.send(text: text) {
                        Self.sent(event.id, to: viewer.dispatcher, &state)
                    } else {
                        // It is being closed, and lacks this one.
                        state.viewers[viewer.connection.id]?.isLive = false
                    }
                }
            }
        }
    }

    private static func sent(_ id: Int64?, to dispatcher: Int64, _ state: inout State) {
        guard let id, id > state.cursors[dispatcher] ?? -1 else { return }
        state.cursors[dispatcher] = id
        state.changed.insert(dispatcher)
    }

    /// Writes down how far each dispatcher has got.
    func saveCursors() async {
        let changed = state.withLock { state in
            // Who is live lacks nothing; what was for others need not be looked through when it comes back.
            for viewer in state.viewers.values where viewer.isLive { Self.sent(state.lastPublished, to: viewer.dispatcher, &state) }
            defer { state.changed = [] }
            return state.changed.map { ($0, state.cursors[$0] ?? 0) }
        }
        guard !changed.isEmpty else { return }
        do {
            try await database.transaction { connection in
                for (dispatcher, last) in changed {
                    try connection.execute(
                        """
                        INSERT INTO dispatcher_cursors (dispatcher_id, last_id) VALUES (?, ?)
                        ON CONFLICT (dispatcher_id) DO UPDATE SET last_id = excluded.last_id
                        """, [.int(dispatcher), .int(last)])
                }
            }
        } catch {
            log.error("dispatcher cursors can't be written", ["error": .describing(error)])
        }
    }

    // MARK: WebSockets

    /// What a console asks for; throws a `Problem` that names the parameter.
    static func parameters(_ request: HTTPRequest) throws(Problem) -> (dispatcher: Int64, after: Int64?) {
        guard let dispatcher = try Query(request).integer("dispatcher_id", in: 0...maximumID) else {
            throw .invalid("dispatcher_id", "dispatcher_id is needed: whose feed it is")
        }
        return (dispatcher, try Query(request).integer("after", in: 0...maximumID))
    }

    func opened(_ connection: WebSocketConnection, request: HTTPRequest) {
        guard let wish = try? Self.parameters(request) else { return connection.close(code: 1008, reason: "dispatcher_id") }
        state.withLock { $0.viewers[connection.id] = Viewer(connection: connection, dispatcher: wish.dispatcher) }
        Task { await self.catchUp(connection, wish.dispatcher, after: wish.after) }
    }

    func text(_ connection: WebSocketConnection, _ message: [UInt8]) {}

    func binary(_ connection: WebSocketConnection, _ message: [UInt8]) {}

    func closed(_ connection: WebSocketConnection, _ closure: WebSocketClosure) {
        state.withLock { $0.viewers[connection.id] = nil }
    }

    private func catchUp(_ connection: WebSocketConnection, _ dispatcher: Int64, after: Int64?) async {
        do {
            var last = after ?? firstPlace(of: dispatcher)
            let pruned = try await database.run {
                try $0.first("SELECT value FROM counters WHERE name = 'events_pruned'")?.int("value") ?? 0
            }
            if last < pruned {
                connection.send(text: JSONValue.object(["type": "gap", "first": .int(pruned + 1)]).encoded())
                last = pruned
            }
            while !becomesLive(connection, at: last) {
                let from = last
                let (rows, end) = try await database.run { try EventStore.page(of: dispatcher, after: from, Self.pageSize, $0) }
                for row in rows { send(row, to: connection, dispatcher) }
                last = rows.count < Self.pageSize ? max(last, end) : rows.last?.int("id") ?? end
                guard state.withLock({ $0.viewers[connection.id] != nil }) else { return }
                while connection.waitingBytes > Self.waitingMax { try await Task.sleep(for: .milliseconds(20)) }
            }
        } catch {
            log.error("the feed can't be read", ["dispatcher_id": .int(dispatcher), "error": .describing(error)])
            connection.close(code: 1011, reason: "the feed can't be read")
        }
    }

    /// Behind the last event that was sent to this dispatcher; for a new one, behind all there is.
    private func firstPlace(of dispatcher: Int64) -> Int64 {
        state.withLock { state in
            if let last = state.cursors[dispatcher] { return last }
            Self.sent(state.lastPublished, to: dispatcher, &state)
            return state.lastPublished
        }
    }

    private func becomesLive(_ connection: WebSocketConnection, at last: Int64) -> Bool {
        state.withLock { state in
            guard last >= state.lastPublished else { return false }
            state.viewers[connection.id]?.isLive = true
            if let viewer = state.viewers[connection.id] { Self.sent(state.lastPublished, to: viewer.dispatcher, &state) }
            return true
        }
    }

    private func send(_ row: Row, to connection: WebSocketConnection, _ dispatcher: Int64) {
        guard let id = row.int("id"), let data = try? JSONValue(parsing: Array((row.text("data") ?? "").utf8)) else { return }
        let text = FeedEvent.text(id: id, kind: row.text("type") ?? "", gid: row.int("gid") ?? 0, atMs: row.int("at_ms") ?? 0, data: data)
        if connection.send(text: text) { state.withLock { Self.sent(id, to: dispatcher, &$0) } }
    }
}
