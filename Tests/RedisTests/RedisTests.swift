import Foundation
import Synchronization
import TestServers
import Testing

@testable import Redis

@Suite struct RedisTests {
    let server: RedisServer
    let client: RedisClient
    let changes: AsyncStream<Bool>

    init() throws {
        server = try RedisServer()
        let (stream, feed) = AsyncStream.makeStream(of: Bool.self)
        changes = stream
        client = try RedisClient(url: server.url) { feed.yield($0) }
    }

    @Test func commandsWaitForTheServerAndAreAnsweredInOrder() async throws {
        let wait = Duration.seconds(10)
        #expect(try await client.command(["SET", "k", "v\0ü"], deadline: wait) == .status("OK"))
        #expect(try await client.command(["GET", "k"], deadline: wait).text == "v\0ü")
        #expect(try await client.command(["GET", "none"], deadline: wait) == .null)
        #expect(try await client.command(["INCR", "n"], deadline: wait).integer == 1)
        #expect(client.isUp)
        let (answers, feed) = AsyncStream.makeStream(of: Int64.self)
        for _ in 0..<500 { client.submit(["INCR", "n"], deadline: wait) { result in feed.yield((try? result.get().integer) ?? -1) } }
        var seen: [Int64] = []
        for await answer in answers {
            seen.append(answer)
            if seen.count == 500 { break }
        }
        #expect(seen == Array(2...501))
        await client.close()
        server.stop()
    }

    @Test func transactionsAreWhole() async throws {
        let wait = Duration.seconds(10)
        let replies = try await client.multi([["SET", "a", "1"], ["SADD", "s", "1", "2"], ["SMEMBERS", "s"]], deadline: wait)
        #expect(replies == [.status("OK"), .integer(2), .array([.bytes([49]), .bytes([50])])])
        await #expect(throws: RedisError.self) { try await client.multi([["SET", "a", "2"], ["NO-SUCH"]], deadline: wait) }
        #expect(try await client.command(["GET", "a"], deadline: wait).text == "1")
        let error = await #expect(throws: RedisError.self) { try await client.command(["NO-SUCH"], deadline: wait) }
        #expect(error?.code == .server)
        await client.close()
        server.stop()
    }

    @Test func aLostServerIsToldAndFoundAgain() async throws {
        _ = try await client.command(["PING"], deadline: .seconds(10))
        var states = changes.makeAsyncIterator()
        #expect(await states.next() == true)
        server.stop()
        #expect(await states.next() == false)
        let error = await #expect(throws: RedisError.self) { try await client.command(["PING"], deadline: .milliseconds(20)) }
        #expect(error?.code == .down)
        try server.start()
        #expect(await states.next() == true)
        #expect(try await client.command(["PING"], deadline: .seconds(10)) == .status("PONG"))
        await client.close()
        server.stop()
    }

    @Test func aSilentServerCostsOnlyTheDeadline() async throws {
        _ = try await client.command(["SET", "k", "1"], deadline: .seconds(10))
        server.signal(SIGSTOP)
        let error = await #expect(throws: RedisError.self) { try await client.command(["GET", "k"], deadline: .milliseconds(20)) }
        #expect(error?.code == .deadline)
        server.signal(SIGCONT)
        // The late answer belongs to the command that gave up, not to the next one.
        #expect(try await client.command(["INCR", "k"], deadline: .seconds(10)) == .integer(2))
        await client.close()
        let closed = await #expect(throws: RedisError.self) { try await client.command(["GET", "k"], deadline: .seconds(1)) }
        #expect(closed?.code == .closed)
        server.stop()
    }

    @Test func aServerThatHangsIsToldAsAwayUntilItAnswers() async throws {
        _ = try await client.command(["PING"], deadline: .seconds(10))
        var states = changes.makeAsyncIterator()
        #expect(await states.next() == true)
        server.signal(SIGSTOP)
        #expect(await states.next() == false)
        #expect(!client.isUp)
        server.signal(SIGCONT)
        #expect(await states.next() == true)
        #expect(try await client.command(["PING"], deadline: .seconds(10)) == .status("PONG"))
        await client.close()
        server.stop()
    }

    /// Its host is gone without a word: another connection is made, and what was asked on the old one is answered as failed.
    @Test func aConnectionThatIsSilentForLongIsGivenUp() async throws {
        _ = try await client.command(["PING"], deadline: .seconds(10))
        var states = changes.makeAsyncIterator()
        #expect(await states.next() == true)
        server.signal(SIGSTOP)
        let error = await #expect(throws: RedisError.self) { try await client.command(["GET", "k"], deadline: .seconds(60)) }
        #expect(error?.code == .down && !client.isUp)
        server.signal(SIGCONT)
        #expect(await states.next() == false)
        #expect(await states.next() == true)
        #expect(try await client.command(["PING"], deadline: .seconds(10)) == .status("PONG"))
        await client.close()
        server.stop()
    }

    @Test func addressesAreRead() throws {
        let address = try RedisAddress(url: "redis://:secret@example.org:6380/3")
        #expect(address.host == "example.org")
        #expect(address.port == 6380)
        #expect(address.greetings == [["AUTH", "secret"], ["SELECT", "3"]])
        #expect(throws: RedisError.self) { try RedisAddress(url: "http://x") }
        #expect(throws: RedisError.self) { try RedisAddress(url: "redis://x/y") }
        server.stop()
    }
}
