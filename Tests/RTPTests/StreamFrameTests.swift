import RTP
import Testing

@Suite struct StreamFrameTests {
    @Test func aFrameIsWholeWhenAllOfItIsThere() {
        #expect(StreamFrame([UInt8]().span, maximum: 10) == .partial)
        #expect(StreamFrame(([0] as [UInt8]).span, maximum: 10) == .partial)
        #expect(StreamFrame(([0, 0] as [UInt8]).span, maximum: 10) == .whole(0))
        #expect(StreamFrame(([0, 3, 1, 2] as [UInt8]).span, maximum: 10) == .partial)
        #expect(StreamFrame(([0, 3, 1, 2, 3, 0] as [UInt8]).span, maximum: 10) == .whole(3))
        #expect(StreamFrame(([0, 11] as [UInt8]).span, maximum: 10) == .tooLong(11))
        #expect(StreamFrame(([0xFF, 0xFF] as [UInt8]).span, maximum: 65_535) == .partial)
    }

    @Test func lengthsAreWrittenAsTheyAreRead() {
        for length in [0, 1, 255, 256, 2_048, 65_535] {
            let header = StreamFrame.header(length)
            let frame = [header.0, header.1] + [UInt8](repeating: 0, count: length)
            #expect(StreamFrame(frame.span, maximum: length) == .whole(length))
        }
    }
}
