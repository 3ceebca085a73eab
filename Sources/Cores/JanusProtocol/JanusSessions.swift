import JSON

/// Sessions and handles of the Janus API: who is attached through which connection. Inputs and time come in, actions come out.
public struct JanusSessions: Sendable {
    /// What is to be done.
    public enum Action: Sendable, Equatable {
        /// Send this to that connection.
        case reply(connection: UInt64, JSONValue)
        /// A message for the AudioBridge, of this handle.
        case message(handle: Int64, transaction: String, body: JSONValue?, jsep: JanusEnvelope.JSEP?)
        /// The handle is gone: its participant leaves.
        case detached(Int64)
        /// The handle stops its media: its participant leaves (there is no PeerConnection to hang up).
        case hungUp(Int64)
        /// The handle's socket broke.
        case orphaned(Int64)
        /// It is back.
        case claimed(Int64)
    }

    struct Session: Sendable {
        var connection: UInt64?
        var handles: Set<Int64> = []
        var lastSeenNs: Int64
    }

    private var sessions: [Int64: Session] = [:]
    private var owners: [Int64: Int64] = [:]
    private var byConnection: [UInt64: Set<Int64>] = [:]
    private let timeoutNs: Int64
    private let sessionsMax: Int
    private let handlesMax: Int
    /// What `info` says.
    private let info: JSONValue
    /// The last tenth of all places is for connections that have no more than so many: who takes all they can get shuts nobody else out.
    static let modest = 100
    /// The one plugin.
    public static let audioBridge = "janus.plugin.audiobridge"

    /// No session.
    /// - Parameters:
    ///   - timeoutMs: a session that is silent for so long is closed; 0: never.
    ///   - sessionsMax: sessions at once.
    ///   - handlesMax: handles at once.
    public init(timeoutMs: Int, sessionsMax: Int = 100_000, handlesMax: Int = 200_000, version: String) {
        timeoutNs = Int64(timeoutMs) * 1_000_000
        (self.sessionsMax, self.handlesMax) = (sessionsMax, handlesMax)
        info = [
            "name": "Talkburst", "version_string": .string(version), "session-timeout": .int(Int64(timeoutMs / 1_000)),
            "data_channels": false, "plugins": .object([JanusSessions.audioBridge: ["name": "Talkburst AudioBridge"]]),
        ]
    }

    /// The connection of a handle; nil while it is away.
    public func connection(of handle: Int64) -> UInt64? { owners[handle].flatMap { sessions[$0]?.connection } }
    /// The session of a handle.
    public func session(of handle: Int64) -> Int64? { owners[handle] }
    /// How many handles there are.
    public var handleCount: Int { owners.count }

    /// Takes a request of a connection.
    public mutating func handle(_ envelope: JanusEnvelope, from connection: UInt64, now: Int64, random: inout some RandomNumberGenerator)
        -> [Action]
    {
        do throws(JanusError) {
            return try perform(envelope, connection, now, &random)
        } catch {
            return [
                .reply(connection: connection, JanusEnvelope.error(error, transaction: envelope.transaction, session: envelope.session))
            ]
        }
    }

    private mutating func perform(
        _ envelope: JanusEnvelope, _ connection: UInt64, _ now: Int64, _ random: inout some RandomNumberGenerator
    ) throws(JanusError) -> [Action] {
        func reply(_ word: String, _ members: [String: JSONValue] = [:]) -> Action {
            var members = members
            members["janus"] = .string(word)
            members["transaction"] = .string(envelope.transaction)
            members["session_id"] = envelope.session.map { .int($0) }
            return .reply(connection: connection, .object(members))
        }
        switch envelope.request {
        case .info: return [reply("server_info", info.object ?? [:])]
        case .ping: return [reply("pong")]
        case .create:
            guard envelope.session == nil else { throw .invalidPath }
            let id = try create(envelope.id, connection, now, &random)
            return [reply("success", ["data": ["id": .int(id)]])]
        default: break
        }
        guard let id = envelope.session else { throw .missing("session_id") }
        guard sessions[id] != nil else { throw .noSession(id) }
        if envelope.request == .claim { return claim(id, connection, now) + [reply("success")] }
        // A session belongs to the connection that made or claimed it.
        guard sessions[id]?.connection == connection else { throw .noSession(id) }
        sessions[id]?.lastSeenNs = now
        switch envelope.request {
        case .keepalive: return [reply("ack")]
        case .destroy: return close(id) + [reply("success")]
        case .attach:
            guard let plugin = envelope.plugin else { throw .missing("plugin") }
            guard plugin == JanusSessions.audioBridge else { throw .noPlugin(plugin) }
            guard isRoom(for: connection, in: owners.count, of: handlesMax, has: { handleCount(of: connection) }) else { throw .tooMany }
            let handle = fresh(&random) { owners[$0] == nil && sessions[$0] == nil }
            owners[handle] = id
            sessions[id]?.handles.insert(handle)
            return [reply("success", ["data": ["id": .int(handle)]])]
        default: break
        }
        guard let handle = envelope.handle else { throw .missing("handle_id") }
        guard owners[handle] == id else { throw .noHandle(handle, id) }
        switch envelope.request {
        case .detach:
            forget(handle)
            return [.detached(handle), reply("success")]
        case .hangup: return [.hungUp(handle), reply("success")]
        // A lite agent makes no checks of its own: it learns where the peer is from the peer's (RFC 8445 §2.5).
        case .trickle: return [reply("ack")]
        default:
            guard let body = envelope.body else { throw .missing("body") }
            guard body.object != nil else { throw .invalidType("body") }
            return [.message(handle: handle, transaction: envelope.transaction, body: body, jsep: envelope.jsep)]
        }
    }

