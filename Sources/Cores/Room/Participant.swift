import Floor
import Talk

/// Where a participant's signalling goes: a handle at a door. Made by the door, opaque to the room.
public struct EndpointID: Hashable, Sendable {
    /// The door's own number for it.
    public let value: UInt64
    /// The door's number `value`.
    public init(_ value: UInt64) { self.value = value }
}

/// How a participant speaks of the floor (FLOOR.md, "On the wire").
public enum FloorSignalling: Sendable, Equatable {
    /// A stock AudioBridge client: `configure` with `muted`.
    case stock
    /// The `floor` request and its events.
    case json
    /// RTCP APP `MCPT`.
    case rtcp
}

/// Which of the room's events a participant wants (DEVICES.md, `events`).
public enum EventInterest: String, Sendable {
    /// Joins and leaves, in rooms of any size.
    case all
    /// Who talks.
    case floor
    /// Nothing but what it is told itself.
    case none
}

/// What a device asks for when it joins.
public struct Joining: Sendable {
    /// Who.
    public var uid: UserID
    /// The name to show.
    public var display: String
    /// Its handle.
    public var endpoint: EndpointID
    /// Waits for the floor unless a request says otherwise.
    public var queues = true
    /// Only listens.
    public var listenOnly = false
    /// Hears both streams of a dual floor.
    public var dual = false
    /// How it speaks of the floor.
    public var signalling = FloorSignalling.stock
    /// What it wants to be told; nil: as the room's size allows.
    public var events: EventInterest?
    /// In an open room: says nothing until it is unmuted.
    public var muted = false
    /// The pass for a room that asks for one (AudioBridge `allowed`).
    public var token: String?
    /// What it says where the room asks for a PIN.
    public var pin: String?

    /// Somebody at a door.
    public init(uid: UserID, display: String, endpoint: EndpointID) { (self.uid, self.display, self.endpoint) = (uid, display, endpoint) }
}

/// Somebody in the room. The large members stand first: there are many participants, and so none has gaps.
public struct Participant: Sendable, Equatable {
    /// Who.
    public var uid: UserID
    /// The name to show.
    public var display: String
    /// Their handle.
    public var endpoint: EndpointID
    /// When they came, Unix ms.
    public var joinedMs: Int64
    /// Tells this stay from an earlier one of the same user.
    public var generation: UInt64
    /// What they are in the group.
    public var role: Role
    /// How they speak of the floor.
    public var signalling: FloorSignalling
    /// What they want to be told.
    public var events: EventInterest?
    /// Hears both streams of a dual floor.
    public var dual: Bool
    /// In an open room: whether it is muted, by itself; nil where the floor decides.
    public var muted: Bool?
    /// Only listens.
    public var listenOnly = false
    /// Muted by an administrator.
    public var barred = false
    /// Gets no media for a while (AudioBridge `suspend`).
    public var suspended = false
}

/// What a participant is told; a door puts it into its own words.
public enum Notice: Sendable, Equatable {
    /// It has the floor; no duration: it may talk for as long as it likes, beside others (open rooms).
    case granted(durationMs: Int?, priority: UInt8, tier: Tier, stream: FloorStream)
    /// Somebody talks.
    case taken(holder: UserID, display: String, stream: FloorStream, tier: Tier, sequence: UInt16)
    /// Nobody talks.
    case idle(sequence: UInt16)
    /// It does not get the floor.
    case denied(DenyCause, retryAfterMs: Int?)
    /// Its place, from 1; nil: it does not wait.
    case queued(position: Int?, priority: UInt8, size: Int)
    /// It must stop.
    case revoked(RevokeCause)
    /// An administrator mutes everybody, and whoever comes, or does so no more.
    case roomMuted(Bool)
    /// Somebody's talk is over.
    case stopped(UserID)
    /// In an open room, somebody is heard; or no more, with the average level in −dBov.
    case talking(UserID, level: Int?)
    case silent(UserID, level: Int)
    /// Something is played to the room, or not any more.
    case announcement(String, isPlaying: Bool)
    /// Somebody came, or is back under another name or role.
    case joined(Participant, talking: Bool)
    /// Somebody left.
    case left(UserID)
    /// Somebody, perhaps itself, was put out.
    case kicked(UserID)
    /// The room is gone.
    case destroyed
    /// Somebody's place in a stock client's list changed.
    case muted(UserID, Bool)
}

/// What is to be done about what happened in a room, in this order.
public enum RoomEffect: Sendable, Equatable {
    /// Tell one.
    case tell(UserID, Notice)
    /// Tell everybody but this one.
    case tellAll(except: UserID?, Notice)
    /// Tell those who follow comings and goings.
    case tellFollowers(except: UserID?, Notice)
    /// A burst may begin on a stream.
    case opened(FloorStream, UserID, TalkID)
    /// The burst on it is over.
    case closed(FloorStream, UserID)
    /// Somebody is out: its transport and its handle's place are free.
    case removed(Participant, told: Notice?)
    /// The listeners' properties changed (suspended, taken over).
    case changed(UserID)
    /// Tell the consoles.
    case publish(RoomNews)
    /// Keep the room's record.
    case persist
}

/// One `floor_msg`, but for what only the node knows.
public struct RoomNews: Sendable, Equatable {
    /// What happened; the names are `floor_msg`'s states.
    public enum State: String, Sendable {
        case joined, left, role, taken, idle, revoked, queue, emergency, cancelled, inactive, snapshot
    }
    /// What happened.
    public var state: State
    /// Who it is about.
    public var participant: Participant?
    /// Who it is about, where that one is not in the room any more.
    public var uid: UserID?
    /// Counts the room's events from 1.
    public var seq: Int64
    /// Who has the floor.
    public var holder: UserID?
    /// The holder's talk.
    public var talkID: TalkID?
    /// The tier of the floor.
    public var tier: Tier
    /// Who waits.
    public var queue: [UserID]
    /// Snapshots only.
    public var participants: [Participant]?
}
