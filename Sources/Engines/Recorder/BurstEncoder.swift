import AudioCodecs
import Glibc
import Messages

/// Turns a capture into an MP3 file.
enum BurstEncoder {
    /// What came out.
    struct Result: Hashable {
        var durationMs: Int64
        /// Whether there was anything to decode; if not, there is no file.
        var hasSound: Bool
    }

    /// Writes the MP3 to an open, empty file.
    /// - Throws: `CodecError`, or `SpoolError` where the file can't be written.
    static func encode(
        _ capture: Capture.Contents, truncated: Bool, settings: RecorderSettings, into descriptor: Int32
    ) throws -> Result {
        let timeline = BurstTimeline(capture.packets)
        guard timeline.samples > 0 else { return Result(durationMs: 0, hasSound: false) }
        var decoder = try OpusDecoder(sampleRate: settings.sampleRate)
        var encoder = try MP3Encoder(sampleRate: settings.sampleRate, bitrateKbps: settings.bitrateKbps, quality: settings.quality)
        let tag = tag(capture.start, truncated: truncated).bytes
        try Spool.write(tag, to: descriptor)
        var pcm: [Int16] = []
        // Lengths at 48 kHz are rounded on the whole way, not at each step.
        var position = 0
        var decoded = 0
        for step in timeline.steps {
            position += step.samples
            let wanted = position * settings.sampleRate / 48_000 - decoded
            decoded += wanted
            append(step, capture, samples: wanted, with: &decoder, settings, to: &pcm)
            if pcm.count >= settings.sampleRate {
                try Spool.write(try encoder.encode(pcm), to: descriptor)
                pcm.removeAll(keepingCapacity: true)
            }
        }
        try Spool.write(try encoder.encode(pcm), to: descriptor)
        let (rest, tagFrame) = try encoder.finish()
        try Spool.write(rest, to: descriptor)
        try Spool.write(tagFrame, to: descriptor, at: tag.count)
        return Result(durationMs: Int64(timeline.samples) * 1000 / 48_000, hasSound: true)
    }

    /// Appends exactly `samples` samples, whatever the decoder says.
    private static func append(
        _ step: BurstTimeline.Step, _ capture: Capture.Contents, samples: Int, with decoder: inout OpusDecoder,
        _ settings: RecorderSettings,
        to pcm: inout [Int16]
    ) {
        let start = pcm.count
        let exact = step.samples * settings.sampleRate / 48_000
        do {
            switch step {
            case .decode(let index, _): try decoder.decode(capture.packets[index].payload, into: &pcm)
            case .fec(let index, _): try decoder.decodeFEC(capture.packets[index].payload, samples: exact, into: &pcm)
            case .conceal: try decoder.conceal(exact, into: &pcm)
            case .silence: break
            }
        } catch {
            // A broken packet is silence of its length; the rest of the talk is worth having.
        }
        let missing = start + samples - pcm.count
        if missing > 0 { pcm.append(contentsOf: repeatElement(0, count: missing)) } else { pcm.removeLast(-missing) }
    }

    private static func tag(_ start: BurstStart, truncated: Bool) -> ID3v2 {
        var tag = ID3v2()
        let date = isoDate(start.startMs)
        let who = start.displayName.isEmpty ? start.uid.description : start.displayName
        let group = start.groupName.isEmpty ? start.gid.description : start.groupName
        tag.add("TIT2", "\(group), \(who), \(date)")
        tag.add("TPE1", who)
        tag.add("TALB", group)
        tag.add("TDRC", date)
        tag.add(custom: "talk_id", start.talkID.description)
        tag.add(custom: "gid", start.gid.description)
        tag.add(custom: "uid", start.uid.description)
        tag.add(custom: "start_ms", String(start.startMs))
        tag.add(custom: "truncated", truncated ? "1" : "0")
        return tag
    }

    /// UTC, as ID3v2.4 wants it: `2026-01-31T12:00:00`.
    private static func isoDate(_ timeMs: Int64) -> String {
        var seconds = time_t(timeMs / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
            + "T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
