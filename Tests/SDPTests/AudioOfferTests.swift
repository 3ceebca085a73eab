import SDP
import Testing

/// Offers in the shape of those that clients send, shortened.
enum Offers {
    private static let security = """
        a=ice-ufrag:F7gI
        a=ice-pwd:x9cml/YzichV2+XlhiMu8gxx
        a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
        a=setup:actpass

        """
    static let chromium =
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=extmap-allow-mixed\r\n"
        + "a=msid-semantic: WMS s\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
        + security.replacingNewlines + "a=ice-options:trickle\r\na=mid:0\r\n"
        + "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv\r\n"
        + "a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
        + "a=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n"
        + security.replacingNewlines + "a=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n"
    /// Security on the session's level, tls-id, several fingerprints, payload type 109.
    static let firefox =
        "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 7 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
        + "a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n"
        + "a=group:BUNDLE 0\r\na=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\n"
        + "a=extmap:1/sendonly urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\n"
        + "a=ice-pwd:4e0a5d8f8c9b7f6e5d4c3b2a19080706\r\na=ice-ufrag:0a1b2c3d\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:109 opus/48000/2\r\n"
        + "a=setup:actpass\r\na=ssrc:3456 cname:{x}\r\n"
    /// A server that waits for us: pymediasoup.
    static let passive = chromium.replacing("a=setup:actpass", with: "a=setup:passive")
    /// An embedded client: bare line feeds, spaces, no BUNDLE, no mid, a telephone event first.
    static let embedded =
        "v=0\no=pjsip 1 1 IN IP4 10.0.0.5\ns=pjmedia\nt=0 0\nm=audio 4000 UDP/TLS/RTP/SAVPF 101 96\na=rtpmap:101 telephone-event/48000\n"
        + "a=rtpmap:96 OPUS/48000/2\n" + security + "a=rtcp-mux\na=recvonly\n"
}

extension String {
    fileprivate var replacingNewlines: String { split(separator: "\n").map { $0 + "\r\n" }.joined() }
    fileprivate func replacing(_ old: String, with new: String) -> String { components(of: old).joined(separator: new) }
    private func components(of separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}

@Suite struct AudioOfferTests {
    private func offer(_ text: String) throws -> AudioOffer { try AudioOffer(try SessionDescription(parsing: text)) }

    private func answer(_ offer: AudioOffer) -> String {
        AudioAnswer(
            sessionID: 42, version: 1, ufrag: "abcd", password: "0123456789abcdef0123456789abcdef", fingerprint: "sha-256 AA:BB",
            candidates: [.init(ip: "192.0.2.7", port: 10_000), .init(ip: "192.0.2.7", port: 10_000, isTCP: true)],
            isActive: offer.setup == .passive, ssrc: 7, cname: "x"
        ).text(for: offer)
    }

    @Test func anIPv6AddressIsToldAsOne() throws {
        let text = AudioAnswer(
            sessionID: 42, version: 1, ufrag: "abcd", password: "0123456789abcdef0123456789abcdef", fingerprint: "sha-256 AA:BB",
            candidates: [.init(ip: "2001:db8::7", port: 10_000)], isActive: true, ssrc: 7, cname: "x"
        ).text(for: try offer(Offers.chromium))
        #expect(text.contains("c=IN IP6 2001:db8::7\r\n") && text.contains(" udp ") && text.contains(" 2001:db8::7 10000 typ host"))
        #expect(text.contains("a=setup:active\r\n"))
    }

