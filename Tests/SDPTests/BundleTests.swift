import SDP
import Testing

/// Offers whose sections share one transport, in the shape of those that browsers send (RFC 9143).
private enum BundledOffers {
    static let sha256 = "sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08"
    static let sha1 = "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"
    static let sha512 = "sha-512 " + Array(repeating: "0F", count: 64).joined(separator: ":")

    private static func transport(_ fragment: String, _ fingerprints: [String] = [sha256]) -> [String] {
        ["a=ice-ufrag:\(fragment)", "a=ice-pwd:x9cml/YzichV2+XlhiMu8gxx", "a=ice-options:trickle"]
            + fingerprints.map { "a=fingerprint:\($0)" } + ["a=setup:actpass", "a=rtcp-mux"]
    }

    private static let opus = ["a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc", "a=fmtp:111 minptime=10;useinbandfec=1"]

    private static func head(_ group: String) -> [String] {
        [
            "v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE \(group)", "a=extmap-allow-mixed",
            "a=msid-semantic: WMS s",
        ]
    }

    private static func video(_ mid: String, port: Int, _ more: [String]) -> [String] {
        ["m=video \(port) UDP/TLS/RTP/SAVPF 96 97", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"] + more + [
            "a=mid:\(mid)", "a=sendrecv", "a=rtcp-rsize", "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96",
        ]
    }

    /// `max-bundle`, a camera before the microphone, as Chromium offers it: every section has a port and the transport's attributes.
    static let chromiumMaxBundle = repeating.filter { $0 != "a=bundle-only" }.map { $0.replacing("m=audio 0 ", with: "m=audio 9 ") }

