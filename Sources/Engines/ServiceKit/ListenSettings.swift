import Configuration
import Web

/// How the sections that listen are read.
public enum ListenSettings {
    /// Reads `host`, `port`, `origins` and `insecure` of a section that listens for HTTP or WebSockets.
    ///
    /// An interface that others can reach is refused unless `insecure` is true: no door asks for a password yet.
    /// - Parameter origins: where given, the origins of another section hold and the key is not read.
    public static func read(_ section: Section, port: Int, origins: [String]? = nil) -> WebSettings {
        var settings = WebSettings()
        settings.host = host(section)
        settings.port = section.int("port", default: port, in: 0...65_535)
        settings.origins = origins ?? section.list("origins", default: [])
        return settings
    }

    /// Reads `host` and `insecure` of a section.
    public static func host(_ section: Section, default fallback: String = "127.0.0.1") -> String {
        let host = section.string("host", default: fallback)
        if !section.bool("insecure", default: false) && !isLoopback(host) {
            section.reject("host", "\(host) can be reached by others, and nobody is asked for a password; say insecure: true to allow it")
        }
        return host
    }

    /// Whether an address can only be reached from this machine.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
