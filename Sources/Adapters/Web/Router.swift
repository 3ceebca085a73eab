/// Which handler answers which request, and which endpoint takes which WebSocket.
public struct Router: Sendable {
    /// Answers a request. It may throw a `Problem`; any other error answers 500 and is logged.
    public typealias Handler = @Sendable (HTTPRequest) async throws -> HTTPResponse

    private enum Segment: Hashable {
        case literal(String)
        case name(String)
        case rest(String)
    }

    private struct Route {
        let method: String
        let segments: [Segment]
        let handler: Handler
    }

    enum Match {
        case found(Handler, parameters: [String: String])
        case otherMethods([String])
        case none
    }

    private var routes: [Route] = []
    private(set) var endpoints: [WebSocketEndpoint] = []

    /// No routes yet.
    public init() {}

    /// Adds a route. In the pattern `{name}` stands for one part of the path, `{name*}` at its end for all that is left.
    /// The first route that fits is taken; GET routes answer HEAD too.
    public mutating func on(_ method: String, _ pattern: String, _ handler: @escaping Handler) {
        let segments = Self.parts(pattern).map { part -> Segment in
            guard part.hasPrefix("{"), part.hasSuffix("}") else { return .literal(part) }
            let name = part.dropFirst().dropLast()
            return name.hasSuffix("*") ? .rest(String(name.dropLast())) : .name(String(name))
        }
        routes.append(Route(method: method, segments: segments, handler: handler))
    }

    /// Adds a route for GET (and HEAD).
    public mutating func get(_ pattern: String, _ handler: @escaping Handler) { on("GET", pattern, handler) }

    /// Serves the files below a folder under a path that ends with `/`.
    public mutating func files(under prefix: String, from folder: String) {
        get(prefix + "{path*}") { request in try HTTPResponse.file(in: folder, path: request.parameter("path"), for: request) }
    }

    /// Adds a WebSocket endpoint.
    public mutating func webSocket(_ endpoint: WebSocketEndpoint) { endpoints.append(endpoint) }

    func match(method: String, path: String) -> Match {
        let parts = Self.parts(path)
        var others: [String] = []
        for route in routes {
            guard let parameters = Self.fit(route.segments, parts) else { continue }
            if route.method == method || (method == "HEAD" && route.method == "GET") {
                return .found(route.handler, parameters: parameters)
            }
            if !others.contains(route.method) { others.append(route.method) }
        }
        if others.isEmpty { return .none }
        if others.contains("GET") { others.append("HEAD") }
        return .otherMethods(others + ["OPTIONS"])
    }

    func endpoint(path: String) -> WebSocketEndpoint? { endpoints.first { $0.path == path } }

    private static func parts(_ path: String) -> [String] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    private static func fit(_ segments: [Segment], _ parts: [String]) -> [String: String]? {
        var parameters: [String: String] = [:]
        for (index, segment) in segments.enumerated() {
            if case .rest(let name) = segment {
                guard index <= parts.count else { return nil }
                parameters[name] = parts[index...].joined(separator: "/")
                return parameters
            }
            guard index < parts.count else { return nil }
            switch segment {
            case .literal(let text): if text != parts[index] { return nil }
            case .name(let name):
                if parts[index].isEmpty { return nil }
                parameters[name] = parts[index]
            case .rest: return nil
            }
        }
        return segments.count == parts.count ? parameters : nil
    }
}
