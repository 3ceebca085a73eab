/// What a WebSocket endpoint does. All functions are called on the server's (or client's) one service thread, one after the other:
/// they must be quick and must not block. `WebSocketConnection` may be used from there and from any other thread.
public protocol WebSocketHandler: Sendable {
    /// A connection is open. `request` is what opened it (a client's is empty).
    func opened(_ connection: WebSocketConnection, request: HTTPRequest)
    /// A whole text message came; it is valid UTF-8.
    func text(_ connection: WebSocketConnection, _ message: [UInt8])
    /// A whole binary message came.
    func binary(_ connection: WebSocketConnection, _ message: [UInt8])
    /// The connection is gone; nothing more comes of it.
    func closed(_ connection: WebSocketConnection, _ closure: WebSocketClosure)
}

/// How a WebSocket connection ended (RFC 6455, 7).
public struct WebSocketClosure: Sendable, Hashable {
    /// Who ended it.
    public enum Initiator: Sendable, Hashable {
        /// We did, by `close`, or because the peer broke a limit.
        case local
        /// The peer closed it in order.
        case peer
        /// It broke, or the peer was silent too long.
        case network
        /// The peer read too slowly: more than the queue's limit was waiting.
        case overflow
    }

    /// Who ended it.
    public let initiator: Initiator
    /// The close code; 1006 where none was exchanged.
    public let code: UInt16
    /// The reason that was given.
    public let reason: String
}

/// A path on which WebSockets are taken.
public struct WebSocketEndpoint: Sendable {
    /// The path, such as `/`.
    public let path: String
    /// The subprotocols, one of which a client must offer; empty: none is wanted, and offers are left unanswered.
    public let subprotocols: [String]
    /// What to do with connections.
    public let handler: any WebSocketHandler
    /// What is sent to a slow reader before it is closed.
    public let overflowMessage: [UInt8]?
    /// Looks at the request that opens a WebSocket, on the service thread; an answer refuses it.
    public let authorize: @Sendable (HTTPRequest) -> HTTPResponse?

    /// An endpoint.
    public init(
        path: String, subprotocols: [String] = [], handler: any WebSocketHandler, overflowMessage: [UInt8]? = nil,
        authorize: @escaping @Sendable (HTTPRequest) -> HTTPResponse? = { _ in nil }
    ) {
        self.path = path
        self.subprotocols = subprotocols
        self.handler = handler
        self.overflowMessage = overflowMessage
        self.authorize = authorize
    }
}
