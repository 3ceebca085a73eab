import Reactor
import Room
import Talk
import Testing

@testable import MediaPlane

/// The way of media between workers, when the one that reads is slow.
@Suite struct BranchRingTests {
    private func head(_ kind: BranchRing.Kind, _ number: Int) -> BranchRing.Head {
        var head = BranchRing.Head()
        (head.kind, head.timestamp) = (kind.rawValue, UInt32(number))
        return head
    }

    private func put(_ number: Int, _ size: Int, _ ring: BranchRing) -> Int {
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size).withUnsafeBytes { ring.put(head(.packet, number), payload: $0) }
    }

    private func drained(_ ring: BranchRing) -> [(kind: BranchRing.Kind, number: Int, payload: [UInt8])] {
        var found: [(kind: BranchRing.Kind, number: Int, payload: [UInt8])] = []
        ring.drain(after: {}) { found.append(($0, Int($1.timestamp), Array($2))) }
        return found
    }

    @Test func whatFitsComesOutInItsOrder() {
        let ring = BranchRing(capacityBytes: 4_096)
        #expect(!ring.hasEntries && drained(ring).isEmpty)
        var next = 0
        for round in 0..<100 {
            ring.put(head(.opened, next))
            var sizes: [Int] = []
            for size in [1, 100 + round, 700, 33] {
                sizes.append(size)
                #expect(put(next + sizes.count, size, ring) == 0)
            }
            ring.put(head(.closed, next + 5))
            #expect(ring.hasEntries)
            let all = drained(ring)
            #expect(all.map(\.kind) == [.opened, .packet, .packet, .packet, .packet, .closed])
            #expect(all.map(\.number) == Array(next...next + 5))
            #expect(all[1...4].map(\.payload.count) == sizes)
            #expect(!ring.hasEntries)
            next += 6
        }
    }

    /// A worker that does not read for a while: the oldest packets are given up and counted, the newest are there, and no begin or end of a
    /// burst is lost or out of its order.
    @Test(arguments: [1, 50, 300, 1_200]) func aFullRingGivesUpItsOldest(size: Int) {
        let ring = BranchRing(capacityBytes: 16_384)
        var dropped = 0
        for number in 0..<10_000 {
            if number % 100 == 0 { ring.put(head(.opened, number)) }
            dropped += put(number, size, ring)
            if number % 100 == 99 { ring.put(head(.closed, number)) }
        }
        let all = drained(ring)
        let packets = all.filter { $0.kind == .packet }
        #expect(dropped + packets.count == 10_000 && packets.count > 16_384 / (size + 64) - 2)
        #expect(packets.map(\.number) == Array(10_000 - packets.count..<10_000))
        #expect(packets.allSatisfy { packet in packet.payload.allSatisfy { $0 == UInt8(truncatingIfNeeded: packet.number) } })
        #expect(all.filter { $0.kind == .opened }.map(\.number) == Array(stride(from: 0, to: 10_000, by: 100)))
        #expect(all.filter { $0.kind == .closed }.map(\.number) == Array(stride(from: 99, to: 10_000, by: 100)))
        var last = -1
        for one in all {
            #expect(one.number >= last)
            last = one.number
        }
        #expect(put(10_000, size, ring) == 0 && drained(ring).map(\.number) == [10_000])
    }

    /// A packet of a played file may be longer than any that is sent.
    @Test func whatIsTooLongIsGivenUp() {
        let ring = BranchRing(capacityBytes: 16_384)
        #expect(put(1, FanOut.payloadMaximum, ring) == 0)
        #expect(put(2, FanOut.payloadMaximum + 1, ring) == 1 && put(3, 70_000, ring) == 1)
        #expect(drained(ring).map(\.payload.count) == [FanOut.payloadMaximum])
    }

    /// What the reader is at is its own: however long that takes, what comes meanwhile takes the place of the oldest behind it.
    @Test func whileTheReaderIsAtWorkTheOldestGoes() {
        let ring = BranchRing(capacityBytes: 1_024)
        for number in 0..<4 { #expect(put(number, 200, ring) == 0) }
        var seen: [Int] = []
        ring.drain(after: {}) { _, head, payload in
            seen.append(Int(head.timestamp))
            if head.timestamp == 0 {
                #expect(put(4, 200, ring) == 0)
                #expect(put(5, 200, ring) == 1)
            }
            #expect(payload.allSatisfy { $0 == UInt8(head.timestamp) })
        }
        #expect(seen == [0, 2, 3])
        #expect(drained(ring).map(\.number) == [4, 5])
    }

    /// A writer that never waits, and a reader that is too slow: whatever comes out is whole and in order, and what does not is counted.
    @Test func twoThreadsAtOnce() {
        let ring = BranchRing(capacityBytes: 8_192)
        let count = 200_000
        let writer = ServiceThread(name: "writer") {
            var dropped = 0
            for number in 0..<count { dropped += put(number, 20 + number % 300, ring) }
            ring.put(head(.closed, dropped))
        }
        var (received, last, dropped) = (0, -1, -1)
        while dropped < 0 {
            ring.drain(after: {}) { kind, head, payload in
                guard kind == .packet else {
                    dropped = Int(head.timestamp)
                    return
                }
                let number = Int(head.timestamp)
                if number <= last || payload.count != 20 + number % 300
                    || payload.contains(where: { $0 != UInt8(truncatingIfNeeded: number) })
                {
                    Issue.record("packet \(number) after \(last) is not what was put in")
                }
                last = number
                received += 1
            }
        }
        writer.join()
        #expect(received + dropped == count)
    }
}
