import Talk

/// Who may talk in one room: the floor control server of 3GPP TS 24.380 (§6.3.4 "general floor control operation" G, §6.3.5 per participant U),
/// as a pure machine: inputs and the time come in, actions come out.
///
/// | state | input | what happens | next |
/// |---|---|---|---|
/// | idle | request | Granted, Taken to the others | taken |
/// | idle | request, alone and `denyAlone` | Deny 3 | idle |
/// | any | request, listen only, barred or not the broadcaster | Deny 5 | same |
/// | any | request before retry-after | Deny 4 | same |
/// | taken | request by the holder | Granted with the time left | taken |
/// | taken | request, not higher, queues | Queue Position Info | taken |
/// | taken | request, not higher, does not queue | Deny 1 | taken |
/// | taken | request, not higher, queue full | Deny 7 | taken |
/// | taken | request, higher | first in the queue, Revoke 4 | revoking (at once taken by the new one where the grace is 0) |
/// | taken | request, higher, owner, `dualFloor` | Granted on the override stream | taken + override |
/// | taken | release, leave or bar of the holder, T1 | next in the queue, else Idle | taken or idle |
/// | taken | T2 | Revoke 2, retry-after starts | revoking |
/// | revoking | request by the holder | Revoke again | revoking |
/// | revoking | request, higher | first in the queue; Revoke 4 where it was another cause | revoking (taken where the grace is 0) |
/// | revoking | emergency of the holder, above who waits | Granted with the time left | taken |
/// | revoking | T8 | Revoke again | revoking |
/// | revoking | release or leave of the holder, T1, T3 | next in the queue, else Idle | taken or idle |
/// | granted from the queue, silent | T20, thrice | Granted again | taken |
/// | granted from the queue, silent | T20 after that | next in the queue, else Idle | taken or idle |
/// | queued | release or leave | leaves the queue | same |
/// | queued | request or position | its place | same |
/// | idle after a talk | T4 | event `inactive`, once | idle |
/// | idle after a talk | T7, ten times | Idle again | idle |
/// | any | emergency | tier raised, event, asks at once | as its request |
public struct FloorStateMachine: Sendable {
    /// Somebody who has the floor.
    struct Holder: Sendable, Equatable {
        var uid: UserID
        var claim: Claim
        var t2Ms: Int
        var firstPacketAt: MonotonicNs?
        /// T1: since when there is silence.
        var heardAt: MonotonicNs
        var revoking: Revoking?
        /// T20: when Granted is repeated, and how often it was.
        var repeatAt: MonotonicNs?
        var repeats = 0
    }
    /// A holder who was told to stop.
    struct Revoking: Sendable, Equatable {
        var cause: RevokeCause
        var takenAwayAt: MonotonicNs
        var repeatAt: MonotonicNs
    }
    /// Somebody who waits.
    struct Waiting: Sendable, Equatable {
        var uid: UserID
        var claim: Claim
        var arrival: UInt64
        /// The place that was told last.
        var told: Int?
    }
    /// What is known of somebody in the room.
    struct Member: Sendable, Equatable {
        var properties: FloorMember
        var barred = false
        var retryAt: MonotonicNs = .min
        var lostAt: MonotonicNs = .min
        var revokedAt: MonotonicNs = .min
    }

    /// Timers and limits.
    public internal(set) var settings: FloorSettings
    /// Whose emergencies are on; they outlive their users' joins.
    public internal(set) var emergencies: Set<UserID>
    var members: [UserID: Member] = [:]
    /// Until when those must wait who have left.
    var retries: [UserID: MonotonicNs] = [:]
    var main: Holder?
    var override: Holder?
    var queue: [Waiting] = []
    var arrivals: UInt64 = 0
    var inactiveAt: MonotonicNs?
    var idleRepeatAt: MonotonicNs?
    var idleRepeats = 0

    /// A floor that nobody has.
    public init(settings: FloorSettings, emergencies: Set<UserID> = []) {
        self.settings = settings
        self.emergencies = emergencies
    }

