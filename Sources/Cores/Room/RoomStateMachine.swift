import Floor
import Talk

/// A moment, on both clocks: decisions use the monotonic one, what is told bears the wall clock.
public struct Moment: Sendable, Equatable {
    /// CLOCK_MONOTONIC, ns.
    public var monotonic: MonotonicNs
    /// Unix ms.
    public var wallMs: Int64
    /// A moment.
    public init(monotonic: MonotonicNs, wallMs: Int64) { (self.monotonic, self.wallMs) = (monotonic, wallMs) }
}

/// What a room is, and keeps in `ptt.rooms`.
public struct RoomIdentity: Sendable, Equatable {
    /// The group.
    public var gid: GroupID
    /// Its name.
    public var name: String
    /// Who created it.
    public var dispatcher: Int64
    /// How people talk here.
    public var mode: RoomMode
    /// What it sets for itself.
    public var options: GroupOptions
    /// What it asks of who administers it or joins.
    public var locks = RoomLocks()
    /// A room's identity.
    public init(gid: GroupID, name: String, dispatcher: Int64, mode: RoomMode = .ptt, options: GroupOptions) {
        (self.gid, self.name, self.dispatcher, self.mode, self.options) = (gid, name, dispatcher, mode, options)
    }
}

/// What a room must obey.
public struct RoomRules: Sendable, Equatable {
    /// The floor's timers, before the room's own options.
    public var floor = FloorSettings()
    /// The newest join of a uid wins; else it gets 490.
    public var takeover = true
    /// How long a participant without signalling stays.
    public var vanishMs = 30_000
    /// How often a snapshot goes out while somebody is here.
    public var snapshotMs = 60_000
    /// In rooms of more, comings and goings are told only to who asked for them.
    public var notifyMax = 50
    /// How many may be in a room.
    public var participantsMax = 10_000
    /// The defaults.
    public init() {}
}

/// One talk group's room: who is in it, and (with the floor machine) who talks. Inputs and time come in, effects come out.
public struct RoomStateMachine: Sendable {
    /// What the room is.
    public private(set) var identity: RoomIdentity
    /// Who may talk.
    public private(set) var floor: FloorStateMachine
    /// Everybody here.
    public internal(set) var participants: [UserID: Participant] = [:]
    /// The passes that a join needs; nil: none (AudioBridge `allowed`).
    public var passes: Set<String>?
    /// Everybody muted by an administrator, and whoever comes.
    public private(set) var mutedRoom = false
    /// Muted one by one, for as long as nobody unmutes them: who leaves and comes back is no freer.
    private var muted: Set<UserID> = []
    private let rules: RoomRules
    private var lastRoles: [UserID: Role] = [:]
    private var talks: [FloorStream: TalkID] = [:]
    /// The number of the last event that was told to consoles; rises over all rooms of this number in one epoch.
    public private(set) var seq: Int64
    private var floorSequence: UInt16 = 0
    private var generations: UInt64 = 0
    private var snapshotAt: MonotonicNs?
    /// There was a room of this number before, and nothing has been told of this one yet.
    private var followsAnother: Bool

    /// A room that nobody is in.
    /// - Parameter seq: the number of the last event of an earlier room of this number, in the same epoch.
    public init(_ identity: RoomIdentity, rules: RoomRules, emergencies: Set<UserID> = [], after seq: Int64 = 0) {
        (self.identity, self.rules, self.seq) = (identity, rules, seq)
        followsAnother = seq > 0
        let settings = rules.floor.applying(identity.options, dispatcher: UserID(identity.dispatcher))
        floor = FloorStateMachine(settings: settings, emergencies: emergencies)
    }

    /// The role that was known of somebody last, for a join while Redis is away.
    public func lastRole(of uid: UserID) -> Role { lastRoles[uid] ?? .member }

    private mutating func remember(_ role: Role, of uid: UserID) {
        // Guests with numbers of the moment come and go for ever: those who are not here are forgotten when they are many.
        if lastRoles.count >= 2 * rules.participantsMax { lastRoles = lastRoles.filter { participants[$0.key] != nil } }
        lastRoles[uid] = role
    }

    /// The talk of a stream that is granted.
    public func talk(on stream: FloorStream) -> TalkID? { talks[stream] }

    /// When `tick` has something to do.
    public var nextDeadline: MonotonicNs? {
        var earliest = floor.nextDeadline
        func consider(_ time: MonotonicNs) { earliest = min(earliest ?? time, time) }
        if let snapshotAt { consider(snapshotAt) }
        for time in vanished.values { consider(time + MonotonicNs(rules.vanishMs) * 1_000_000) }
        return earliest
    }

