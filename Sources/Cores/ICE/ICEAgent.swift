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
public struct ICEAgent<Path: Hashable & Sendable>: Sendable {
    /// What a check brought.
    public struct Outcome: Sendable, Equatable {
        /// The answer, to be sent where the check came from; nil for what is not answered.
        public var response: [UInt8]?
        /// Media goes here from now on; nil: as before.
        public var selected: Path?
        /// The check was the peer's own.
        public var isValid = false
        /// Nothing came of it.
        public init() {}
    }
    /// A peer whose checks stop is gone after so long: consent (RFC 7675 §5.1), ns.
    public static var consentNs: Int64 { 30_000_000_000 }

    /// Ours.
    public private(set) var local: ICECredentials
    /// The peer's.
    public private(set) var remote: ICECredentials
    /// Where media goes; nil until the first valid check.
    public private(set) var selected: Path?
    /// When the last valid check came, or the agent was made.
    public private(set) var heardAt: Int64
    /// Whether the peer chose the path, or it is only the first that works.
    private var isNominated = false
    /// Those before a restart: good until the first check under the new ones (RFC 8445 §9).
    private var before: (local: ICECredentials, remote: ICECredentials)?

    /// An agent that waits for checks.
    /// - Parameter now: monotonic, ns.
    public init(local: ICECredentials, remote: ICECredentials, now: Int64) {
        (self.local, self.remote, heardAt) = (local, remote, now)
    }

    /// New credentials, for the same media: the path stays until the peer chooses another.
    public mutating func restart(local: ICECredentials, remote: ICECredentials, now: Int64) {
        before = (self.local, self.remote)
        (self.local, self.remote, heardAt) = (local, remote, now)
        isNominated = false
    }

    /// A path's carrier is gone, and will not come back: the next valid check selects its own.
    public mutating func lose(_ path: Path) {
        guard selected == path else { return }
        (selected, isNominated) = (nil, false)
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
        // The first path that works serves until the peer chooses; then the one that it chose last, which may be a new one (a NAT's
        // rebinding, another network).
        if message.nominates || (!isNominated && selected == nil) {
            isNominated = isNominated || message.nominates
            if selected != path {
                selected = path
                outcome.selected = path
            }
        }
        return outcome
    }

    /// The password for a USERNAME of `ours:theirs`.
    private func password(for username: String) -> String? {
        if username == "\(local.ufrag):\(remote.ufrag)" { return local.password }
        guard let before, username == "\(before.local.ufrag):\(before.remote.ufrag)" else { return nil }
        return before.local.password
    }
}
