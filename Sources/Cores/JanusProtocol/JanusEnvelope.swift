import JSON

/// A request of the Janus API, its envelope read and checked.
public struct JanusEnvelope: Sendable {
    /// What is asked of the core.
    public enum Request: String, Sendable, CaseIterable {
        case info, ping, create, claim, destroy, keepalive, attach, detach, hangup, message, trickle
    }

    /// What is asked.
    public var request: Request
    /// Echoed in every answer.
    public var transaction: String
    /// The session, where one was named.
    public var session: Int64?
    /// The handle, where one was named.
    public var handle: Int64?
    /// A session's own number, in `create`.
    public var id: Int64?
    /// In `attach`.
    public var plugin: String?
    /// In `message`.
    public var body: JSONValue?
    /// An SDP that came along.
    public var jsep: JSEP?

    /// A session description and what it is (RFC 9429 §4.1.8).
    public struct JSEP: Sendable, Equatable {
        /// An offer; else an answer.
        public var isOffer: Bool
        /// The text.
        public var sdp: String
        /// A description.
        public init(isOffer: Bool, sdp: String) { (self.isOffer, self.sdp) = (isOffer, sdp) }
    }

    /// What could be read of a request that is no good: enough to answer it.
    public struct Unusable: Error, Sendable {
        /// The answer's text.
        public let answer: JSONValue
    }

    /// Reads a text message.
    /// - Parameters:
    ///   - apiSecret: what `apisecret` must be; nil: nothing is asked.
    ///   - tokens: which `token` are good; nil: none is asked.
    public init(_ text: [UInt8], apiSecret: String?, tokens: Set<String>?) throws(Unusable) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: text)
        } catch {
            throw Unusable(answer: JanusEnvelope.error(.invalidJSON("\(error)"), transaction: nil, session: nil))
        }
        guard value.object != nil else { throw Unusable(answer: JanusEnvelope.error(.notAnObject, transaction: nil, session: nil)) }
        let transaction = value["transaction"]?.string
        let session = JanusEnvelope.number(value["session_id"])
        func fail(_ error: JanusError) -> Unusable {
            Unusable(answer: JanusEnvelope.error(error, transaction: transaction, session: session))
        }
        guard let transaction else { throw fail(value["transaction"] == nil ? .missing("transaction") : .invalidType("transaction")) }
        guard let name = value["janus"]?.string else { throw fail(value["janus"] == nil ? .missing("janus") : .invalidType("janus")) }
        guard let request = Request(rawValue: name) else { throw fail(JanusError(453, "Unknown request '\(name)'")) }
        if request != .info, request != .ping {
            if let apiSecret, value["apisecret"]?.string != apiSecret { throw fail(.unauthorized) }
            if let tokens, !tokens.contains(value["token"]?.string ?? "") { throw fail(.unauthorized) }
        }
        for field in ["session_id", "handle_id"] where value[field] != nil && JanusEnvelope.number(value[field]) == nil {
            throw fail(.invalidType(field))
        }
        (self.request, self.transaction, self.session) = (request, transaction, session)
        handle = JanusEnvelope.number(value["handle_id"])
        id = JanusEnvelope.number(value["id"])
        plugin = value["plugin"]?.string
        body = value["body"]
        do throws(JanusError) {
            jsep = try JanusEnvelope.jsep(value["jsep"])
        } catch {
            throw fail(error)
        }
    }

    private static func jsep(_ value: JSONValue?) throws(JanusError) -> JSEP? {
        guard let value, !value.isNull else { return nil }
        guard value.object != nil else { throw .invalidType("jsep") }
        guard let type = value["type"] else { throw .missing("jsep.type") }
        guard let word = type.string else { throw .invalidType("jsep.type") }
        guard word == "offer" || word == "answer" else { throw JanusError(464, "JSEP error: unknown message type '\(word.prefix(40))'") }
        guard let sdp = value["sdp"]?.string else { throw value["sdp"] == nil ? .missing("jsep.sdp") : .invalidType("jsep.sdp") }
        return JSEP(isOffer: word == "offer", sdp: sdp)
    }

    /// Ids are JSON numbers, never strings (Janus API).
    private static func number(_ value: JSONValue?) -> Int64? {
        if case .int(let number)? = value, number > 0 { return number }
        return nil
    }

    /// The answer of a request that failed.
    public static func error(_ error: JanusError, transaction: String?, session: Int64?) -> JSONValue {
        var members: [String: JSONValue] = [
            "janus": "error", "error": ["code": .int(Int64(error.code)), "reason": .string(error.reason)],
        ]
        members["transaction"] = transaction.map { .string($0) }
        members["session_id"] = session.map { .int($0) }
        return .object(members)
    }
}
