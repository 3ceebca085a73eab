/// Which of the last 128 packets were seen (RFC 3711, section 3.3.2). It changes only by what was authentic.
struct ReplayWindow {
    static let size: UInt64 = 128

    /// The highest index seen; meaningless before the first packet.
    private(set) var highest: UInt64 = 0
    /// Bit n is the packet `highest - n`; none before the first packet.
    private var seen: UInt128 = 0

    var isEmpty: Bool { seen == 0 }

    /// Whether a packet of this index may still come.
    func admits(_ index: UInt64) -> Bool {
        if isEmpty || index > highest { return true }
        let age = highest - index
        return age < Self.size && seen & (1 << UInt128(age)) == 0
    }

    /// A packet of this index came, and was authentic.
    mutating func accept(_ index: UInt64) {
        if isEmpty {
            (highest, seen) = (index, 1)
        } else if index > highest {
            // A shift by more than the width leaves nothing, as it should.
            seen = seen << UInt128(index - highest) | 1
            highest = index
        } else if highest - index < Self.size {
            seen |= 1 << UInt128(highest - index)
        }
    }

    /// The index that a sequence number most likely belongs to: roll-over counter × 2^16 + sequence number (RFC 3711, section 3.3.1 and
    /// appendix A); nil where it would lie before the first roll-over counter or after the last.
    func estimate(_ sequence: UInt16) -> UInt64? {
        if isEmpty { return UInt64(sequence) }
        let counter = highest >> 16
        let last = Int(highest & 0xffff)
        let distance = Int(sequence) - last
        if last < 0x8000 {
            guard distance > 0x8000 else { return counter << 16 | UInt64(sequence) }
            return counter == 0 ? nil : (counter - 1) << 16 | UInt64(sequence)
        }
        guard distance < -0x8000 else { return counter << 16 | UInt64(sequence) }
        return counter == 0xffff_ffff ? nil : (counter + 1) << 16 | UInt64(sequence)
    }
}
