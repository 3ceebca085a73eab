import JSON
import Talk

/// What the back office asks of the media service (`msg_type` 2, MESSAGES.md §1).
public struct SignalRequest: Sendable, Equatable {
    /// The body, by `signal_type`.
    public enum Body: Sendable, Equatable {
        /// 1: opens a room.
        case create(name: String, mode: RoomMode, options: GroupOptions)
        /// 2: closes it.
        case destroy
        /// 3: changes the role of somebody who is in the room.
        case alterParticipant(UserID, Role)
        /// 4: renames the group or changes its options.
        case alterGroup(name: String?, options: GroupOptions?)
        /// 5: puts somebody out of the room.
        case removeParticipant(UserID)
        /// 6: ends one user's emergency, or (nil) everybody's.
        case cancelEmergency(UserID?)
    }

    /// Echoed in the response; says nothing else.
    public let ip: String
    /// The group that this is about.
    public let gid: GroupID
    /// Who asked, for the log.
    public let dispatcher: Int64
    /// What is asked.
    public let body: Body
    /// What `create` and `alterGroup` of a door set besides: no request on Kafka bears it, and no response.
    public var locks = RoomLocks.Change()
    /// The fields as they go back in the response, integers as numbers.
    private(set) var echo: [String: JSONValue]

    /// A request to send.
    public init(gid: GroupID, dispatcher: Int64, body: Body, ip: String = "127.0.0.1") {
        (self.gid, self.dispatcher, self.body, self.ip) = (gid, dispatcher, body, ip)
        var fields: [String: JSONValue] = ["gid": .id(gid), "dispatcher_id": .int(dispatcher)]
        switch body {
        case .create(let name, let mode, let options):
            fields["group_name"] = .string(name)
            if mode != .ptt { fields["mode"] = .string(mode.rawValue) }
            if options != GroupOptions() { fields["options"] = options.json }
        case .destroy: break
        case .alterParticipant(let uid, let role):
            fields["uid"] = .id(uid)
            fields["role"] = .int(Int64(role.rawValue))
        case .alterGroup(let name, let options):
            fields["group_name"] = name.map { .string($0) }
            fields["options"] = options?.json
        case .removeParticipant(let uid): fields["uid"] = .id(uid)
        case .cancelEmergency(let uid): fields["uid"] = uid.map { .id($0) }
        }
        echo = fields
    }

    /// 1…6.
    public var signalType: Int64 {
        switch body {
        case .create: 1
        case .destroy: 2
        case .alterParticipant: 3
        case .alterGroup: 4
        case .removeParticipant: 5
        case .cancelEmergency: 6
        }
    }

    /// The name of each type's body, without `_req` and `_resp`.
    static let names: [Int64: String] = [
        1: "create_group", 2: "destroy_group", 3: "alter_participant", 4: "alter_group", 5: "remove_participant", 6: "cancel_emergency",
    ]

    /// The record's value.
    public var encoded: [UInt8] {
        let name = SignalRequest.names[signalType] ?? ""
        return JSONValue.object([
            "msg_type": 2, "ip": .string(ip),
            "signal_msg": ["signal_type": .int(signalType), .init("\(name)_req"): .object(echo)],
        ]).encoded()
    }

    /// The answer to this request.
    public func response(_ code: ResultCode, _ message: String? = nil) -> SignalResponse {
        var fields = echo
        if signalType == 1 { fields["res_code"] = .int(Int64(code.rawValue)) }
        return SignalResponse(
            ip: ip, gid: gid.value, signalType: signalType, fields: fields, code: code,
            message: message ?? "command executed successfully")
    }
}

/// What a record on the request topic turned out to be.
public enum SignalReading: Sendable, Equatable {
    /// A request to carry out.
    case request(SignalRequest)
    /// Meant for others (another `msg_type`), or a tombstone.
    case ignored
    /// Can't be carried out: goes to the dead letters, and is answered where it has a `gid`.
    case bad(reason: String, answer: SignalResponse?)
}

