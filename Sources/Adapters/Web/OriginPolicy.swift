/// Which browser origins may use a server (RFC 6454): a page from elsewhere must not reach it through somebody's browser.
struct OriginPolicy: Sendable {
    private let allowed: Set<String>

    /// - Parameter origins: such as `https://a.example:8443`; empty allows any loopback origin.
    init(origins: [String]) { allowed = Set(origins.map { $0.lowercased() }) }

    /// Whether a request with this `Origin` header may go on; one without the header does not come from a page.
    func allows(_ origin: String?) -> Bool {
        guard let origin = origin?.lowercased() else { return true }
        return allowed.isEmpty ? isLoopback(origin) : allowed.contains(origin)
    }

    private func isLoopback(_ origin: String) -> Bool {
        guard let scheme = origin.firstRange(of: "://"), ["http", "https"].contains(origin[..<scheme.lowerBound]) else { return false }
        let authority = origin[scheme.upperBound...]
        if authority.hasPrefix("[::1]") { return isPort(authority.dropFirst(5)) }
        let host = authority.prefix { $0 != ":" }
        guard isPort(authority.dropFirst(host.count)) else { return false }
        if host == "localhost" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private func isPort(_ text: Substring) -> Bool { text.isEmpty || (text.first == ":" && UInt16(text.dropFirst()) != nil) }
}
