/// Kafka's default partitioner: murmur2 of the key, as in the Java client's `Utils.murmur2`.
///
/// Source: Apache Kafka's protocol for partitioning by key; librdkafka calls it `murmur2_random`.
public enum Murmur2 {
    /// The 32-bit hash of `bytes` with Kafka's seed.
    public static func hash(_ bytes: some Collection<UInt8>) -> UInt32 {
        let multiplier: UInt32 = 0x5bd1_e995
        var hash = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
        var word: UInt32 = 0
        var filled: UInt32 = 0
        for byte in bytes {
            word |= UInt32(byte) << (8 * filled)
            filled += 1
            guard filled == 4 else { continue }
            word = word &* multiplier
            word ^= word >> 24
            hash = (hash &* multiplier) ^ (word &* multiplier)
            word = 0
            filled = 0
        }
        if filled > 0 { hash = (hash ^ word) &* multiplier }
        hash ^= hash >> 13
        hash = hash &* multiplier
        return hash ^ (hash >> 15)
    }

    /// The partition of `key` in a topic of `count` partitions; 0 where `count` is not positive.
    public static func partition(key: some Collection<UInt8>, count: Int) -> Int32 {
        guard count > 0, count <= Int(Int32.max) else { return 0 }
        return Int32((hash(key) & 0x7fff_ffff) % UInt32(count))
    }

    /// The partition of a group: its canonical decimal is the key (MESSAGES.md, "Who owns a room").
    public static func partition(gid: Int64, count: Int) -> Int32 { partition(key: String(gid).utf8, count: count) }
}
