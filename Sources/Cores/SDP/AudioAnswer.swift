/// The server's answer to an offer: one audio section with Opus, everything else rejected, in the offer's order; but a section that the audio
/// needs for its transport stays, and carries nothing of its own.
public struct AudioAnswer: Sendable {
    /// A place where the server can be reached, as ICE names it (RFC 8839 §5.1).
    public struct Candidate: Sendable, Equatable {
        /// An IP address.
        public var ip: String
        /// 1…65535.
        public var port: UInt16
        /// Passive TCP (RFC 6544) in place of UDP.
        public var isTCP: Bool
        /// A candidate.
        public init(ip: String, port: UInt16, isTCP: Bool = false) { (self.ip, self.port, self.isTCP) = (ip, port, isTCP) }
    }
    /// Tells one session from another.
    public var sessionID: UInt64
    /// Rises with each answer of a session.
    public var version: Int
    /// Ours.
    public var ufrag: String
    /// Ours.
    public var password: String
    /// `sha-256 AA:BB:…`
    public var fingerprint: String
    /// The best first.
    public var candidates: [Candidate]
    /// Whether we begin the DTLS handshake (`a=setup:active`, RFC 5763 §5).
    public var isActive: Bool
    /// Of what the room sends.
    public var ssrc: UInt32
    /// RTCP's name for us.
    public var cname: String

    /// An answer's parameters.
    public init(
        sessionID: UInt64, version: Int, ufrag: String, password: String, fingerprint: String, candidates: [Candidate], isActive: Bool,
        ssrc: UInt32, cname: String
    ) {
        (self.sessionID, self.version, self.ufrag, self.password) = (sessionID, version, ufrag, password)
        (self.fingerprint, self.candidates, self.isActive, self.ssrc, self.cname) = (fingerprint, candidates, isActive, ssrc, cname)
    }

    /// The text.
    public func text(for offer: AudioOffer) -> String {
        var lines = Lines()
        lines.add("v=0")
        lines.add("o=- \(sessionID) \(version) IN IP4 127.0.0.1")
        lines.add("s=Talkburst")
        lines.add("t=0 0")
        let tag = offer.carrier.flatMap { Self.mid(of: offer.sections[$0]) }
        if offer.isBundled { lines.add("a=group:BUNDLE \(tag.map { $0 + " " } ?? "")", offer.mid) }
        lines.add("a=ice-lite")
        lines.add("a=msid-semantic: WMS *")
        for (index, section) in offer.sections.enumerated() {
            switch index {
            case offer.index: audio(offer, section, &lines)
            case offer.carrier: carrier(offer, section, &lines)
            default: rejected(section, &lines)
            }
        }
        return lines.text
    }

    /// A text of lines, written in one place.
    private struct Lines {
        private(set) var text = ""

        init() { text.reserveCapacity(1_500) }

        mutating func add(_ start: String, _ end: String = "") {
            text += start
            text += end
            text += "\r\n"
        }
    }

    private func audio(_ offer: AudioOffer, _ section: SessionDescription.Media, _ lines: inout Lines) {
        let type = "\(offer.payloadType)"
        head(section, type, &lines)
        if !offer.mid.isEmpty { lines.add("a=mid:", offer.mid) }
        lines.add("a=", offer.direction.mirrored.rawValue)
        lines.add("a=rtcp-mux")
        lines.add("a=rtpmap:", type + " opus/48000/2")
        lines.add("a=fmtp:", type + " " + Self.parameters(offer.parameters))
        if let ptime = offer.ptime, (10...120).contains(ptime) { lines.add("a=ptime:\(ptime)") }
        if let level = offer.levelExtension { lines.add("a=extmap:\(level)", " urn:ietf:params:rtp-hdrext:ssrc-audio-level") }
        if offer.carrier == nil { transport(offer, &lines) }
        if offer.direction != .sendonly, offer.direction != .inactive {
            let source = "a=ssrc:\(ssrc)"
            lines.add("a=msid:talkburst talkburst-audio")
            lines.add(source, " cname:" + cname)
            lines.add(source, " msid:talkburst talkburst-audio")
        }
    }

    /// The first lines of a section that stays.
    private func head(_ section: SessionDescription.Media, _ format: String, _ lines: inout Lines) {
        let ip = candidates.first?.ip ?? "0.0.0.0"
        lines.add("m=\(section.kind) \(candidates.first?.port ?? 9) \(section.transport) ", format)
        lines.add(ip.utf8.contains(UInt8(ascii: ":")) ? "c=IN IP6 " : "c=IN IP4 ", ip)
    }

    /// What stands in the section that a BUNDLE group is tagged with, for all of them (RFC 9143 §7.1.3).
    private func transport(_ offer: AudioOffer, _ lines: inout Lines) {
        lines.add("a=ice-ufrag:", ufrag)
        lines.add("a=ice-pwd:", password)
        lines.add("a=fingerprint:", fingerprint)
        lines.add("a=setup:", isActive ? "active" : "passive")
        for (place, candidate) in candidates.enumerated() { lines.add(Self.line(candidate, place)) }
        lines.add("a=end-of-candidates")
    }

    /// The section whose transport the audio shares: to reject it would take the audio along, so it stays, inactive, with what it offers first.
    private func carrier(_ offer: AudioOffer, _ section: SessionDescription.Media, _ lines: inout Lines) {
        let format = section.formats.first ?? "0"
        head(section, format, &lines)
        if let mid = Self.mid(of: section) { lines.add("a=mid:", String(mid)) }
        lines.add("a=inactive")
        lines.add("a=rtcp-mux")
        for attribute in section.attributes where ["rtpmap", "fmtp"].contains(attribute.name) && attribute.value.hasPrefix(format + " ") {
            lines.add("a=\(attribute.name):", String(attribute.value))
        }
        transport(offer, &lines)
    }

    private static func mid(of section: SessionDescription.Media) -> Substring? { section.attributes.first { $0.name == "mid" }?.value }

    /// Opus' parameters as offered, with in-band FEC, which the recorder and the listeners can use.
    private static func parameters(_ offered: String?) -> String {
        var parts = (offered ?? "minptime=10").split(separator: ";").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
        parts.removeAll { $0.hasPrefix("useinbandfec=") || $0.hasPrefix("stereo=") || $0.hasPrefix("sprop-stereo=") }
        return (parts.prefix(16) + ["useinbandfec=1"]).joined(separator: ";")
    }

    /// RFC 8445 §5.1.2.1: host candidates, TCP behind UDP; what is passive is 4 of 7 directions (RFC 6544 §4.2).
    private static func line(_ candidate: Candidate, _ place: Int) -> String {
        let preference = candidate.isTCP ? 4 << 13 | UInt32(8_191 - place) : UInt32(65_535 - place)
        let type: UInt32 = candidate.isTCP ? 90 : 126
        let priority = type << 24 | preference << 8 | 255
        return "a=candidate:\(place + 1) 1 \(candidate.isTCP ? "tcp" : "udp") \(priority) \(candidate.ip) "
            + "\(candidate.port) typ host\(candidate.isTCP ? " tcptype passive" : "")"
    }

    private func rejected(_ section: SessionDescription.Media, _ lines: inout Lines) {
        lines.add("m=\(section.kind) 0 \(section.transport) ", section.formats.first ?? "0")
        lines.add("c=IN IP4 0.0.0.0")
        if let mid = Self.mid(of: section) { lines.add("a=mid:", String(mid)) }
        lines.add("a=inactive")
    }
}
