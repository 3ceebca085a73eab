import CWebSockets
import Synchronization
import Telemetry

/// An HTTP/1.1 and WebSocket server over libwebsockets, with one thread of its own.
///
/// HTTP handlers run on Swift's cooperative pool and answer by value; WebSocket handlers run on the service thread itself.
/// Permessage-deflate is off: PTT messages are small, and its latency and memory are not.
public final class WebServer: Sendable {
    /// The port that is listened on, also where the settings said 0.
    public let boundPort: Int
    /// The settings it was started with.
    public let settings: WebSettings
    private let loop: ServiceLoop
    private let service: WebService

    /// Listens and serves.
    /// - Throws: `WebError` with code `listen`.
    public init(_ settings: WebSettings, router: Router) throws(WebError) {
        var subprotocols: [String] = []
        for name in router.endpoints.flatMap(\.subprotocols) where !subprotocols.contains(name) { subprotocols.append(name) }
        loop = try ServiceLoop(protocols: subprotocols, listen: (settings.host, settings.port), settings: settings)
        boundPort = loop.port
        self.settings = settings
        service = WebService(loop: loop, router: router, settings: settings, subprotocols: subprotocols)
        loop.start(service)
    }

    /// Runs a job on the service thread, after those that were posted before; never waits. Once the server has stopped it does not run.
    public func post(_ job: @escaping @Sendable () -> Void) { loop.post(.run(job)) }

    /// Runs a job on the service thread every second from now on, in the place of one that was given before.
    public func repeatEverySecond(_ job: @escaping @Sendable () -> Void) { loop.repeatEverySecond(job) }

    /// Stops: WebSockets are told 1001, requests under way may be answered until the grace is over, then everything is closed.
    public func stop(grace: Duration = .seconds(2)) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.service.quiesce() }
            group.addTask { try? await Task.sleep(for: grace) }
            await group.next()
            service.giveUpQuiescing()
            group.cancelAll()
        }
        await loop.end()
    }
}

/// What happens on the server's service thread.
///
/// `@unchecked Sendable`: its dictionaries are used on the service thread only, the rest is immutable or behind a mutex.
final class WebService: ServiceLoop.Delegate, @unchecked Sendable {
    private let loop: ServiceLoop
    private let router: Router
    private let settings: WebSettings
    private let subprotocols: [String]
    private let origins: OriginPolicy
    private let logger = Logger("web")
    // Service thread only.
    private var exchanges: [OpaquePointer: HTTPExchange] = [:]
    private var pendingByID: [UInt64: HTTPExchange] = [:]
    private var upgrades: [OpaquePointer: (endpoint: WebSocketEndpoint, request: HTTPRequest)] = [:]
    private var sockets: [OpaquePointer: WebSocketConnection] = [:]
    private var lastExchangeID: UInt64 = 0
    private var isStopping = false
    private let quiescing = Mutex<CheckedContinuation<Void, Never>?>(nil)

    init(loop: ServiceLoop, router: Router, settings: WebSettings, subprotocols: [String]) {
        self.loop = loop
        self.router = router
        self.settings = settings
        self.subprotocols = subprotocols
        origins = OriginPolicy(origins: settings.origins)
    }

    func handle(_ wsi: OpaquePointer, _ reason: lws_callback_reasons, _ input: UnsafeMutableRawPointer?, _ length: Int) -> Int32 {
        let bytes = UnsafeRawBufferPointer(start: input, count: input == nil ? 0 : length)
        switch reason {
        case LWS_CALLBACK_HTTP: return requestBegins(wsi)
        case LWS_CALLBACK_HTTP_BODY: return bodyContinues(wsi, bytes)
        case LWS_CALLBACK_HTTP_BODY_COMPLETION: return bodyEnds(wsi)
        case LWS_CALLBACK_HTTP_WRITEABLE: return answerContinues(wsi)
        case LWS_CALLBACK_TIMER: return handlerTooSlow(wsi)
        case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return upgradeWanted(wsi)
        case LWS_CALLBACK_ESTABLISHED: return socketOpens(wsi)
        case LWS_CALLBACK_RECEIVE: return sockets[wsi]?.received(wsi, bytes) ?? -1
        case LWS_CALLBACK_SERVER_WRITEABLE: return sockets[wsi]?.writable(wsi) ?? -1
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
            sockets[wsi]?.peerCloses(bytes)
            return 0
        case LWS_CALLBACK_CLOSED, LWS_CALLBACK_CLOSED_HTTP, LWS_CALLBACK_WSI_DESTROY:
            forget(wsi)
            return 0
        default: return 0
        }
    }

    // MARK: HTTP

