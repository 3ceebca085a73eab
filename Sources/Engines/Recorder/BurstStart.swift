import Talk

/// What is known of a burst when its first packet is accepted.
public struct BurstStart: Sendable, Hashable {
    /// The talk's id, made at the grant.
    public var talkID: TalkID
    /// The group.
    public var gid: GroupID
    /// Who talks.
    public var uid: UserID
    /// The talker's role then.
    public var role: Role
    /// The group's name, for the file's tags.
    public var groupName: String
    /// The talker's name, for the file's tags.
    public var displayName: String
    /// The wall clock at the first packet, Unix ms, read once.
    public var startMs: Int64
    /// CLOCK_MONOTONIC at the first packet, ns.
    public var startNs: UInt64

    /// The start of a burst.
    public init(
        talkID: TalkID, gid: GroupID, uid: UserID, role: Role, groupName: String, displayName: String, startMs: Int64, startNs: UInt64
    ) {
        (self.talkID, self.gid, self.uid, self.role) = (talkID, gid, uid, role)
        (self.groupName, self.displayName, self.startMs, self.startNs) = (groupName, displayName, startMs, startNs)
    }
}

/// A burst that a worker records; only its ring knows what it means.
public struct BurstHandle: Sendable, Hashable {
    let number: UInt32
}