    /// Whose signalling is gone, and since when: they are put out some time later unless they come back.
    private var vanished: [UserID: MonotonicNs] = [:]

    // MARK: Coming and going

    /// Lets somebody in, or takes the place of their older stay.
    /// - Throws: 489 without a pass that the room asks for, 490 where somebody of this number is here and takeover is off, 499 when it is full.
    public mutating func join(_ joining: Joining, role: Role, at moment: Moment, random: inout some RandomNumberGenerator) throws(Refusal)
        -> [RoomEffect]
    {
        if let passes, !passes.contains(joining.token ?? "") { throw Refusal(.unauthorized, "unauthorized (wrong token)") }
        var effects: [RoomEffect] = []
        let old = participants[joining.uid]
        if let old, old.endpoint != joining.endpoint, vanished[old.uid] == nil, !rules.takeover {
            throw Refusal(.idExists, "user ID \(joining.uid) already exists")
        }
        if old == nil, participants.count >= rules.participantsMax { throw Refusal(.unknown, "room \(identity.gid) is full") }
        generations += 1
        let participant = Participant(
            uid: joining.uid, display: joining.display, endpoint: joining.endpoint, joinedMs: old?.joinedMs ?? moment.wallMs,
            generation: generations, role: role, signalling: joining.signalling, events: joining.events, dual: joining.dual,
            muted: identity.mode == .open ? joining.muted : nil, listenOnly: joining.listenOnly,
            barred: old?.barred ?? (muted.contains(joining.uid) || mutedRoom))
        if let old, old.endpoint != joining.endpoint { effects.append(.removed(old, told: .kicked(old.uid))) }
        participants[joining.uid] = participant
        vanished[joining.uid] = nil
        remember(role, of: joining.uid)
        if snapshotAt == nil { snapshotAt = moment.monotonic + MonotonicNs(rules.snapshotMs) * 1_000_000 }
        publish(.joined, participant, &effects)
        effects.append(.tellFollowers(except: joining.uid, .joined(participant, talking: floor.stream(of: joining.uid) != nil)))
        let member = FloorMember(
            role: role, queues: joining.queues, listenOnly: joining.listenOnly, signals: joining.signalling != .stock)
        run(.join(joining.uid, member), moment, &random, &effects)
        if participant.barred { run(.bar(joining.uid), moment, &random, &effects) }
        if old != nil { effects.append(.changed(joining.uid)) }
        return effects
    }

    /// Somebody goes; does nothing where they are not here.
    /// - Parameter notice: what they are told, where they did not go by themselves.
    public mutating func leave(_ uid: UserID, told notice: Notice? = nil, at moment: Moment, random: inout some RandomNumberGenerator)
        -> [RoomEffect]
    {
        var effects: [RoomEffect] = []
        guard let participant = participants[uid] else { return effects }
        run(.leave(uid), moment, &random, &effects)
        participants[uid] = nil
        vanished[uid] = nil
        if participants.isEmpty { snapshotAt = nil }
        publish(.left, participant, &effects)
        effects.append(.removed(participant, told: notice))
        let word: Notice = if case .kicked = notice { .kicked(uid) } else { .left(uid) }
        effects.append(.tellFollowers(except: uid, word))
        return effects
    }

    /// A handle's socket broke: its participant stays for a while.
    public mutating func vanish(_ uid: UserID, at moment: Moment) {
        guard participants[uid] != nil else { return }
        vanished[uid] = moment.monotonic
    }

    /// The handle is back (`claim`).
    public mutating func reclaim(_ uid: UserID) {
        vanished[uid] = nil
    }

    /// The room closes: talks end, everybody is told and put out.
    public mutating func destroy(at moment: Moment, random: inout some RandomNumberGenerator) -> [RoomEffect] {
        var effects: [RoomEffect] = []
        let everybody = participants.values.sorted { $0.uid < $1.uid }
        for stream in [FloorStream.override, .main] {
            let talker = stream == .main ? floor.holder : floor.overrider
            if let talker, talks[stream] != nil { effects.append(.closed(stream, talker)) }
        }
        talks = [:]
        participants = [:]
        vanished = [:]
        snapshotAt = nil
        floor = FloorStateMachine(settings: floor.settings)
        for participant in everybody {
            publish(.left, participant, &effects)
            effects.append(.removed(participant, told: .destroyed))
        }
        return effects
    }

    // MARK: Changes

