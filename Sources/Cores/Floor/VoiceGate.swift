/// Tells voice from silence for radios that know no floor signalling (FLOOR.md, "RTP from someone without the floor"):
/// three voice packets within 100 ms count as a request, which is repeated every second while the voice goes on.
public struct VoiceGate: Sendable {
    /// Quieter than this is silence, dBov below full scale (RFC 6464 gives 0…127).
    public static let silenceLevel: UInt8 = 60
    /// An Opus payload of up to so many bytes is DTX or comfort noise.
    public static let silentPayload = 2
    static let windowNs: MonotonicNs = 100_000_000
    static let repeatNs: MonotonicNs = 1_000_000_000
    private var first: MonotonicNs = .min
    private var second: MonotonicNs = .min
    /// When it asked last; nil: it did not since it was reset.
    private var askedAt: MonotonicNs?

    /// A gate that has heard nothing.
    public init() {}

    /// Whether a packet carries voice.
    /// - Parameter level: the audio level of RFC 6464, −dBov, where negotiated.
    public static func isVoice(level: UInt8?, payloadSize: Int) -> Bool {
        level.map { $0 < silenceLevel } ?? (payloadSize > silentPayload)
    }

    /// Takes the time of a voice packet; true when it is the third within 100 ms, and a second later.
    public mutating func voice(at now: MonotonicNs) -> Bool {
        let isVoice = first != .min && now - first <= VoiceGate.windowNs
        first = second
        second = now
        guard isVoice, askedAt.map({ now - $0 >= VoiceGate.repeatNs }) ?? true else { return false }
        askedAt = now
        return true
    }

    /// Whether it asked, and the voice is over since then: as a Release of what was asked for.
    public func hasEnded(at now: MonotonicNs, after silence: MonotonicNs) -> Bool { askedAt != nil && now - second > silence }

    /// Forgets what was heard, as when the floor was lost.
    public mutating func reset() {
        (first, second, askedAt) = (.min, .min, nil)
    }
}
