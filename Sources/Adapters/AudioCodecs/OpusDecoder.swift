import COpus

/// Decodes Opus to 16-bit mono. Each has one owner; it may go from thread to thread, but not be used by two at once.
public struct OpusDecoder: ~Copyable {
    private let decoder: OpaquePointer
    /// The samples per second that come out.
    public let sampleRate: Int

    /// - Parameter sampleRate: 8000, 12000, 16000, 24000 or 48000.
    /// - Throws: `CodecError` with code `parameters`.
    public init(sampleRate: Int = 16_000) throws(CodecError) {
        var code: Int32 = 0
        guard let decoder = opus_decoder_create(Int32(sampleRate), 1, &code), code == OPUS_OK else {
            throw CodecError(
                code: .parameters, description: "Opus can't decode to \(sampleRate) Hz: \(String(cString: opus_strerror(code)))")
        }
        self.decoder = decoder
        self.sampleRate = sampleRate
    }

    deinit { opus_decoder_destroy(decoder) }

    /// Appends what a packet holds.
    /// - Returns: how many samples it was.
    /// - Throws: `CodecError` with code `data`; nothing was appended then.
    @discardableResult
    public mutating func decode(_ packet: [UInt8], into pcm: inout [Int16]) throws(CodecError) -> Int {
        // 120 ms is the longest packet there is.
        try run(packet, samples: sampleRate * 120 / 1000, fec: false, into: &pcm)
    }

    /// Appends what the decoder makes up for a loss (PLC).
    /// - Parameter samples: a multiple of 2.5 ms, at most 120 ms.
    public mutating func conceal(_ samples: Int, into pcm: inout [Int16]) throws(CodecError) {
        try run(nil, samples: samples, fec: false, into: &pcm)
    }

    /// Appends the packet before this one, as far as this one bears it (in-band FEC); else what PLC makes up.
    /// - Parameter samples: the length of what was lost, a multiple of 2.5 ms.
    public mutating func decodeFEC(_ packet: [UInt8], samples: Int, into pcm: inout [Int16]) throws(CodecError) {
        try run(packet, samples: samples, fec: true, into: &pcm)
    }

    /// Forgets what came before: the next packet belongs to another stream.
    public mutating func reset() { _ = talkburst_opus_reset_decoder(decoder) }

    @discardableResult
    private func run(_ packet: [UInt8]?, samples: Int, fec: Bool, into pcm: inout [Int16]) throws(CodecError) -> Int {
        let start = pcm.count
        pcm.append(contentsOf: repeatElement(0, count: samples))
        let count = pcm.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard let base = buffer.baseAddress else { return 0 }
            return opus_decode(decoder, packet, Int32(packet?.count ?? 0), base + start, Int32(samples), fec ? 1 : 0)
        }
        pcm.removeLast(samples - max(0, Int(count)))
        guard count >= 0 else { throw CodecError(code: .data, description: "Opus: \(String(cString: opus_strerror(count)))") }
        return Int(count)
    }
}
