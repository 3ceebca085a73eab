/// What a peer offers, as far as an audio server needs it: its first audio section with Opus, the rest to be rejected (RFC 8829, RFC 9429).
public struct AudioOffer: Sendable, Equatable {
    /// Who may begin the DTLS handshake (RFC 4145, RFC 5763).
    public enum Setup: String, Sendable {
        case active, passive, actpass
    }
    /// Which way media goes, as the peer sees it (RFC 3264).
    public enum Direction: String, Sendable {
        case sendrecv, sendonly, recvonly, inactive
        /// As the other side sees it.
        public var mirrored: Direction {
            switch self {
            case .sendonly: .recvonly
            case .recvonly: .sendonly
            case .sendrecv, .inactive: self
            }
        }
    }
    /// The section's identification (RFC 5888); empty where there is none.
    public var mid: String
    /// Which of the sections it is.
    public var index: Int
    /// Another section that the audio has no transport without: its BUNDLE group is tagged with it. The answer must not reject it.
    public var carrier: Int?
    /// All sections, for an answer with as many.
    public var sections: [SessionDescription.Media]
    /// Whether the section is in a BUNDLE group (RFC 9143).
    public var isBundled: Bool
    /// Of Opus.
    public var payloadType: UInt8
    /// Opus' parameters as they stand in the offer.
    public var parameters: String?
    /// ms, where it is said.
    public var ptime: Int?
    /// The header extension of RFC 6464, where it is offered.
    public var levelExtension: UInt8?
    /// ICE.
    public var ufrag: String
    /// ICE.
    public var password: String
    /// The hash's name, of the peer's certificate.
    public var fingerprintHash: String
    /// `AA:BB:…`
    public var fingerprint: String
    /// DTLS.
    public var setup: Setup
    /// As the peer sees it.
    public var direction: Direction

    /// Finds in an offer what can be taken.
    /// - Throws: `SDPError` that says what is missing.
    public init(_ description: SessionDescription) throws(SDPError) {
        guard !description.media.isEmpty else { throw SDPError(line: 0, "there is no m= section") }
        let found = description.media.enumerated().lazy.compactMap { index, media in
            media.kind == "audio" && AudioOffer.isOn(media, description) && media.isSecure
                ? AudioOffer.opus(in: media).map { (index, media, $0) } : nil
        }
        guard let (index, media, payloadType) = found.first else {
            throw SDPError(line: description.media[0].line, "there is no audio section with opus/48000/2 over UDP/TLS/RTP/SAVPF")
        }
        (self.index, sections, self.payloadType) = (index, description.media, payloadType)
        carrier = AudioOffer.carrier(of: index, description)
        let tagged = description.tagged(media).map { description.media[$0] }
        // The tagged section alone need have the transport's attributes (RFC 9143 §7.1.3).
        let transport = (carrier == nil ? [media, tagged] : [tagged, media]).compactMap { $0 }
        func needed(_ name: String, _ example: String) throws(SDPError) -> SDPAttribute {
            guard let attribute = description.values(name, in: transport).first, !attribute.value.isEmpty else {
                throw SDPError(line: media.line, "the audio section has no a=\(name):\(example)")
            }
            return attribute
        }
        guard !description.values("rtcp-mux", in: transport).isEmpty else {
            throw SDPError(line: media.line, "a=rtcp-mux is needed: RTCP has no port of its own here (RFC 5761)")
        }
        let (fragment, secret) = (try needed("ice-ufrag", "…"), try needed("ice-pwd", "…"))
        guard (4...256).contains(fragment.value.utf8.count), AudioOffer.isICE(fragment.value) else {
            throw SDPError(line: fragment.line, "a=ice-ufrag must have 4 to 256 letters, digits, + or / (RFC 8839)")
        }
        guard (22...256).contains(secret.value.utf8.count), AudioOffer.isICE(secret.value) else {
            throw SDPError(line: secret.line, "a=ice-pwd must have 22 to 256 letters, digits, + or / (RFC 8839)")
        }
        let first = try needed("fingerprint", "sha-256 AA:BB:…")
        let prints = description.values("fingerprint", in: transport).map { $0.value.words.map(String.init) }
        guard let print = AudioOffer.best(prints.filter { $0.count == 2 }) else {
            throw SDPError(line: first.line, "must look like a=fingerprint:sha-256 AA:BB:…")
        }
        let word = description.values("setup", in: transport).first
        guard let setup = Setup(rawValue: word?.value.lowercased() ?? "actpass") else {
            throw SDPError(line: word?.line ?? media.line, "a=setup must be actpass, active or passive")
        }
        (ufrag, password) = (String(fragment.value), String(secret.value))
        (fingerprintHash, fingerprint, self.setup) = (print[0], print[1], setup)
        mid = description.value("mid", of: media).map { String($0.value) } ?? ""
        isBundled = description.bundle(of: media) != nil
        parameters = media.attributes.first { $0.name == "fmtp" && $0.value.hasPrefix("\(payloadType) ") }
            .map { String($0.value.drop { $0 != " " }.dropFirst()) }
        ptime = media.attributes.first { $0.name == "ptime" }.flatMap { Int($0.value) }
        levelExtension = AudioOffer.extensionID("urn:ietf:params:rtp-hdrext:ssrc-audio-level", in: media)
        direction = AudioOffer.direction(of: media, description)
    }

