/// An error of the Janus core, with its number (Janus, apierror.h).
public struct JanusError: Error, Sendable, Equatable {
    /// 403…490.
    public let code: Int
    /// What is wrong, for a person.
    public let reason: String
    /// An error.
    public init(_ code: Int, _ reason: String) { (self.code, self.reason) = (code, reason) }

    /// A wrong `token`, too. 405 is for a good one that may not use a plugin: here there is one plugin, and a good token is good for it.
    static let unauthorized = JanusError(403, "Unauthorized request (wrong or missing secret/token)")
    static func invalidJSON(_ why: String) -> JanusError { JanusError(454, "Invalid JSON: \(why)") }
    static let notAnObject = JanusError(455, "Not a JSON object")
    static func missing(_ name: String) -> JanusError { JanusError(456, "Missing mandatory element (\(name))") }
    static let invalidPath = JanusError(457, "Unhandled request at this path")
    static func noSession(_ id: Int64) -> JanusError { JanusError(458, "No such session \(id)") }
    static func noHandle(_ id: Int64, _ session: Int64) -> JanusError { JanusError(459, "No such handle \(id) in session \(session)") }
    static func noPlugin(_ name: String) -> JanusError { JanusError(460, "No such plugin '\(name)'") }
    static func invalidType(_ name: String) -> JanusError { JanusError(467, "Invalid element type (\(name))") }
    static let conflict = JanusError(468, "Session ID already in use")
    static let tooMany = JanusError(472, "Too many sessions or handles: try again later")
}
