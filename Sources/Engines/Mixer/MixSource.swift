import AudioCodecs
import RTP

/// One voice, or one file that is played, as a mixer hears it. Used by the mixer's thread only.
final class MixSource {
    private var buffer = JitterBuffer()
    private var decoder: OpusDecoder
    /// Decoded and not yet mixed.
    private var samples: [Int16] = []
    /// The 20 ms that the last pull took, where it took any.
    private(set) var frame = [Int16](repeating: 0, count: RoomMixer.frame)
    /// How loud it was lately: mean square, smoothed.
    private(set) var power: Double = 0
    /// When its last packet came, ns.
    private(set) var heardAt: Int64 = .min

    init() throws(CodecError) { decoder = try OpusDecoder(sampleRate: RoomMixer.sampleRate) }

    /// About how many pulls there is something for.
    var waiting: Int { buffer.count + samples.count / RoomMixer.frame }

    func push(sequence: UInt16, payload: [UInt8], now: Int64) {
        heardAt = now
        buffer.insert(sequence: sequence, payload: payload, at: now)
    }

    /// It was not pulled for a while: what comes next is what it says now, and nothing is known of it from before.
    func catchUp(_ now: Int64) {
        buffer.catchUp(at: now)
        decoder.reset()
        samples.removeAll(keepingCapacity: true)
        power = 0
    }

    /// Takes the next 20 ms into `frame`; false where there is nothing to hear.
    func pull(_ now: Int64) -> Bool {
        var attempts = 0
        while samples.count < RoomMixer.frame, attempts < 4 {
            attempts += 1
            let step = buffer.pop(at: now)
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
            return false
        }
        frame.replaceSubrange(frame.indices, with: samples[..<RoomMixer.frame])
        samples.removeFirst(RoomMixer.frame)
        let mean = frame.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(RoomMixer.frame)
        power = power * 0.7 + mean * 0.3
        return true
    }
}
