import AudioCodecs
import Glibc

/// Speech as Opus packets of 20 ms.
struct Speech: Sendable {
    /// One payload per 20 ms.
    let packets: [[UInt8]]

    /// ms.
    var durationMs: Int { packets.count * 20 }

    /// Reads a WAV (16-bit) or an Ogg Opus file.
    /// - Throws: `ToolError` that names the file and what is wrong with it.
    init(file: String) throws {
        guard let bytes = TextFile.read(file) else { throw ToolError("\(file) can't be read") }
        if bytes.starts(with: Array("OggS".utf8)) {
            guard let packets = OggOpus.packets(bytes) else { throw ToolError("\(file) is no Ogg Opus file that can be read") }
            self.init(packets: packets)
            return
        }
        do {
            try self.init(wav: WAV(parsing: bytes))
        } catch let error as CodecError {
            throw ToolError("\(file): \(error)")
        }
    }

    private init(packets: [[UInt8]]) { self.packets = packets }

    /// Encodes.
    init(wav: WAV) throws {
        let samples = Speech.resampled(wav, to: 16_000)
        var encoder = try OpusEncoder(sampleRate: 16_000, bitrate: 24_000, dtx: false, fec: true)
        var packets: [[UInt8]] = []
        for start in stride(from: 0, to: samples.count, by: 320) {
            var frame = Array(samples[start..<min(start + 320, samples.count)])
            frame += [Int16](repeating: 0, count: 320 - frame.count)
            packets.append(try encoder.encode(frame))
        }
        self.init(packets: packets)
    }

    /// Speaks a text with espeak-ng.
    /// - Throws: `ToolError` that says what to install.
    @MainActor
    static func speak(_ text: String, voice: String, into file: String) async throws -> Speech {
        let program = try ChildProcess.find("espeak-ng", package: "espeak-ng")
        let (ends, ended) = AsyncStream<Int32>.makeStream()
        _ = try await ChildProcess("espeak-ng", program, ["-v", voice, "-w", file, text]) { _, status in ended.yield(status) }
        for await status in ends {
            guard status == 0 else { throw ToolError("espeak-ng failed (status \(status))") }
            break
        }
        return try Speech(file: file)
    }

    /// Linear interpolation: enough for telephone speech.
    static func resampled(_ wav: WAV, to rate: Int) -> [Int16] {
        guard wav.sampleRate != rate, wav.samples.count > 1 else { return wav.samples }
        let count = wav.samples.count * rate / wav.sampleRate
        return (0..<count).map { index in
            let place = Double(index) * Double(wav.sampleRate) / Double(rate)
            let left = min(Int(place), wav.samples.count - 2)
            // Behind the last sample there is nothing: it goes on as it was.
            let part = min(1, place - Double(left))
            return Int16(Double(wav.samples[left]) * (1 - part) + Double(wav.samples[left + 1]) * part)
        }
    }
}
