/// How loud a source probably is, by what stands outside of its packets: nothing is decoded for it. It is never believed for long, for it
/// says only whom to listen to first (`MixParticipant.urgency`).
struct Loudness {
    /// Speech of this level, or louder, is just speech: nobody gets ahead by claiming more. dB above silence (RFC 6464's 127).
    static let loudest = 100
    /// Where nothing is known: behind those who say that they talk, ahead of those who say that they are silent.
    static let unknown = 70
    /// An encoder that spends much more on a packet than on its quiet ones has something to encode.
    private static let voice = 95
    private static let manifold = 1.5
    /// An Opus payload of up to so many bytes is DTX or comfort noise.
    private static let silentPayload = 2
    /// The end of a word is not the end of a voice: dB per packet.
    private static let fall = 2

    /// 0…100.
    private(set) var estimate = 0
    /// The size of its quiet packets, bytes: at once down, slowly up.
    private var quiet = Double.infinity

    /// Looks at a packet.
    /// - Parameters:
    ///   - level: of RFC 6464, −dBov, where the packet bears it.
    ///   - size: of the payload, bytes.
    mutating func take(level: UInt8?, size: Int) {
        estimate = max(level.map { min(Loudness.loudest, 127 - Int(min($0, 127))) } ?? guess(size), estimate - Loudness.fall)
    }

    private mutating func guess(_ size: Int) -> Int {
        guard size > Loudness.silentPayload else { return 0 }
        quiet = min(Double(size), quiet * 1.002)
        return Double(size) >= quiet * Loudness.manifold ? Loudness.voice : Loudness.unknown
    }
}
