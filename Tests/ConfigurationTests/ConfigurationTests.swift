import Glibc
import JSON
import Testing

@testable import Configuration

@Suite struct ConfigurationTests {
    func configuration(_ json5: String, _ environment: [String: String] = [:]) throws -> Configuration {
        Configuration(try JSON5.parse(Array(json5.utf8)), environment: environment)
    }

    @Test func json5IsRead() throws {
        let value = try JSON5.parse(Array("{a: 1, /* why */ b: [0x10, 'x', 1.5, true, null],} // end\n".utf8))
        #expect(value == ["a": 1, "b": [16, "x", 1.5, true, nil]])
        let error = #expect(throws: JSONError.self) { try JSON5.parse(Array("{a:".utf8)) }
        #expect(error?.description.hasPrefix("not valid JSON5: ") == true)
    }

    @Test func defaultsFileAndEnvironmentInThatOrder() throws {
        let configuration = try configuration(
            "{ web: { port: 9, host: 'a' /* why */ } }", ["TALKBURST_WEB_HOST": "b", "TALKBURST_WEB_ORIGINS": "x, y", "OTHER": "1"])
        let web = configuration.section("web")
        #expect(web.int("port", default: 80, in: 0...65535) == 9)
        #expect(web.string("host", default: "c") == "b")
        #expect(web.bool("tls", default: true))
        #expect(web.list("origins", default: []) == ["x", "y"])
        #expect(web.duration("idle_s", default: .seconds(60)) == .seconds(60))
        try configuration.finish()
        #expect(configuration.effective().text == #"{"web":{"host":"b","idle_s":60,"origins":["x","y"],"port":9,"tls":true}}"#)
    }

    @Test func everythingWrongIsToldAtOnce() throws {
        let configuration = try configuration(
            "{ web: { port: 99999, hots: 'a', wait_ms: 'x' }, kafka: 5, redis: { url: 'ftp://x' }, more: { a: 1 } }",
            ["TALKBURST_WEB_TSL": "1"])
        let web = configuration.section("web")
        #expect(web.int("port", default: 80, in: 0...65535) == 80)
        #expect(web.duration("wait_ms", default: .seconds(1), in: .milliseconds(1) ... .seconds(2)) == .seconds(1))
        _ = web.string("name")
        _ = configuration.section("kafka").string("bootstrap", default: "x")
        _ = configuration.section("redis").url("url", default: "redis://a", schemes: ["redis"])
        let error = #expect(throws: ConfigurationError.self) { try configuration.finish() }
        #expect(
            error?.problems == [
                "kafka: must be a section { … }",
                "more: unknown key; it may be misspelt, or belong to another section",
                "redis.url: must be an address that begins with redis://, but is \"ftp://x\"",
                "web.hots: unknown key; it may be misspelt, or belong to another section",
                "web.name: is missing; it must be a text",
                "web.port: must be a whole number from 0 to 65535, but is 99999",
                "web.wait_ms: must be a number of ms from 1 to 2000, but is \"x\"",
            ])
        #expect(configuration.unusedVariables() == ["TALKBURST_WEB_TSL"])
    }

    @Test func secretsComeFromFilesAndAreMasked() throws {
        let file = "/tmp/talkburst-secret-\(getpid())"
        let descriptor = open(file, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        #expect(write(descriptor, "hush\n", 5) == 5)
        close(descriptor)
        defer { unlink(file) }
        let configuration = try configuration(
            "{ a: { token: 'file:\(file)', url: 'postgres://u:pw@h/d', options: {'sasl.password': 'p'} } }")
        let section = configuration.section("a")
        #expect(section.secret("token") == "hush")
        #expect(section.url("url", schemes: ["postgres"]) == "postgres://u:pw@h/d")
        #expect(section.map("options") == ["sasl.password": "p"])
        #expect(
            configuration.effective().text == #"{"a":{"options":{"sasl.password":"***"},"token":"***","url":"postgres://u:***@h/d"}}"#)
        try configuration.finish()
    }

    @Test func missingFilesAreNamed() {
        let error = #expect(throws: ConfigurationError.self) { try Configuration(file: "/nowhere/x.json5", environment: [:]) }
        #expect(error?.description == "configuration file /nowhere/x.json5 can't be read: No such file or directory")
        let wrong = #expect(throws: ConfigurationError.self) {
            let configuration = Configuration(["a": ["s": "file:/nowhere/y"]])
            _ = configuration.section("a").secret("s")
            try configuration.finish()
        }
        #expect(wrong?.problems == ["a.s: the file /nowhere/y can't be read: No such file or directory"])
    }
}
