import JSON
import Talk

/// A request to the AudioBridge plugin (DEVICES.md, "A. Janus API"), its fields read and checked.
public enum AudioBridgeRequest: Sendable, Equatable {
    /// What a join and a change of rooms say.
    public struct Join: Sendable, Equatable {
        /// The group.
        public var room: GroupID
        /// Nil: the door makes one up.
        public var id: UserID?
        /// The name to show.
        public var display: String?
        /// What the room asks for to let somebody in, where it does.
        public var pin: String?
        /// The pass, where the room asks for one.
        public var token: String?
        /// A plain-RTP device's side; nil: no media of its own.
        public var rtp: RTP?
        /// Speaks of the floor by `floor` requests and events.
        public var floor: Bool
        /// Waits in the queue unless a request says otherwise.
        public var queue: Bool
        /// Never asks for the floor.
        public var listenOnly: Bool
        /// In an open room: says nothing until `configure` unmutes it.
        public var muted: Bool
        /// Hears both streams of a dual floor.
        public var dual: Bool
        /// `all`, `floor` or `none`.
        public var events: String?
    }
    /// A plain-RTP device's side.
    public struct RTP: Sendable, Equatable {
        /// Where it wants its media; together with the port.
        public var ip: String?
        /// 1…65535.
        public var port: UInt16?
        /// Of the Opus that it sends and wants, 0…127.
        public var payloadType: UInt8
        /// The header extension id of RFC 6464 audio levels; 0: none.
        public var levelExtension: UInt8
        /// Opus in-band FEC is in what it sends.
        public var fec: Bool
        /// Floor control by RTCP APP `MCPT`.
        public var floorByRTCP: Bool
        /// The suite and key that it sends SRTP with (RFC 4568); nil: plain RTP.
        public var srtp: SRTP?
    }
    /// A device's SRTP, not looked into here.
    public struct SRTP: Sendable, Equatable {
        /// Such as `AEAD_AES_128_GCM`.
        public var suite: String
        /// `inline:` and base64 of master key and salt.
        public var crypto: String
    }
    /// What is asked of the floor.
    public enum FloorAction: String, Sendable {
        case request, release, position, emergency
        case cancelEmergency = "cancel-emergency"
    }
    /// An administrator's proof: either is enough, and an administrator may give the admin key as `secret`, too.
    public struct Key: Sendable, Equatable {
        /// The room's.
        public var secret: String?
        /// The service's.
        public var adminKey: String?
    }
    /// What `create` and `edit` say of who may administer and join; nil: nothing.
    public struct Locks: Sendable, Equatable {
        /// The room's secret; an empty one is none, as in Janus.
        public var secret: String?
        /// What joins must know; an empty one: nothing any more.
        public var pin: String?
    }

    case join(Join)
    case changeRoom(Join)
    case configure(muted: Bool?, display: String?)
    case leave
    case hangup
    case floor(FloorAction, priority: UInt8, uid: UserID?, queue: Bool?)
    case create(room: GroupID?, description: String?, mode: RoomMode, locks: Locks, key: Key)
    case edit(room: GroupID, description: String?, locks: Locks, key: Key)
    case destroy(room: GroupID, key: Key)
    case exists(room: GroupID)
    case list
    case listParticipants(room: GroupID)
    case allowed(room: GroupID, action: String, tokens: [String], key: Key)
    case kick(room: GroupID, id: UserID?, key: Key)
    case mute(room: GroupID, id: UserID?, muted: Bool, key: Key)
    case suspend(room: GroupID, id: UserID, suspended: Bool, key: Key)
    case resetDecoder
    case forward(room: GroupID, Forward, key: Key)
    case stopForward(room: GroupID, stream: UInt32, key: Key)
    case listForwarders(room: GroupID, key: Key)
    case playFile(room: GroupID, Announcement, key: Key)
    case stopFile(room: GroupID, id: String, key: Key)
    case isPlaying(room: GroupID, id: String, key: Key)
    /// Known, but there is nothing for it here: its name, and what is there in its place.
    case notOffered(String, instead: String)

    /// Whether a body is answered at once (`success`), not by `ack` and an event (Janus AudioBridge documentation).
    public static func isSynchronous(_ body: JSONValue) -> Bool {
        !["join", "changeroom", "configure", "leave", "hangup", "floor"].contains(body["request"]?.string ?? "")
    }

