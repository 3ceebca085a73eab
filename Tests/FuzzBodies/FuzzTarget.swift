import AudioCodecs
import DTLS
import ICE
import JSON
import JanusProtocol
import Messages
import PeerSession
import RTP
import SDP
import STUN
import SecureRTP
import Synchronization
import Talk
import Web

/// One parser of what comes from a network, as a fuzzer drives it: any bytes may come, nothing may trap, and what was read must hold together.
///
/// The bodies are an ordinary library, so that they can't rot: `FuzzCorpusTests` runs them over the corpus, and `HostileInputTests` over
/// mutations, in every test run; `make fuzz` runs them under libFuzzer and AddressSanitizer.
public struct FuzzTarget: Sendable {
    /// The corpus folder's and the fuzzer's name.
    public let name: String
    /// Good input, from which mutations are made.
    public let seeds: [[UInt8]]
    /// Takes an input; traps where a promise is broken.
    public let body: @Sendable ([UInt8]) -> Void

    /// A target of this name.
    public init(_ name: String, seeds: [[UInt8]], _ body: @escaping @Sendable ([UInt8]) -> Void) {
        (self.name, self.seeds, self.body) = (name, seeds, body)
    }

    /// All of them.
    public static let all: [FuzzTarget] = [
        rtp, rtcp, srtp, stream, stun, ice, sdp, dtls, association, peer, janus, signal, records, http, opus, wav,
    ]

    static func text(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }
}

extension FuzzTarget {
    static let rtp: FuzzTarget = {
        let plain = RTPHeader.bytes(marker: true, payloadType: 100, sequence: 65_535, timestamp: .max, ssrc: 7) + [0x48, 1, 2, 3]
        var extended = plain
        extended[0] = 0xB1
        extended.insert(contentsOf: [0, 0, 0, 1, 0xBE, 0xDE, 0, 1, 0x10, 0x20, 0, 0], at: 12)
        return FuzzTarget("rtp", seeds: [plain, extended + [0, 0, 3]]) { bytes in
            for level in [0, 1, 14] as [UInt8] {
                guard let header = RTPHeader(bytes.span, levelExtension: level) else { continue }
                precondition(header.payloadOffset >= RTPHeader.size && header.payloadOffset + header.payloadSize <= bytes.count)
            }
        }
    }()

    static let rtcp: FuzzTarget = {
        let block = ReportBlock(
            ssrc: 1, fractionLost: 2, totalLost: -3, highestSequence: 4, jitter: 5, lastReport: 6, delaySinceLastReport: 7)
        let report = RTCPPacket.senderReport(ssrc: 1, ntp: 2, timestamp: 3, packets: 4, octets: 5, blocks: [block]).encoded
        let message = MCPTMessage(
            .granted, ssrc: 9, fields: [.duration(30), .priority(1), .grantedParty("123"), .queueInfo(position: 1, priority: 2)])
        return FuzzTarget("rtcp", seeds: [report + RTCPPacket.cname("a", ssrc: 1), message.encoded]) { bytes in
            for packet in RTCPPacket.read(bytes.span) {
                guard let message = MCPTMessage(packet) else { continue }
                let again = RTCPPacket.read(message.encoded.span).first.flatMap { MCPTMessage($0) }
                precondition(again?.fields.count == message.fields.count, "a floor message is written as it was read")
            }
        }
    }()

    static let srtp = FuzzTarget("srtp", seeds: rtp.seeds + rtcp.seeds) { bytes in
        precondition(bytes.withUnsafeBytes { SRTPFuzz.run($0) } == 0, "a packet without the key was taken")
    }

    static let stream = FuzzTarget("stream", seeds: [[0, 3, 1, 2, 3, 0, 1, 9, 0, 0, 0, 40, 1], [8, 0]]) { bytes in
        var rest = bytes[...]
        while case .whole(let length) = StreamFrame(Array(rest).span, maximum: 2_048) {
            precondition(length <= 2_048 && StreamFrame.headerSize + length <= rest.count, "a frame is longer than what came")
            rest = rest.dropFirst(StreamFrame.headerSize + length)
        }
    }

    static let stun = FuzzTarget(
        "stun",
        seeds: [
            STUNMessage.request(transaction: Array(0..<12), username: "user", password: "pass") { _, text in
                [UInt8](repeating: text.first ?? 0, count: 20)
            }
        ]
    ) { bytes in
        guard let message = STUNMessage(bytes.span) else { return }
        precondition(message.transaction.count == 12)
        _ = message.isAuthentic(password: "pass") { _, _ in [UInt8](repeating: 0, count: 20) }
    }

