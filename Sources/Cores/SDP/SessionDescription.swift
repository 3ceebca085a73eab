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
        guard let places = Self.lines(of: text) else {
            throw SDPError(line: Self.lineMaximum + 1, "more lines than an SDP has")
        }
        guard !places.isEmpty else { throw SDPError(line: 0, "it is empty") }
        for place in places { try read(place, in: text, isFirst: place.start == places[0].start) }
    }

    /// Where a line stands in its text, bytes: UTF-8 has none of what is looked for within a character.
    private struct Place {
        /// From 1.
        var number: Int
        /// Behind the spaces before it.
        var start: Int
        var end: Int
        /// Of the first colon; `end` where there is none.
        var colon: Int
        var kind: UInt8
        /// Behind its first letter there is an equals sign.
        var isPair: Bool
        /// Of what stands before the colon.
        var hasCapitals: Bool
    }

    /// All lines but empty ones; nil: too many.
    private static func lines(of text: String) -> [Place]? {
        var text = text
        return text.withUTF8 { bytes in
            let (feed, ret, space) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: " "))
            var places: [Place] = []
            places.reserveCapacity(64)
            var (at, number) = (0, 0)
            while at < bytes.count {
                number += 1
                guard number <= lineMaximum else { return nil }
                while at < bytes.count, bytes[at] == space { at += 1 }
                let start = at
                var (colon, hasCapitals) = (-1, false)
                while at < bytes.count, bytes[at] != feed, bytes[at] != ret {
                    if colon < 0 {
                        if bytes[at] == UInt8(ascii: ":") { colon = at }
                        // Beyond ASCII there are capitals too.
                        hasCapitals = hasCapitals || (65...90).contains(bytes[at]) || bytes[at] >= 0x80
                    }
                    at += 1
                }
                if start < at {
                    let isPair = start + 1 < at && bytes[start + 1] == UInt8(ascii: "=")
                    places.append(
                        Place(
                            number: number, start: start, end: at, colon: colon < 0 ? at : colon, kind: bytes[start], isPair: isPair,
                            hasCapitals: hasCapitals))
                }
                if at < bytes.count, bytes[at] == ret { at += 1 }
                if at < bytes.count, bytes[at] == feed { at += 1 }
            }
            return places
        }
    }

    private mutating func read(_ place: Place, in text: String, isFirst: Bool) throws(SDPError) {
        guard place.isPair else { throw SDPError(line: place.number, "must look like x=…") }
        guard !isFirst || place.kind == UInt8(ascii: "v") else { throw SDPError(line: place.number, "must begin with v=0") }
        func part(_ start: Int, _ end: Int) -> Substring {
            let bytes = text.utf8
            let first = bytes.index(bytes.startIndex, offsetBy: start)
            return text[first..<bytes.index(first, offsetBy: end - start)]
        }
        switch place.kind {
        case UInt8(ascii: "m"):
            guard media.count < SessionDescription.mediaMaximum else { throw SDPError(line: place.number, "too many m= sections") }
            media.append(try Media(part(place.start + 2, place.end), line: place.number))
        case UInt8(ascii: "a"):
            let name = part(place.start + 2, place.colon)
            let attribute = SDPAttribute(
                name: place.hasCapitals ? name.lowercased() : String(name), value: part(min(place.colon + 1, place.end), place.end),
                line: place.number)
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
