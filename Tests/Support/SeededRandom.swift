/// Random numbers that are the same for the same seed (SplitMix64): what a test printed can be run again.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    /// A generator of this seed.
    public init(_ seed: UInt64) { state = seed }
    /// The next number.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
    /// True so often in a hundred.
    public mutating func chance(_ percent: Int) -> Bool { Int(next() % 100) < percent }
}