    /// A role changed, by request or by a late look-up.
    /// - Throws: 487 where the user is not here.
    public mutating func setRole(_ role: Role, of uid: UserID, at moment: Moment, random: inout some RandomNumberGenerator)
        throws(Refusal) -> [RoomEffect]
    {
        guard participants[uid] != nil else { throw notJoined(uid) }
        var effects: [RoomEffect] = []
        participants[uid]?.role = role
        remember(role, of: uid)
        run(.role(uid, role), moment, &random, &effects)
        publish(.role, participants[uid], &effects)
        return effects
    }

    /// The group's name, options or locks change; talks that run keep their timers' starts, and who is here stays.
    public mutating func alter(
        name: String?, options: GroupOptions?, locks: RoomLocks.Change = RoomLocks.Change(), at moment: Moment,
        random: inout some RandomNumberGenerator
    ) -> [RoomEffect] {
        var effects: [RoomEffect] = []
        if let name { identity.name = name }
        identity.locks = identity.locks.applying(locks)
        if let options {
            identity.options = options
            run(.settings(rules.floor.applying(options, dispatcher: UserID(identity.dispatcher))), moment, &random, &effects)
        }
        effects.append(.persist)
        return effects
    }

    /// An administrator mutes or unmutes somebody, or (nil) everybody and whoever comes.
    /// - Throws: 492 where the user is not here.
    public mutating func mute(_ muted: Bool, _ uid: UserID?, at moment: Moment, random: inout some RandomNumberGenerator)
        throws(Refusal) -> [RoomEffect]
    {
        if let uid, participants[uid] == nil { throw noSuchUser(uid) }
        var effects: [RoomEffect] = []
        if let uid {
            if muted { self.muted.insert(uid) } else { self.muted.remove(uid) }
        } else {
            mutedRoom = muted
            if !muted { self.muted = [] }
        }
        for one in uid.map({ [$0] }) ?? participants.keys.sorted() {
            if muted { effects += cutOff(one) }
            participants[one]?.barred = muted
            run(muted ? .bar(one) : .unbar(one), moment, &random, &effects)
            let isMuted = identity.mode == .ptt || muted || participants[one]?.muted == true
            if uid != nil {
                effects.append(.tellAll(except: nil, .muted(one, isMuted)))
            } else if identity.mode == .open {
                // Of a whole room each hears of themselves, and all of it once: else each would hear of each.
                effects.append(.tell(one, .muted(one, isMuted)))
            }
        }
        if uid == nil { effects.append(.tellAll(except: nil, .roomMuted(muted))) }
        return effects
    }

    /// Stops or resumes what somebody hears.
    /// - Throws: 492 where the user is not here.
    public mutating func suspend(_ suspended: Bool, _ uid: UserID) throws(Refusal) -> [RoomEffect] {
        guard participants[uid] != nil else { throw noSuchUser(uid) }
        participants[uid]?.suspended = suspended
        return [.changed(uid)]
    }

    /// Somebody's name, or how they speak of the floor, changes.
    public mutating func configure(_ uid: UserID, display: String?, signalling: FloorSignalling?) -> [RoomEffect] {
        guard var participant = participants[uid] else { return [] }
        if let display { participant.display = display }
        if let signalling { participant.signalling = signalling }
        guard participant != participants[uid] else { return [] }
        participants[uid] = participant
        if signalling != nil { floor.setSignals(uid) }
        guard display != nil else { return [] }
        return [.tellFollowers(except: uid, .joined(participant, talking: floor.stream(of: uid) != nil))]
    }

    // MARK: The floor

    /// Hands an input to the floor machine.
    public mutating func handle(_ input: FloorInput, at moment: Moment, random: inout some RandomNumberGenerator) -> [RoomEffect] {
        var effects: [RoomEffect] = []
        if identity.mode == .open { return open(input) }
        run(input, moment, &random, &effects)
        return effects
    }

    /// Decides on an RTP packet without allocating.
    public mutating func media(from uid: UserID, now: MonotonicNs) -> MediaVerdict { floor.media(from: uid, now: now) }

    /// Time has come to `nextDeadline`.
    public mutating func tick(at moment: Moment, random: inout some RandomNumberGenerator) -> [RoomEffect] {
        var effects: [RoomEffect] = []
        if let time = floor.nextDeadline, time <= moment.monotonic { run(.tick, moment, &random, &effects) }
        if let time = snapshotAt, time <= moment.monotonic {
            snapshotAt = moment.monotonic + MonotonicNs(rules.snapshotMs) * 1_000_000
            publish(.snapshot, nil, &effects)
        }
        let limit = moment.monotonic - MonotonicNs(rules.vanishMs) * 1_000_000
        for (uid, _) in vanished.filter({ $0.value <= limit }).sorted(by: { $0.key < $1.key }) {
            // Told, so that its door forgets where it was: it may come back to the handle and join again.
            effects += leave(uid, told: .left(uid), at: moment, random: &random)
        }
        return effects
    }

