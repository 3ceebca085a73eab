import Testing

@testable import MediaService

@Suite struct OffsetWindowTests {
    @Test func onlyWhatIsDoneToTheFrontIsCommitted() {
        var window = OffsetWindow()
        for offset: Int64 in 10...13 { window.begin(offset) }
        #expect(window.count == 4)
        #expect(window.acknowledge(12) == nil)
        #expect(window.acknowledge(11) == nil)
        #expect(window.acknowledge(10) == 13)
        #expect(window.count == 1)
        #expect(window.acknowledge(13) == 14)
        #expect(window.count == 0)
    }

    @Test func everythingThatIsExpectedIsWaitedFor() {
        var window = OffsetWindow()
        window.begin(5)
        window.expect(2, of: 5)
        window.begin(6)
        #expect(window.acknowledge(6) == nil)
        #expect(window.acknowledge(5) == nil)
        #expect(window.acknowledge(5) == nil)
        #expect(window.acknowledge(5) == 7)
    }

    @Test func whatIsNotUnderWayChangesNothing() {
        var window = OffsetWindow()
        #expect(window.acknowledge(1) == nil)
        window.begin(3)
        window.expect(1, of: 4)
        #expect(window.acknowledge(2) == nil)
        #expect(window.acknowledge(4) == nil)
        #expect(window.acknowledge(3) == 4)
        #expect(window.acknowledge(3) == nil, "once more is once too often")
        window.expect(1, of: 3)
        #expect(window.count == 0)
    }

    /// A compacted or transactional topic has gaps between its offsets.
    @Test func offsetsMayHaveGaps() {
        var window = OffsetWindow()
        for offset: Int64 in [1, 7, 100] { window.begin(offset) }
        #expect(window.acknowledge(7) == nil)
        #expect(window.acknowledge(1) == 8)
        #expect(window.acknowledge(50) == nil)
        #expect(window.acknowledge(100) == 101)
    }

    @Test func whatIsDoneIsForgottenAndTheRestIsFoundAllTheSame() {
        var window = OffsetWindow()
        for offset: Int64 in 0..<5_000 { window.begin(offset) }
        window.expect(1, of: 3_000)
        for offset: Int64 in 0..<3_000 { #expect(window.acknowledge(offset) == offset + 1) }
        #expect(window.count == 2_000)
        #expect(window.acknowledge(2_999) == nil)
        // Backwards, so that all waits for the first.
        for offset: Int64 in (3_000..<5_000).reversed() { #expect(window.acknowledge(offset) == nil) }
        #expect(window.acknowledge(3_000) == 5_000)
        window.begin(5_000)
        #expect(window.acknowledge(5_000) == 5_001)
    }

    @Test(arguments: UInt64(1)...20)
    func inAnyOrderNothingIsCommittedThatIsStillOpen(seed: UInt64) {
        var state = seed
        func random(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var window = OffsetWindow()
        var open: [Int64: Int] = [:]
        var (next, committed) = (Int64(0), Int64(0))
        for _ in 0..<2_000 {
            switch random(3) {
            case 0:
                window.begin(next)
                open[next] = 1
                next += 1 + Int64(random(2))
            case 1:
                guard let offset = open.keys.sorted().dropFirst(random(max(1, open.count))).first else { continue }
                window.expect(1, of: offset)
                open[offset, default: 0] += 1
            default:
                guard let offset = open.keys.sorted().dropFirst(random(max(1, open.count))).first else { continue }
                let commit = window.acknowledge(offset)
                open[offset, default: 0] -= 1
                if open[offset] == 0 { open[offset] = nil }
                if let commit {
                    #expect(commit > committed)
                    committed = commit
                }
                #expect(open.keys.allSatisfy { $0 >= committed })
            }
        }
    }
}
