import Talk

extension AudioBridgeRequest {
    /// Where a room's stream is to be sent beside its participants (AudioBridge `rtp_forward`).
    public struct Forward: Sendable, Equatable {
        /// An IP address.
        public var host: String
        /// 1…65535.
        public var port: UInt16
        /// Of the Opus there, 0…127.
        public var payloadType: UInt8
        /// Nil: the room's.
        public var ssrc: UInt32?
        /// SRTP: AudioBridge's `srtp_suite` 80, or the name of a suite; nil: plain RTP.
        public var srtp: SRTP?
    }

    /// A file to be played to a room (AudioBridge `play_file`).
    public struct Announcement: Sendable, Equatable {
        /// Nil: one is made up.
        public var id: String?
        /// An Ogg Opus file's name in the announcements' folder.
        public var filename: String
        /// Again from the start when it ends.
        public var loop: Bool
    }
}

extension AudioBridgeRequest.Forward {
    init(_ fields: Body) throws(Refusal) {
        host = try fields.needed("host")
        guard let port = try fields.integer("port", in: 1...65_535) else { throw Refusal(.missingElement, "Missing element (port)") }
        self.port = UInt16(port)
        payloadType = UInt8(try fields.integer("ptype", in: 0...127) ?? 100)
        ssrc = try fields.integer("ssrc", in: 1...Int64(UInt32.max)).map { UInt32($0) }
        let codec = try fields.text("codec") ?? "opus"
        guard codec == "opus" else {
            throw Refusal(.invalidElement, "Invalid element (codec must be opus: media is forwarded as it comes)")
        }
        let crypto = try fields.text("srtp_crypto")
        let name = try? fields.text("srtp_suite")
        let number = name == nil ? try fields.integer("srtp_suite", in: 32...80) : nil
        guard let crypto else {
            if name != nil || number != nil { throw Refusal(.missingElement, "Missing element (srtp_crypto)") }
            return
        }
        guard number == nil || number == 80 else {
            throw Refusal(.invalidElement, "Invalid element (srtp_suite 32 has too short a tag; use 80 or the name of a suite)")
        }
        srtp = AudioBridgeRequest.SRTP(
            suite: name ?? "AES_CM_128_HMAC_SHA1_80", crypto: crypto.hasPrefix("inline:") ? crypto : "inline:" + crypto)
    }
}

extension AudioBridgeRequest.Announcement {
    init(_ fields: Body) throws(Refusal) {
        id = try fields.text("file_id")
        filename = try fields.needed("filename")
        loop = try fields.flag("loop") ?? false
        let parts = filename.split(separator: "/", omittingEmptySubsequences: false)
        guard !filename.isEmpty, !filename.hasPrefix("/"), !parts.contains(".."), !filename.utf8.contains(0) else {
            throw Refusal(.invalidElement, "Invalid element (filename should be a file's name in the announcements' folder)")
        }
    }
}