    /// Reads a body.
    /// - Throws: `Refusal` 482…484 that names what is wrong.
    public init(_ body: JSONValue) throws(Refusal) {
        let fields = Body(body)
        guard let name = try fields.text("request") else { throw Refusal(.missingElement, "Missing element (request)") }
        let key = Key(secret: try fields.text("secret"), adminKey: try fields.text("admin_key"))
        switch name {
        case "join": self = .join(try Join(fields))
        case "changeroom": self = .changeRoom(try Join(fields))
        case "configure":
            self = .configure(muted: try fields.flag("muted"), display: try fields.text("display"))
        case "leave": self = .leave
        case "hangup": self = .hangup
        case "floor": self = try AudioBridgeRequest.floor(fields)
        case "create":
            guard let mode = RoomMode(rawValue: try fields.text("mode") ?? "ptt") else {
                throw Refusal(.invalidElement, "Invalid element (mode must be ptt or open)")
            }
            // Here `secret` is the new room's own: only the admin key proves anything.
            self = .create(
                room: try fields.optionalRoom(), description: try fields.text("description"), mode: mode,
                locks: Locks(secret: key.secret, pin: try fields.text("pin")), key: key)
        case "edit":
            let locks = Locks(secret: try fields.text("new_secret"), pin: try fields.text("new_pin"))
            self = .edit(room: try fields.room(), description: try fields.text("new_description"), locks: locks, key: key)
        case "destroy": self = .destroy(room: try fields.room(), key: key)
        case "exists": self = .exists(room: try fields.room())
        case "list": self = .list
        case "listparticipants": self = .listParticipants(room: try fields.room())
        case "allowed":
            let action = try fields.text("action") ?? ""
            guard ["enable", "disable", "add", "remove"].contains(action) else {
                throw Refusal(.invalidElement, "Invalid element (action must be enable, disable, add or remove)")
            }
            self = .allowed(room: try fields.room(), action: action, tokens: try fields.texts("allowed"), key: key)
        case "kick": self = .kick(room: try fields.room(), id: try fields.user(), key: key)
        case "kick_all": self = .kick(room: try fields.room(), id: nil, key: key)
        case "mute", "unmute": self = .mute(room: try fields.room(), id: try fields.user(), muted: name == "mute", key: key)
        case "mute_room", "unmute_room": self = .mute(room: try fields.room(), id: nil, muted: name == "mute_room", key: key)
        case "suspend", "resume":
            self = .suspend(room: try fields.room(), id: try fields.user(), suspended: name == "suspend", key: key)
        case "resetdecoder": self = .resetDecoder
        case "rtp_forward": self = .forward(room: try fields.room(), try Forward(fields), key: key)
        case "stop_rtp_forward":
            guard let stream = try fields.integer("stream_id", in: 0...Int64(UInt32.max)) else {
                throw Refusal(.missingElement, "Missing element (stream_id)")
            }
            self = .stopForward(room: try fields.room(), stream: UInt32(stream), key: key)
        case "listforwarders": self = .listForwarders(room: try fields.room(), key: key)
        case "play_file": self = .playFile(room: try fields.room(), try Announcement(fields), key: key)
        case "stop_file": self = .stopFile(room: try fields.room(), id: try fields.needed("file_id"), key: key)
        case "is_playing": self = .isPlaying(room: try fields.room(), id: try fields.needed("file_id"), key: key)
        case "enable_recording", "enable_mjrs":
            let instead = "every talk is always recorded, as an MP3 of its own: the back office lists them at /v1/talks?gid= with file_url"
            self = .notOffered(name, instead: instead)
        case "stop_all_files", "listannouncements":
            self = .notOffered(name, instead: "announcements are asked after and stopped one by one, by is_playing and stop_file")
        default: throw Refusal(.invalidRequest, "Unknown request '\(name)'")
        }
    }

    /// What an administrator's request proves itself by, and the room that it is about where it names one; nil for everybody's requests.
    public var administration: (room: GroupID?, key: Key)? {
        switch self {
        case .create(let room, _, _, _, let key): (room, key)
        case .edit(let room, _, _, let key), .destroy(let room, let key), .allowed(let room, _, _, let key), .kick(let room, _, let key),
            .mute(let room, _, _, let key), .suspend(let room, _, _, let key), .forward(let room, _, let key),
            .stopForward(let room, _, let key), .listForwarders(let room, let key), .playFile(let room, _, let key),
            .stopFile(let room, _, let key), .isPlaying(let room, _, let key):
            (room, key)
        default: nil
        }
    }

    private static func floor(_ fields: Body) throws(Refusal) -> AudioBridgeRequest {
        guard let word = try fields.text("action") else { throw Refusal(.missingElement, "Missing element (action)") }
        guard let action = FloorAction(rawValue: word) else {
            throw Refusal(
                .invalidElement, "Invalid element (action must be request, release, position, emergency or cancel-emergency)")
        }
        let priority = try fields.integer("priority", in: 0...255) ?? 0
        let uid = try fields.integer("id", in: 1...maximumID).flatMap { UserID($0) }
        return .floor(action, priority: UInt8(priority), uid: uid, queue: try fields.flag("queue"))
    }
}

