import Testing

@testable import RTP

@Suite struct MediaFlowTests {
    private static let second: Int64 = 1_000_000_000

    @Test func aSilenceOfASecondIsToldOnce() {
        var flow = MediaFlow()
        func isSilent(_ seconds: Int64) -> Bool { flow.second(at: seconds * Self.second, expected: 0, received: 0).isSilent }
        func isFirst(_ now: Int64) -> Bool { flow.packet(at: now) }
        #expect(!isSilent(0), "nothing came yet: nothing stopped")
        #expect(isFirst(100))
        #expect(!isFirst(200), "it comes already")
        #expect(!isSilent(1), "a pause of DTX")
        #expect(isSilent(2) && !isSilent(3))
        #expect(isFirst(4 * Self.second))
    }

    @Test func aTenthLostWithinASecondIsMuch() {
        var flow = MediaFlow()
        func lost(_ expected: Int64, _ received: Int64) -> Int? { flow.second(at: 0, expected: expected, received: received).lost }
        #expect(lost(50, 46) == nil)
        #expect(lost(100, 91) == 5)
        #expect(lost(100, 91) == nil, "nothing was sent")
        #expect(lost(110, 96) == nil, "too few were sent")
        #expect(lost(50, 40) == 10, "another stream counts anew")
        #expect(lost(90, 90) == nil, "doubled ones")
    }
}
