import COpenSSL

/// What secrets need: random bytes, and a comparison that tells nothing by its time.
public enum Secrets {
    /// Random bytes of OpenSSL's generator; nil where it has no entropy.
    /// - Parameter count: 1…1024.
    public static func random(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return RAND_bytes(&bytes, Int32(count)) == 1 ? bytes : nil
    }

    /// Whether two digests are equal, in a time that depends on their length only.
    public static func areEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        first.count == second.count && CRYPTO_memcmp(first, second, first.count) == 0
    }
}
