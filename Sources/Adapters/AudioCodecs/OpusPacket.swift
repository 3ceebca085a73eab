/// What an Opus packet tells without being decoded (RFC 6716, 3).
///
///      0 1 2 3 4 5 6 7
///     +-+-+-+-+-+-+-+-+
///     | config  |s| c |    the TOC byte
///     +-+-+-+-+-+-+-+-+
public struct OpusPacket: Sendable, Hashable {
    /// The frames in it, 1…48.
    public let frameCount: Int
    /// One frame's length in samples at 48 kHz: 120 (2.5 ms)…2,880 (60 ms).
    public let samplesPerFrame: Int
    /// Whether it is coded in stereo.
    public let isStereo: Bool
    /// Whether it may bear in-band FEC of the packet before: SILK and hybrid modes.
    public let mayCarryFEC: Bool

    /// The length in samples at 48 kHz, at most 5,760 (120 ms).
    public var samples: Int { frameCount * samplesPerFrame }

    /// - Returns: nil for what breaks the rules R1–R7 of RFC 6716, 3.4.
    public init?(_ packet: [UInt8]) {
        guard let toc = packet.first else { return nil }
        let config = Int(toc >> 3)
        isStereo = toc & 4 != 0
        mayCarryFEC = config < 16
        samplesPerFrame =
            switch config {
            case 0..<12: [480, 960, 1920, 2880][config & 3]
            case 12..<16: [480, 960][config & 1]
            default: [120, 240, 480, 960][config & 3]
            }
        let rest = packet.dropFirst()
        switch toc & 3 {
        case 0:
            guard rest.count <= Self.maxFrameBytes else { return nil }
            frameCount = 1
        case 1:
            guard rest.count % 2 == 0, rest.count / 2 <= Self.maxFrameBytes else { return nil }
            frameCount = 2
        case 2:
            guard let (first, used) = Self.length(rest), first <= rest.count - used, rest.count - used - first <= Self.maxFrameBytes else {
                return nil
            }
            frameCount = 2
        default:
            guard let count = Self.frames(rest, samplesPerFrame: samplesPerFrame) else { return nil }
            frameCount = count
        }
    }

    private static let maxFrameBytes = 1275

    /// The frames of a packet of code 3: a count, padding, and either equal or told lengths.
    private static func frames(_ rest: ArraySlice<UInt8>, samplesPerFrame: Int) -> Int? {
        guard let flags = rest.first else { return nil }
        let count = Int(flags & 0x3f)
        guard count > 0, count * samplesPerFrame <= 5760 else { return nil }
        var body = rest.dropFirst()
        if flags & 0x40 != 0 {
            var padding = 0
            while true {
                guard let byte = body.popFirst() else { return nil }
                padding += byte == 255 ? 254 : Int(byte)
                if byte != 255 { break }
            }
            guard padding <= body.count else { return nil }
            body = body.dropLast(padding)
        }
        if flags & 0x80 == 0 {
            return body.count % count == 0 && body.count / count <= maxFrameBytes ? count : nil
        }
        var told = 0
        for _ in 1..<max(count, 1) {
            guard let (length, used) = length(body) else { return nil }
            body = body.dropFirst(used)
            told += length
        }
        return told <= body.count && body.count - told <= maxFrameBytes ? count : nil
    }

    /// A frame's length in one or two bytes (3.2.1).
    private static func length(_ bytes: ArraySlice<UInt8>) -> (length: Int, used: Int)? {
        guard let first = bytes.first else { return nil }
        if first < 252 { return (Int(first), 1) }
        guard let second = bytes.dropFirst().first else { return nil }
        return (Int(second) * 4 + Int(first), 2)
    }
}