extension AudioBridgeRequest.Join {
    fileprivate init(_ fields: Body) throws(Refusal) {
        room = try fields.room()
        id = try fields.integer("id", in: 1...maximumID).flatMap { UserID($0) }
        display = try fields.text("display")
        pin = try fields.text("pin")
        token = try fields.text("token")
        floor = try fields.flag("floor") ?? false
        queue = try fields.flag("queue") ?? true
        listenOnly = try fields.flag("listen_only") ?? false
        dual = try fields.flag("dual") ?? false
        muted = try fields.flag("muted") ?? false
        events = try fields.text("events")
        if let events, !["all", "floor", "none"].contains(events) {
            throw Refusal(.invalidElement, "Invalid element (events must be all, floor or none)")
        }
        rtp = try fields.nested("rtp").map(AudioBridgeRequest.RTP.init)
    }
}

extension AudioBridgeRequest.RTP {
    fileprivate init(_ fields: Body) throws(Refusal) {
        ip = try fields.text("ip")
        port = try fields.integer("port", in: 1...65_535).map { UInt16($0) }
        guard (ip == nil) == (port == nil) else { throw Refusal(.missingElement, "Missing element (rtp.\(ip == nil ? "ip" : "port"))") }
        payloadType = UInt8(try fields.integer("payload_type", in: 0...127) ?? 100)
        guard !(64...95).contains(payloadType) else {
            throw Refusal(.invalidElement, "Invalid element (rtp.payload_type 64…95 can't be told from RTCP, RFC 5761)")
        }
        levelExtension = UInt8(try fields.integer("audiolevel_ext", in: 0...14) ?? 0)
        fec = try fields.flag("fec") ?? false
        let word = try fields.text("floor")
        if let word, word != "rtcp" { throw Refusal(.invalidElement, "Invalid element (rtp.floor must be \"rtcp\")") }
        floorByRTCP = word == "rtcp"
        srtp = try fields.nested("srtp").map { (nested) throws(Refusal) in
            guard let suite = try nested.text("suite") else { throw Refusal(.missingElement, "Missing element (rtp.srtp.suite)") }
            guard let crypto = try nested.text("crypto") else { throw Refusal(.missingElement, "Missing element (rtp.srtp.crypto)") }
            return AudioBridgeRequest.SRTP(suite: suite, crypto: crypto)
        }
    }
}

/// Fields as Janus reads them: strict types, its words for what is wrong.
struct Body {
    let object: [String: JSONValue]
    var path = ""

    init(_ value: JSONValue, path: String = "") { (object, self.path) = (value.object ?? [:], path) }

    private func value(_ name: String) -> JSONValue? { object[name].flatMap { $0.isNull ? nil : $0 } }
    private func wrong(_ name: String, _ type: String) -> Refusal {
        Refusal(.invalidElement, "Invalid element type (\(path)\(name) should be \(type))")
    }

    func text(_ name: String) throws(Refusal) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.string, text.utf8.count <= 1_024 else { throw wrong(name, "a string of at most 1024 bytes") }
        return text
    }
    func needed(_ name: String) throws(Refusal) -> String {
        guard let text = try text(name) else { throw Refusal(.missingElement, "Missing element (\(path)\(name))") }
        return text
    }
    func texts(_ name: String) throws(Refusal) -> [String] {
        guard let value = value(name) else { return [] }
        guard let list = value.array, list.count <= 10_000 else { throw wrong(name, "an array of strings") }
        let texts = list.compactMap(\.string)
        guard texts.count == list.count else { throw wrong(name, "an array of strings") }
        return texts
    }
    func flag(_ name: String) throws(Refusal) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let flag = value.bool else { throw wrong(name, "a boolean") }
        return flag
    }
    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
        guard let value = value(name) else { return nil }
        guard case .int(let number) = value, range.contains(number) else {
            throw wrong(name, "an integer in \(range.lowerBound)…\(range.upperBound)")
        }
        return number
    }
    func nested(_ name: String) throws(Refusal) -> Body? {
        guard let value = value(name) else { return nil }
        guard value.object != nil else { throw wrong(name, "an object") }
        return Body(value, path: "\(path)\(name).")
    }
    func optionalRoom() throws(Refusal) -> GroupID? { try integer("room", in: 1...maximumID).flatMap { GroupID($0) } }
    func room() throws(Refusal) -> GroupID {
        guard let room = try optionalRoom() else { throw Refusal(.missingElement, "Missing element (room)") }
        return room
    }
    func user() throws(Refusal) -> UserID {
        guard let id = try integer("id", in: 1...maximumID).flatMap({ UserID($0) }) else {
            throw Refusal(.missingElement, "Missing element (id)")
        }
        return id
    }
}