    @Test func chromium() throws {
        let offer = try offer(Offers.chromium)
        #expect(offer.payloadType == 111 && offer.mid == "0" && offer.isBundled && offer.index == 0 && offer.sections.count == 3)
        #expect(offer.levelExtension == 1 && offer.setup == .actpass && offer.direction == .sendrecv)
        #expect(offer.ufrag == "F7gI" && offer.password == "x9cml/YzichV2+XlhiMu8gxx" && offer.fingerprintHash == "sha-256")
        #expect(offer.parameters == "minptime=10;useinbandfec=1")
        let lines = answer(offer).components
        #expect(lines.first == "v=0" && lines.contains("a=group:BUNDLE 0") && lines.contains("a=ice-lite"))
        #expect(
            lines.filter { $0.hasPrefix("m=") } == [
                "m=audio 10000 UDP/TLS/RTP/SAVPF 111", "m=video 0 UDP/TLS/RTP/SAVPF 96", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
            ])
        #expect(lines.contains("a=setup:passive") && lines.contains("a=rtcp-mux") && lines.contains("a=end-of-candidates"))
        #expect(lines.contains("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level"))
        #expect(lines.contains("a=candidate:1 1 udp 2130706431 192.0.2.7 10000 typ host"))
        #expect(lines.contains("a=candidate:2 1 tcp 1520434943 192.0.2.7 10000 typ host tcptype passive"))
        #expect(lines.contains("a=ssrc:7 cname:x"))
    }

    @Test func firefox() throws {
        let offer = try offer(Offers.firefox)
        #expect(offer.payloadType == 109 && offer.ufrag == "0a1b2c3d" && offer.levelExtension == 1)
        #expect(answer(offer).components.contains("a=fmtp:109 maxplaybackrate=48000;useinbandfec=1"))
    }

    @Test func weBeginWhereThePeerWaits() throws {
        let offer = try offer(Offers.passive)
        #expect(offer.setup == .passive && answer(offer).components.contains("a=setup:active"))
    }

    @Test func embedded() throws {
        let offer = try offer(Offers.embedded)
        #expect(offer.payloadType == 96 && offer.mid.isEmpty && !offer.isBundled && offer.direction == .recvonly)
        let lines = answer(offer).components
        #expect(lines.contains("a=sendonly") && !lines.contains { $0.hasPrefix("a=group") || $0.hasPrefix("a=mid") })
    }

    @Test func directionsAreMirrored() throws {
        for (theirs, ours) in [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")] {
            let offer = try offer(Offers.chromium.replacing("a=sendrecv", with: "a=\(theirs)"))
            #expect(answer(offer).components.contains("a=\(ours)"))
        }
    }

    @Test(arguments: [
        ("a=rtcp-mux", "a=x", "rtcp-mux"), ("a=ice-ufrag:F7gI", "a=ice-ufrag:a", "ice-ufrag"), ("a=ice-pwd:x", "a=ice-pwd:!", "ice-pwd"),
        ("a=fingerprint:", "a=nothing:", "fingerprint"), ("a=setup:actpass", "a=setup:maybe", "setup"),
        ("opus/48000", "speex/48000", "opus"),
        ("m=audio 9", "m=audio nine", "m=audio"), ("m=audio 9", "m=audio 0", "opus"), ("s=-", "nonsense", "x=…"),
    ]) func whatIsMissingIsNamed(old: String, new: String, words: String) {
        #expect { try offer(Offers.chromium.replacing(old, with: new)) } throws: { error in "\(error)".contains(words) }
    }

    @Test(arguments: ["\r\n", "\n", "\r"])
    func linesAreCountedWhateverEndsThem(_ end: String) {
        let text = ["v=0", "", "  s=ä\u{301}", "a", ""].joined(separator: end)
        #expect { try SessionDescription(parsing: text) } throws: { error in (error as? SDPError)?.line == 4 }
    }

    @Test func hugeTextsAreRefused() {
        #expect(throws: SDPError.self) { try SessionDescription(parsing: "") }
        #expect(throws: SDPError.self) { try SessionDescription(parsing: "v=0\n" + String(repeating: "a=x\n", count: 5_000)) }
        #expect(throws: SDPError.self) { try SessionDescription(parsing: "v=0\n" + String(repeating: "m=audio 9 X 0\n", count: 100)) }
        #expect(throws: SDPError.self) { try SessionDescription(parsing: "v=0\na=" + String(repeating: "x", count: 70_000)) }
    }
}

extension String {
    fileprivate var components: [String] { split(separator: "\r\n").map(String.init) }
}