    private func requestBegins(_ wsi: OpaquePointer) -> Int32 {
        lastExchangeID += 1
        guard let request = RequestHead.read(wsi, customHeaders: settings.customHeaders) else {
            let problem = Problem(status: 400, code: "invalid_request", detail: "the method is unknown, or the path is not UTF-8")
            return answerAtOnce(wsi, HTTPRequest(), problem.response)
        }
        if let refusal = refusal(of: request) { return answerAtOnce(wsi, request, refusal) }
        let length = request.headers["content-length"].map { Int($0) } ?? 0
        // Without a length libwebsockets waits for a body that may never come; the connection ends with the answer instead.
        let endIsUnknown = request.headers["content-length"] == nil && ["POST", "PUT", "PATCH"].contains(request.method)
        let exchange = HTTPExchange(id: lastExchangeID, wsi: wsi, request: request, closeAfter: endIsUnknown || isStopping)
        exchanges[wsi] = exchange
        if length == 0 { dispatch(exchange) }
        return 0
    }

    /// Why a request is not even read: its origin, or its body.
    private func refusal(of request: HTTPRequest) -> HTTPResponse? {
        guard origins.allows(request.headers["origin"]) else {
            return Problem(status: 403, code: "origin_not_allowed", detail: "this Origin is not in web.origins").response
        }
        if request.headers["transfer-encoding"] != nil {
            return Problem(status: 411, code: "length_required", detail: "send the body with Content-Length").response
        }
        guard let text = request.headers["content-length"] else { return nil }
        guard let length = Int(text), length >= 0, text.utf8.allSatisfy({ (48...57).contains($0) }) else {
            return Problem(status: 400, code: "invalid_request", detail: "Content-Length is not a number").response
        }
        guard length <= settings.bodyLimitBytes else {
            return Problem(status: 413, code: "body_too_large", detail: "bodies may have \(settings.bodyLimitBytes) bytes").response
        }
        return nil
    }

    private func answerAtOnce(_ wsi: OpaquePointer, _ request: HTTPRequest, _ response: HTTPResponse) -> Int32 {
        let exchange = HTTPExchange(id: lastExchangeID, wsi: wsi, request: request, closeAfter: true)
        exchange.isDispatched = true
        exchanges[wsi] = exchange
        finish(exchange, response)
        return 0
    }

    private func bodyContinues(_ wsi: OpaquePointer, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let exchange = exchanges[wsi], !exchange.isDispatched else { return 0 }
        guard exchange.request.body.count + bytes.count <= settings.bodyLimitBytes else { return -1 }
        exchange.request.body += bytes
        return 0
    }

    private func bodyEnds(_ wsi: OpaquePointer) -> Int32 {
        if let exchange = exchanges[wsi], !exchange.isDispatched { dispatch(exchange) }
        return 0
    }

    private func dispatch(_ exchange: HTTPExchange) {
        exchange.isDispatched = true
        lws_set_timeout(exchange.wsi, NO_PENDING_TIMEOUT, 0)
        var request = exchange.request
        if request.method == "OPTIONS", request.headers["access-control-request-method"] != nil {
            finish(exchange, preflight())
            return
        }
        switch router.match(method: request.method, path: request.path) {
        case .none:
            finish(exchange, Problem.notFound("there is nothing at \(request.path)").response)
        case .otherMethods(let methods):
            let problem = Problem(
                status: 405, code: "method_not_allowed", detail: "\(request.path) answers \(methods.joined(separator: ", "))")
            finish(exchange, problem.response.with("Allow", methods.joined(separator: ", ")))
        case .found(let handler, let parameters):
            request.parameters = parameters
            pendingByID[exchange.id] = exchange
            let timeout = settings.handlerTimeout.components
            lws_set_timer_usecs(exchange.wsi, timeout.seconds * 1_000_000 + timeout.attoseconds / 1_000_000_000_000)
            run(handler, request, id: exchange.id)
        }
    }

    private func preflight() -> HTTPResponse {
        .empty()
            .with("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
            .with("Access-Control-Allow-Headers", "Content-Type, Idempotency-Key, Authorization, Range")
            .with("Access-Control-Max-Age", "600")
    }

    private func run(_ handler: @escaping Router.Handler, _ request: HTTPRequest, id: UInt64) {
        Task { [loop, logger] in
            let response: HTTPResponse
            do {
                response = try await handler(request)
            } catch let problem as Problem {
                response = problem.response
            } catch {
                logger.error("request failed", ["method": "\(request.method)", "path": "\(request.path)", "error": .describing(error)])
                response = Problem(status: 500, code: "internal", detail: "the request failed; the log tells why").response
            }
            loop.post(
                .run {
                    guard let exchange = self.pendingByID.removeValue(forKey: id) else { return }
                    self.finish(exchange, response)
                })
        }
    }

    private func finish(_ exchange: HTTPExchange, _ response: HTTPResponse) {
        var extra: [(name: String, value: String)] = []
        if let origin = exchange.request.headers["origin"], origins.allows(origin) {
            extra = [
                ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "ETag, Content-Range"), ("Vary", "Origin"),
            ]
        }
        guard exchange.answer(response, extraHeaders: extra) else { return }
        lws_set_timeout(exchange.wsi, PENDING_TIMEOUT_HTTP_CONTENT, Int32(settings.peerTimeoutS))
        loop.wantWritable(exchange.wsi)
    }

