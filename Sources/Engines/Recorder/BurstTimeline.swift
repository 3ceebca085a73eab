import AudioCodecs

/// What to decode, in which order, so that the sound is as long as the burst: from its first packet to the end of its last one.
///
/// All packets of the burst are there (they were kept first), so order is a matter of sorting, not of waiting. Lengths are in samples
/// at 48 kHz, RTP's clock for Opus (RFC 7587).
struct BurstTimeline: Hashable {
    enum Step: Hashable {
        /// The packet of this index.
        case decode(Int, samples: Int)
        /// What was lost just before the packet of this index, out of that packet (in-band FEC).
        case fec(Int, samples: Int)
        /// A short gap: the decoder makes something up, or goes on with its comfort noise.
        case conceal(samples: Int)
        /// A long gap.
        case silence(samples: Int)

        var samples: Int {
            switch self {
            case .decode(_, let samples), .fec(_, let samples), .conceal(let samples), .silence(let samples): samples
            }
        }
    }

    /// After losses, PLC has faded out by then (samples at 48 kHz: 120 ms).
    static let concealLossSamples = 5_760
    /// DTX sends a frame every 400 ms at least; until a bit after that the decoder's comfort noise goes on.
    static let concealDTXSamples = 24_000
    /// The stream's clock may run ahead of ours by this much: 1 s.
    static let aheadSamples = 48_000
    /// Opus decodes in units of 2.5 ms.
    static let unit = 120

    private(set) var steps: [Step] = []
    /// The burst's length.
    private(set) var samples = 0

    /// - Parameter packets: in the order of their arrival, duplicates and all.
    init(_ packets: [RecordedPacket]) {
        guard let first = packets.first else { return }
        var shift: Int64 = 0
        var last: (sequence: Int64, end: Int64)?
        for placed in Self.placed(packets) {
            let packet = packets[placed.index]
            guard let facts = OpusPacket(packet.payload) else { continue }
            let length = Int64(facts.samples)
            guard let (lastSequence, cursor) = last else {
                shift = -placed.timestamp
                append(.decode(placed.index, samples: facts.samples))
                last = (placed.sequence, length)
                continue
            }
            var gap = placed.timestamp + shift - cursor
            // A clock that wobbles a little: nothing is missing between two packets that follow each other.
            if placed.sequence == lastSequence + 1, abs(gap) < Int64(Self.unit) { gap = 0 }
            // A clock that jumps back began anew: its packets follow without a gap. A little back is a repeat of what was there.
            if gap < -Int64(Self.aheadSamples) {
                gap = 0
            } else if gap < 0 {
                continue
            }
            let elapsed = packet.arrivalNs > first.arrivalNs ? Int64((packet.arrivalNs - first.arrivalNs) / 1000 * 48 / 1000) : 0
            gap = min(gap, max(0, elapsed + Int64(Self.aheadSamples) - cursor - length))
            shift = cursor + gap - placed.timestamp
            fill(Int(gap), isLoss: placed.sequence > lastSequence + 1, before: placed.index, facts)
            append(.decode(placed.index, samples: facts.samples))
            last = (placed.sequence, cursor + gap + length)
        }
    }

    private struct Placed {
        var index: Int
        var sequence: Int64
        var timestamp: Int64
    }

    /// The packets by their sequence numbers, each once, both counters unwrapped.
    private static func placed(_ packets: [RecordedPacket]) -> [Placed] {
        var all: [Placed] = []
        var highest: (sequence: Int64, timestamp: Int64)?
        for (index, packet) in packets.enumerated() {
            let near = highest ?? (Int64(packet.sequence), Int64(packet.timestamp))
            let sequence = near.sequence + Int64(Int16(truncatingIfNeeded: Int64(packet.sequence) - near.sequence))
            let timestamp = near.timestamp + Int64(Int32(truncatingIfNeeded: Int64(packet.timestamp) - near.timestamp))
            all.append(Placed(index: index, sequence: sequence, timestamp: timestamp))
            if sequence >= near.sequence { highest = (sequence, timestamp) }
        }
        all.sort { ($0.sequence, $0.index) < ($1.sequence, $1.index) }
        var unique: [Placed] = []
        for one in all where unique.last?.sequence != one.sequence { unique.append(one) }
        return unique
    }

    private mutating func fill(_ gap: Int, isLoss: Bool, before index: Int, _ facts: OpusPacket) {
        guard gap > 0 else { return }
        let fromFEC = isLoss && facts.mayCarryFEC && gap >= facts.samplesPerFrame ? facts.samplesPerFrame : 0
        let limit = isLoss ? Self.concealLossSamples : Self.concealDTXSamples
        var rest = gap - fromFEC
        var concealed = min(rest, limit) / Self.unit * Self.unit
        rest -= concealed
        while concealed > 0 {
            // 20 ms at once, as a player would.
            let part = min(concealed, 960)
            append(.conceal(samples: part))
            concealed -= part
        }
        if rest > 0 { append(.silence(samples: rest)) }
        if fromFEC > 0 { append(.fec(index, samples: fromFEC)) }
    }

    private mutating func append(_ step: Step) {
        steps.append(step)
        samples += step.samples
    }
}
