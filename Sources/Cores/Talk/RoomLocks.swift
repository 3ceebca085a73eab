/// A secret or PIN as it is kept: a salt, and the SHA-256 of salt and text. The text itself is nowhere.
public struct KeptSecret: Sendable, Hashable {
    /// Random, made with the secret; `saltBytes` of them.
    public let salt: [UInt8]
    /// SHA-256 (FIPS 180-4) of the salt and the text's UTF-8; `digestBytes` of them.
    public let digest: [UInt8]
    /// The length of a salt, bytes.
    public static let saltBytes = 16
    /// The length of a digest, bytes.
    public static let digestBytes = 32

    /// A kept secret; nil where a length is wrong.
    public init?(salt: [UInt8], digest: [UInt8]) {
        guard salt.count == KeptSecret.saltBytes, digest.count == KeptSecret.digestBytes else { return nil }
        (self.salt, self.digest) = (salt, digest)
    }
}

/// What a room asks of people (AudioBridge): who knows `secret` administers it, who knows `pin` may join.
public struct RoomLocks: Sendable, Hashable {
    /// Nil: only the admin key and the back office administer the room.
    public var secret: KeptSecret?
    /// Nil: nothing is asked at a join.
    public var pin: KeptSecret?

    /// Nothing is asked.
    public init() {}

    /// A change of a room's locks; what is nil stays.
    public struct Change: Sendable, Hashable {
        /// The new secret: one that a room has can be replaced, not taken away (as AudioBridge has it).
        public var secret: KeptSecret?
        /// The new PIN, or that there is none any more.
        public var pin: PIN?
        /// What becomes of a PIN.
        public enum PIN: Sendable, Hashable {
            case removed
            case kept(KeptSecret)
        }

        /// Everything stays.
        public init() {}
    }

    /// These locks after a change.
    public func applying(_ change: Change) -> RoomLocks {
        var locks = self
        locks.secret = change.secret ?? secret
        switch change.pin {
        case nil: break
        case .removed: locks.pin = nil
        case .kept(let pin): locks.pin = pin
        }
        return locks
    }
}