    /// The same, but for the port: what is bundle-only repeats the transport's attributes.
    static let repeating =
        head("0 1") + video("0", port: 9, transport("F7gI"))
        + ["m=audio 0 UDP/TLS/RTP/SAVPF 111 63", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"] + transport("F7gI")
        + ["a=mid:1", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=sendrecv", "a=bundle-only"] + opus

    /// The strict form: the tagged section alone has the transport's attributes.
    static let taggedAlone =
        head("0 1") + video("0", port: 9, transport("tagd"))
        + ["m=audio 0 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:1", "a=sendrecv", "a=bundle-only"] + opus

    /// Safari of iOS 17: names without addresses for the candidates, no `extmap-allow-mixed` in the sections.
    static let safari =
        [
            "v=0", "o=- 8364129734508761212 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=extmap-allow-mixed",
            "a=msid-semantic: WMS 0B4A3E5C-2F2A-4C62-A7A5-0A6B33DD4E7E", "m=audio 57209 UDP/TLS/RTP/SAVPF 111 63 9 102 0 8 13 110 126",
            "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
            "a=candidate:2215190347 1 udp 2113937151 3f0b2ac0-3cbb-4b53-8f64-1f7e6f2f0f0e.local 57209 typ host generation 0 network-cost 999",
        ] + transport("sAf1")
        + [
            "a=mid:0", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time", "a=sendrecv",
            "a=msid:0B4A3E5C-2F2A-4C62-A7A5-0A6B33DD4E7E 6C1F1E66", "a=rtcp-rsize",
        ] + opus
        + [
            "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtpmap:9 G722/8000", "a=rtpmap:102 ILBC/8000",
            "a=ssrc:1290744871 cname:Kx0F", "a=ssrc:1290744871 msid:0B4A3E5C-2F2A-4C62-A7A5-0A6B33DD4E7E 6C1F1E66",
        ] + video("1", port: 9, transport("sAf1"))

    /// Firefox: security on the session's level, `tls-id`, what is bundle-only without any attribute of the transport.
    static func firefox(_ fingerprints: [String]) -> [String] {
        ["v=0", "o=mozilla...THIS_IS_SDPARTA-128.0 5310424318829517632 0 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=sendrecv"]
            + fingerprints.map { "a=fingerprint:\($0)" }
            + [
                "a=tls-id:91bbf309c0990a6bec11e38ba2933cee", "a=group:BUNDLE 0 1", "a=ice-options:trickle", "a=msid-semantic:WMS *",
                "m=video 9 UDP/TLS/RTP/SAVPF 120", "c=IN IP4 0.0.0.0", "a=sendrecv", "a=ice-pwd:4e0a5d8f8c9b7f6e5d4c3b2a19080706",
                "a=ice-ufrag:0a1b2c3d", "a=mid:0", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:120 VP8/90000", "a=setup:actpass",
                "m=audio 0 UDP/TLS/RTP/SAVPF 109 9", "c=IN IP4 0.0.0.0", "a=bundle-only", "a=sendrecv",
                "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1",
                "a=mid:1", "a=msid:{a} {b}", "a=rtpmap:109 opus/48000/2", "a=rtpmap:9 G722/8000/1", "a=ssrc:3456 cname:{x}",
            ]
    }
}

@Suite struct BundleTests {
    private func offer(_ lines: [String]) throws -> AudioOffer {
        try AudioOffer(try SessionDescription(parsing: lines.map { $0 + "\r\n" }.joined()))
    }

    private func answer(_ offer: AudioOffer) -> [String] {
        AudioAnswer(
            sessionID: 42, version: 1, ufrag: "abcd", password: "0123456789abcdef0123456789abcdef", fingerprint: "sha-256 AA:BB",
            candidates: [.init(ip: "192.0.2.7", port: 10_000)], isActive: false, ssrc: 7, cname: "x"
        ).text(for: offer).split(separator: "\r\n").map(String.init)
    }

    /// The lines of one section of an answer.
    private func section(_ kind: String, _ lines: [String]) -> [String] {
        let start = lines.firstIndex { $0.hasPrefix("m=\(kind) ") } ?? lines.endIndex
        return [lines[start]] + lines[(start + 1)...].prefix { !$0.hasPrefix("m=") }
    }

    @Test(arguments: [
        BundledOffers.chromiumMaxBundle, BundledOffers.repeating, BundledOffers.taggedAlone, BundledOffers.firefox([BundledOffers.sha256]),
    ]) func theVideoThatLendsItsTransportStaysAndCarriesNothing(_ lines: [String]) throws {
        let offer = try offer(lines)
        #expect(
            offer.index == 1 && offer.carrier == 0 && offer.mid == "1" && offer.isBundled && offer.setup == .actpass
                && offer.fingerprintHash == "sha-256")
        let answer = answer(offer)
        #expect(answer.filter { $0.hasPrefix("a=group:") } == ["a=group:BUNDLE 0 1"])
        let (video, audio) = (section("video", answer), section("audio", answer))
        #expect(video.first?.hasPrefix("m=video 10000 ") == true && video.contains("a=mid:0") && video.contains("a=inactive"))
        for line in ["a=ice-ufrag:abcd", "a=fingerprint:sha-256 AA:BB", "a=setup:passive", "a=rtcp-mux"] { #expect(video.contains(line)) }
        #expect(video.contains { $0.hasSuffix("VP8/90000") })
        #expect(audio.first?.hasPrefix("m=audio 10000 ") == true && audio.contains("a=mid:1") && audio.contains("a=sendrecv"))
        #expect(audio.contains("a=rtcp-mux") && !audio.contains { $0.hasPrefix("a=ice-") || $0.hasPrefix("a=candidate") })
        #expect(!answer.contains("a=bundle-only"), "an answer never says so (RFC 9143 §6)")
    }

    @Test func audioWithATransportOfItsOwnStandsAlone() throws {
        let start = try #require(BundledOffers.chromiumMaxBundle.firstIndex { $0.hasPrefix("m=audio") })
        var lines = BundledOffers.chromiumMaxBundle
        for index in lines.indices[start...] where lines[index] == "a=ice-ufrag:F7gI" { lines[index] = "a=ice-ufrag:own1" }
        let offer = try offer(lines)
        #expect(offer.carrier == nil && offer.ufrag == "own1")
        let answer = answer(offer)
        #expect(answer.contains("a=group:BUNDLE 1"), "what is rejected is in no group (RFC 9143 §7.3.3)")
        let video = section("video", answer)
        #expect(video.first?.hasPrefix("m=video 0 ") == true && !video.contains { $0.hasPrefix("a=ice-") })
        #expect(section("audio", answer).contains("a=ice-ufrag:abcd"))
    }

    @Test func aDataChannelThatComesFirstCannotStay() throws {
        let lines = BundledOffers.taggedAlone.map { $0.hasPrefix("m=video") ? "m=application 9 UDP/DTLS/SCTP webrtc-datachannel" : $0 }
        let offer = try offer(lines)
        #expect(offer.carrier == nil && offer.ufrag == "tagd")
        #expect(answer(offer).contains("a=group:BUNDLE 1") && section("audio", answer(offer)).contains("a=ice-ufrag:abcd"))
    }

    @Test func theTransportsAttributesAreThoseOfTheTaggedSection() throws {
        #expect(try offer(BundledOffers.taggedAlone).ufrag == "tagd")
        let firefox = try offer(BundledOffers.firefox([BundledOffers.sha256]))
        #expect(firefox.ufrag == "0a1b2c3d" && firefox.password == "4e0a5d8f8c9b7f6e5d4c3b2a19080706")
        #expect(firefox.payloadType == 109 && firefox.levelExtension == 1)
    }

    @Test func safari() throws {
        let offer = try offer(BundledOffers.safari)
        #expect(offer.index == 0 && offer.payloadType == 111 && offer.ufrag == "sAf1" && offer.levelExtension == 1)
        let answer = answer(offer)
        #expect(answer.contains("a=group:BUNDLE 0") && section("video", answer).first == "m=video 0 UDP/TLS/RTP/SAVPF 96")
    }

    @Test func ofSeveralFingerprintsTheBestIsTaken() throws {
        let (sha1, sha256, sha512) = (BundledOffers.sha1, BundledOffers.sha256, BundledOffers.sha512)
        for (fingerprints, best) in [
            ([sha1, sha256], sha256), ([sha256, sha1], sha256), ([sha1, sha512, sha256], sha512), ([sha1], sha1),
        ] {
            let offer = try offer(BundledOffers.firefox(fingerprints))
            #expect(offer.fingerprintHash + " " + offer.fingerprint == best)
        }
        let unknown = try offer(BundledOffers.firefox(["sha3-256 AA:BB", sha256]))
        #expect(unknown.fingerprintHash == "sha-256", "a hash that nobody knows yet stands behind all others")
    }

    @Test func aSectionsOwnFingerprintCountsMoreThanTheSessions() throws {
        var lines = BundledOffers.firefox([BundledOffers.sha512])
        lines.append("a=fingerprint:\(BundledOffers.sha1)")
        #expect(try offer(lines).fingerprintHash == "sha-1")
    }

    @Test(arguments: [("a=bundle-only", "a=x"), ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), ("a=group:BUNDLE 0 1", "a=group:LS 0 1")])
    func withoutAPortOfAnyKindItIsSwitchedOff(old: String, new: String) {
        let lines = BundledOffers.repeating.map { $0 == old ? new : $0 }
        #expect { try offer(lines) } throws: { error in "\(error)".contains("no audio section") }
    }
}
