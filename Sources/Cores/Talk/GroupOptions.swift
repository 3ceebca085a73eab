/// How people of a group talk.
public enum RoomMode: String, Sendable, CaseIterable {
    /// One at a time, who has the floor.
    case ptt
    /// Everybody at once; the server mixes.
    case open
}

/// What a group may set differently from the configuration's `floor` section (FLOOR.md, "Timers"). Nil means: as configured.
public struct GroupOptions: Sendable, Hashable {
    /// End of RTP, ms.
    public var t1Ms: Int?
    /// Longest talk, ms.
    public var t2Ms: Int?
    /// Grace after a revoke for talking too long, ms.
    public var t3Ms: Int?
    /// Inactivity, ms.
    public var t4Ms: Int?
    /// Interval of repeated Idle, ms; 0 is off.
    public var t7Ms: Int?
    /// Interval of repeated Revoke, ms.
    public var t8Ms: Int?
    /// Interval of repeated Granted, ms.
    public var t20Ms: Int?
    /// Grace after a pre-emption, ms.
    public var preemptGraceMs: Int?
    /// Wait before the next request of who talked too long, ms.
    public var retryAfterMs: Int?
    /// How many may wait for the floor.
    public var queueMax: Int?
    /// Voice counts as a request, for radios without signalling.
    public var implicitRequest: Bool?
    /// Only the dispatcher talks.
    public var broadcast: Bool?
    /// An owner may talk over the holder on a second stream.
    public var dualFloor: Bool?
    /// Nobody gets the floor while alone in the room (Deny 3).
    public var denyAlone: Bool?

    /// All as configured.
    public init() {}

    /// The names of the numbers in JSON, with what they may be.
    public static let numbers: [(name: String, path: WritableKeyPath<GroupOptions, Int?> & Sendable, range: ClosedRange<Int64>)] = [
        ("t1_ms", \.t1Ms, 100...60_000), ("t2_ms", \.t2Ms, 500...3_600_000), ("t3_ms", \.t3Ms, 0...60_000),
        ("t4_ms", \.t4Ms, 100...86_400_000), ("t7_ms", \.t7Ms, 0...60_000), ("t8_ms", \.t8Ms, 100...60_000),
        ("t20_ms", \.t20Ms, 100...60_000), ("preempt_grace_ms", \.preemptGraceMs, 0...60_000),
        ("retry_after_ms", \.retryAfterMs, 0...3_600_000), ("queue_max", \.queueMax, 0...1_000),
    ]
    /// The names of the switches in JSON.
    public static let switches: [(name: String, path: WritableKeyPath<GroupOptions, Bool?> & Sendable)] = [
        ("implicit_request", \.implicitRequest), ("broadcast", \.broadcast), ("dual_floor", \.dualFloor), ("deny_alone", \.denyAlone),
    ]
}
