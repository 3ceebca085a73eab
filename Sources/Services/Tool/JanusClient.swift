import JSON
import Synchronization
import Web

/// A client of door A: one WebSocket and one Janus session, with any number of handles.
final class JanusClient: WebSocketHandler {
    private struct State: Sendable {
        var connection: WebSocketConnection?
        var session: Int64?
        var waiting: [String: CheckedContinuation<JSONValue, any Error>] = [:]
        var wantsEvent: Set<String> = []
        var listeners: [Int64: @Sendable (JSONValue) -> Void] = [:]
        var counter = 0
        var keepingAlive: Task<Void, Never>?
    }
    private let state = Mutex(State())

    /// Connects and makes a session, which lives until it is closed.
    /// - Throws: `ToolError` or the WebSocket's error, which name the address.
    static func connect(_ url: String, through client: WebSocketClient) async throws -> JanusClient {
        let janus = JanusClient()
        let connection = try await client.connect(url, subprotocol: "janus-protocol", handler: janus)
        janus.state.withLock { $0.connection = connection }
        let answer = try await janus.request(["janus": "create"])
        guard let session = answer["data"]?["id"]?.integer else { throw ToolError("\(url) made no session: \(answer.text)") }
        let keepingAlive = Task { [weak janus] in
            while (try? await Task.sleep(for: .seconds(20))) != nil { janus?.send(["janus": "keepalive"], transaction: "-") }
        }
        janus.state.withLock { ($0.session, $0.keepingAlive) = (session, keepingAlive) }
        return janus
    }

    /// Attaches a handle; `event` gets the plugin's data of what comes without being asked for, on the client's thread.
    func attach(event: @escaping @Sendable (JSONValue) -> Void) async throws -> Int64 {
        let answer = try await request(["janus": "attach", "plugin": "janus.plugin.audiobridge"])
        guard let handle = answer["data"]?["id"]?.integer else { throw ToolError("no handle: \(answer.text)") }
        state.withLock { $0.listeners[handle] = event }
        return handle
    }

    /// Sends a message to the plugin and waits for its answer or event.
    /// - Returns: the plugin's data.
    /// - Throws: `ToolError` with the plugin's or the core's code and words.
    func message(_ handle: Int64, _ body: JSONValue) async throws -> JSONValue {
        let answer = try await request(["janus": "message", "handle_id": .int(handle), "body": body], wantsEvent: true)
        let data = answer["plugindata"]?["data"] ?? .null
        if let code = data["error_code"]?.integer { throw ToolError("error \(code): \(data["error"]?.string ?? "")") }
        return data
    }

    /// Sends a message without waiting.
    func post(_ handle: Int64, _ body: JSONValue) {
        send(["janus": "message", "handle_id": .int(handle), "body": body], transaction: "-")
    }

    /// Ends the connection.
    func close() { state.withLock { $0.connection }?.close() }

    private func request(_ message: JSONValue, wantsEvent: Bool = false) async throws -> JSONValue {
        let transaction = state.withLock { state in
            state.counter += 1
            return "t\(state.counter)"
        }
        let answer = try await withCheckedThrowingContinuation { continuation in
            state.withLock { state in
                state.waiting[transaction] = continuation
                if wantsEvent { state.wantsEvent.insert(transaction) }
            }
            send(message, transaction: transaction)
        }
        if answer["janus"]?.string == "error" {
            throw ToolError("error \(answer["error"]?["code"]?.integer ?? 0): \(answer["error"]?["reason"]?.string ?? "")")
        }
        return answer
    }

    private func send(_ message: JSONValue, transaction: String) {
        let (connection, session) = state.withLock { ($0.connection, $0.session) }
        var members = message.object ?? [:]
        members["transaction"] = .string(transaction)
        members["session_id"] = session.map { .int($0) }
        connection?.send(text: JSONValue.object(members).encoded())
    }

    func opened(_ connection: WebSocketConnection, request: HTTPRequest) {}

    func text(_ connection: WebSocketConnection, _ message: [UInt8]) {
        guard let value = try? JSONValue(parsing: message) else { return }
        let transaction = value["transaction"]?.string
        let (continuation, listener) = state.withLock {
            state -> (CheckedContinuation<JSONValue, any Error>?, (@Sendable (JSONValue) -> Void)?) in
            if let transaction {
                if value["janus"]?.string == "ack", state.wantsEvent.contains(transaction) { return (nil, nil) }
                state.wantsEvent.remove(transaction)
                if let continuation = state.waiting.removeValue(forKey: transaction) { return (continuation, nil) }
            }
            return (nil, value["sender"]?.integer.flatMap { state.listeners[$0] })
        }
        continuation?.resume(returning: value)
        if let data = value["plugindata"]?["data"] { listener?(data) }
    }

    func binary(_ connection: WebSocketConnection, _ message: [UInt8]) {}

    func closed(_ connection: WebSocketConnection, _ closure: WebSocketClosure) {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            state.keepingAlive?.cancel()
            return state.waiting.values
        }
        for continuation in waiting {
            continuation.resume(throwing: ToolError("the server closed the connection (\(closure.code) \(closure.reason))"))
        }
    }
}
