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
    /// Behind it, a part of the text; empty for a flag.
    public var value: Substring
    /// From 1.
    public var line: Int
}

/// A session description (RFC 8866), read liberally: line ends of any kind, unknown lines passed over, attributes kept as they are.
public struct SessionDescription: Sendable, Equatable {
    /// One `m=` section.
    public struct Media: Sendable, Equatable {
        /// `audio`, `video`, `application` …
        public var kind: String
        /// 0: rejected, or (with `a=bundle-only`) at the port of another section of its BUNDLE group.
        public var port: Int
        /// `UDP/TLS/RTP/SAVPF` …
        public var transport: String
        /// Payload types, or what the transport has in their place.
        public var formats: [String]
        /// Its own attributes.
        public var attributes: [SDPAttribute] = []
        /// From 1.
        public var line: Int
        /// Whether media is protected by SRTP (RFC 3711, RFC 5124), with whatever keys.
        var isSecure: Bool { transport.hasSuffix("RTP/SAVPF") || transport.hasSuffix("RTP/SAVP") }
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
        var rest = text.utf8[...]
        while !rest.isEmpty {
            number += 1
            guard number <= SessionDescription.lineMaximum else { throw SDPError(line: number, "more lines than an SDP has") }
            try read(Self.nextLine(&rest), number, &isSDP)
        }
        guard isSDP else { throw SDPError(line: 0, "it is empty") }
    }

    /// What stands before the next line end, without spaces before it. It goes by bytes: UTF-8 has none of these within a character.
    private static func nextLine(_ rest: inout Substring.UTF8View) -> Substring.UTF8View {
        let (feed, ret, space) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: " "))
        let end = rest.firstIndex { $0 == feed || $0 == ret } ?? rest.endIndex
        let line = rest[..<end].drop { $0 == space }
        rest = rest[end...]
        if rest.first == ret { rest = rest.dropFirst() }
        if rest.first == feed { rest = rest.dropFirst() }
        return line
    }

    private mutating func read(_ line: Substring.UTF8View, _ number: Int, _ isSDP: inout Bool) throws(SDPError) {
        guard let kind = line.first else { return }
        guard line.dropFirst().first == UInt8(ascii: "=") else { throw SDPError(line: number, "must look like x=…") }
        let value = line.dropFirst(2)
        if !isSDP {
            guard kind == UInt8(ascii: "v") else { throw SDPError(line: number, "must begin with v=0") }
            isSDP = true
        }
        switch kind {
        case UInt8(ascii: "m"):
            guard media.count < SessionDescription.mediaMaximum else { throw SDPError(line: number, "too many m= sections") }
            media.append(try Media(Substring(value), line: number))
        case UInt8(ascii: "a"):
            let end = value.firstIndex(of: UInt8(ascii: ":")) ?? value.endIndex
            let attribute = SDPAttribute(
                name: Substring(value[..<end]).lowercased(), value: Substring(value[end...].dropFirst()), line: number)
            if media.isEmpty { attributes.append(attribute) } else { media[media.count - 1].attributes.append(attribute) }
        default: break
        }
    }

    /// The value of a section's attribute, its own or the session's.
    public func value(_ name: String, of media: Media) -> SDPAttribute? {
        media.attributes.first { $0.name == name } ?? attributes.first { $0.name == name }
    }

    /// All values of an attribute in the first of these sections that has it, else the session's.
    func values(_ name: String, in sections: [Media]) -> [SDPAttribute] {
        for section in sections {
            let found = section.attributes.filter { $0.name == name }
            if !found.isEmpty { return found }
        }
        return attributes.filter { $0.name == name }
    }

    /// The identifications of the sections in the BUNDLE group of this one; nil where it is in none (RFC 9143).
    func bundle(of media: Media) -> [Substring]? {
        guard let mid = media.attributes.first(where: { $0.name == "mid" })?.value else { return nil }
        return attributes.lazy.filter { $0.name == "group" }.map(\.value.words)
            .first { $0.first == "BUNDLE" && $0.dropFirst().contains(mid) }.map { Array($0.dropFirst()) }
    }

    /// Which section the BUNDLE group of this one is tagged with: it speaks for the transport of all.
    func tagged(_ media: Media) -> Int? {
        guard let tag = bundle(of: media)?.first else { return nil }
        return self.media.firstIndex { section in section.attributes.contains { $0.name == "mid" && $0.value == tag } }
    }
}

extension SessionDescription.Media {
    fileprivate init(_ text: Substring, line: Int) throws(SDPError) {
        let words = text.words
        guard words.count >= 3, let port = words[1].split(separator: "/").first.flatMap({ Int($0) }), (0...65_535).contains(port) else {
            throw SDPError(line: line, "must look like m=audio 9 UDP/TLS/RTP/SAVPF 111")
        }
        self.init(
            kind: words[0].lowercased(), port: port, transport: String(words[2]), formats: words.dropFirst(3).map(String.init), line: line)
    }
}

extension Substring {
    /// What stands between spaces.
    var words: [Substring] { utf8.split(separator: UInt8(ascii: " ")).map { Substring($0) } }
}
