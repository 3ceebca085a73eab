import COpus

/// Encodes 16-bit mono speech to Opus, as a radio does. Each has one owner.
public struct OpusEncoder: ~Copyable {
    private let encoder: OpaquePointer

    /// - Parameters:
    ///   - sampleRate: 8000, 12000, 16000, 24000 or 48000.
    ///   - bitrate: bits per second, 6,000–510,000.
    ///   - dtx: send next to nothing in silence.
    ///   - fec: bear the packet before, for a loss of about 10 %.
    /// - Throws: `CodecError` with code `parameters`.
    public init(sampleRate: Int = 16_000, bitrate: Int = 24_000, dtx: Bool = false, fec: Bool = false) throws(CodecError) {
        var code: Int32 = 0
        guard let encoder = opus_encoder_create(Int32(sampleRate), 1, OPUS_APPLICATION_VOIP, &code), code == OPUS_OK else {
            throw CodecError(code: .parameters, description: "Opus can't encode \(sampleRate) Hz: \(String(cString: opus_strerror(code)))")
        }
        guard talkburst_opus_set_bitrate(encoder, Int32(clamping: bitrate)) == OPUS_OK else {
            opus_encoder_destroy(encoder)
            throw CodecError(code: .parameters, description: "Opus can't encode at \(bitrate) bit/s")
        }
        _ = talkburst_opus_set_dtx(encoder, dtx ? 1 : 0)
        _ = talkburst_opus_set_fec(encoder, fec ? 1 : 0)
        _ = talkburst_opus_set_loss(encoder, fec ? 10 : 0)
        _ = talkburst_opus_set_voice(encoder)
        self.encoder = encoder
    }

    deinit { opus_encoder_destroy(encoder) }

    /// One packet of these samples: 2.5, 5, 10, 20, 40 or 60 ms of them.
    /// - Throws: `CodecError` with code `data` for another number of samples.
    public mutating func encode(_ pcm: some Collection<Int16>) throws(CodecError) -> [UInt8] {
        let samples = Array(pcm)
        var packet = [UInt8](repeating: 0, count: 1275)
        let count = opus_encode(encoder, samples, Int32(samples.count), &packet, Int32(packet.count))
        guard count >= 0 else { throw CodecError(code: .data, description: "Opus: \(String(cString: opus_strerror(count)))") }
        packet.removeLast(packet.count - Int(count))
        return packet
    }
}
