import CWebSockets
import Glibc

/// Reads what libwebsockets parsed of a request; only valid inside the callbacks that bear one.
enum RequestHead {
    private static let methods: [(lws_token_indexes, String)] = [
        (WSI_TOKEN_GET_URI, "GET"), (WSI_TOKEN_POST_URI, "POST"), (WSI_TOKEN_PUT_URI, "PUT"), (WSI_TOKEN_DELETE_URI, "DELETE"),
        (WSI_TOKEN_PATCH_URI, "PATCH"), (WSI_TOKEN_HEAD_URI, "HEAD"), (WSI_TOKEN_OPTIONS_URI, "OPTIONS"),
    ]

    /// The headers that libwebsockets knows and we want, with their names; asked for by number they cost no search.
    private static let known: [(lws_token_indexes, String)] = [
        (WSI_TOKEN_HOST, "host"), (WSI_TOKEN_ORIGIN, "origin"), (WSI_TOKEN_HTTP_CONTENT_LENGTH, "content-length"),
        (WSI_TOKEN_HTTP_CONTENT_TYPE, "content-type"), (WSI_TOKEN_HTTP_TRANSFER_ENCODING, "transfer-encoding"),
        (WSI_TOKEN_HTTP_RANGE, "range"), (WSI_TOKEN_HTTP_IF_RANGE, "if-range"), (WSI_TOKEN_HTTP_IF_NONE_MATCH, "if-none-match"),
        (WSI_TOKEN_HTTP_ACCEPT, "accept"), (WSI_TOKEN_HTTP_AUTHORIZATION, "authorization"), (WSI_TOKEN_HTTP_USER_AGENT, "user-agent"),
        (WSI_TOKEN_PROTOCOL, "sec-websocket-protocol"), (WSI_TOKEN_CONNECTION, "connection"), (WSI_TOKEN_HTTP_COOKIE, "cookie"),
    ]

    /// The request, its body not yet there; nil where it can't be: no known method, a NUL or broken UTF-8 in its path.
    static func read(_ wsi: OpaquePointer, customHeaders: [String]) -> HTTPRequest? {
        guard let (token, method) = methods.first(where: { lws_hdr_total_length(wsi, $0.0) > 0 }),
            let path = copy(wsi, token), String(validating: path.utf8, as: UTF8.self) != nil, !path.utf8.contains(0)
        else { return nil }
        var request = HTTPRequest(method: method, path: path)
        for (token, name) in known {
            if let value = copy(wsi, token) { request.headers[name] = value }
        }
        for name in customHeaders + ["access-control-request-method"] {
            if let value = copyCustom(wsi, name + ":") { request.headers[name] = value }
        }
        for index in 0... as PartialRangeFrom<Int32> {
            let length = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, index)
            var buffer = [CChar](repeating: 0, count: Int(length) + 1)
            let count = lws_hdr_copy_fragment(wsi, &buffer, length + 1, WSI_TOKEN_HTTP_URI_ARGS, index)
            if count < 0 {
                // Behind the last one; but one that can't be read must not be taken for one that was not sent.
                if length > 0 { return nil }
                break
            }
            let part = text(buffer, Int(count))
            guard !part.isEmpty else { continue }
            let name = part.prefix { $0 != "=" }
            request.query.append((String(name), String(part.dropFirst(name.count + 1))))
        }
        var address = [CChar](repeating: 0, count: 64)
        lws_get_peer_simple(wsi, &address, address.count)
        request.remoteAddress = text(address, strnlen(address, address.count))
        return request
    }

    private static func copy(_ wsi: OpaquePointer, _ token: lws_token_indexes) -> String? {
        let length = lws_hdr_total_length(wsi, token)
        guard length > 0 else { return nil }
        var buffer = [CChar](repeating: 0, count: Int(length) + 1)
        guard lws_hdr_copy(wsi, &buffer, length + 1, token) >= 0 else { return nil }
        return text(buffer, Int(length))
    }

    private static func copyCustom(_ wsi: OpaquePointer, _ name: String) -> String? {
        let length = lws_hdr_custom_length(wsi, name, Int32(name.utf8.count))
        guard length > 0 else { return nil }
        var buffer = [CChar](repeating: 0, count: Int(length) + 1)
        guard lws_hdr_custom_copy(wsi, &buffer, length + 1, name, Int32(name.utf8.count)) >= 0 else { return nil }
        return text(buffer, Int(length))
    }

    private static func text(_ buffer: [CChar], _ count: Int) -> String {
        String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
