import Floor
import Room
import Talk

/// A door: where participants' signalling comes from. Called on the worker's thread: it only takes the event over.
public protocol Door: AnyObject, Sendable {
    /// Takes an event for its clients.
    func deliver(_ event: DoorEvent)
}

/// What a door is told.
public enum DoorEvent: Sendable {
    /// The answer to its request.
    case answer(token: UInt64, Result<DoorAnswer, Refusal>)
    /// Tell these handles.
    case notice([EndpointID], Notice, GroupID)
    /// Something about a handle's WebRTC peer.
    case link(EndpointID, LinkNews)
    /// This handle is in no room any more, and is told so.
    case ended(EndpointID, Notice, GroupID)
}

/// What happens to a WebRTC peer's media.
public enum LinkNews: Sendable, Equatable {
    /// There are keys: media may flow.
    case isUp
    /// The peer is gone, and why.
    case isDown(String)
    /// Media comes from it, or has not for a while.
    case isReceiving(Bool)
    /// Much is lost of what it hears (`isHeard`), or of what it sends: so many packets.
    case isSlow(isHeard: Bool, lost: Int)
}

/// What a door may ask.
public enum DoorRequest: Sendable {
    /// Joins; answered by `.joined` when the role is known.
    case join(GroupID, Joining, MediaDescription)
    /// Leaves this room and joins that one with the same transport.
    case changeRoom(from: GroupID, to: GroupID, Joining)
    /// Leaves.
    case leave(GroupID, UserID, EndpointID)
    /// The handle's socket broke.
    case vanish(GroupID, UserID, EndpointID)
    /// The handle is back.
    case reclaim(GroupID, UserID, EndpointID)
    /// Changes a name, or how the participant speaks of the floor; with a WebRTC offer answered by `.media`.
    case configure(GroupID, UserID, EndpointID, display: String?, signalling: FloorSignalling?, offer: MediaDescription?)
    /// Something about the floor; answered at once, what comes of it by notices.
    case floor(GroupID, UserID, EndpointID, FloorInput)
    /// Whether there is such a room.
    case exists(GroupID)
    /// All rooms of this node.
    case list
    /// Who is in a room.
    case participants(GroupID)
    /// Puts somebody, or (nil) everybody, out.
    case kick(GroupID, UserID?)
    /// Mutes or unmutes somebody, or (nil) the room.
    case mute(GroupID, UserID?, Bool)
    /// Stops or resumes what somebody hears.
    case suspend(GroupID, UserID, Bool)
    /// Changes the passes that joins need; nil turns them off.
    case passes(GroupID, PassChange)
    /// Where else a room's stream goes, and what is played to it.
    case extra(GroupID, RoomExtra)
    /// Whether a room's secret is this: 485 without the room, 483 where nothing was given and 489 where it is wrong or the room has none.
    case authorize(GroupID, secret: String?)
    /// Counts of this participant's reception start anew.
    case resetDecoder(GroupID, UserID, EndpointID)
}

/// A change of a room's passes (AudioBridge `allowed`).
public enum PassChange: Sendable {
    case enable
    case disable
    case add([String])
    case remove([String])
}

/// What a door gets.
public enum DoorAnswer: Sendable {
    /// In the room now.
    case joined(JoinedInfo)
    /// Done.
    case done
    /// The answer to an offer.
    case media(MediaAnswer)
    /// Whether it is so.
    case exists(Bool)
    /// Rooms, and how many are in each.
    case rooms([(identity: RoomIdentity, participants: Int)])
    /// Participants, with who talks.
    case participants([Participant], talking: Set<UserID>)
    /// The passes; nil: none are needed.
    case passes([String]?)
    /// A forwarder's number.
    case forwarder(UInt32)
    /// All forwarders.
    case forwarders([Forwarder])
    /// An announcement's name.
    case announcement(String)
}

/// What somebody who joined is told.
public struct JoinedInfo: Sendable {
    /// The stay.
    public var participant: Participant
    /// The others, as many as the room's size allows to list.
    public var others: [Participant]
    /// Everybody, the joiner too.
    public var total: Int
    /// Who talks.
    public var talking: Set<UserID>
    /// Where to send media, and what comes from there.
    public var media: MediaAnswer
    /// How things stand on the floor.
    public var state: Notice
}

extension DoorRequest {
    /// The group whose room must be there for it.
    var home: GroupID? {
        switch self {
        case .join(let gid, _, _), .leave(let gid, _, _), .vanish(let gid, _, _), .reclaim(let gid, _, _),
            .configure(let gid, _, _, _, _, _), .floor(let gid, _, _, _), .exists(let gid), .participants(let gid), .kick(let gid, _),
            .mute(let gid, _, _), .suspend(let gid, _, _), .passes(let gid, _), .extra(let gid, _), .authorize(let gid, _),
            .resetDecoder(let gid, _, _):
            gid
        case .changeRoom(_, let to, _): to
        case .list: nil
        }
    }

    /// The group whose home the request goes to first.
    var route: GroupID? {
        if case .changeRoom(let from, _, _) = self { return from }
        return home
    }
}
