import JSON
import Testing

@Suite struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test func everyKind() throws {
        let value = try parse(#"{"a":[null,true,false,1,-2,1.5,"x\u00e9\n",{}],"b":[]}"#)
        #expect(value == ["a": [nil, true, false, 1, -2, 1.5, "xé\n", [:]], "b": []])
        for (text, scalar) in [("null", nil), ("true", true), ("7", 7), (#""s""#, "s"), ("[]", []), (" \n{} ", [:])]
            as [(String, JSONValue)]
        {
            #expect(try parse(text) == scalar)
        }
    }

    @Test(arguments: [
        "", " ", "{", "[,]", "{'a':1}", "nul", "1 2", "\"a", "{\"a\" 1}", "01", "[1}", "[1,]", #"{"a":1,}"#, "// c\n1", "\u{FEFF}",
    ])
    func whatIsNoJSONIsRefusedWithAReason(_ text: String) {
        let error = #expect(throws: JSONError.self) { _ = try parse(text) }
        #expect(error?.description.hasPrefix("not valid JSON: ") == true)
    }

    @Test func bytesThatAreNoUTF8AreRefused() {
        for bytes in [[0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x80], [0]] as [[UInt8]] {
            #expect(throws: JSONError.self) { _ = try JSONValue(parsing: bytes) }
        }
    }

    @Test func depthIsLimited() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try parse(nested(500))
        #expect(throws: JSONError.self) { _ = try parse(nested(514)) }
        #expect(throws: JSONError.self) { _ = try parse(nested(100_000)) }
    }

    @Test func encodingIsSortedAndEqualForEqualValues() throws {
        let value: JSONValue = ["b": 1, "a": ["z": nil, "y": true], "u": "http://h/é\"\\"]
        #expect(value.text == #"{"a":{"y":true,"z":null},"b":1,"u":"http://h/é\"\\"}"#)
        #expect(try JSONValue(parsing: value.encoded()) == value)
        #expect(try JSONValue(parsing: value.encoded(pretty: true)) == value)
    }

    /// The buffer that a text is first written into has 2,048 bytes.
    @Test(arguments: [2_045, 2_046, 2_047, 100_000])
    func longTextsAreWhole(_ count: Int) throws {
        let value = JSONValue.string(String(repeating: "ä", count: 1) + String(repeating: "x", count: count - 2))
        #expect(value.encoded().count == count + 2)
        #expect(try JSONValue(parsing: value.encoded()) == value)
    }

    @Test func largeIntegersStayExact() throws {
        for number in [Int64.max, Int64.min, 9_007_199_254_740_991, 9_007_199_254_740_993] {
            #expect(try parse("\(number)") == .int(number))
            #expect(JSONValue.int(number).text == "\(number)")
        }
        #expect(try parse("9223372036854775808").integer == nil)
        #expect(try parse("9223372036854775808").number == 9_223_372_036_854_775_808)
    }

    @Test func integersAreReadLiberally() {
        let readings: [(JSONValue, Int64?)] = [
            (14, 14), ("14", 14), ("-3", -3), ("007", 7), (2.0, 2), (2.5, nil), ("", nil), ("+5", nil), (" 5", nil), ("5 ", nil),
            ("0x5", nil), ("1e3", nil), ("-", nil), ("٣", nil), ("99999999999999999999", nil), (true, nil), (nil, nil), ([], nil),
            (.double(.infinity), nil), (.double(.nan), nil), (.double(1e300), nil),
        ]
        for (value, expected) in readings { #expect(value.integer == expected, "\(value)") }
    }

    @Test func numbersAreFinite() {
        let readings: [(JSONValue, Double?)] = [
            (2, 2), (2.5, 2.5), ("2.14", 2.14), ("-1", -1), ("1e2", 100), ("nan", nil), ("inf", nil), ("-infinity", nil), ("1e999", nil),
            ("0x10", nil), ("", nil), (" 1", nil), (true, nil), (.double(.nan), nil), (.double(.infinity), nil),
        ]
        for (value, expected) in readings { #expect(value.number == expected, "\(value)") }
    }

    @Test func accessorsAnswerForTheirKindOnly() {
        let value: JSONValue = ["n": nil, "o": [:], "a": [], "s": "x", "b": true]
        #expect(value["n"]?.isNull == true && value["none"] == nil && JSONValue.int(1)["x"] == nil)
        #expect(value["o"]?.object == [:] && value["a"]?.array == [] && value["s"]?.string == "x" && value["b"]?.bool == true)
        #expect(value["s"]?.object == nil && value["o"]?.array == nil && value["b"]?.string == nil && JSONValue.int(1).bool == nil)
    }

    @Test func whatIsWrongIsTold() {
        let error = #expect(throws: JSONError.self) { _ = try parse("{\"a\": 1,\n \"b\" 2}") }
        #expect(error?.description.contains("line 2") == true, "\(String(describing: error))")
    }

    @Test func zerosInTextsAreKept() throws {
        let value: JSONValue = ["a\u{0}b": ["", "x\u{0}y"], "": .string("")]
        #expect(value.text == #"{"":"","a\u0000b":["","x\u0000y"]}"#)
        #expect(try parse(#"["x\u0000y"]"#) == ["x\u{0}y"])
    }

    @Test func doublesAreShort() throws {
        for (value, text) in [(0.1, "0.1"), (2, "2.0"), (-1.5, "-1.5"), (1e300, "1e300"), (1.0 / 3, "0.333333333333333")] {
            #expect(JSONValue.double(value).text == text)
        }
    }

    @Test func whatJSONCantSayIsAString() {
        #expect(JSONValue.double(.nan).text == "\"nan\"")
        #expect(JSONValue.array([.double(.infinity), .double(-.infinity)]).text == #"["inf","-inf"]"#)
    }
}
