import Glibc
import Synchronization
import Testing

@testable import Telemetry

@Suite struct LogTests {
    let record = LogRecord(
        timeMs: 1_706_702_400_123, level: .info, label: "kafka", message: "connected\nto it",
        fields: [("brokers", .int(3)), ("who", "a \"b\""), ("ok", true), ("share", 0.5)])

    @Test func textIsOneLine() {
        let line = String(decoding: LogFormat.text.line(record), as: UTF8.self)
        #expect(line == "2024-01-31T12:00:00.123Z info kafka: connected to it brokers=3 who=\"a \\\"b\\\"\" ok=true share=0.5\n")
    }

    @Test func jsonIsOneObject() {
        let line = String(decoding: LogFormat.json.line(record), as: UTF8.self)
        let head = #"{"time":"2024-01-31T12:00:00.123Z","level":"info","label":"kafka","message":"connected\nto it","#
        #expect(line == head + #""brokers":3,"who":"a \"b\"","ok":true,"share":0.5}"# + "\n")
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    ])
    func datesAreCivil(timeMs: Int64, text: String) {
        var out: [UInt8] = []
        appendISO8601(timeMs, to: &out)
        #expect(String(decoding: out, as: UTF8.self) == text)
    }

    @Test func levelDecidesBeforeFieldsAreBuilt() {
        let sink = MemorySink(level: .warning)
        let logger = Logger("x", sink: sink).with(["node": "a"])
        var built = 0
        logger.info(
            "no",
            [
                "n": .int(
                    {
                        built += 1; return built
                    }())
            ])
        logger.error("yes", ["n": .int(7)])
        #expect(built == 0)
        #expect(sink.lines == ["yes node=a n=7"])
    }

    @Test func aReaderThatStandsStillCostsLinesNotTime() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        let output = LogOutput(descriptor: ends[1])
        let logger = Logger("x", sink: output)
        // A pipe holds 64 KiB: lines beyond that are dropped.
        for _ in 0..<20 { logger.info(String(repeating: "a", count: 8000)) }
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        let first = read(ends[0], &bytes, bytes.count)
        #expect(first > 32 * 1024)
        logger.info("back")
        let second = read(ends[0], &bytes, bytes.count)
        let text = String(decoding: bytes[0..<max(0, second)], as: UTF8.self)
        #expect(text.contains("lines dropped") && text.contains("back\n"))
    }
}

final class MemorySink: LogSink {
    let level: LogLevel
    private let kept = Mutex<[String]>([])
    init(level: LogLevel) { self.level = level }
    var lines: [String] { kept.withLock { $0 } }
    func write(_ record: LogRecord) {
        var line = record.message
        for (name, value) in record.fields {
            switch value {
            case .string(let text): line += " \(name)=\(text)"
            case .int(let number): line += " \(name)=\(number)"
            default: break
            }
        }
        kept.withLock { $0.append(line) }
    }
}
