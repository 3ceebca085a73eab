import Threads

/// How a web server listens and what it allows.
public struct WebSettings: Sendable {
    /// The address to listen on; the default only serves this machine.
    public var host = "127.0.0.1"
    /// The TCP port; 0 lets the kernel choose, `WebServer.boundPort` tells which.
    public var port = 0
    /// The browser origins that may use HTTP and WebSockets, such as `https://console.example.org`; empty: any loopback origin.
    public var origins: [String] = []
    /// The largest request body in bytes; a larger one answers 413.
    public var bodyLimitBytes = 1 << 20
    /// How long a handler may take until the request answers 503.
    public var handlerTimeout: Duration = .seconds(60)
    /// How long a peer may take to send its request, or to take the next part of an answer, in whole seconds.
    public var peerTimeoutS = 30
    /// How long an idle connection is kept, in whole seconds.
    public var keepAliveS = 60
    /// Request headers beside the common ones that handlers want to see.
    public var customHeaders = ["idempotency-key", "request-id", "traceparent"]
    /// How soon the service thread runs.
    public var pace = Pace.prompt
    /// What holds for WebSockets.
    public var webSocket = WebSocketSettings()

    /// The defaults.
    public init() {}
}

/// What holds for WebSocket connections.
public struct WebSocketSettings: Sendable {
    /// The largest message in bytes; a larger one closes the connection with 1009.
    public var messageLimitBytes = 64 * 1024
    /// How much may wait for a slow reader, in bytes; more closes the connection with 1013.
    public var queueLimitBytes = 1 << 20
    /// After this much silence the peer is pinged, in whole seconds.
    public var pingAfterS: UInt16 = 30
    /// After this much silence the connection is dropped, in whole seconds; above `pingAfterS`.
    public var dropAfterS: UInt16 = 45

    /// The defaults.
    public init() {}
}
