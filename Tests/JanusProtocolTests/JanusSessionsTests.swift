import JSON
import Testing

@testable import JanusProtocol

/// Sessions and handles, with a clock that is turned by hand.
private struct Bench {
    var sessions: JanusSessions
    var random = SystemRandomNumberGenerator()
    var now: Int64 = 0

    init(timeoutMs: Int = 60_000, sessionsMax: Int = 100, handlesMax: Int = 100) {
        sessions = JanusSessions(timeoutMs: timeoutMs, sessionsMax: sessionsMax, handlesMax: handlesMax, version: "1")
    }

    mutating func ask(_ members: [String: JSONValue], from connection: UInt64 = 1) throws -> [JanusSessions.Action] {
        let message = JSONValue.object(members.merging(["transaction": "t"]) { own, _ in own })
        let envelope = try JanusEnvelope(message.encoded(), apiSecret: nil, tokens: nil)
        return sessions.handle(envelope, from: connection, now: now, random: &random)
    }

    /// The number in an answer; nil where it is an error.
    mutating func create(from connection: UInt64 = 1) throws -> Int64? {
        try ask(["janus": "create"], from: connection).reply?["data"]?["id"]?.integer
    }

    mutating func attach(_ session: Int64, from connection: UInt64 = 1) throws -> Int64? {
        let attach: [String: JSONValue] = ["janus": "attach", "session_id": .int(session), "plugin": .string(JanusSessions.audioBridge)]
        return try ask(attach, from: connection).reply?["data"]?["id"]?.integer
    }
}

extension [JanusSessions.Action] {
    fileprivate var reply: JSONValue? {
        for case .reply(_, let value) in self { return value }
        return nil
    }
    fileprivate var code: Int64? { reply?["error"]?["code"]?.integer }
}

@Suite struct JanusSessionsTests {
    @Test func aSessionLivesWhileItIsHeardOf() throws {
        var bench = Bench(timeoutMs: 1_000)
        let session = try #require(try bench.create())
        let handle = try #require(try bench.attach(session))
        bench.now = 1_000_000_000
        #expect(bench.sessions.tick(now: bench.now).isEmpty)
        #expect(try bench.ask(["janus": "keepalive", "session_id": .int(session)]).reply?["janus"] == "ack")
        bench.now = 2_000_000_000
        #expect(bench.sessions.tick(now: bench.now).isEmpty)
        bench.now = 2_000_000_001
        let timeout: JSONValue = ["janus": "timeout", "session_id": .int(session)]
        #expect(bench.sessions.tick(now: bench.now) == [.reply(connection: 1, timeout), .detached(handle)])
        #expect(try bench.ask(["janus": "keepalive", "session_id": .int(session)]).code == 458)
        #expect(bench.sessions.handleCount == 0 && bench.sessions.session(of: handle) == nil)
    }

    @Test func aSessionIsItsConnectionsUntilItIsClaimed() throws {
        var bench = Bench()
        let session = try #require(try bench.create())
        let handle = try #require(try bench.attach(session))
        #expect(try bench.ask(["janus": "destroy", "session_id": .int(session)], from: 2).code == 458)
        #expect(bench.sessions.closed(connection: 1) == [.orphaned(handle)])
        #expect(bench.sessions.connection(of: handle) == nil)
        let claim = try bench.ask(["janus": "claim", "session_id": .int(session)], from: 2)
        #expect(claim.first == .claimed(handle) && claim.reply?["janus"] == "success")
        #expect(bench.sessions.connection(of: handle) == 2)
        #expect(
            try bench.ask(["janus": "hangup", "session_id": .int(session), "handle_id": .int(handle)], from: 2).first == .hungUp(handle))
        #expect(try bench.ask(["janus": "destroy", "session_id": .int(session)], from: 2).first == .detached(handle))
    }

    @Test func whatIsWrongIsNamed() throws {
        var bench = Bench()
        let session = try #require(try bench.create())
        let other = try #require(try bench.create())
        let handle = try #require(try bench.attach(session))
        #expect(try bench.ask(["janus": "attach", "session_id": .int(session), "plugin": "janus.plugin.echotest"]).code == 460)
        #expect(try bench.ask(["janus": "detach", "session_id": .int(other), "handle_id": .int(handle)]).code == 459)
        #expect(try bench.ask(["janus": "message", "session_id": .int(session), "handle_id": .int(handle)]).code == 456)
        #expect(try bench.ask(["janus": "create", "id": .int(session)]).code == 468)
        #expect(try bench.ask(["janus": "create", "session_id": .int(session)]).code == 457)
    }

    /// The last places are for who has few: one connection can't shut all others out.
    @Test func nobodyTakesAllPlaces() throws {
        var bench = Bench(sessionsMax: 2_000, handlesMax: 2_000)
        var greedy: [Int64] = []
        while let session = try bench.create() { greedy.append(session) }
        #expect(greedy.count == 1_800)
        let honest = try #require(try bench.create(from: 2))
        var handles = 0
        while try bench.attach(greedy[handles % 3]) != nil { handles += 1 }
        #expect(handles == 1_800)
        #expect(try bench.attach(honest, from: 2) != nil)
        for connection in 3..<1_000 as Range<UInt64> { while try bench.create(from: connection) != nil {} }
        #expect(try bench.ask(["janus": "create"], from: 5_000).code == 472)
    }
}
