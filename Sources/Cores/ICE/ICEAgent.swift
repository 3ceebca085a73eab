import STUN

/// A user fragment and password of ICE (RFC 8445 §5.3).
public struct ICECredentials: Sendable, Equatable {
    /// 4…256 characters.
    public var ufrag: String
    /// 22…256 characters.
    public var password: String
    /// Credentials as they go through the signalling.
    public init(ufrag: String, password: String) { (self.ufrag, self.password) = (ufrag, password) }
}

/// The server's side of ICE: a lite agent (RFC 8445 §2.5). It never checks by itself; the peer's checks, each proved by the password, tell
/// which paths there are, and the peer chooses among them. Nothing is believed of a path that no valid check came from.
///
/// Which one the peer has chosen shows best in where it sends from. Its word alone is not enough: some nominate the pair that they use with
/// every check (libwebrtc), some once (aioice), some all pairs and use the best (RFC 5245's aggressive nomination).
public struct ICEAgent<Path: Hashable & Sendable>: Sendable {
    /// What a check brought.
    public struct Outcome: Sendable, Equatable {
        /// The answer, to be sent where the check came from; nil for what is not answered.
        public var response: [UInt8]?
        /// Media goes here from now on; nil: as before.
        public var selected: Path?
        /// One of too many paths, which counts no longer.
        public var left: Path?
        /// The check was the peer's own.
        public var isValid = false
        /// Nothing came of it.
        public init() {}
    }
    /// A peer whose checks stop is gone after so long: consent (RFC 7675 §5.1), ns.
    public static var consentNs: Int64 { 30_000_000_000 }
    /// A path without a check for so long is not the one that the peer uses: between two checks for consent are 6 s at most (RFC 7675 §5.1), ns.
    public static var silenceNs: Int64 { 6_500_000_000 }
    /// A path that the peer sent something on no longer ago is the one that it uses, whatever it nominates, ns.
    public static var inUseNs: Int64 { 1_000_000_000 }
    /// What comes on a path that was left no longer ago may have been sent before, ns.
    public static var lateNs: Int64 { 500_000_000 }
    /// How many paths of a peer are kept.
    public static var pathsMaximum: Int { 4 }

    /// Ours.
    public private(set) var local: ICECredentials
    /// The peer's.
    public private(set) var remote: ICECredentials
    /// Where media goes; nil until the first valid check.
    public private(set) var selected: Path?
    /// When the last valid check came, or the agent was made.
    public private(set) var heardAt: Int64
    /// Where valid checks came from, the latest last.
    public private(set) var paths: [Path] = []
    /// When the last valid check, or anything else, came on the selected path.
    private var selectedHeardAt: Int64
    /// When the peer last sent something else than a check; nil: not yet.
    private var usedAt: Int64?
    /// When it was seen to use another path than before.
    private var movedAt: Int64?
    /// Whether the peer chose the path, or it is only the first that works.
    private var isNominated = false
    /// Those before a restart: good until the first check under the new ones (RFC 8445 §9).
    private var before: (local: ICECredentials, remote: ICECredentials)?

    /// An agent that waits for checks.
    /// - Parameter now: monotonic, ns.
    public init(local: ICECredentials, remote: ICECredentials, now: Int64) {
        (self.local, self.remote, heardAt, selectedHeardAt) = (local, remote, now, now)
    }

    /// New credentials, for the same media: the path stays until the peer chooses another.
    public mutating func restart(local: ICECredentials, remote: ICECredentials, now: Int64) {
        before = (self.local, self.remote)
        (self.local, self.remote, heardAt, selectedHeardAt) = (local, remote, now, now)
        isNominated = false
    }

    /// A path's carrier is gone, and will not come back: what comes next on another selects that.
    public mutating func lose(_ path: Path) {
        paths.removeAll { $0 == path }
        guard selected == path else { return }
        (selected, isNominated, usedAt) = (nil, false, nil)
    }