    static let ice: FuzzTarget = {
        let local = ICECredentials(ufrag: "ours", password: "our-password-of-22-chars")
        let remote = ICECredentials(ufrag: "theirs", password: "their-password-of-22-char")
        let hmac: @Sendable ([UInt8], [UInt8]) -> [UInt8] = { key, text in Array((key + text + [UInt8](repeating: 0, count: 20)).prefix(20))
        }
        let check = STUNMessage.request(
            transaction: Array(0..<12), username: "ours:theirs", password: local.password, priority: 5, nominates: true, hmac: hmac)
        return FuzzTarget("ice", seeds: [check]) { bytes in
            guard let message = STUNMessage(bytes.span) else { return }
            var agent = ICEAgent<Int>(local: local, remote: remote, now: 0)
            let outcome = agent.handle(message, from: 1, address: [1, 2, 3, 4], port: 5, now: 6, hmac: hmac)
            precondition(outcome.isValid || agent.selected == nil, "a path was taken without a valid check")
            if let response = outcome.response { precondition(STUNMessage(response.span) != nil, "our answer is no STUN") }
        }
    }()

    static let sdp = FuzzTarget(
        "sdp",
        seeds: text(
            """
            v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 9\r\na=mid:0\r\n\
            a=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8gxx\r\na=fingerprint:sha-256 7B:8B\r\na=setup:actpass\r\na=rtcp-mux\r\n\
            a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n
            """)
    ) { bytes in
        guard let description = try? SessionDescription(parsing: String(decoding: bytes, as: UTF8.self)),
            let offer = try? AudioOffer(description)
        else { return }
        let answer = AudioAnswer(
            sessionID: 1, version: 0, ufrag: "abcd", password: "0123456789abcdef0123456789", fingerprint: "sha-256 AA",
            candidates: [.init(ip: "192.0.2.1", port: 1)], isActive: offer.setup == .passive, ssrc: 1, cname: "x"
        ).text(for: offer)
        guard let again = try? SessionDescription(parsing: answer) else { preconditionFailure("our answer is no SDP") }
        precondition(again.media.count == description.media.count, "an answer has as many sections as its offer (RFC 3264 §6)")
        // The audio, and the section that lends it its transport.
        precondition(again.media.filter { $0.port != 0 }.count == (offer.carrier == nil ? 1 : 2), "other sections are rejected")
    }

    private static let identity = try? DTLSIdentity()

    static let dtls = FuzzTarget("dtls", seeds: clientHello()) { bytes in
        guard let identity, let session = try? DTLSSession(identity, .server, fingerprint: identity.fingerprint) else { return }
        for _ in 0..<2 {
            let event = bytes.withUnsafeBytes { session.receive($0, at: 0) }
            if case .connected = event { preconditionFailure("connected by one datagram") }
        }
    }

    /// A server whose handshake is done, and what its client then said, each with another tag: without the keys nothing is heard.
    private final class Established: Sendable {
        let session: Mutex<DTLSSession>
        let seeds: [[UInt8]]

        init(_ identity: DTLSIdentity) throws {
            let server = try DTLSSession(identity, .server, fingerprint: identity.fingerprint)
            let client = try DTLSSession(identity, .client, fingerprint: identity.fingerprint)
            _ = client.start(at: 0)
            for _ in 0..<8 {
                for datagram in client.takeOutgoing() { _ = datagram.withUnsafeBytes { server.receive($0, at: 0) } }
                for datagram in server.takeOutgoing() { _ = datagram.withUnsafeBytes { client.receive($0, at: 0) } }
            }
            client.close()
            let said: [[UInt8]] = client.takeOutgoing().map { datagram in
                // All of the tag: a mutation or two must not mend it.
                datagram.dropLast(16) + datagram.suffix(16).map { $0 ^ 0x55 }
            }
            seeds = said + said.map { $0 + $0 }
            session = Mutex(server)
        }
    }

    private static let established = identity.flatMap { try? Established($0) }

    static let association = FuzzTarget("association", seeds: established?.seeds ?? []) { bytes in
        guard let established else { preconditionFailure("no session is established") }
        established.session.withLock { session in
            let event = bytes.withUnsafeBytes { session.receive($0, at: 1) }
            precondition(event == .none && session.takeOutgoing().isEmpty, "a record without the keys said something")
        }
    }

    private struct Place: PeerAddress {
        var port: UInt16
        var bytes: [UInt8] { [192, 0, 2, 1] }
    }

    /// A session and datagrams of any kind from two places: without the password nothing moves.
    static let peer = FuzzTarget("peer", seeds: ice.seeds + clientHello() + rtp.seeds) { bytes in
        guard let identity else { return }
        let credentials = ICECredentials(ufrag: "ours", password: "a-password-of-22-chars-")
        let session = PeerSession<Place>(
            .server, fingerprint: identity.fingerprint, local: credentials, remote: credentials, at: 0)
        for port in [1, 2, 1] as [UInt16] {
            let events = bytes.withUnsafeBytes { session.receive($0, from: Place(port: port), at: 1) }
            for event in events {
                guard case .send = event else { preconditionFailure("more than an answer came of \(bytes.count) bytes") }
            }
        }
        precondition(session.selected == nil && session.deadline == PeerSession<Place>.handshakeNs)
    }

