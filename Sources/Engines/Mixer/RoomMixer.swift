import AudioCodecs
import Talk

/// Mixes an open room: the loudest few are heard, each of them hears the others, and everybody else hears one mix that is encoded once. Only
/// some are decoded to find the loudest: who those are is decided by what their packets say without it, and everybody gets a turn.
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

    private struct Candidate {
        var urgency: Int64
        var participant: MixParticipant

        func isBefore(_ other: Candidate) -> Bool {
            urgency == other.urgency ? participant.isBefore(other.participant) : urgency > other.urgency
        }
    }

    private var people: [UserID: MixParticipant] = [:]
    /// What is played to the room, by its name: all of it is in every mix.
    private var files: [String: MixSource] = [:]
    private var encoder: OpusEncoder?
    private var limiter = Limiter()
    private var sum = [Int32](repeating: 0, count: RoomMixer.frame)
    /// The common mix goes on for a moment after the last voice, so that its end is not cut.
    private var commonUntil: Int64 = .min
    private var tick: Int64 = 0
    /// Who is decoded in this tick, the most urgent first. Kept from tick to tick, as `heard` is, for its memory.
    private var listened: [Candidate] = []
    /// Who is heard in this tick, the loudest first.
    private var heard: [MixParticipant] = []

    /// A room in which nobody talks.
    public init() {}

    /// Whether `tick` is needed.
    public var isIdle: Bool { people.isEmpty && files.isEmpty }

    /// Takes a participant's packet.
    /// - Parameters:
    ///   - level: of RFC 6464, −dBov, where the packet bears it.
    ///   - now: monotonic, ns.
    public func push(_ uid: UserID, sequence: UInt16, payload: UnsafeRawBufferPointer, level: UInt8?, now: Int64) {
        guard let participant = people[uid] ?? newParticipant(uid) else { return }
        participant.loudness.take(level: level, size: payload.count)
        participant.source.push(sequence: sequence, payload: Array(payload), now: now)
    }

    private func newParticipant(_ uid: UserID) -> MixParticipant? {
        let participant = try? MixParticipant(uid, tick: tick)
        people[uid] = participant
        return participant
    }

    /// Somebody is gone, or muted.
    /// - Returns: their average level in −dBov, where they were heard.
    public func remove(_ uid: UserID) -> Int? {
        guard let participant = people.removeValue(forKey: uid), participant.isActive else { return nil }
        return Self.level(participant)
    }

    /// Takes a packet of a file that is played to the room; it is not weighed against the voices.
    /// - Parameter now: monotonic, ns.
    public func push(file: String, sequence: UInt16, payload: [UInt8], now: Int64) {
        if files[file] == nil { files[file] = try? MixSource() }
        files[file]?.push(sequence: sequence, payload: payload, now: now)
    }

    /// A file is not played any more, or from its start. One that came to its end needs nothing: its last packets are still heard.
    public func remove(file: String) { files[file] = nil }

    /// Every 20 ms.
    public func tick(_ now: Int64) -> Output {
        var output = Output()
        tick += 1
        forget(now, &output)
        choose(now)
        for candidate in listened { candidate.participant.listen(tick, now) }
        weigh(now, &output)
        mix(now, &output)
        return output
    }

    private func forget(_ now: Int64, _ output: inout Output) {
        for (uid, participant) in people where now - participant.source.heardAt > RoomMixer.forgetNs {
            if participant.isActive { output.stopped.append((uid, Self.level(participant))) }
            people[uid] = nil
        }
        for (file, source) in files where now - source.heardAt > RoomMixer.forgetNs { files[file] = nil }
    }

    /// Finds those who are to be decoded: a short list is kept in order, for most are behind its last.
    private func choose(_ now: Int64) {
        listened.removeAll(keepingCapacity: true)
        for participant in people.values {
            guard let urgency = participant.urgency(tick, now) else { continue }
            let candidate = Candidate(urgency: urgency, participant: participant)
            if listened.count == RoomMixer.candidates, let last = listened.last {
                guard candidate.isBefore(last) else { continue }
                listened.removeLast()
            }
            listened.insert(candidate, at: listened.firstIndex { candidate.isBefore($0) } ?? listened.count)
        }
    }

    /// Finds those who are heard: the loudest of those who talk.
    private func weigh(_ now: Int64, _ output: inout Output) {
        heard.removeAll(keepingCapacity: true)
        for one in listened.lazy.map(\.participant) where one.activeUntil > now {
            let place = heard.firstIndex { (one.weight, one.uid) > ($0.weight, $0.uid) } ?? heard.count
            heard.insert(one, at: place)
            if heard.count > RoomMixer.loudest { heard.removeLast() }
        }
        for one in listened.lazy.map(\.participant) {
            let isHeard = heard.contains { $0 === one }
            if isHeard, !one.isActive {
                one.levels = (0, 0)
                output.started.append(one.uid)
            }
            if !isHeard, one.isActive {
                output.stopped.append((one.uid, Self.level(one)))
                one.endOwnMix()
            }
            one.isActive = isHeard
            if isHeard {
                one.levels.sum += one.source.power
                one.levels.count += 1
            }
        }
    }

    private func mix(_ now: Int64, _ output: inout Output) {
        for index in sum.indices { sum[index] = 0 }
        for source in files.values where source.pull(now) {
            add(source.frame)
            commonUntil = now + 200_000_000
        }
        if !heard.isEmpty { commonUntil = now + 200_000_000 }
        guard now < commonUntil else {
            encoder = nil
            return
        }
        for one in heard where one.hasFrame { add(one.source.frame) }
        if encoder == nil { encoder = try? Self.makeEncoder() }
        let gain = limiter.gain(for: sum)
        output.common = try? encoder?.encode(Self.scaled(sum, gain))
        for one in heard {
            var others = sum
            if one.hasFrame { for (index, sample) in zip(others.indices, one.source.frame) { others[index] -= Int32(sample) } }
            if let payload = one.encode(Self.scaled(others, gain)) { output.own.append((one.uid, payload)) }
        }
    }

    private func add(_ frame: [Int16]) { for (index, sample) in zip(sum.indices, frame) { sum[index] += Int32(sample) } }

    static func makeEncoder() throws(CodecError) -> OpusEncoder {
        try OpusEncoder(sampleRate: sampleRate, bitrate: 32_000, dtx: false, fec: true)
    }

    static func scaled(_ mix: [Int32], _ gain: Double) -> [Int16] {
        gain == 1 ? mix.map { Int16(clamping: $0) } : mix.map { Int16(clamping: Int32(Double($0) * gain)) }
    }

    /// The average level while it was heard, in −dBov.
    private static func level(_ participant: MixParticipant) -> Int {
        guard participant.levels.count > 0 else { return 127 }
        return decibels(participant.levels.sum / Double(participant.levels.count))
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
