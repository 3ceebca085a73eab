import CWebSockets
import Synchronization

/// Makes WebSocket connections: any number on one thread of its own.
public final class WebSocketClient: Sendable {
    private let loop: ServiceLoop
    private let service: ClientService
    private let settings: WebSettings

    /// - Parameters:
    ///   - subprotocols: those that connections may ask for.
    ///   - settings: the limits of messages and queues, and the idle times.
    /// - Throws: `WebError` where libwebsockets has no resources.
    public init(subprotocols: [String] = [], settings: WebSocketSettings = WebSocketSettings()) throws(WebError) {
        var all = WebSettings()
        all.webSocket = settings
        self.settings = all
        loop = try ServiceLoop(protocols: subprotocols, listen: nil, settings: all)
        service = ClientService(loop: loop)
        loop.start(service)
    }

    /// Connects to `ws://host:port/path?query`. The handler's `opened` is called before this returns.
    /// - Throws: `WebError` with code `address` or `connect`.
    public func connect(_ url: String, subprotocol: String? = nil, handler: any WebSocketHandler) async throws -> WebSocketConnection {
        guard let target = Target(url) else {
            throw WebError(code: .address, description: "\(url) is not an address like ws://host:port/path")
        }
        let connection = WebSocketConnection(
            loop: loop, settings: settings.webSocket, handler: handler, overflowMessage: nil, remoteAddress: target.host)
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let attempt = ClientService.Attempt(connection: connection, url: url, continuation: continuation)
            service.connect(attempt, to: target, subprotocol: subprotocol)
        }
        return connection
    }

    /// Closes all connections and ends the thread.
    public func stop() async { await loop.end() }

    /// The parts of a `ws://` address.
    struct Target: Sendable, Hashable {
        var host: String
        var port: Int32 = 80
        var path = "/"

        init?(_ url: String) {
            guard url.hasPrefix("ws://") else { return nil }
            let rest = url.dropFirst("ws://".count)
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            let tail = rest.dropFirst(authority.count)
            path = tail.hasPrefix("/") ? String(tail) : "/" + tail
            let name: Substring
            if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
                name = authority[authority.index(after: authority.startIndex)..<end]
                host = String(name)
                guard let port = Self.port(authority[authority.index(after: end)...]) else { return nil }
                self.port = port
            } else {
                name = authority.prefix { $0 != ":" }
                host = String(name)
                guard let port = Self.port(authority.dropFirst(name.count)) else { return nil }
                self.port = port
            }
            if host.isEmpty { return nil }
        }

        private static func port(_ text: Substring) -> Int32? {
            if text.isEmpty { return 80 }
            return text.first == ":" ? UInt16(text.dropFirst()).map(Int32.init) : nil
        }
    }
}

/// What happens on a client's service thread.
///
/// `@unchecked Sendable`: its dictionaries are used on the service thread only.
final class ClientService: ServiceLoop.Delegate, @unchecked Sendable {
    /// A connection on its way; libwebsockets holds it as the connection's opaque pointer until its end.
    final class Attempt: Sendable {
        let connection: WebSocketConnection
        let url: String
        private let continuation: Mutex<CheckedContinuation<Void, any Error>?>

        init(connection: WebSocketConnection, url: String, continuation: CheckedContinuation<Void, any Error>) {
            self.connection = connection
            self.url = url
            self.continuation = Mutex(continuation)
        }

        func finish(_ result: Result<Void, any Error>) {
            let waiting = continuation.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            waiting?.resume(with: result)
        }

        // One whose job was thrown away because the client had stopped must not wait for ever.
        deinit { finish(.failure(WebError(code: .stopped, description: "\(url): the client was stopped"))) }
    }

    private let loop: ServiceLoop
    // Service thread only.
    private var attempts: [UInt64: Attempt] = [:]

    init(loop: ServiceLoop) { self.loop = loop }

    func connect(_ attempt: Attempt, to target: WebSocketClient.Target, subprotocol: String?) {
        loop.post(.run { self.begin(attempt, target, subprotocol) })
    }

    private func begin(_ attempt: Attempt, _ target: WebSocketClient.Target, _ subprotocol: String?) {
        let id = attempt.connection.id
        attempts[id] = attempt
        var info = lws_client_connect_info()
        info.context = loop.contextOnServiceThread
        info.port = target.port
        info.opaque_user_data = UnsafeMutableRawPointer(bitPattern: UInt(id))
        info.ietf_version_or_minus_one = -1
        let host = target.port == 80 ? target.host : "\(target.host):\(target.port)"
        let started = target.host.withCString { address in
            target.path.withCString { path in
                host.withCString { host in
                    withOptionalCString(subprotocol) { name in
                        info.address = address
                        info.path = path
                        info.host = host
                        info.protocol = name
                        return lws_client_connect_via_info(&info) != nil
                    }
                }
            }
        }
        if !started { fail(id, "no connection could be begun") }
    }

    private func withOptionalCString<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let text else { return body(nil) }
        return text.withCString { body($0) }
    }

    func handle(_ wsi: OpaquePointer, _ reason: lws_callback_reasons, _ input: UnsafeMutableRawPointer?, _ length: Int) -> Int32 {
        let id = UInt64(UInt(bitPattern: lws_get_opaque_user_data(wsi)))
        guard id != 0, let attempt = attempts[id] else { return 0 }
        let bytes = UnsafeRawBufferPointer(start: input, count: input == nil ? 0 : length)
        switch reason {
        case LWS_CALLBACK_CLIENT_ESTABLISHED:
            attempt.connection.opened(wsi, request: HTTPRequest())
            attempt.finish(.success(()))
        case LWS_CALLBACK_CLIENT_RECEIVE: return attempt.connection.received(wsi, bytes)
        case LWS_CALLBACK_CLIENT_WRITEABLE: return attempt.connection.writable(wsi)
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: attempt.connection.peerCloses(bytes)
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            fail(id, bytes.isEmpty ? "the connection failed" : String(decoding: bytes, as: UTF8.self))
        case LWS_CALLBACK_CLIENT_CLOSED, LWS_CALLBACK_WSI_DESTROY:
            attempt.connection.ended()
            fail(id, "the connection was closed before it was open")
        default: break
        }
        return 0
    }

    private func fail(_ id: UInt64, _ reason: String) {
        guard let attempt = attempts.removeValue(forKey: id) else { return }
        attempt.finish(.failure(WebError(code: .connect, description: "\(attempt.url): \(reason)")))
    }
}
