import JSON
import Talk
import Testing

@testable import Messages

func group(_ value: Int64) -> GroupID { GroupID(value) ?? { preconditionFailure("test group") }() }
func user(_ value: Int64) -> UserID { UserID(value) ?? { preconditionFailure("test user") }() }
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
func json(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

@Suite struct SignalRequestTests {
    private func read(_ text: String) -> SignalReading { SignalRequest.read(Array(text.utf8)) }
    private func request(_ reading: SignalReading) -> SignalRequest? {
        if case .request(let request) = reading { return request }
        return nil
    }
    /// A type-2 message with this `signal_msg`.
    private func signal(_ members: String) -> SignalReading { read(#"{"msg_type":2,"ip":"10.0.0.1","signal_msg":{\#(members)}}"#) }
    private func bad(_ reading: SignalReading) -> (reason: String, answer: SignalResponse?)? {
        if case .bad(let reason, let answer) = reading { return (reason, answer) }
        return nil
    }

    // MARK: Requests

    /// The example of MESSAGES.md, byte for byte but for the order of the members.
    @Test func createGroupOfTheContract() throws {
        let given =
            #"{"msg_type":2,"ip":"127.0.0.1","signal_msg":{"signal_type":1,"create_group_req":{"gid":470,"group_name":"0929group1128","dispatcher_id":7}}}"#
        let made = SignalRequest(gid: group(470), dispatcher: 7, body: .create(name: "0929group1128", mode: .ptt, options: GroupOptions()))
        #expect(read(given) == .request(made))
        #expect(try JSONValue(parsing: made.encoded) == json(given))
        #expect(
            text(made.response(.ok).encoded)
                == #"{"ip":"127.0.0.1","msg_type":2,"signal_msg":{"create_group_resp":{"dispatcher_id":7,"gid":470,"group_name":"0929group1128","res_code":0},"res":{"code":0,"msg":"command executed successfully"},"signal_type":1}}"#
        )
    }

    static let bodies: [(SignalRequest.Body, Int64, String, String)] = {
        var options = GroupOptions()
        options.t2Ms = 60_000
        options.queueMax = 4
        options.broadcast = true
        return [
            (.create(name: "a", mode: .ptt, options: GroupOptions()), 1, "create_group", #""group_name":"a""#),
            (
                .create(name: "a", mode: .ptt, options: options), 1, "create_group",
                #""group_name":"a","options":{"t2_ms":60000,"queue_max":4,"broadcast":true}"#
            ),
            (.destroy, 2, "destroy_group", ""),
            (.alterParticipant(user(14), .manager), 3, "alter_participant", #""uid":14,"role":1"#),
            (.alterGroup(name: "b", options: nil), 4, "alter_group", #""group_name":"b""#),
            (.alterGroup(name: nil, options: options), 4, "alter_group", #""options":{"t2_ms":60000,"queue_max":4,"broadcast":true}"#),
            (.alterGroup(name: nil, options: nil), 4, "alter_group", ""),
            (.removeParticipant(user(14)), 5, "remove_participant", #""uid":14"#),
            (.cancelEmergency(nil), 6, "cancel_emergency", ""),
            (.cancelEmergency(user(14)), 6, "cancel_emergency", #""uid":14"#),
        ]
    }()

    @Test(arguments: bodies.indices) func everyTypeBothWays(_ row: Int) throws {
        let (body, type, name, fields) = Self.bodies[row]
        let members = #""gid":470,"dispatcher_id":7"# + (fields.isEmpty ? "" : ",\(fields)")
        let made = SignalRequest(gid: group(470), dispatcher: 7, body: body, ip: "10.0.0.1")
        #expect(made.signalType == type)
        #expect(signal(#""signal_type":\#(type),"\#(name)_req":{\#(members)}"#) == .request(made))
        let written = try JSONValue(parsing: made.encoded)
        #expect(try written == json(#"{"msg_type":2,"ip":"10.0.0.1","signal_msg":{"signal_type":\#(type),"\#(name)_req":{\#(members)}}}"#))
        #expect(SignalRequest.read(made.encoded) == .request(made))
        // The answer has the request's fields, and create's repeats the code.
        let answer = try JSONValue(parsing: made.response(.noSuchRoom, "no room 470").encoded)
        let repeated = type == 1 ? #","res_code":485"# : ""
        #expect(
            try answer
                == json(
                    #"{"msg_type":2,"ip":"10.0.0.1","signal_msg":{"signal_type":\#(type),"\#(name)_resp":{\#(members)\#(repeated)},"res":{"code":485,"msg":"no room 470"}}}"#
                ))
        #expect(SignalResponse(answer) == made.response(.noSuchRoom, "no room 470"))
    }

    @Test func integersMayBeDecimalStrings() {
        let reading = read(
            #"{"msg_type":"2","ip":"10.0.0.1","signal_msg":{"signal_type":"3","alter_participant_req":{"gid":"470","dispatcher_id":"7","uid":"14","role":"2"}}}"#
        )
        let made = SignalRequest(gid: group(470), dispatcher: 7, body: .alterParticipant(user(14), .owner), ip: "10.0.0.1")
        #expect(reading == .request(made))
        #expect(text(made.response(.ok).encoded).contains(#""alter_participant_resp":{"dispatcher_id":7,"gid":470,"role":2,"uid":14}"#))
    }

    @Test func unknownFieldsAndOtherBodiesAreIgnored() {
        let reading = signal(
            #""signal_type":2,"x":1,"destroy_group_req":{"gid":470,"dispatcher_id":7,"why":[1]},"create_group_req":{"gid":1}"#)
        #expect(reading == .request(SignalRequest(gid: group(470), dispatcher: 7, body: .destroy, ip: "10.0.0.1")))
    }

    @Test func theModeGoesBackInTheAnswer() throws {
        let reading = signal(#""signal_type":1,"create_group_req":{"gid":470,"group_name":"a","dispatcher_id":7,"mode":"ptt"}"#)
        let answer = try JSONValue(parsing: #require(request(reading)).response(.ok).encoded)
        #expect(answer["signal_msg"]?["create_group_resp"]?["mode"] == "ptt")
    }

    @Test func nullIsAsIfItWereNotThere() {
        let reading = signal(#""signal_type":6,"cancel_emergency_req":{"gid":470,"dispatcher_id":7,"uid":null}"#)
        #expect(request(reading)?.body == .cancelEmergency(nil))
    }

    @Test func theLargestGroup() {
        let reading = signal(#""signal_type":2,"destroy_group_req":{"gid":9007199254740991,"dispatcher_id":0}"#)
        #expect(request(reading)?.gid == GroupID(9_007_199_254_740_991))
    }

    // MARK: What is ignored

    @Test func tombstonesOtherTypesAndResponsesAreIgnored() {
        #expect(SignalRequest.read(nil) == .ignored)
        for type in [1, 3, 4, 5, 77, -1] { #expect(read(#"{"msg_type":\#(type),"ptt_msg":{}}"#) == .ignored) }
        let request = SignalRequest(gid: group(470), dispatcher: 7, body: .destroy)
        #expect(SignalRequest.read(request.response(.ok).encoded) == .ignored)
    }

    // MARK: What is bad and can't be answered

    @Test(arguments: [
        "", "x", "[]", "1", "\"{}\"", "null", "{}", #"{"msg_type":null}"#, #"{"msg_type":"two"}"#, #"{"msg_type":2.5}"#,
        #"{"msg_type":[2]}"#,
        #"{"msg_type":2}"#, #"{"msg_type":2,"signal_msg":[]}"#, #"{"msg_type":2,"signal_msg":{}}"#,
        #"{"msg_type":2,"signal_msg":{"signal_type":1}}"#,
        #"{"msg_type":2,"signal_msg":{"signal_type":2,"destroy_group_req":{"dispatcher_id":7}}}"#,
        #"{"msg_type":2,"signal_msg":{"signal_type":2,"destroy_group_req":{"gid":"x","dispatcher_id":7}}}"#,
        #"{"msg_type":2,"signal_msg":{"a_req":{"gid":1},"b_req":{"gid":1}}}"#,
    ])
    func withoutAGroupThereIsNoAnswer(_ value: String) throws {
        let reading = try #require(bad(read(value)))
        #expect(!reading.reason.isEmpty && reading.answer == nil)
    }

    // MARK: What is bad and is answered

    static let refusals: [(String, Int, String)] = [
        // 482: an unknown signal_type.
        (#""signal_type":7,"x_req":{"gid":470}"#, 482, "unknown signal_type 7"),
        (#""signal_type":0,"create_group_req":{"gid":470}"#, 482, "unknown signal_type 0"),
        // 483: something is missing.
        (#""create_group_req":{"gid":470}"#, 483, "missing element (signal_msg.signal_type)"),
        (#""signal_type":null,"create_group_req":{"gid":470}"#, 483, "missing element (signal_msg.signal_type)"),
        (#""signal_type":2,"create_group_req":{"gid":470}"#, 483, "missing element (signal_msg.destroy_group_req)"),
        (
            #""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7}"#, 483,
            "missing element (signal_msg.create_group_req.group_name)"
        ),
        (
            #""signal_type":1,"create_group_req":{"gid":470,"group_name":"a"}"#, 483,
            "missing element (signal_msg.create_group_req.dispatcher_id)"
        ),
        (#""signal_type":2,"destroy_group_req":{"gid":470}"#, 483, "missing element (signal_msg.destroy_group_req.dispatcher_id)"),
        (#""signal_type":3,"alter_participant_req":{"gid":470,"dispatcher_id":7,"role":1}"#, 483, "(signal_msg.alter_participant_req.uid)"),
        (#""signal_type":3,"alter_participant_req":{"gid":470,"dispatcher_id":7,"uid":1}"#, 483, "(signal_msg.alter_participant_req.role)"),
        (#""signal_type":5,"remove_participant_req":{"gid":470,"dispatcher_id":7}"#, 483, "(signal_msg.remove_participant_req.uid)"),
        // 484: something is there that can't be.
        (#""signal_type":"x","create_group_req":{"gid":470}"#, 484, "signal_msg.signal_type must be an integer"),
        (#""signal_type":2,"destroy_group_req":{"gid":0,"dispatcher_id":7}"#, 484, "destroy_group_req.gid must be in 1…"),
        (#""signal_type":2,"destroy_group_req":{"gid":-5,"dispatcher_id":7}"#, 484, "destroy_group_req.gid must be in 1…"),
        (#""signal_type":2,"destroy_group_req":{"gid":9007199254740992,"dispatcher_id":7}"#, 484, "destroy_group_req.gid must be in 1…"),
        (#""signal_type":2,"destroy_group_req":{"gid":470,"dispatcher_id":"x"}"#, 484, "dispatcher_id must be an integer"),
        (#""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":5}"#, 484, "group_name must be a string"),
        (#""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":""}"#, 484, "group_name must have 1…256 bytes"),
        (#""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":"a","mode":"loud"}"#, 484, "mode"),
        (#""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":"a","mode":"x"}"#, 484, "mode must be"),
        (
            #""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":"a","options":5}"#, 484,
            "options must be an object"
        ),
        (
            #""signal_type":1,"create_group_req":{"gid":470,"dispatcher_id":7,"group_name":"a","options":{"t1_ms":1}}"#, 484,
            "create_group_req.options.t1_ms must be in 100…60000"
        ),
        (
            #""signal_type":4,"alter_group_req":{"gid":470,"dispatcher_id":7,"options":{"broadcast":1}}"#, 484,
            "alter_group_req.options.broadcast must be true or false"
        ),
        (#""signal_type":3,"alter_participant_req":{"gid":470,"dispatcher_id":7,"uid":1,"role":3}"#, 484, "role must be in 0…2"),
        (#""signal_type":3,"alter_participant_req":{"gid":470,"dispatcher_id":7,"uid":0,"role":1}"#, 484, "uid must be in 1…"),
        (#""signal_type":6,"cancel_emergency_req":{"gid":470,"dispatcher_id":7,"uid":"x"}"#, 484, "uid must be an integer"),
    ]

    @Test(arguments: refusals) func refusalsNameTheFieldAndAreAnswered(_ members: String, _ code: Int, _ words: String) throws {
        let reading = try #require(bad(signal(members)))
        #expect(reading.reason.contains(words))
        let answer = try #require(reading.answer)
        #expect(answer.code.rawValue == code && answer.message == reading.reason && answer.ip == "10.0.0.1")
        let value = try JSONValue(parsing: answer.encoded)
        #expect(value["signal_msg"]?["res"]?["code"] == .int(Int64(code)))
        #expect(SignalResponse(value) == answer)
        #expect(SignalRequest.read(answer.encoded) == .ignored, "our own answers are not requests")
    }

    /// MESSAGES.md: an unknown `signal_type` is answered with `signal_type`, `gid` and `res` only.
    @Test func theAnswerToAnUnknownTypeHasNoBody() throws {
        let answer = try #require(bad(signal(#""signal_type":7,"x_req":{"gid":"470","dispatcher_id":7}"#))?.answer)
        #expect(
            text(answer.encoded)
                == #"{"ip":"10.0.0.1","msg_type":2,"signal_msg":{"gid":470,"res":{"code":482,"msg":"unknown signal_type 7"},"signal_type":7}}"#
        )
        let untyped = try #require(bad(signal(#""create_group_req":{"gid":470}"#))?.answer)
        #expect(
            text(untyped.encoded)
                == #"{"ip":"10.0.0.1","msg_type":2,"signal_msg":{"gid":470,"res":{"code":483,"msg":"missing element (signal_msg.signal_type)"}}}"#
        )
    }

    @Test func theAnswerToABadCreateRepeatsWhatWasGiven() throws {
        let answer = try #require(
            bad(signal(#""signal_type":1,"create_group_req":{"gid":"470","group_name":"a","dispatcher_id":7,"mode":"loud","x":[1]}"#))?
                .answer)
        let value = try JSONValue(parsing: answer.encoded)
        #expect(
            value["signal_msg"]?["create_group_resp"]
                == ["gid": 470, "group_name": "a", "dispatcher_id": 7, "mode": "loud", "res_code": 484])
    }

    // MARK: Responses

    @Test func whatIsNoResponseIsNone() throws {
        for value in [
            #"{}"#, #"{"msg_type":2}"#, #"{"msg_type":1,"signal_msg":{"res":{"code":0},"gid":1}}"#,
            #"{"msg_type":2,"signal_msg":{"gid":1}}"#, #"{"msg_type":2,"signal_msg":{"gid":1,"res":{}}}"#,
            #"{"msg_type":2,"signal_msg":{"res":{"code":0}}}"#,
        ] {
            #expect(try SignalResponse(json(value)) == nil, "\(value)")
        }
    }

    @Test func thePredecessorsResponseIsRead() throws {
        let response = try #require(
            SignalResponse(
                json(
                    #"{"msg_type":2,"ip":"127.0.0.1","signal_msg":{"signal_type":1,"create_group_resp":{"gid":"470","group_name":"g","dispatcher_id":"7","res_code":"0"},"res":{"code":"486","msg":"exists"}}}"#
                )))
        #expect(response.gid == 470 && response.signalType == 1 && response.code == .roomExists && response.message == "exists")
    }

    @Test func resultCodesAreAudioBridges() {
        let codes: [(ResultCode, Int)] = [
            (.ok, 0), (.invalidJSON, 481), (.invalidRequest, 482), (.missingElement, 483), (.invalidElement, 484), (.noSuchRoom, 485),
            (.roomExists, 486), (.notJoined, 487), (.unauthorized, 489), (.idExists, 490), (.alreadyJoined, 491), (.noSuchUser, 492),
            (.unknown, 499), (.notReady, 503),
        ]
        for (code, number) in codes { #expect(code.rawValue == number) }
    }
}
