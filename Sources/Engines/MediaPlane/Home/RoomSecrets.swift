import Crypto
import Talk

extension KeptSecret {
    /// Keeps a text under a new random salt.
    public init?(_ text: String) {
        guard let salt = Secrets.random(KeptSecret.saltBytes) else { return nil }
        self.init(salt: salt, digest: KeptSecret.digest(salt, text))
    }

    /// Whether this was made of that text; the time that it takes tells nothing of either.
    public func matches(_ text: String) -> Bool { Secrets.areEqual(digest, KeptSecret.digest(salt, text)) }

    /// Refuses what does not match, in AudioBridge's words.
    /// - Throws: 483 where nothing was given, 489 where it is wrong.
    func check(_ text: String?, named name: String) throws(Refusal) {
        guard let text else { throw Refusal(.missingElement, "Missing element (\(name))") }
        guard matches(text) else { throw Refusal(.unauthorized, "Unauthorized (wrong \(name))") }
    }

    private static func digest(_ salt: [UInt8], _ text: String) -> [UInt8] { Digests.hash(.sha256, salt + Array(text.utf8)) }
}