    /// The payload type of Opus, as RFC 7587 names it; those that can't be told from RTCP are passed over.
    private static func opus(in media: SessionDescription.Media) -> UInt8? {
        for attribute in media.attributes where attribute.name == "rtpmap" {
            let words = attribute.value.words
            guard words.count >= 2, let type = UInt8(words[0]), type < 128, !(64...95).contains(type), media.formats.contains(String(type)),
                words[1].lowercased().hasPrefix("opus/48000")
            else { continue }
            return type
        }
        return nil
    }

    private static func isICE(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 43 || byte == 47
        }
    }

    /// Whether a section is meant to be used: it has a port, or shares another's (RFC 9143 §6).
    private static func isOn(_ media: SessionDescription.Media, _ description: SessionDescription) -> Bool {
        media.port != 0 || (media.attributes.contains { $0.name == "bundle-only" } && description.bundle(of: media) != nil)
    }

    /// The section that lends its transport to the audio, where the audio has none of its own to go on with: under `max-bundle` a browser
    /// makes one for the first section only, and gives all up where that is rejected.
    private static func carrier(of index: Int, _ description: SessionDescription) -> Int? {
        let audio = description.media[index]
        guard let tagged = description.tagged(audio), tagged != index, description.media[tagged].isSecure,
            description.media[tagged].port != 0
        else { return nil }
        func fragment(_ media: SessionDescription.Media) -> Substring? { media.attributes.first { $0.name == "ice-ufrag" }?.value }
        let own = fragment(audio)
        return audio.port == 0 || own == nil || own == fragment(description.media[tagged]) ? tagged : nil
    }

    /// Hash functions, the best first: of several fingerprints of one certificate the best is compared (RFC 8122 §5.1).
    private static let hashes = ["sha-512", "sha-384", "sha-256", "sha-224", "sha-1"]

    private static func best(_ fingerprints: [[String]]) -> [String]? {
        func rank(_ fingerprint: [String]) -> Int { hashes.firstIndex(of: fingerprint[0].lowercased()) ?? hashes.count }
        return fingerprints.min { rank($0) < rank($1) }
    }

    private static func extensionID(_ uri: String, in media: SessionDescription.Media) -> UInt8? {
        for attribute in media.attributes where attribute.name == "extmap" {
            let words = attribute.value.words
            guard words.count >= 2, words[1] == uri, let id = words[0].split(separator: "/").first.flatMap({ UInt8($0) }),
                (1...14).contains(id)
            else { continue }
            return id
        }
        return nil
    }

    private static func direction(of media: SessionDescription.Media, _ description: SessionDescription) -> Direction {
        let own = media.attributes.lazy.compactMap { Direction(rawValue: $0.name) }.first
        return own ?? description.attributes.lazy.compactMap { Direction(rawValue: $0.name) }.first ?? .sendrecv
    }
}
