import AudioCodecs
import RTP
import Talk

/// One participant of an open room, as the mixer hears them. Used by the mixer's thread only.
final class MixSource {
    let uid: UserID
    private var buffer = JitterBuffer()
    private var decoder: OpusDecoder
    private var encoder: OpusEncoder?
    /// Decoded and not yet mixed.
    private var samples: [Int16] = []
    /// How loud it was lately: mean square, smoothed.
    private(set) var power: Double = 0
    /// Until when it counts as talking, ns.
    var activeUntil: Int64 = .min
    /// When its last packet came, ns.
    private(set) var heardAt: Int64 = .min
    var isActive = false
    /// The sum of its levels while it talks, and of how many.
    var levels: (sum: Double, count: Int) = (0, 0)

    init(_ uid: UserID) throws(CodecError) {
        self.uid = uid
        decoder = try OpusDecoder(sampleRate: RoomMixer.sampleRate)
    }

    func push(sequence: UInt16, payload: [UInt8], now: Int64) {
        heardAt = now
        buffer.insert(sequence: sequence, payload: payload)
    }

    /// The next 20 ms; nil where there is nothing to hear.
    func pull() -> ArraySlice<Int16>? {
        var attempts = 0
        while samples.count < RoomMixer.frame, attempts < 4 {
            attempts += 1
            let step = buffer.pop()
            do {
                switch step {
                case .packet(let payload): try decoder.decode(payload, into: &samples)
                case .recover(let payload): try decoder.decodeFEC(payload, samples: RoomMixer.frame, into: &samples)
                case .conceal: try decoder.conceal(RoomMixer.frame, into: &samples)
                case .nothing: attempts = 4
                }
            } catch {
                // A broken packet is 20 ms of silence.
                samples.append(contentsOf: repeatElement(0, count: RoomMixer.frame))
            }
        }
        guard samples.count >= RoomMixer.frame else {
            samples.removeAll(keepingCapacity: true)
            power *= 0.7
            return nil
        }
        defer { samples.removeFirst(RoomMixer.frame) }
        let part = samples[..<RoomMixer.frame]
        let mean = part.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(RoomMixer.frame)
        power = power * 0.7 + mean * 0.3
        return Array(part)[...]
    }

    /// Encodes what this one hears.
    func encode(_ mix: [Int16]) -> [UInt8]? {
        if encoder == nil { encoder = try? RoomMixer.makeEncoder() }
        return try? encoder?.encode(mix)
    }

    /// What it heard by itself is another stream now.
    func endOwnMix() { encoder = nil }
}
