import Talk

/// What a request to talk weighs: tier before role before priority (FLOOR.md, "Claims and order").
public struct Claim: Sendable, Equatable, Comparable {
    /// How urgent.
    public var tier: Tier
    /// Of whom.
    public var role: Role
    /// 0 lowest … 255.
    public var priority: UInt8
    /// A claim.
    public init(tier: Tier, role: Role, priority: UInt8) { (self.tier, self.role, self.priority) = (tier, role, priority) }
    /// The lesser comes first.
    public static func < (left: Claim, right: Claim) -> Bool {
        (left.tier, left.role, left.priority) < (right.tier, right.role, right.priority)
    }
}

/// Why a request is denied (TS 24.380 §8.2.6.2).
public enum DenyCause: UInt16, Sendable {
    case anotherHasIt = 1
    case serverError = 2
    case onlyOneParticipant = 3
    case retryAfter = 4
    case receiveOnly = 5
    case noResources = 6
    case queueFull = 7
    case other = 255
}

/// Why the floor is taken away (TS 24.380 §8.2.10.2).
public enum RevokeCause: UInt16, Sendable {
    case onlyOneClient = 1
    case tooLong = 2
    case noPermission = 3
    case preempted = 4
    case noResources = 6
    case other = 255
}

/// Which of a room's streams: the second one is there only in a dual-floor override.
public enum FloorStream: Sendable, Hashable {
    case main
    case override
}

/// What the floor knows of a participant.
public struct FloorMember: Sendable, Equatable {
    /// What they are in the group.
    public var role: Role
    /// Waits in the queue unless a request says otherwise.
    public var queues: Bool
    /// Never talks (Deny 5).
    public var listenOnly: Bool
    /// Knows floor signalling, so that a packet without the floor is worth a Revoke 3.
    public var signals: Bool
    /// Somebody who joins.
    public init(role: Role, queues: Bool = true, listenOnly: Bool = false, signals: Bool = true) {
        (self.role, self.queues, self.listenOnly, self.signals) = (role, queues, listenOnly, signals)
    }
}

/// What comes in.
public enum FloorInput: Sendable, Equatable {
    /// Somebody is in the room now, or is back with other properties.
    case join(UserID, FloorMember)
    /// Somebody left or vanished for good.
    case leave(UserID)
    /// Somebody's role changed.
    case role(UserID, Role)
    /// Somebody wants to talk. `queue` overrides what the join said.
    case request(UserID, tier: Tier, priority: UInt8, queue: Bool?)
    /// Somebody is done, or does not want to wait any more.
    case release(UserID)
    /// Somebody asks for their place in the queue.
    case position(UserID)
    /// Somebody's emergency starts.
    case emergency(UserID)
    /// One user's emergency ends, or (nil) everybody's; `by` nil is the dispatcher.
    case cancelEmergency(UserID?, by: UserID?)
    /// An administrator mutes somebody: loses the floor and gets none.
    case bar(UserID)
    /// An administrator ends that; it grants nothing.
    case unbar(UserID)
    /// Timers and limits changed; what runs goes on.
    case settings(FloorSettings)
    /// Time has come to `nextDeadline`.
    case tick
}

/// A grant, as its holder is told.
public struct Grant: Sendable, Equatable {
    /// On which stream.
    public var stream: FloorStream
    /// The time that is left, ms.
    public var durationMs: Int
    /// The claim that got it.
    public var claim: Claim
    /// False where it repeats what was granted before.
    public var isNew: Bool
}

/// What is to be done, in this order.
public enum FloorAction: Sendable, Equatable {
    /// Tell this participant Granted; a new one opens the stream.
    case granted(UserID, Grant)
    /// Tell everybody but the holder who talks.
    case taken(UserID, FloorStream)
    /// Tell everybody that nobody talks.
    case idle
    /// Tell this participant no.
    case denied(UserID, DenyCause, retryAfterMs: Int?)
    /// Tell this participant its place, from 1 (next); nil: not in the queue.
    case queued(UserID, position: Int?, priority: UInt8)
    /// Tell this participant to stop.
    case revoked(UserID, RevokeCause)
    /// The stream of this talker is closed; its burst is over.
    case ended(UserID, FloorStream)
    /// Tell this participant the present state: Taken or Idle.
    case state(UserID)
    /// Tell the consoles.
    case event(FloorEvent, UserID?)
    /// The set of emergencies changed: keep it.
    case emergenciesChanged
}

/// The floor's part of `floor_msg` states (MESSAGES.md).
public enum FloorEvent: Sendable, Equatable {
    case taken, idle, revoked, queue, emergency, cancelled, inactive
}

/// What becomes of an RTP packet.
public enum MediaVerdict: Sendable, Equatable {
    /// To everybody; `first` opens the burst (and starts T2).
    case forward(FloorStream, first: Bool)
    /// Nobody hears it.
    case drop
    /// Nobody hears it, and its sender is told Revoke 3.
    case dropAndRevoke
}