    /// The present picture for the consoles, as when the room was restored.
    public mutating func snapshot() -> [RoomEffect] {
        var effects: [RoomEffect] = []
        publish(.snapshot, nil, &effects)
        return effects
    }

    private func notJoined(_ uid: UserID) -> Refusal { Refusal(.notJoined, "user \(uid) is not in room \(identity.gid)") }
    /// AudioBridge's word where an administrator names somebody who is not there.
    private func noSuchUser(_ uid: UserID) -> Refusal { Refusal(.noSuchUser, "no such user \(uid) in room \(identity.gid)") }

    private mutating func run(
        _ input: FloorInput, _ moment: Moment, _ random: inout some RandomNumberGenerator, _ effects: inout [RoomEffect]
    ) {
        var actions: [FloorAction] = []
        floor.handle(input, now: moment.monotonic, into: &actions)
        for action in actions { translate(action, moment, &random, &effects) }
    }

    private mutating func translate(
        _ action: FloorAction, _ moment: Moment, _ random: inout some RandomNumberGenerator, _ effects: inout [RoomEffect]
    ) {
        switch action {
        case .granted(let uid, let grant):
            if grant.isNew {
                let talk = TalkID(unixMs: moment.wallMs, random: (random.next(), random.next()))
                talks[grant.stream] = talk
                effects.append(.opened(grant.stream, uid, talk))
            }
            let notice = Notice.granted(
                durationMs: grant.durationMs, priority: grant.claim.priority, tier: grant.claim.tier, stream: grant.stream)
            effects.append(.tell(uid, notice))
        case .taken(let uid, let stream):
            floorSequence &+= 1
            effects.append(.tellAll(except: uid, taken(uid, stream)))
        case .idle:
            floorSequence &+= 1
            effects.append(.tellAll(except: nil, .idle(sequence: floorSequence)))
        case .denied(let uid, let cause, let wait): effects.append(.tell(uid, .denied(cause, retryAfterMs: wait)))
        case .queued(let uid, let position, let priority):
            effects.append(.tell(uid, .queued(position: position, priority: priority, size: floor.waiting.count)))
        case .revoked(let uid, let cause): effects.append(.tell(uid, .revoked(cause)))
        case .ended(let uid, let stream):
            talks[stream] = nil
            effects.append(.closed(stream, uid))
            effects.append(.tellAll(except: nil, .stopped(uid)))
        case .state(let uid): effects.append(.tell(uid, state(for: uid)))
        case .event(let event, let uid): publish(RoomNews.State(event), uid.flatMap { participants[$0] }, uid: uid, &effects)
        case .emergenciesChanged: effects.append(.persist)
        }
    }

    private func taken(_ uid: UserID, _ stream: FloorStream) -> Notice {
        .taken(holder: uid, display: participants[uid]?.display ?? "", stream: stream, tier: floor.tier, sequence: floorSequence)
    }

    /// What somebody is told who asks how things stand.
    public func state(for uid: UserID) -> Notice {
        if let holder = floor.holder { return taken(holder, .main) }
        if let overrider = floor.overrider { return taken(overrider, .override) }
        return .idle(sequence: floorSequence)
    }

    private mutating func publish(_ state: RoomNews.State, _ participant: Participant?, uid: UserID? = nil, _ effects: inout [RoomEffect]) {
        if followsAnother {
            // Consoles may have forgotten the other one: they begin with what is here.
            followsAnother = false
            if state != .snapshot { publish(.snapshot, nil, &effects) }
        }
        seq += 1
        effects.append(
            .publish(
                RoomNews(
                    state: state, participant: participant, uid: participant?.uid ?? uid, seq: seq, holder: floor.holder,
                    talkID: talks[.main], tier: floor.tier, queue: floor.waiting,
                    participants: state == .snapshot ? participants.values.sorted { $0.uid < $1.uid } : nil)))
    }
}

extension RoomNews.State {
    fileprivate init(_ event: FloorEvent) {
        self =
            switch event {
            case .taken: .taken
            case .idle: .idle
            case .revoked: .revoked
            case .queue: .queue
            case .emergency: .emergency
            case .cancelled: .cancelled
            case .inactive: .inactive
            }
    }
}
