import Floor
import JSON
import JanusProtocol
import MediaPlane
import Messages
import Reactor
import Room
import SDP
import Synchronization
import Talk
import Telemetry
import Web

/// Where rooms are made, changed and closed: the owner of their records. Called by the door for AudioBridge's `create`, `edit` and `destroy`.
public protocol RoomAdministration: Sendable {
    /// Carries a request out; `then` is called once, on any thread.
    func carryOut(_ request: SignalRequest, then: @escaping @Sendable (ResultCode, String) -> Void)
}

/// How door A listens and whom it believes.
public struct JanusSettings: Sendable {
    /// What `apisecret` must be; nil: nothing is asked.
    public var apiSecret: String?
    /// Which `token` are good; nil: none is asked.
    public var tokens: Set<String>?
    /// What administration of rooms asks for; nil: there is none through this door.
    public var adminKey: String?
    /// The folder of files that `play_file` may play; nil: none.
    public var announcements: String?
    /// Silence after which a session is closed, ms.
    public var sessionTimeoutMs = 60_000
    /// In rooms of more, `joined` lists only so many.
    public var notifyMax = 50
    /// Told in `info`.
    public var version: String
    /// Joins without an id get a random one.
    public var randomIDs = true
    /// Settings with defaults.
    public init(version: String) { self.version = version }
}

/// Door A: the Janus API with the AudioBridge plugin over WebSocket. It translates between clients and the media plane; it decides nothing.
///
/// Requests come on its web server's thread and go to the worker as values; what comes back is put into words on that same thread, so that
/// the worker does not wait for JSON, and an answer crosses to one thread and no more.
public final class JanusDoor: Sendable {
    let settings: JanusSettings
    let plane: MediaPlane
    let administration: any RoomAdministration
    let log: Logger
    /// The admin key, kept so that a comparison with it tells nothing by its time; nil: nobody has it.
    let adminKey: KeptSecret?
    let state: Mutex<DoorState>
    private let inbox = Mutex(Inbox())

    /// What the media plane said and nobody has heard yet.
    private struct Inbox: Sendable {
        var events: [DoorEvent] = []
        /// Whose thread hears it; nil before `serve` and after `close`.
        var server: WebServer?
    }

    /// Opens the door; `endpoint` is to be given to a web server.
    public init(_ settings: JanusSettings, plane: MediaPlane, administration: any RoomAdministration, log: Logger) {
        (self.settings, self.plane, self.administration, self.log) = (settings, plane, administration, log)
        adminKey = settings.adminKey.flatMap { KeptSecret($0) }
        state = Mutex(DoorState(settings))
    }

    /// From now on the door lives on this server's thread. To be called once, with the server that has ``endpoint``.
    public func serve(on server: WebServer) {
        inbox.withLock { $0.server = server }
        server.post { [self] in hear() }
        // Not for each event: all sessions are looked at, and there may be a hundred thousand.
        server.repeatEverySecond { [weak self] in self?.tick() }
    }

    /// Closes the door: what comes from now on is not heard.
    public func close() {
        inbox.withLock { $0 = Inbox() }
    }

    /// The path and subprotocol that Janus clients use.
    public var endpoint: WebSocketEndpoint { WebSocketEndpoint(path: "/", subprotocols: ["janus-protocol"], handler: self) }

    private func tick() {
        let actions = state.withLock { $0.sessions.tick(now: Clocks.monotonicNs()) }
        run(actions)
    }

    /// Runs what the sessions decided; outside the lock but for what it reads.
    func run(_ actions: [JanusSessions.Action]) {
        for action in actions {
            switch action {
            case .reply(let id, let value): state.withLock { $0.connections[id] }?.send(text: value.encoded())
            case .message(let handle, let transaction, let body, let jsep): message(handle, transaction, body ?? .null, jsep)
            case .detached(let handle):
                leave(handle)
                state.withLock { $0.waiting[handle] = nil }
            case .hungUp(let handle): leave(handle)
            case .orphaned(let handle):
                if let seat = seat(handle) { plane.post(.door(.vanish(seat.room, seat.uid, EndpointID(handle)), token: 0, self)) }
            case .claimed(let handle):
                if let seat = seat(handle) { plane.post(.door(.reclaim(seat.room, seat.uid, EndpointID(handle)), token: 0, self)) }
            }
        }
    }

    func seat(_ handle: Int64) -> Seat? { state.withLock { $0.seats[handle] } }

    /// A handle without media is in no room, and may join again.
    private func leave(_ handle: Int64) {
        guard let seat = state.withLock({ $0.seats.removeValue(forKey: handle) }) else { return }
        plane.post(.door(.leave(seat.room, seat.uid, EndpointID(handle)), token: 0, self))
    }
}

extension EndpointID {
    /// A handle's number as its endpoint.
    init(_ handle: Int64) { self.init(UInt64(bitPattern: handle)) }
    /// The handle.
    var handle: Int64 { Int64(bitPattern: value) }
}