    /// Who has the floor.
    public var holder: UserID? { main?.uid }
    /// Who talks over the holder.
    public var overrider: UserID? { override?.uid }
    /// The tier of the floor.
    public var tier: Tier { max(main?.claim.tier ?? .normal, override?.claim.tier ?? .normal) }
    /// Who waits, next first.
    public var waiting: [UserID] { queue.map(\.uid) }
    /// Whether this user has the floor, on either stream, and on which.
    public func stream(of uid: UserID) -> FloorStream? {
        if main?.uid == uid { return .main }
        return override?.uid == uid ? .override : nil
    }

    /// Takes an input; appends what is to be done.
    public mutating func handle(_ input: FloorInput, now: MonotonicNs, into actions: inout [FloorAction]) {
        switch input {
        case .join(let uid, let properties):
            if members[uid] == nil {
                members[uid] = Member(properties: properties)
                members[uid]?.retryAt = retries.removeValue(forKey: uid) ?? .min
            } else {
                members[uid]?.properties = properties
            }
            actions.append(.state(uid))
        case .leave(let uid):
            leaveQueue(uid, &actions)
            if let stream = stream(of: uid) { end(stream, now, &actions) }
            // Who must wait does so too where they come anew.
            retries = retries.filter { $0.value > now }
            if let retryAt = members.removeValue(forKey: uid)?.retryAt, retryAt > now { retries[uid] = retryAt }
        case .role(let uid, let role):
            members[uid]?.properties.role = role
            if let index = queue.firstIndex(where: { $0.uid == uid }) {
                queue[index].claim.role = role
                sortQueue(&actions)
            }
        case .request(let uid, let tier, let priority, let queue):
            request(uid, tier: tier, priority: priority, queues: queue, now, &actions)
        case .release(let uid):
            release(uid, now, &actions)
        case .position(let uid):
            let index = queue.firstIndex { $0.uid == uid }
            actions.append(.queued(uid, position: index.map { $0 + 1 }, priority: index.map { queue[$0].claim.priority } ?? 0))
        case .emergency(let uid):
            startEmergency(uid, now, &actions)
        case .cancelEmergency(let uid, let canceller):
            cancelEmergency(uid, by: canceller, now, &actions)
        case .bar(let uid):
            members[uid]?.barred = true
            leaveQueue(uid, &actions)
            if let stream = stream(of: uid) {
                actions.append(.revoked(uid, .noPermission))
                actions.append(.event(.revoked, uid))
                end(stream, now, &actions)
            }
        case .unbar(let uid):
            members[uid]?.barred = false
        case .settings(let settings):
            self.settings = settings
        case .tick:
            tick(now, &actions)
        }
    }

    /// Decides on an RTP packet, without allocating: this is the packet path.
    public mutating func media(from uid: UserID, now: MonotonicNs) -> MediaVerdict {
        if main?.uid == uid {
            let first = main?.firstPacketAt == nil
            if first {
                main?.firstPacketAt = now
                main?.repeatAt = nil
            }
            main?.heardAt = now
            return .forward(.main, first: first)
        }
        if override?.uid == uid {
            let first = override?.firstPacketAt == nil
            if first { override?.firstPacketAt = now }
            override?.heardAt = now
            return .forward(.override, first: first)
        }
        guard let member = members[uid], member.properties.signals, !settings.implicitRequest,
            now &- member.lostAt > ns(settings.revokeSilenceMs) || member.lostAt == .min,
            now &- member.revokedAt >= ns(settings.t8Ms) || member.revokedAt == .min
        else { return .drop }
        members[uid]?.revokedAt = now
        return .dropAndRevoke
    }

    /// Somebody began to speak of the floor, who joined as a client that does not.
    public mutating func setSignals(_ uid: UserID) { members[uid]?.properties.signals = true }

    func ns(_ milliseconds: Int) -> MonotonicNs { MonotonicNs(milliseconds) * 1_000_000 }
}