    private static func clientHello() -> [[UInt8]] {
        guard let identity, let session = try? DTLSSession(identity, .client, fingerprint: identity.fingerprint) else {
            return [[22, 254, 253]]
        }
        _ = session.start(at: 0)
        return session.takeOutgoing()
    }

    static let janus = FuzzTarget(
        "janus",
        seeds: text(
            #"{"janus":"message","session_id":1,"handle_id":2,"transaction":"t","body":{"request":"join","room":1,"id":5,"rtp":{"ip":"1.2.3.4","port":5}}}"#,
            #"{"janus":"message","session_id":1,"handle_id":2,"transaction":"t","body":{"request":"floor","action":"request","priority":3}}"#,
            #"{"janus":"create","transaction":"a"}"#)
    ) { bytes in
        guard let envelope = try? JanusEnvelope(bytes, apiSecret: nil, tokens: nil), let body = envelope.body else { return }
        _ = try? AudioBridgeRequest(body)
        _ = AudioBridgeRequest.isSynchronous(body)
    }

    static let signal = FuzzTarget(
        "signal",
        seeds: text(
            #"{"msg_type":2,"ip":"1","signal_msg":{"signal_type":1,"create_group_req":{"gid":470,"group_name":"n","dispatcher_id":7,"options":{"t1_ms":500}}}}"#,
            #"{"msg_type":2,"ip":"1","signal_msg":{"signal_type":3,"alter_participant_req":{"gid":"470","uid":14,"role":2,"dispatcher_id":7}}}"#
        )
    ) { bytes in
        switch SignalRequest.read(bytes) {
        case .request(let request):
            // What is written of it is read as the same again.
            guard case .request(let again) = SignalRequest.read(request.encoded) else {
                preconditionFailure("a request that was read is not read again: \(String(decoding: request.encoded, as: UTF8.self))")
            }
            precondition(again.encoded == request.encoded)
        case .bad(_, let answer): _ = answer?.encoded
        case .ignored: break
        }
    }

    static let records = FuzzTarget(
        "records",
        seeds: text(
            #"{"msg_type":1,"ip":"h","ptt_msg":{"uid":"14","m_type":"ptt","md5":"md5","size":"8712","grp_id":"1","timestamp":"1569569697","file_path":"https://h/room_1_user_14_1569569695.mp3","duration":"2.14"}}"#,
            #"{"msg_type":4,"archive_msg":{"talk_id":"01890000-0000-7000-8000-000000000001","uid":1,"grp_id":2,"url":"u","key":"k","md5":"m","size":1,"duration_ms":2,"stored_ms":3,"backend":"file"}}"#,
            #"{"gid":1,"group_name":"n","dispatcher_id":7,"mode":"ptt","options":{},"status":1,"emergencies":[5],"epoch":1,"changed_ms":2}"#
        )
    ) { bytes in
        guard let message = try? JSONValue(parsing: bytes) else { return }
        // A whole double comes back as an integer; from then on the text stays as it is.
        if let once = try? JSONValue(parsing: message.encoded()), let twice = try? JSONValue(parsing: once.encoded()) {
            precondition(twice.encoded() == once.encoded(), "JSON is written as it was read")
        }
        if let talk = try? TalkRecord(message) { precondition(talk.durationMs >= 0) }
        _ = try? ArchiveMessage(message)
        _ = try? FloorMessage(message)
        _ = try? QualityMessage(message)
        _ = try? RoomRecord(message)
    }

    static let http = FuzzTarget("http", seeds: text("bytes=0-99", "bytes=5-", "bytes=-7", "bytes=0-1,5-6")) { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        for length in [0, 1, 100, Int.max] {
            guard case .part(let range) = ByteRange(header: text, length: length) else { continue }
            precondition(range.lowerBound >= 0 && range.upperBound <= length && !range.isEmpty)
        }
    }

    static let opus = FuzzTarget("opus", seeds: [[0xFB, 0x41, 2, 5, 0, 0], [0x48, 1, 2, 3]]) { bytes in
        if let packet = OpusPacket(bytes) { precondition(packet.samples > 0 && packet.samples <= 5_760) }
    }

    static let wav = FuzzTarget("wav", seeds: [WAV(sampleRate: 16_000, samples: [1, 2, 3, 4]).bytes]) { bytes in
        _ = try? WAV(parsing: bytes)
    }
}
