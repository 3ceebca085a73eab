/// Tells voice from silence for radios that know no floor signalling (FLOOR.md, "RTP from someone without the floor"):
/// three voice packets within 100 ms count as a request.
public struct VoiceGate: Sendable {
    /// Quieter than this is silence, dBov below full scale (RFC 6464 gives 0…127).
    public static let silenceLevel: UInt8 = 60
    /// An Opus payload of up to so many bytes is DTX or comfort noise.
    public static let silentPayload = 2
    static let windowNs: MonotonicNs = 100_000_000
    static let needed = 3
    private var first: MonotonicNs = .min
    private var second: MonotonicNs = .min

    /// A gate that has heard nothing.
    public init() {}

    /// Whether a packet carries voice.
    /// - Parameter level: the audio level of RFC 6464, −dBov, where negotiated.
    public static func isVoice(level: UInt8?, payloadSize: Int) -> Bool {
        level.map { $0 < silenceLevel } ?? (payloadSize > silentPayload)
    }

    /// Takes the time of a voice packet; true when it is the third within 100 ms.
    public mutating func voice(at now: MonotonicNs) -> Bool {
        let opens = first != .min && now - first <= VoiceGate.windowNs
        first = second
        second = now
        return opens
    }

    /// Forgets what was heard, as when the floor was lost.
    public mutating func reset() {
        first = .min
        second = .min
    }
}
