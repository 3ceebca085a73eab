import Synchronization
import Testing

@testable import Web

/// Turns callbacks into an asynchronous sequence of events.
final class Recorder: WebSocketHandler {
    enum Event: Sendable, Equatable {
        case opened(query: String)
        case text(String)
        case binary([UInt8])
        case closed(WebSocketClosure)
    }
    let echo: Bool
    private let continuation: AsyncStream<Event>.Continuation
    let last = Mutex<WebSocketConnection?>(nil)

    init(echo: Bool = false) {
        self.echo = echo
        let (stream, continuation) = AsyncStream<Event>.makeStream()
        self.continuation = continuation
        self.stream = stream
    }
    let stream: AsyncStream<Event>

    func next() async -> Event? {
        for await event in stream { return event }
        return nil
    }
    func opened(_ connection: WebSocketConnection, request: HTTPRequest) {
        last.withLock { $0 = connection }
        continuation.yield(.opened(query: request.query("peerId") ?? ""))
    }
    func text(_ connection: WebSocketConnection, _ message: [UInt8]) {
        if echo { connection.send(text: message) } else { continuation.yield(.text(String(decoding: message, as: UTF8.self))) }
    }
    func binary(_ connection: WebSocketConnection, _ message: [UInt8]) {
        if echo { connection.send(binary: message) } else { continuation.yield(.binary(message)) }
    }
    func closed(_ connection: WebSocketConnection, _ closure: WebSocketClosure) { continuation.yield(.closed(closure)) }
}

@Suite struct WebSocketTests {
    func server(_ handler: Recorder, _ settings: WebSettings = WebSettings(), overflow: [UInt8]? = nil) throws -> WebServer {
        var router = Router()
        router.webSocket(
            WebSocketEndpoint(path: "/ws", subprotocols: ["janus-protocol"], handler: handler, overflowMessage: overflow) { request in
                request.query("peerId") == "no" ? Problem(status: 401, code: "token", detail: "no token").response : nil
            })
        router.get("/") { _ in .text("page") }
        return try WebServer(settings, router: router)
    }

