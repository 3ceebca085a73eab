import JSON
import Messages
import Talk
import Testing

@testable import BackOffice

@Suite struct QualityBoardTests {
    private func message(_ uid: Int64, _ gid: Int64 = 1, atMs: Int64) throws -> QualityMessage {
        QualityMessage(
            uid: try #require(UserID(uid)), gid: try #require(GroupID(gid)), isTalker: true, inLink: 100, inMediaLink: 100, outLink: 100,
            outMediaLink: 100, rttMs: 1, jitterMs: 1, lost: 0, received: 1, atMs: atMs)
    }

    private func times(_ items: [JSONValue]) -> [Int64] { items.compactMap { $0["at_ms"]?.integer } }

    @Test func aSeriesComesInPagesThatMissNothing() throws {
        let (board, user) = (QualityBoard(), try #require(UserID(5)))
        for time: Int64 in [10, 20, 20, 30, 40] { board.add(try message(5, atMs: time)) }
        var (seen, from) = ([[Int64]](), Int64(0))
        while true {
            let (items, next) = board.series(of: user, fromMs: from, limit: 2)
            seen.append(times(items))
            guard let next else { break }
            from = next
        }
        #expect(seen == [[10], [20, 20], [30, 40]])
        #expect(times(board.series(of: user, fromMs: 25, limit: 50).0) == [30, 40])
        #expect(board.series(of: user, fromMs: 41, limit: 50).0.isEmpty)
    }

    @Test func aMomentThatIsLargerThanAPageComesWhole() throws {
        let (board, user) = (QualityBoard(), try #require(UserID(5)))
        for time: Int64 in [10, 10, 10, 20] { board.add(try message(5, atMs: time)) }
        let (items, next) = board.series(of: user, fromMs: 0, limit: 2)
        #expect(times(items) == [10, 10, 10] && next == 20)
        #expect(board.series(of: user, fromMs: 20, limit: 2).next == nil)
    }

    @Test func aGroupComesInPagesByRisingUser() throws {
        let (board, gid) = (QualityBoard(), try #require(GroupID(1)))
        for uid: Int64 in [30, 10, 20] { board.add(try message(uid, atMs: uid)) }
        board.add(try message(10, atMs: 99))
        board.add(try message(15, 2, atMs: 1))
        let first = board.latest(in: gid, after: 0, limit: 2)
        #expect(times(first.0) == [99, 20] && first.next?.value == 20)
        let second = board.latest(in: gid, after: 20, limit: 2)
        #expect(times(second.0) == [30] && second.next == nil)
    }

    @Test func whoWasInAnotherGroupSinceIsStillInThatOne() throws {
        let (board, first, second) = (QualityBoard(), try #require(GroupID(1)), try #require(GroupID(2)))
        board.add(try message(5, 1, atMs: 10))
        for time: Int64 in 20..<(20 + 719) { board.add(try message(5, 2, atMs: time)) }
        #expect(times(board.latest(in: first, after: 0, limit: 9).0) == [10])
        // One more, and nothing of the first group is kept.
        board.add(try message(5, 2, atMs: 900))
        #expect(board.latest(in: first, after: 0, limit: 9).0.isEmpty)
        #expect(times(board.latest(in: second, after: 0, limit: 9).0) == [900])
    }

    @Test func beyondSoManyUsersTheStalestGo() throws {
        let board = QualityBoard()
        for uid: Int64 in 1...20_001 { board.add(try message(uid, atMs: uid)) }
        let (first, last) = (try #require(UserID(1)), try #require(UserID(20_001)))
        #expect(board.series(of: first, fromMs: 0, limit: 9).0.isEmpty)
        #expect(times(board.series(of: last, fromMs: 0, limit: 9).0) == [20_001])
    }
}
