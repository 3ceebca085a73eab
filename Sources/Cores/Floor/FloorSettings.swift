import Talk

/// A point on the monotonic clock, in nanoseconds. The cores never read it themselves.
public typealias MonotonicNs = Int64

/// The timers and limits of one room's floor (FLOOR.md, "Timers"): the configuration, with the room's options applied.
public struct FloorSettings: Sendable, Equatable {
    /// T1, end of RTP.
    public var t1Ms = 4_000
    /// T2, stop talking.
    public var t2Ms = 30_000
    /// T2 of an emergency.
    public var t2EmergencyMs = 120_000
    /// T3, grace after Revoke 2.
    public var t3Ms = 3_000
    /// T4, inactivity.
    public var t4Ms = 30_000
    /// T7, interval of repeated Idle; 0 is off.
    public var t7Ms = 0
    /// How often Idle is repeated.
    public var t7Count = 10
    /// T8, interval of repeated Revoke.
    public var t8Ms = 1_000
    /// T20, interval of repeated Granted.
    public var t20Ms = 1_000
    /// How often Granted is repeated.
    public var t20Count = 3
    /// T3 of a pre-emption.
    public var preemptGraceMs = 0
    /// How long after Revoke 2 a request is denied.
    public var retryAfterMs = 5_000
    /// How long after losing the floor its late packets are passed over in silence.
    public var revokeSilenceMs = 500
    /// How many may wait.
    public var queueMax = 16
    /// The highest priority that a user may ask for, 0…255.
    public var priorityCap: UInt8 = 255
    /// Voice counts as a request.
    public var implicitRequest = false
    /// Who made the room: ends emergencies, whatever their role.
    public var dispatcher: UserID?
    /// How many emergencies may be on at a time: they are kept with the room.
    public var emergenciesMax = 64
    /// Only this user talks (broadcast call).
    public var broadcaster: UserID?
    /// An owner talks over the holder on a second stream.
    public var dualFloor = false
    /// Nobody is granted the floor while alone (Deny 3).
    public var denyAlone = false
    /// Who may start an emergency.
    public var emergencyRoles: Set<Role> = Set(Role.allCases)

    /// The defaults of FLOOR.md.
    public init() {}

    /// These, with what a room sets for itself.
    /// - Parameter dispatcher: who created the room; ends its emergencies, and is the only talker where it is a broadcast.
    public func applying(_ options: GroupOptions, dispatcher: UserID?) -> FloorSettings {
        var settings = self
        settings.t1Ms = options.t1Ms ?? t1Ms
        settings.t2Ms = options.t2Ms ?? t2Ms
        settings.t3Ms = options.t3Ms ?? t3Ms
        settings.t4Ms = options.t4Ms ?? t4Ms
        settings.t7Ms = options.t7Ms ?? t7Ms
        settings.t8Ms = options.t8Ms ?? t8Ms
        settings.t20Ms = options.t20Ms ?? t20Ms
        settings.preemptGraceMs = options.preemptGraceMs ?? preemptGraceMs
        settings.retryAfterMs = options.retryAfterMs ?? retryAfterMs
        settings.queueMax = options.queueMax ?? queueMax
        settings.implicitRequest = options.implicitRequest ?? implicitRequest
        settings.dualFloor = options.dualFloor ?? dualFloor
        settings.denyAlone = options.denyAlone ?? denyAlone
        settings.dispatcher = dispatcher
        settings.broadcaster = (options.broadcast ?? false) ? dispatcher : nil
        return settings
    }
}