/// Where a handle's participant is.
struct Seat: Sendable {
    var room: GroupID
    var uid: UserID
    var display: String
    /// Gets `floor` events.
    var speaksFloor: Bool
    var usesRTCP: Bool
    /// Stock clients: whether they think that they may talk.
    var wantsFloor = false
    /// Has media by WebRTC.
    var isPeer = false
    /// How its offer names the section of its audio.
    var mid = ""
    /// How many answers it was given.
    var answers = 0
    /// A `floor` request whose answer is the next floor event.
    var asking: String?
}

/// What the door remembers; behind its lock.
struct DoorState: Sendable {
    var sessions: JanusSessions
    var connections: [UInt64: WebSocketConnection] = [:]
    var seats: [Int64: Seat] = [:]
    var pending: [UInt64: Pending] = [:]
    /// What came on a handle that is on its way into a room or out of it, in its order: it is for where the handle is then.
    var waiting: [Int64: [Waiting]] = [:]
    var nextToken: UInt64 = 1
    /// So many requests may wait on a handle.
    static let waitingMax = 64

    init(_ settings: JanusSettings) {
        sessions = JanusSessions(timeoutMs: settings.sessionTimeoutMs, version: settings.version)
    }
    /// A request that the worker has.
    struct Pending: Sendable {
        var handle: Int64
        var transaction: String
        var kind: Kind
    }
    /// A request whose turn has not come.
    struct Waiting: Sendable {
        var transaction: String
        var request: AudioBridgeRequest
        var offer: AudioOffer?
    }
    enum Kind: Sendable {
        case join(Seat, AudioOffer?)
        case changeRoom(Seat)
        case leave
        case configure(AudioOffer?)
        case floor
        /// Carried out where the room's secret proves to be right.
        case administration(AudioBridgeRequest)
        /// Answered by `success` at once; the words that go with it.
        case synchronous(JSONValue)

        /// Whether the handle's place changes by it.
        var isMove: Bool {
            switch self {
            case .join, .changeRoom, .leave: true
            case .configure, .floor, .administration, .synchronous: false
            }
        }
    }

    mutating func expect(_ handle: Int64, _ transaction: String, _ kind: Kind) -> UInt64 {
        let token = nextToken
        nextToken += 1
        pending[token] = Pending(handle: handle, transaction: transaction, kind: kind)
        if kind.isMove { waiting[handle] = [] }
        return token
    }

    /// The envelope around an event's body, for one handle.
    func envelope(_ word: String, _ handle: Int64, transaction: String?) -> (connection: WebSocketConnection, head: String)? {
        guard let session = sessions.session(of: handle), let id = sessions.connection(of: handle), let connection = connections[id]
        else { return nil }
        // The transaction is a client's text: it goes through the encoder.
        let echo = transaction.map { ",\"transaction\":" + JSONValue.string($0).text } ?? ""
        let head =
            "{\"janus\":\"\(word)\",\"session_id\":\(session),\"sender\":\(handle)\(echo),"
            + "\"plugindata\":{\"plugin\":\"\(JanusSessions.audioBridge)\",\"data\":"
        return (connection, head)
    }
}

extension JanusDoor: WebSocketHandler {
    /// A client is there; it makes its session by itself.
    public func opened(_ connection: WebSocketConnection, request: HTTPRequest) {
        state.withLock { $0.connections[connection.id] = connection }
    }

    /// A request of the Janus API.
    public func text(_ connection: WebSocketConnection, _ message: [UInt8]) {
        let envelope: JanusEnvelope
        do throws(JanusEnvelope.Unusable) {
            envelope = try JanusEnvelope(message, apiSecret: settings.apiSecret, tokens: settings.tokens)
        } catch {
            connection.send(text: error.answer.encoded())
            return
        }
        let actions = state.withLock { state in
            var random = SystemRandomNumberGenerator()
            return state.sessions.handle(envelope, from: connection.id, now: Clocks.monotonicNs(), random: &random)
        }
        run(actions)
    }

    /// The Janus API has none.
    public func binary(_ connection: WebSocketConnection, _ message: [UInt8]) {
        connection.close(code: 1003, reason: "the Janus API is text")
    }

    /// Its sessions may be claimed until they time out.
    public func closed(_ connection: WebSocketConnection, _ closure: WebSocketClosure) {
        let actions = state.withLock { state in
            state.connections[connection.id] = nil
            return state.sessions.closed(connection: connection.id)
        }
        run(actions)
    }
}

extension JanusDoor: Door {
    /// Takes the media plane's word over; never waits.
    public func deliver(_ event: DoorEvent) {
        // The first that waits wakes the thread for all.
        let server = inbox.withLock { inbox in
            inbox.events.append(event)
            return inbox.events.count == 1 ? inbox.server : nil
        }
        server?.post { [self] in hear() }
    }

    private func hear() {
        let events = inbox.withLock { inbox in
            defer { inbox.events = [] }
            return inbox.events
        }
        for event in events { handle(event) }
    }
}