extension SignalRequest {
    /// Reads a record of the request topic. Never fails: what is wrong is in the reading.
    public static func read(_ value: [UInt8]?) -> SignalReading {
        guard let value else { return .ignored }
        let message: JSONValue
        do {
            message = try JSONValue(parsing: value)
        } catch {
            return .bad(reason: "\(error)", answer: nil)
        }
        guard let envelope = message.object else { return .bad(reason: "not a JSON object", answer: nil) }
        guard let type = envelope["msg_type"]?.integer else { return .bad(reason: "no usable msg_type", answer: nil) }
        guard type == 2 else { return .ignored }
        let ip = envelope["ip"]?.string ?? ""
        guard let signal = envelope["signal_msg"]?.object else {
            return .bad(reason: "missing element (signal_msg)", answer: nil)
        }
        if signal["res"] != nil, !signal.keys.contains(where: { $0.hasSuffix("_req") }) { return .ignored }
        return read(signal, ip: ip)
    }

    private static func read(_ signal: [String: JSONValue], ip: String) -> SignalReading {
        let type = signal["signal_type"]?.integer
        let requests = signal.filter { $0.key.hasSuffix("_req") }
        let named = type.flatMap { names[$0] }.flatMap { requests["\($0)_req"]?.object }
        let gid = (named ?? (requests.count == 1 ? requests.first?.value.object : nil))?["gid"]?.integer
        func bad(_ refusal: Refusal, known: [String: JSONValue] = [:]) -> SignalReading {
            guard let gid else { return .bad(reason: refusal.message, answer: nil) }
            let unnamed = type.flatMap { names[$0] } == nil
            var fields = known
            fields["gid"] = .int(gid)
            if type == 1 { fields["res_code"] = .int(Int64(refusal.code.rawValue)) }
            let answer = SignalResponse(
                ip: ip, gid: gid, signalType: type, fields: unnamed ? [:] : fields, code: refusal.code, message: refusal.message)
            return .bad(reason: refusal.message, answer: answer)
        }
        guard let given = signal["signal_type"], !given.isNull else {
            return bad(Refusal(.missingElement, "missing element (signal_msg.signal_type)"))
        }
        guard let type else { return bad(Refusal(.invalidElement, "invalid element (signal_msg.signal_type must be an integer)")) }
        guard let name = names[type] else { return bad(Refusal(.invalidRequest, "unknown signal_type \(type)")) }
        guard let body = named else {
            return bad(
                requests["\(name)_req"] == nil
                    ? Refusal(.missingElement, "missing element (signal_msg.\(name)_req)")
                    : Refusal(.invalidElement, "invalid element (signal_msg.\(name)_req must be an object)"))
        }
        do throws(Refusal) {
            let fields = Fields(body, at: "signal_msg.\(name)_req")
            let gid = try fields.group()
            let dispatcher = try fields.integer("dispatcher_id", in: 0...maximumID)
            var request = SignalRequest(gid: gid, dispatcher: dispatcher, body: try Body(type, fields), ip: ip)
            if type == 1 { request.echo["mode"] = try fields.optionalString("mode").map { .string($0) } }
            return .request(request)
        } catch {
            return bad(error, known: body.compactMapValues(\.scalar))
        }
    }
}

extension SignalRequest.Body {
    fileprivate init(_ type: Int64, _ fields: Fields) throws(Refusal) {
        switch type {
        case 1:
            let name = try fields.string("group_name")
            let word = try fields.optionalString("mode")
            guard let mode = RoomMode(rawValue: word ?? "ptt") else { throw fields.invalid("mode", "must be \"ptt\" or \"open\"") }
            self = .create(name: name, mode: mode, options: try fields.optionalFields("options").map(GroupOptions.init) ?? GroupOptions())
        case 2: self = .destroy
        case 3: self = .alterParticipant(try fields.user(), try fields.role())
        case 4:
            let name = try fields.optionalString("group_name")
            self = .alterGroup(name: name, options: try fields.optionalFields("options").map(GroupOptions.init))
        case 5: self = .removeParticipant(try fields.user())
        default: self = .cancelEmergency(try fields.optionalInteger("uid", in: 1...maximumID).flatMap { UserID($0) })
        }
    }
}

extension Fields {
    fileprivate func role() throws(Refusal) -> Role {
        guard let role = Role(rawValue: Int(try integer("role", in: 0...2))) else { throw invalid("role", "must be 0, 1 or 2") }
        return role
    }
}

extension JSONValue {
    /// A string, number or truth value, as it goes back in an answer; nil for what is nested.
    fileprivate var scalar: JSONValue? {
        switch self {
        case .string(let text): text.utf8.count <= 256 ? self : nil
        case .int, .double, .bool: self
        default: nil
        }
    }
}
