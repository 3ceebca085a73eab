/// What may be fetched, and when it is tried again. Pure decisions.
struct FetchPolicy: Sendable {
    /// A place from which files may come: an address up to a `/`, or a folder.
    enum Prefix: Sendable, Hashable {
        case url(String)
        case folder(String)

        /// - Returns: nil for what is neither.
        init?(_ text: String) {
            var text = text
            if text.hasPrefix("file://") { text = String(text.dropFirst("file://".count)) }
            // Without its end `/spool` would allow `/spool-of-others` too.
            if !text.hasSuffix("/") { text += "/" }
            if text.hasPrefix("/") {
                self = .folder(text)
            } else if let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }), text.utf8.count > scheme.utf8.count + 1 {
                self = .url(text)
            } else {
                return nil
            }
        }
    }

    /// Where a talk's file is.
    enum Source: Sendable, Hashable {
        case url(String)
        /// A path, and the folder that it must really lie in after all links are followed.
        case file(String, below: String)
    }

    private let prefixes: [Prefix]

    init(allow: [String]) { prefixes = allow.compactMap { Prefix($0) } }

    /// The source of an allowed `file_path`; nil for any other.
    func source(_ filePath: String) -> Source? {
        let path = filePath.hasPrefix("file://") ? String(filePath.dropFirst("file://".count)) : filePath
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "\\") }) else { return nil }
        for prefix in prefixes {
            switch prefix {
            case .url(let start):
                guard path.hasPrefix(start), Self.staysBelow(path.dropFirst(start.count)) else { continue }
                return .url(path)
            case .folder(let start):
                guard path.hasPrefix(start), Self.staysBelow(path.dropFirst(start.count)) else { continue }
                return .file(path, below: start)
            }
        }
        return nil
    }

    /// Whether the rest of a path leads nowhere up, percent-encoded or not.
    private static func staysBelow(_ rest: Substring) -> Bool {
        let lowered = rest.lowercased()
        guard !lowered.contains("%2e"), !lowered.contains("%2f"), !lowered.contains("%5c") else { return false }
        return !rest.isEmpty && rest.split(separator: "/").allSatisfy { $0 != ".." && $0 != "." }
    }

    /// How long to wait after so many failures: 1 s, doubling to 10 min.
    static func backoffMs(afterFailures failures: Int64) -> Int64 { min(600_000, 1000 << min(max(failures - 1, 0), 10)) }

    /// Whether a file's beginning is that of an MP3: an ID3v2 tag, or a frame header of layer III (ISO 11172-3, 2.4.1.3).
    static func isMP3(_ head: [UInt8]) -> Bool {
        if head.starts(with: "ID3".utf8) { return head.count >= 10 }
        guard head.count >= 4, head[0] == 0xff, head[1] & 0xe0 == 0xe0 else { return false }
        let version = head[1] >> 3 & 3
        let layer = head[1] >> 1 & 3
        return version != 1 && layer == 1 && head[2] >> 4 != 15 && head[2] >> 2 & 3 != 3
    }
}
