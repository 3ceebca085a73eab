/// The outcome of a request, with AudioBridge's numbers, so that one list serves Kafka and the doors (MESSAGES.md §1).
public struct ResultCode: RawRepresentable, Hashable, Sendable {
    /// The number as it stands on the wire.
    public let rawValue: Int
    /// A code by its number.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Done.
    public static let ok = ResultCode(rawValue: 0)
    /// The text is not JSON (at the Janus door only).
    public static let invalidJSON = ResultCode(rawValue: 481)
    /// No such request.
    public static let invalidRequest = ResultCode(rawValue: 482)
    /// A field that is needed is not there.
    public static let missingElement = ResultCode(rawValue: 483)
    /// A field has a value that can't be.
    public static let invalidElement = ResultCode(rawValue: 484)
    /// There is no room of this number.
    public static let noSuchRoom = ResultCode(rawValue: 485)
    /// A room of this number is there, with another name or dispatcher.
    public static let roomExists = ResultCode(rawValue: 486)
    /// The person is not in the room.
    public static let notJoined = ResultCode(rawValue: 487)
    /// Not allowed.
    public static let unauthorized = ResultCode(rawValue: 489)
    /// Somebody of this number is in the room, and takeover is off.
    public static let idExists = ResultCode(rawValue: 490)
    /// This handle is in a room already.
    public static let alreadyJoined = ResultCode(rawValue: 491)
    /// There is no such user.
    public static let noSuchUser = ResultCode(rawValue: 492)
    /// Anything else that went wrong here.
    public static let unknown = ResultCode(rawValue: 499)
    /// Not this node, or not ready yet: try again.
    public static let notReady = ResultCode(rawValue: 503)
}

/// A request that can't be carried out: its code and what is wrong, for the person who reads it.
public struct Refusal: Error, Sendable, Equatable {
    /// The code that the requester gets.
    public let code: ResultCode
    /// What is wrong, naming the field, group or user.
    public let message: String
    /// A refusal of this code and words.
    public init(_ code: ResultCode, _ message: String) {
        self.code = code
        self.message = message
    }
}
