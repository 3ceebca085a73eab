import AudioCodecs
import Talk

/// Mixes the two voices of a dual floor into one stream, for those who can hear only one.
///
/// Sans-IO but for the codecs: packets come in, and a packet comes out every 20 ms. For one thread at a time.
public final class PairMixer {
    private var sources: [UserID: MixSource] = [:]
    private var encoder: OpusEncoder?
    private var limiter = Limiter()
    private var sum = [Int32](repeating: 0, count: RoomMixer.frame)

    /// Nobody talks yet.
    public init() {}

    /// Takes a talker's packet.
    /// - Parameter now: monotonic, ns.
    public func push(_ uid: UserID, sequence: UInt16, payload: UnsafeRawBufferPointer, now: Int64) {
        guard let source = sources[uid] ?? (try? MixSource()) else { return }
        sources[uid] = source
        source.push(sequence: sequence, payload: Array(payload), now: now)
    }

    /// A talker's burst is over.
    public func remove(_ uid: UserID) { sources[uid] = nil }

    /// The next 20 ms of both; nil where neither says anything.
    /// - Parameter now: monotonic, ns.
    public func tick(_ now: Int64) -> [UInt8]? {
        for index in sum.indices { sum[index] = 0 }
        var isSilent = true
        for source in sources.values where source.pull(now) {
            isSilent = false
            for (index, sample) in zip(sum.indices, source.frame) { sum[index] += Int32(sample) }
        }
        guard !isSilent else { return nil }
        if encoder == nil { encoder = try? RoomMixer.makeEncoder() }
        return try? encoder?.encode(RoomMixer.scaled(sum, limiter.gain(for: sum)))
    }
}