    private func answerContinues(_ wsi: OpaquePointer) -> Int32 {
        guard let exchange = exchanges[wsi], exchange.isAnswered else { return 0 }
        switch exchange.sendMore(loop) {
        case .broken: return -1
        case .more:
            lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, Int32(settings.peerTimeoutS))
            loop.wantWritable(wsi)
            return 0
        case .done:
            lws_set_timer_usecs(wsi, Int64(LWS_SET_TIMER_USEC_CANCEL))
            exchanges[wsi] = nil
            checkQuiet()
            return exchange.closeAfter || lws_http_transaction_completed(wsi) != 0 ? -1 : 0
        }
    }

    private func handlerTooSlow(_ wsi: OpaquePointer) -> Int32 {
        guard let exchange = exchanges[wsi], !exchange.isAnswered else { return 0 }
        pendingByID[exchange.id] = nil
        logger.warning("handler too slow", ["method": "\(exchange.request.method)", "path": "\(exchange.request.path)"])
        finish(exchange, Problem(status: 503, code: "timeout", detail: "the request took too long; try again").response)
        return 0
    }

    // MARK: WebSockets

    /// Negative hangs up, positive says that an answer was sent.
    private func upgradeWanted(_ wsi: OpaquePointer) -> Int32 {
        guard let request = RequestHead.read(wsi, customHeaders: settings.customHeaders) else { return -1 }
        let refused: HTTPResponse? =
            if !origins.allows(request.headers["origin"]) {
                Problem(status: 403, code: "origin_not_allowed", detail: "this Origin is not in web.origins").response
            } else if let endpoint = router.endpoint(path: request.path) {
                refusal(of: request, at: endpoint, wsi)
            } else {
                Problem.notFound("there is no WebSocket at \(request.path)").response
            }
        guard let refused else { return 0 }
        let answer = refused.head(close: true, extra: []) + refused.bytes
        let sent = loop.write(wsi, capacity: answer.count, LWS_WRITE_HTTP_FINAL) { buffer in
            buffer.copyBytes(from: answer)
            return answer.count
        }
        return sent ? 1 : -1
    }

    private func refusal(of request: HTTPRequest, at endpoint: WebSocketEndpoint, _ wsi: OpaquePointer) -> HTTPResponse? {
        if isStopping { return Problem(status: 503, code: "stopping", detail: "the service stops; try again").response }
        if !endpoint.subprotocols.isEmpty {
            let offered = (request.headers["sec-websocket-protocol"] ?? "").split(separator: ",").map { $0.filter { $0 != " " } }
            // libwebsockets takes the first offer that any endpoint knows.
            guard let first = offered.first(where: subprotocols.contains), endpoint.subprotocols.contains(first) else {
                let names = endpoint.subprotocols.joined(separator: ", ")
                return Problem(status: 400, code: "subprotocol_missing", detail: "offer the WebSocket subprotocol \(names)").response
            }
        }
        if let refused = endpoint.authorize(request) { return refused }
        upgrades[wsi] = (endpoint, request)
        return nil
    }

    private func socketOpens(_ wsi: OpaquePointer) -> Int32 {
        guard let (endpoint, request) = upgrades.removeValue(forKey: wsi) else { return -1 }
        let connection = WebSocketConnection(
            loop: loop, settings: settings.webSocket, handler: endpoint.handler, overflowMessage: endpoint.overflowMessage,
            remoteAddress: request.remoteAddress)
        sockets[wsi] = connection
        connection.opened(wsi, request: request)
        return 0
    }

    private func forget(_ wsi: OpaquePointer) {
        upgrades[wsi] = nil
        if let exchange = exchanges.removeValue(forKey: wsi) { pendingByID[exchange.id] = nil }
        if let connection = sockets.removeValue(forKey: wsi) { connection.ended() }
        checkQuiet()
    }

    // MARK: Stopping

    /// Returns when no WebSocket is open and no request under way.
    func quiesce() async {
        await withCheckedContinuation { continuation in
            quiescing.withLock { $0 = continuation }
            loop.post(
                .run {
                    self.isStopping = true
                    for connection in self.sockets.values { connection.close(code: 1001, reason: "the service stops") }
                    self.checkQuiet()
                })
        }
    }

    func giveUpQuiescing() {
        let waiting = quiescing.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume()
    }

    private func checkQuiet() {
        if isStopping && sockets.isEmpty && exchanges.isEmpty { giveUpQuiescing() }
    }
}