    @Test func messagesOfAllSizesComeBackInOrder() async throws {
        let server = try server(Recorder(echo: true))
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        let seen = Recorder()
        let connection = try await client.connect(
            "ws://127.0.0.1:\(server.boundPort)/ws?peerId=a", subprotocol: "janus-protocol", handler: seen)
        #expect(await seen.next() == .opened(query: ""))
        let sizes = [0, 1, 125, 126, 4096, 4097, 60_000, 65_536]
        for size in sizes { connection.send(text: [UInt8](repeating: 97, count: size)) }
        connection.send(binary: [0, 255])
        for size in sizes { #expect(await seen.next() == .text(String(repeating: "a", count: size))) }
        #expect(await seen.next() == .binary([0, 255]))
        connection.close(code: 4000, reason: "enough")
        #expect(await seen.next() == .closed(WebSocketClosure(initiator: .local, code: 4000, reason: "enough")))
        await client.stop()
        await server.stop()
    }

    @Test func manyConnectionsAndThreads() async throws {
        let server = try server(Recorder(echo: true))
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let seen = Recorder()
                    let connection = try await client.connect(
                        "ws://127.0.0.1:\(server.boundPort)/ws", subprotocol: "janus-protocol", handler: seen)
                    _ = await seen.next()
                    for step in 0..<100 {
                        connection.send(text: Array("\(number) \(step)".utf8))
                        #expect(await seen.next() == .text("\(number) \(step)"))
                    }
                }
            }
            try await group.waitForAll()
        }
        await client.stop()
        await server.stop()
    }

    @Test func refusalsAreHTTPAnswers() async throws {
        let server = try server(Recorder())
        let upgrade = """
            Host: a
            Connection: keep-alive, Upgrade
            Upgrade: websocket
            Sec-WebSocket-Version: 13
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
            """
        func status(_ line: String, _ headers: String) async -> Int {
            await RawClient(port: server.boundPort).request("\(line) HTTP/1.1\n\(upgrade)\n\(headers)").status
        }
        #expect(await status("GET /ws?peerId=no", "Sec-WebSocket-Protocol: janus-protocol") == 401)
        #expect(await status("GET /ws", "Sec-WebSocket-Protocol: other") == 400)
        #expect(await status("GET /ws", "Accept: */*") == 400)
        #expect(await status("GET /other", "Sec-WebSocket-Protocol: janus-protocol") == 404)
        #expect(await status("GET /ws", "Sec-WebSocket-Protocol: janus-protocol\nOrigin: http://evil.example") == 403)
        #expect(await status("GET /ws", "Sec-WebSocket-Protocol: janus-protocol\nOrigin: http://localhost:1") == 101)
        await server.stop()
    }

    @Test func tooLargeAMessageCloses1009() async throws {
        let handler = Recorder()
        let server = try server(handler)
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        let seen = Recorder()
        let connection = try await client.connect(
            "ws://127.0.0.1:\(server.boundPort)/ws", subprotocol: "janus-protocol", handler: seen)
        _ = await seen.next()
        connection.send(text: [UInt8](repeating: 97, count: 65_537))
        guard case .closed(let closure) = await seen.next() else {
            Issue.record("not closed")
            return
        }
        #expect(closure.code == 1009)
        _ = await handler.next()
        #expect(await handler.next() == .closed(WebSocketClosure(initiator: .local, code: 1009, reason: "message over 65536 bytes")))
        await client.stop()
        await server.stop()
    }

    @Test func aSlowReaderIsToldAndClosed() async throws {
        let handler = Recorder()
        var settings = WebSettings()
        settings.webSocket.queueLimitBytes = 100_000
        let server = try server(handler, settings, overflow: Array("overflow".utf8))
        let slow = RawClient(port: server.boundPort)
        let answer = await slow.request(
            "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: janus-protocol")
        #expect(answer.status == 101)
        #expect(await handler.next() == .opened(query: ""))
        let connection = try #require(handler.last.withLock { $0 })
        let message = [UInt8](repeating: 97, count: 50_000)
        // The kernel's buffers take some megabytes, the queue no more than its limit.
        while connection.send(text: message) { await Task.yield() }
        #expect(await handler.next() == .closed(WebSocketClosure(initiator: .overflow, code: 1013, reason: "reading too slowly")))
        await server.stop()
    }

    @Test func stoppingTells1001() async throws {
        let server = try server(Recorder())
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        let seen = Recorder()
        _ = try await client.connect("ws://127.0.0.1:\(server.boundPort)/ws", subprotocol: "janus-protocol", handler: seen)
        _ = await seen.next()
        await server.stop()
        #expect(await seen.next() == .closed(WebSocketClosure(initiator: .peer, code: 1001, reason: "the service stops")))
        await client.stop()
    }

    @Test func aRefusedConnectionThrows() async throws {
        let server = try server(Recorder())
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        await #expect(throws: WebError.self) {
            _ = try await client.connect("ws://127.0.0.1:\(server.boundPort)/none", handler: Recorder())
        }
        await #expect(throws: WebError.self) { _ = try await client.connect("ws://127.0.0.1:1/none", handler: Recorder()) }
        await #expect(throws: WebError.self) { _ = try await client.connect("http://x/", handler: Recorder()) }
        await client.stop()
        await server.stop()
    }

    @Test func brokenTextCloses1007() async throws {
        let handler = Recorder()
        let server = try server(handler)
        let client = try WebSocketClient(subprotocols: ["janus-protocol"])
        let seen = Recorder()
        let connection = try await client.connect(
            "ws://127.0.0.1:\(server.boundPort)/ws", subprotocol: "janus-protocol", handler: seen)
        _ = await seen.next()
        connection.send(text: [0xff, 0xfe])
        guard case .closed(let closure) = await seen.next() else {
            Issue.record("not closed")
            return
        }
        #expect(closure.code == 1007)
        await client.stop()
        await server.stop()
    }
}
