import CLame

/// Encodes 16-bit mono to MP3 with an average bit rate, and a Xing/LAME frame in front that tells decoders the exact length.
///
/// The first frame that `encode` gives is the place of that frame: it is overwritten in the end by `finish`'s `tagFrame`.
public struct MP3Encoder: ~Copyable {
    private let lame: OpaquePointer
    private var buffer: [UInt8] = []

    /// - Parameters:
    ///   - sampleRate: 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000.
    ///   - bitrateKbps: 8–320, as the rate allows.
    ///   - quality: 0 best and slowest … 9 worst and fastest.
    /// - Throws: `CodecError` with code `parameters`.
    public init(sampleRate: Int = 16_000, bitrateKbps: Int = 32, quality: Int = 5) throws(CodecError) {
        guard let lame = lame_init() else { throw CodecError(code: .parameters, description: "LAME has no memory") }
        lame_set_in_samplerate(lame, Int32(sampleRate))
        lame_set_out_samplerate(lame, Int32(sampleRate))
        lame_set_num_channels(lame, 1)
        lame_set_mode(lame, MONO)
        // LAME's own frame with the exact length does not fit into a frame of 32 kbit/s; with an average bit rate it takes a larger one.
        lame_set_VBR(lame, vbr_abr)
        lame_set_VBR_mean_bitrate_kbps(lame, Int32(clamping: bitrateKbps))
        lame_set_quality(lame, Int32(quality))
        lame_set_bWriteVbrTag(lame, 1)
        lame_set_write_id3tag_automatic(lame, 0)
        guard lame_init_params(lame) >= 0, lame_get_VBR_mean_bitrate_kbps(lame) == Int32(clamping: bitrateKbps) else {
            lame_close(lame)
            throw CodecError(code: .parameters, description: "LAME can't encode \(sampleRate) Hz at \(bitrateKbps) kbit/s")
        }
        self.lame = lame
    }

    deinit { lame_close(lame) }

    /// The bytes that are ready after these samples.
    /// - Throws: `CodecError` with code `data`, which should not happen.
    public mutating func encode(_ pcm: [Int16]) throws(CodecError) -> [UInt8] {
        grow(pcm.count * 5 / 4 + 7200)
        let count = lame_encode_buffer(lame, pcm, nil, Int32(pcm.count), &buffer, Int32(buffer.count))
        guard count >= 0 else { throw CodecError(code: .data, description: "LAME: encoding failed (\(count))") }
        return Array(buffer[0..<Int(count)])
    }

    /// The last bytes, and the frame that belongs at the place of the first one.
    public mutating func finish() throws(CodecError) -> (rest: [UInt8], tagFrame: [UInt8]) {
        grow(7200)
        let count = lame_encode_flush(lame, &buffer, Int32(buffer.count))
        guard count >= 0 else { throw CodecError(code: .data, description: "LAME: flushing failed (\(count))") }
        let rest = Array(buffer[0..<Int(count)])
        var tag = [UInt8](repeating: 0, count: 2880)
        let tagCount = lame_get_lametag_frame(lame, &tag, tag.count)
        guard tagCount > 0, tagCount <= tag.count else { throw CodecError(code: .data, description: "LAME: no tag frame") }
        return (rest, Array(tag[0..<tagCount]))
    }

    private mutating func grow(_ count: Int) {
        if buffer.count < count { buffer = [UInt8](repeating: 0, count: count) }
    }
}
