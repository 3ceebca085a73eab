import AudioCodecs
import RTP
import Talk

/// One participant of an open room: their voice, whether it is heard, and what they hear then. Used by the mixer's thread only.
final class MixParticipant {
    let uid: UserID
    let source: MixSource
    var loudness = Loudness()
    private var encoder: OpusEncoder?
    /// The tick that last listened.
    private var listenedTick: Int64
    /// Whether that brought 20 ms.
    private(set) var hasFrame = false
    /// Until when it counts as talking, ns.
    private(set) var activeUntil: Int64 = .min
    /// Is heard.
    var isActive = false
    /// The sum of its levels while it talks, and of how many.
    var levels: (sum: Double, count: Int) = (0, 0)

    /// Whom nobody listened to for so many ticks is as urgent as can be. With that, a source that is said to be silent stays behind one that
    /// is said to talk, and one of which nothing is known gets ahead of it.
    private static let patience: Int64 = 40
    /// Who was found to talk is listened to for a moment, so that it shows how loud.
    private static let talking: Int64 = 10
    /// What is heard gives way only to what is clearly louder (1.8 dB).
    private static let hysteresis = 1.5

    init(_ uid: UserID, tick: Int64) throws(CodecError) {
        self.uid = uid
        source = try MixSource()
        listenedTick = tick - MixParticipant.patience
    }

    /// How much it calls for being decoded; nil: there is nothing to decode.
    func urgency(_ tick: Int64, _ now: Int64) -> Int64? {
        if isActive { return .max }
        let waited = tick - listenedTick
        // A buffer that is begun anew gives nothing out before there are a few.
        guard source.waiting >= (waited > 1 ? JitterBuffer.depths.lowerBound : 1) else { return nil }
        return Int64(loudness.estimate) + min(waited, MixParticipant.patience) + (activeUntil > now ? MixParticipant.talking : 0)
    }

    /// Whose turn it is of two that are as urgent.
    func isBefore(_ other: MixParticipant) -> Bool { (listenedTick, uid) < (other.listenedTick, other.uid) }

    /// How much it calls for being heard.
    var weight: Double { isActive ? source.power * MixParticipant.hysteresis : source.power }

    /// Hears its next 20 ms.
    func listen(_ tick: Int64, _ now: Int64) {
        if tick - listenedTick > 1 { source.catchUp(now) }
        listenedTick = tick
        hasFrame = source.pull(now)
        if source.power > RoomMixer.voicePower { activeUntil = now + RoomMixer.hangNs }
    }

    /// Encodes what this one hears.
    func encode(_ mix: [Int16]) -> [UInt8]? {
        if encoder == nil { encoder = try? RoomMixer.makeEncoder() }
        return try? encoder?.encode(mix)
    }

    /// What it heard by itself is another stream now.
    func endOwnMix() { encoder = nil }
}
