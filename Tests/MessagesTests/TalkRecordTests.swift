import JSON
import Messages
import Talk
import Testing

@Suite struct TalkRecordTests {
    private static let id = "01860000-0000-7000-8000-000000000001"
    private let record = TalkRecord(
        ip: "127.0.0.1", talkID: TalkID(Self.id), uid: user(14), gid: group(1), role: .member, md5: "0123456789abcdef0123456789abcdef",
        size: 8712, filePath: "https://host:9666/spool/room_1_user_14_1569569695.mp3", startMs: 1_569_569_695_012,
        endMs: 1_569_569_697_152, truncated: false, cause: nil)
    private static let golden =
        #"{"ip":"127.0.0.1","msg_type":1,"ptt_msg":{"codec":"mp3","duration":"2.14","end_ms":"1569569697152","file_path":"https://host:9666/spool/room_1_user_14_1569569695.mp3","grp_id":"1","m_type":"ptt","md5":"0123456789abcdef0123456789abcdef","role":"0","size":"8712","start_ms":"1569569695012","talk_id":"\#(id)","timestamp":"1569569697","truncated":"0","uid":"14"}}"#

    private func read(_ members: String) throws -> TalkRecord? {
        try TalkRecord(json(#"{"msg_type":1,"ip":"127.0.0.1","ptt_msg":{\#(members)}}"#))
    }

    @Test func goldenJSON() throws {
        #expect(text(record.encoded) == Self.golden)
        #expect(try TalkRecord(JSONValue(parsing: record.encoded)) == record)
        for (_, value) in try #require(JSONValue(parsing: record.encoded)["ptt_msg"]?.object) { #expect(value.string != nil) }
    }

    @Test func repeatsAreByteIdentical() throws {
        for _ in 0..<50 { #expect(try TalkRecord(JSONValue(parsing: record.encoded))?.encoded == record.encoded) }
    }

    @Test(arguments: [TalkRecord.Cause.crash, .spoolFull]) func whatCutATalkIsTold(_ cause: TalkRecord.Cause) throws {
        var cut = record
        (cut.truncated, cut.cause, cut.filePath, cut.md5, cut.size) = (true, cause, "", nil, nil)
        let body = try JSONValue(parsing: cut.encoded)["ptt_msg"]
        #expect(body?["truncated"] == "1" && body?["file_path"] == "" && body?["md5"] == nil && body?["size"] == nil)
        #expect(body?["cause"]?.string == (cause == .crash ? "crash" : "spool_full"))
        #expect(try TalkRecord(JSONValue(parsing: cut.encoded)) == cut)
    }

    @Test(arguments: [(0, "0.00"), (4, "0.00"), (5, "0.01"), (994, "0.99"), (995, "1.00"), (2_140, "2.14"), (61_050, "61.05")])
    func durationsHaveTwoDecimals(_ milliseconds: Int64, _ seconds: String) throws {
        var talk = record
        talk.endMs = talk.startMs + milliseconds
        #expect(try JSONValue(parsing: talk.encoded)["ptt_msg"]?["duration"]?.string == seconds)
        #expect(talk.durationMs == milliseconds)
    }

    /// The predecessor: no ids, no milliseconds, and "md5" for an MD5.
    @Test func thePredecessorsRecord() throws {
        let old = try #require(
            try read(
                #""uid":"14","m_type":"ptt","md5":"md5","size":"8712","grp_id":"1","timestamp":"1569569697","file_path":"http://h/x.mp3","duration":"2.14""#
            ))
        #expect(old.talkID == nil && old.md5 == nil && old.size == 8712 && old.role == .member && !old.truncated && old.cause == nil)
        #expect(old.endMs == 1_569_569_697_000 && old.startMs == 1_569_569_694_860 && old.durationMs == 2_140)
        let least = try #require(try read(#""uid":14,"grp_id":1,"timestamp":1569569697,"file_path":"x""#))
        #expect(least.durationMs == 0 && least.size == nil && least.ip == "127.0.0.1")
    }

    @Test func integersMayBeNumbers() throws {
        let talk = try #require(
            try read(#""uid":14,"grp_id":1,"start_ms":1000,"end_ms":3140,"file_path":"x","role":2,"truncated":1,"size":5,"duration":9"#))
        #expect(talk.startMs == 1_000 && talk.endMs == 3_140 && talk.role == .owner && talk.truncated && talk.size == 5)
    }

    @Test func oneEndAndTheDurationGiveTheOther() throws {
        let ended = try #require(try read(#""uid":1,"grp_id":1,"timestamp":9,"end_ms":3000,"duration":"1.5","file_path":"x""#))
        #expect(ended.startMs == 1_500 && ended.endMs == 3_000)
        let started = try #require(try read(#""uid":1,"grp_id":1,"timestamp":9,"start_ms":3000,"duration":"1.5","file_path":"x""#))
        #expect(started.startMs == 3_000 && started.endMs == 4_500)
    }

    /// "nan" is a number to many parsers; here it once was, and ended the process.
    @Test(arguments: ["\"nan\"", "\"inf\"", "\"-inf\"", "\"-5\"", "\"x\"", "null", "[]", "1e300", "\"1e999\""])
    func oddDurationsDoNoHarm(_ duration: String) throws {
        let talk = try #require(try read(#""uid":1,"grp_id":1,"timestamp":"1569569697","file_path":"x","duration":\#(duration)"#))
        #expect(talk.durationMs == (duration == "1e300" ? 1_000_000_000_000 : 0))
        _ = talk.encoded
    }

    @Test func digestsAreLowerCase() throws {
        let talk = try #require(
            try read(#""uid":1,"grp_id":1,"timestamp":1,"file_path":"x","md5":"0123456789ABCDEF0123456789ABCDEF""#))
        #expect(talk.md5 == "0123456789abcdef0123456789abcdef")
    }

    static let refusals: [(String, Int, String)] = [
        (#""grp_id":1,"timestamp":1,"file_path":"x""#, 483, "ptt_msg.uid"),
        (#""uid":1,"timestamp":1,"file_path":"x""#, 483, "ptt_msg.grp_id"),
        (#""uid":1,"grp_id":1,"file_path":"x""#, 483, "ptt_msg.timestamp"),
        (#""uid":1,"grp_id":1,"timestamp":1"#, 483, "ptt_msg.file_path"),
        (#""uid":0,"grp_id":1,"timestamp":1,"file_path":"x""#, 484, "ptt_msg.uid"),
        (#""uid":1,"grp_id":"x","timestamp":1,"file_path":"x""#, 484, "ptt_msg.grp_id"),
        (#""uid":1,"grp_id":1,"timestamp":-1,"file_path":"x""#, 484, "ptt_msg.timestamp"),
        (#""uid":1,"grp_id":1,"timestamp":1,"file_path":5"#, 484, "ptt_msg.file_path"),
        (#""uid":1,"grp_id":1,"timestamp":1,"file_path":"x","talk_id":"y""#, 484, "ptt_msg.talk_id"),
        (#""uid":1,"grp_id":1,"timestamp":1,"file_path":"x","size":-1"#, 484, "ptt_msg.size"),
        (#""uid":1,"grp_id":1,"start_ms":"x","end_ms":2,"file_path":"x""#, 484, "ptt_msg.start_ms"),
    ]

    @Test(arguments: refusals) func refusalsNameTheField(_ members: String, _ code: Int, _ field: String) {
        let refusal = #expect(throws: Refusal.self) { _ = try read(members) }
        #expect(refusal?.code.rawValue == code && refusal?.message.contains(field) == true)
    }

    @Test func otherMessagesAreNone() throws {
        #expect(try TalkRecord(json(#"{"msg_type":2}"#)) == nil)
        #expect(try TalkRecord(json("[]")) == nil)
        #expect(throws: Refusal.self) { _ = try TalkRecord(json(#"{"msg_type":1}"#)) }
    }
}
