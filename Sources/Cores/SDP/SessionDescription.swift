/// Why an SDP can't be taken, with the line where it stands.
public struct SDPError: Error, Sendable, Equatable, CustomStringConvertible {
    /// From 1; 0: the whole.
    public let line: Int
    /// What is wrong, and what would be right.
    public let reason: String
    /// An error at a line.
    public init(line: Int, _ reason: String) { (self.line, self.reason) = (line, reason) }
    /// For the person who reads it.
    public var description: String { line == 0 ? "SDP: \(reason)" : "SDP line \(line): \(reason)" }
}

/// An `a=name:value` with where it stands.
public struct SDPAttribute: Sendable, Equatable {
    /// Before the colon.
    public var name: String
    /// Behind it; empty for a flag.
    public var value: String
    /// From 1.
    public var line: Int
}

/// A session description (RFC 8866), read liberally: line ends of any kind, unknown lines passed over, attributes kept as they are.
public struct SessionDescription: Sendable, Equatable {
    /// One `m=` section.
    public struct Media: Sendable, Equatable {
        /// `audio`, `video`, `application` …
        public var kind: String
        /// 0: rejected.
        public var port: Int
        /// `UDP/TLS/RTP/SAVPF` …
        public var transport: String
        /// Payload types, or what the transport has in their place.
        public var formats: [String]
        /// Its own attributes.
        public var attributes: [SDPAttribute] = []
        /// From 1.
        public var line: Int
    }
    /// Those before the first `m=`, which hold for all sections that say nothing else.
    public var attributes: [SDPAttribute] = []
    /// In order.
    public var media: [Media] = []

    /// The longest text that is read, bytes.
    public static let sizeMaximum = 65_536
    static let lineMaximum = 4_000
    static let mediaMaximum = 64

    /// Reads a text.
    /// - Throws: `SDPError` for what is no SDP, or longer than an SDP would be.
    public init(parsing text: String) throws(SDPError) {
        guard text.utf8.count <= SessionDescription.sizeMaximum else {
            throw SDPError(line: 0, "longer than \(SessionDescription.sizeMaximum) bytes")
        }
        var number = 0
        var isSDP = false
        for raw in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }) {
            number += 1
            guard number <= SessionDescription.lineMaximum else { throw SDPError(line: number, "more lines than an SDP has") }
            let line = raw.drop { $0 == " " }
            if line.isEmpty { continue }
            guard line.dropFirst().first == "=", let kind = line.first else {
                throw SDPError(line: number, "must look like x=…")
            }
            let value = line.dropFirst(2)
            if !isSDP {
                guard kind == "v" else { throw SDPError(line: number, "must begin with v=0") }
                isSDP = true
            }
            switch kind {
            case "m":
                guard media.count < SessionDescription.mediaMaximum else { throw SDPError(line: number, "too many m= sections") }
                media.append(try Media(value, line: number))
            case "a":
                let parts = value.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                let attribute = SDPAttribute(
                    name: String(parts.first ?? "").lowercased(), value: parts.count > 1 ? String(parts[1]) : "", line: number)
                if media.isEmpty { attributes.append(attribute) } else { media[media.count - 1].attributes.append(attribute) }
            default: break
            }
        }
        guard isSDP else { throw SDPError(line: 0, "it is empty") }
    }

    /// The value of a section's attribute, its own or the session's.
    public func value(_ name: String, of media: Media) -> SDPAttribute? {
        media.attributes.first { $0.name == name } ?? attributes.first { $0.name == name }
    }
}

extension SessionDescription.Media {
    fileprivate init(_ text: Substring, line: Int) throws(SDPError) {
        let words = text.split(separator: " ").map(String.init)
        guard words.count >= 3, let port = words[1].split(separator: "/").first.flatMap({ Int($0) }), (0...65_535).contains(port) else {
            throw SDPError(line: line, "must look like m=audio 9 UDP/TLS/RTP/SAVPF 111")
        }
        self.init(kind: words[0].lowercased(), port: port, transport: words[2], formats: Array(words.dropFirst(3)), line: line)
    }
}