    private mutating func create(_ wanted: Int64?, _ connection: UInt64, _ now: Int64, _ random: inout some RandomNumberGenerator)
        throws(JanusError) -> Int64
    {
        guard isRoom(for: connection, in: sessions.count, of: sessionsMax, has: { byConnection[connection]?.count ?? 0 }) else {
            throw .tooMany
        }
        if let wanted, sessions[wanted] != nil { throw .conflict }
        let id = wanted ?? fresh(&random) { sessions[$0] == nil && owners[$0] == nil }
        sessions[id] = Session(connection: connection, lastSeenNs: now)
        byConnection[connection, default: []].insert(id)
        return id
    }

    private func isRoom(for connection: UInt64, in count: Int, of limit: Int, has own: () -> Int) -> Bool {
        count < limit - limit / 10 || (count < limit && own() < JanusSessions.modest)
    }

    private func handleCount(of connection: UInt64) -> Int {
        (byConnection[connection] ?? []).reduce(0) { $0 + (sessions[$1]?.handles.count ?? 0) }
    }

    private mutating func claim(_ id: Int64, _ connection: UInt64, _ now: Int64) -> [Action] {
        if let old = sessions[id]?.connection { byConnection[old]?.remove(id) }
        sessions[id]?.connection = connection
        sessions[id]?.lastSeenNs = now
        byConnection[connection, default: []].insert(id)
        return (sessions[id]?.handles ?? []).sorted().map { .claimed($0) }
    }

    /// A connection broke: its sessions may be claimed until they time out.
    public mutating func closed(connection: UInt64) -> [Action] {
        var actions: [Action] = []
        for id in (byConnection.removeValue(forKey: connection) ?? []).sorted() {
            sessions[id]?.connection = nil
            actions += (sessions[id]?.handles ?? []).sorted().map { .orphaned($0) }
        }
        return actions
    }

    /// Closes sessions that were silent for too long, and tells them.
    public mutating func tick(now: Int64) -> [Action] {
        guard timeoutNs > 0 else { return [] }
        var actions: [Action] = []
        for (id, session) in sessions where now - session.lastSeenNs > timeoutNs {
            if let connection = session.connection {
                actions.append(.reply(connection: connection, ["janus": "timeout", "session_id": .int(id)]))
            }
            actions += close(id)
        }
        return actions
    }

    private mutating func close(_ id: Int64) -> [Action] {
        guard let session = sessions.removeValue(forKey: id) else { return [] }
        if let connection = session.connection { byConnection[connection]?.remove(id) }
        for handle in session.handles { owners[handle] = nil }
        return session.handles.sorted().map { .detached($0) }
    }

    private mutating func forget(_ handle: Int64) {
        guard let id = owners.removeValue(forKey: handle) else { return }
        sessions[id]?.handles.remove(handle)
    }

    /// 53 random bits, as JavaScript's numbers are exact to.
    private func fresh(_ random: inout some RandomNumberGenerator, isFree: (Int64) -> Bool) -> Int64 {
        while true {
            let id = Int64.random(in: 1...9_007_199_254_740_991, using: &random)
            if isFree(id) { return id }
        }
    }
}