    /// Something of the peer's own came that is no check: it sends on this path.
    /// - Returns: the path, where media goes there from now on.
    public mutating func heard(on path: Path, at now: Int64) -> Path? {
        if path != selected {
            guard paths.contains(path), movedAt.map({ now - $0 > ICEAgent.lateNs }) ?? true else { return nil }
            select(path, now)
            (usedAt, selectedHeardAt) = (now, now)
            return path
        }
        (usedAt, selectedHeardAt) = (now, now)
        return nil
    }

    /// When the peer is gone unless it is heard, ns.
    public var expiresAt: Int64 { heardAt + ICEAgent.consentNs }

    /// Takes a binding request.
    /// - Parameters:
    ///   - path: where it came from; `address` and `port` are what it looks like from here.
    ///   - address: 4 or 16 bytes.
    public mutating func handle(
        _ message: STUNMessage, from path: Path, address: [UInt8], port: UInt16, now: Int64, hmac: STUNMessage.HMACSHA1
    ) -> Outcome {
        var outcome = Outcome()
        guard message.kind == .bindingRequest else { return outcome }
        guard message.hasFingerprint, let username = message.username else {
            outcome.response = STUNMessage.error(400, "Bad Request", transaction: message.transaction, password: nil, hmac: hmac)
            return outcome
        }
        guard let password = password(for: username), message.isAuthentic(password: password, hmac: hmac) else {
            outcome.response = STUNMessage.error(401, "Unauthorized", transaction: message.transaction, password: nil, hmac: hmac)
            return outcome
        }
        guard message.unknownAttributes.isEmpty else {
            outcome.response = STUNMessage.error(
                420, "Unknown Attribute", transaction: message.transaction, unknown: message.unknownAttributes, password: password,
                hmac: hmac)
            return outcome
        }
        // A lite agent is always the one that is told: a peer that takes itself for that too must change (§7.3.1.1).
        guard !message.isControlled else {
            outcome.response = STUNMessage.error(487, "Role Conflict", transaction: message.transaction, password: password, hmac: hmac)
            return outcome
        }
        if password == local.password { before = nil }
        heardAt = now
        outcome.isValid = true
        outcome.response = STUNMessage.success(
            transaction: message.transaction, address: address, port: port, password: password, hmac: hmac)
        outcome.left = note(path)
        if path != selected, moves(message, now) {
            select(path, now)
            outcome.selected = path
        }
        isNominated = isNominated || message.nominates
        if path == selected { selectedHeardAt = now }
        return outcome
    }

    private mutating func select(_ path: Path, _ now: Int64) {
        // Of a path that nothing but checks came on, nothing can be late.
        if usedAt != nil, selected != nil { movedAt = now }
        selected = path
    }

    /// A valid check came from there.
    /// - Returns: the path that goes for it, if there are too many.
    private mutating func note(_ path: Path) -> Path? {
        guard paths.last != path else { return nil }
        paths.removeAll { $0 == path }
        paths.append(path)
        guard paths.count > ICEAgent.pathsMaximum, let oldest = paths.firstIndex(where: { $0 != selected }) else { return nil }
        return paths.remove(at: oldest)
    }

    /// Whether a check on another path than the selected one makes that one the selected. The first that works serves until the peer chooses;
    /// then the one that it chose last, which may be a new one (a NAT's rebinding, another network), unless it uses the one before. Who chose
    /// once and for all is followed when its path is silent and another is not.
    private func moves(_ check: STUNMessage, _ now: Int64) -> Bool {
        guard selected != nil else { return true }
        if now - selectedHeardAt > ICEAgent.silenceNs { return true }
        let isInUse = usedAt.map { now - $0 <= ICEAgent.inUseNs } ?? false
        return check.nominates && !(isNominated && isInUse)
    }

    /// The password for a USERNAME of `ours:theirs`.
    private func password(for username: String) -> String? {
        if username == "\(local.ufrag):\(remote.ufrag)" { return local.password }
        guard let before, username == "\(before.local.ufrag):\(before.remote.ufrag)" else { return nil }
        return before.local.password
    }
}
