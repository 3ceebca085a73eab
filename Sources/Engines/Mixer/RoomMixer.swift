import AudioCodecs
import Talk

/// Mixes an open room: the loudest few are decoded, each of them hears the others, and everybody else hears one mix that is encoded once.
///
/// Sans-IO but for the codecs: packets and the time come in, packets come out. For one thread at a time.
public final class RoomMixer {
    /// 48 kHz.
    public static let sampleRate = 48_000
    /// 20 ms.
    static let frame = 960
    /// The pace of `tick`, ns.
    public static let tickNs: Int64 = 20_000_000
    /// How many are heard at once.
    public static let loudest = 4
    /// How many are decoded to find them.
    static let candidates = 12
    /// Who fell silent is still heard for so long, ns.
    static let hangNs: Int64 = 400_000_000
    /// Voice: above −50 dBov (RFC 6465's unit), as a mean square.
    static let voicePower = 32_768.0 * 32_768.0 * 1e-5
    /// A source that sends nothing for so long is forgotten, ns.
    static let forgetNs: Int64 = 5_000_000_000

    /// What 20 ms brought.
    public struct Output: Sendable {
        /// For everybody who is not heard; nil where nobody is.
        public var common: [UInt8]?
        /// For each of those who are heard: the others.
        public var own: [(uid: UserID, payload: [UInt8])] = []
        /// Who began to be heard.
        public var started: [UserID] = []
        /// Who stopped, with their average level in −dBov (0…127).
        public var stopped: [(uid: UserID, level: Int)] = []
    }

    private var sources: [UserID: MixSource] = [:]
    private var encoder: OpusEncoder?
    private var limiter = Limiter()
    private var sum = [Int32](repeating: 0, count: RoomMixer.frame)
    /// The common mix goes on for a moment after the last voice, so that its end is not cut.
    private var commonUntil: Int64 = .min

    /// A room in which nobody talks.
    public init() {}

    /// Whether `tick` is needed.
    public var isIdle: Bool { sources.isEmpty }

    /// Takes a participant's packet.
    /// - Parameter now: monotonic, ns.
    public func push(_ uid: UserID, sequence: UInt16, payload: UnsafeRawBufferPointer, now: Int64) {
        let source: MixSource
        if let known = sources[uid] {
            source = known
        } else {
            guard let made = try? MixSource(uid) else { return }
            sources[uid] = made
            source = made
        }
        source.push(sequence: sequence, payload: Array(payload), now: now)
    }

    /// Somebody is gone, or muted.
    /// - Returns: their average level in −dBov, where they were heard.
    public func remove(_ uid: UserID) -> Int? {
        guard let source = sources.removeValue(forKey: uid), source.isActive else { return nil }
        return Self.level(source)
    }

    /// Every 20 ms.
    public func tick(_ now: Int64) -> Output {
        var output = Output()
        for (uid, source) in sources where now - source.heardAt > RoomMixer.forgetNs {
            if source.isActive { output.stopped.append((uid, Self.level(source))) }
            sources[uid] = nil
        }
        // All of them go on in time; those that send most lately are listened to.
        let listened = sources.values.sorted { ($0.isActive ? 1 : 0, $0.heardAt, $0.uid) > ($1.isActive ? 1 : 0, $1.heardAt, $1.uid) }
            .prefix(RoomMixer.candidates)
        var parts: [(source: MixSource, samples: ArraySlice<Int16>?)] = []
        for source in listened {
            let samples = source.pull()
            if source.power > RoomMixer.voicePower { source.activeUntil = now + RoomMixer.hangNs }
            parts.append((source, samples))
        }
        let heard = Set(
            parts.filter { $0.source.activeUntil > now }.sorted { ($0.source.power, $0.source.uid) > ($1.source.power, $1.source.uid) }
                .prefix(RoomMixer.loudest).map(\.source.uid))
        for (source, _) in parts {
            let isHeard = heard.contains(source.uid)
            if isHeard, !source.isActive {
                source.levels = (0, 0)
                output.started.append(source.uid)
            }
            if !isHeard, source.isActive {
                output.stopped.append((source.uid, Self.level(source)))
                source.endOwnMix()
            }
            source.isActive = isHeard
            if isHeard {
                source.levels.sum += source.power
                source.levels.count += 1
            }
        }
        mix(parts.filter { heard.contains($0.source.uid) }, now, &output)
        return output
    }

    private func mix(_ parts: [(source: MixSource, samples: ArraySlice<Int16>?)], _ now: Int64, _ output: inout Output) {
        if !parts.isEmpty { commonUntil = now + 200_000_000 }
        guard now < commonUntil else {
            encoder = nil
            return
        }
        for index in sum.indices { sum[index] = 0 }
        for (_, samples) in parts {
            guard let samples else { continue }
            for (index, sample) in zip(sum.indices, samples) { sum[index] += Int32(sample) }
        }
        if encoder == nil { encoder = try? Self.makeEncoder() }
        let gain = limiter.gain(for: sum)
        output.common = try? encoder?.encode(Self.scaled(sum, gain))
        for (source, samples) in parts {
            var others = sum
            if let samples { for (index, sample) in zip(others.indices, samples) { others[index] -= Int32(sample) } }
            if let payload = source.encode(Self.scaled(others, gain)) { output.own.append((source.uid, payload)) }
        }
    }

    static func makeEncoder() throws(CodecError) -> OpusEncoder {
        try OpusEncoder(sampleRate: sampleRate, bitrate: 32_000, dtx: false, fec: true)
    }

    static func scaled(_ mix: [Int32], _ gain: Double) -> [Int16] {
        gain == 1 ? mix.map { Int16(clamping: $0) } : mix.map { Int16(clamping: Int32(Double($0) * gain)) }
    }

    /// The average level while it was heard, in −dBov.
    private static func level(_ source: MixSource) -> Int {
        guard source.levels.count > 0 else { return 127 }
        return decibels(source.levels.sum / Double(source.levels.count))
    }

    /// −10 log10 of a mean square over full scale, by halves: a core needs no libm for that.
    private static func decibels(_ power: Double) -> Int {
        var rest = power / (32_768.0 * 32_768.0)
        var level = 0
        // 10^(1/10)
        while rest < 0.794_328_234_7, level < 127 {
            rest *= 1.258_925_411_8
            level += 1
        }
        return level
    }
}

/// Keeps a mix below full scale: at once where it would clip, and back slowly.
struct Limiter {
    private var current = 1.0

    mutating func gain(for mix: [Int32]) -> Double {
        let peak = mix.reduce(Int32(0)) { max($0, abs($1)) }
        let wanted = peak > 32_000 ? 32_000 / Double(peak) : 1
        current = wanted < current ? wanted : min(1, current + 0.02)
        return min(current, wanted)
    }
}
