/// 16-bit mono PCM in a RIFF/WAVE file, for the tools.
public struct WAV: Sendable, Hashable {
    /// Samples per second.
    public var sampleRate: Int
    /// The samples; of several channels the first one.
    public var samples: [Int16]

    /// Samples to write.
    public init(sampleRate: Int, samples: [Int16]) {
        self.sampleRate = sampleRate
        self.samples = samples
    }

    /// Reads a file's bytes.
    /// - Throws: `CodecError` with code `data` for what is not 16-bit PCM.
    public init(parsing bytes: [UInt8]) throws(CodecError) {
        func number(_ offset: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
        guard bytes.count >= 12, bytes.starts(with: "RIFF".utf8), bytes[8..<12].elementsEqual("WAVE".utf8) else {
            throw CodecError(code: .data, description: "WAV: not a RIFF/WAVE file")
        }
        var offset = 12
        var format: (channels: Int, rate: Int)?
        while offset + 8 <= bytes.count {
            let length = number(offset + 4, 4)
            let body = offset + 8
            let end = min(body + length, bytes.count)
            if bytes[offset..<offset + 4].elementsEqual("fmt ".utf8), end - body >= 16 {
                // 0xfffe: the extensible form, whose samples are the same.
                guard [1, 0xfffe].contains(number(body, 2)), number(body + 14, 2) == 16, number(body + 2, 2) > 0 else {
                    throw CodecError(code: .data, description: "WAV: only 16-bit PCM can be read")
                }
                format = (number(body + 2, 2), number(body + 4, 4))
            } else if bytes[offset..<offset + 4].elementsEqual("data".utf8), let format {
                let frame = format.channels * 2
                sampleRate = format.rate
                samples = stride(from: body, to: max(body, end - frame + 1), by: frame).map {
                    Int16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8)
                }
                return
            }
            offset = body + length + length % 2
        }
        throw CodecError(code: .data, description: "WAV: there are no samples in it")
    }

    /// The file's bytes.
    public var bytes: [UInt8] {
        func little(_ number: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(number >> ($0 * 8) & 0xff) } }
        let size = samples.count * 2
        var out = Array("RIFF".utf8) + little(36 + size, 4) + Array("WAVEfmt ".utf8) + little(16, 4) + little(1, 2) + little(1, 2)
        out += little(sampleRate, 4) + little(sampleRate * 2, 4) + little(2, 2) + little(16, 2) + Array("data".utf8) + little(size, 4)
        for sample in samples { out += little(Int(UInt16(bitPattern: sample)), 2) }
        return out
    }
}
