import TestTraits
import Testing

@testable import AudioCodecs

@Suite(.oneAtATime) struct AudioCodecsTests {
    func tone(_ samples: Int, rate: Int = 16_000) -> [Int16] {
        // A triangle of 500 Hz.
        (0..<samples).map { index in
            let phase = index * 500 % rate * 4 / 500
            let height = 4 * rate / 500
            return Int16((abs(phase % height - height / 2) - height / 4) * 8000 / (height / 4))
        }
    }

    @Test func opusThereAndBack() throws {
        var encoder = try OpusEncoder(fec: true)
        var decoder = try OpusDecoder()
        var pcm: [Int16] = []
        let source = tone(16_000)
        for start in stride(from: 0, to: source.count, by: 320) {
            let packet = try encoder.encode(source[start..<start + 320])
            let facts = try #require(OpusPacket(packet))
            #expect(facts.samples == 960 && facts.frameCount == 1)
            #expect(try decoder.decode(packet, into: &pcm) == 320)
        }
        #expect(pcm.count == 16_000 && pcm.map { abs(Int($0)) }.max() ?? 0 > 4000)
        try decoder.conceal(320, into: &pcm)
        let packet = try encoder.encode(source[0..<320])
        try decoder.decodeFEC(packet, samples: 320, into: &pcm)
        #expect(pcm.count == 16_640)
        let before = pcm.count
        #expect(throws: CodecError.self) { try decoder.decode([0xff, 0xff, 0xff], into: &pcm) }
        #expect(pcm.count == before)
        #expect(throws: CodecError.self) { _ = try OpusDecoder(sampleRate: 44_100) }
    }

    @Test(arguments: [
        ([UInt8(0x78)], 960), ([0x08, 1, 2], 960), ([0x19, 1, 1], 5760), ([0xfb, 0x03, 1, 1, 1], 2880), ([0xfa, 1, 9, 8], 1920),
        ([0xfb, 0x41, 2, 5, 0, 0], 960),
    ])
    func packetsAreMeasured(_ packet: [UInt8], _ samples: Int) { #expect(OpusPacket(packet)?.samples == samples) }

    @Test(arguments: [
        [UInt8](), [0x79, 1], [0xfb], [0xfb, 0], [0xfb, 0x31], [0xfa, 200, 1], [0xfb, 0x41, 9, 1], [0x1b, 0x03, 1, 1, 1],
    ])
    func brokenPacketsAreRefused(_ packet: [UInt8]) { #expect(OpusPacket(packet) == nil) }

    @Test func packetFactsAgreeWithTheDecoder() throws {
        var seed: UInt64 = 42
        func random() -> UInt8 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: seed >> 33)
        }
        for _ in 0..<500 {
            let packet = (0..<Int(random() % 12)).map { _ in random() }
            var decoder = try OpusDecoder(sampleRate: 48_000)
            var pcm: [Int16] = []
            let decoded = try? decoder.decode(packet, into: &pcm)
            // An empty packet means loss to the decoder.
            if let facts = OpusPacket(packet) {
                #expect(decoded == facts.samples, "\(packet)")
            } else if !packet.isEmpty {
                #expect(decoded == nil, "\(packet)")
            }
        }
    }

    @Test func mp3HasItsTagFrame() throws {
        var encoder = try MP3Encoder()
        var file = try encoder.encode(tone(34_560))
        let (rest, tagFrame) = try encoder.finish()
        file += rest
        #expect(file.starts(with: [0xff, 0xf3]) || file.starts(with: [0xff, 0xf2]))
        #expect(tagFrame.count == 288 && tagFrame.firstRange(of: Array("Xing".utf8)) != nil)
        // About 32 kbit/s: 4,000 bytes a second, and a few frames of delay and tag.
        #expect((4_000...10_500).contains(file.count))
        #expect(throws: CodecError.self) { _ = try MP3Encoder(sampleRate: 16_000, bitrateKbps: 1000) }
    }

    @Test func tagsAreReadable() {
        var tag = ID3v2()
        tag.add("TIT2", "Übung")
        tag.add(custom: "gid", "470")
        let bytes = tag.bytes
        #expect(bytes.starts(with: [0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, 35]))
        #expect(ID3v2.length(ofTagIn: bytes) == bytes.count && bytes.count == 45)
        #expect(ID3v2.length(ofTagIn: [0xff, 0xfb]) == 0)
    }

    @Test func wavThereAndBack() throws {
        let wav = WAV(sampleRate: 16_000, samples: [0, 1, -1, .min, .max])
        #expect(try WAV(parsing: wav.bytes) == wav)
        #expect(throws: CodecError.self) { _ = try WAV(parsing: [1, 2, 3]) }
        #expect(try WAV(parsing: wav.bytes.dropLast(3).map { $0 }).samples == [0, 1, -1])
    }
}
