import Glibc
import JSON
import Testing

@testable import Web

@Suite struct HTTPTests {
    func server(_ change: (inout WebSettings) -> Void = { _ in }, _ build: (inout Router) -> Void) throws -> WebServer {
        var router = Router()
        build(&router)
        var settings = WebSettings()
        change(&settings)
        return try WebServer(settings, router: router)
    }

    @Test func routesParametersQueriesAndKeepAlive() async throws {
        let server = try server { router in
            router.get("/v1/groups/{gid}/members/{uid}") { request in
                .json([
                    "gid": .string(request.parameter("gid")), "uid": .string(request.parameter("uid")),
                    "q": .string(request.query("q") ?? "-"),
                ])
            }
            router.on("POST", "/echo") { request in .bytes(request.body, type: "application/octet-stream", status: 201) }
            router.on("PUT", "/empty") { request in .text("\(request.body.count)") }
            router.get("/fails") { _ in throw Problem.invalid("gid", "must be a number") }
        }
        let client = RawClient(port: server.boundPort)
        let first = await client.request("GET /v1/groups/7/members/a%20b?q=x%26y&z=1 HTTP/1.1\nHost: a")
        #expect(first.status == 200)
        #expect(first.text == #"{"gid":"7","q":"x&y","uid":"a b"}"#)
        let second = await client.request("POST /echo HTTP/1.1\nHost: a\nContent-Length: 5", body: Array("hello".utf8))
        #expect(second.status == 201 && second.text == "hello")
        let big = [UInt8](repeating: 7, count: 300_000)
        let third = await client.request("POST /echo HTTP/1.1\nHost: a\nContent-Length: 300000", body: big)
        #expect(third.holds(big))
        for method in ["POST /echo", "PUT /empty"] {
            #expect(await client.request("\(method) HTTP/1.1\nHost: a\nContent-Length: 0").status < 300)
        }
        let missing = await client.request("GET /nothing HTTP/1.1\nHost: a")
        #expect(missing.status == 404 && missing.headers["content-type"] == "application/problem+json")
        let method = await client.request("DELETE /echo HTTP/1.1\nHost: a")
        #expect(method.status == 405 && method.headers["allow"] == "POST, OPTIONS")
        let head = await client.request("HEAD /v1/groups/7/members/1 HTTP/1.1\nHost: a")
        #expect(head.status == 200 && head.headers["content-length"] == "29" && head.body.isEmpty)
        let problem = await client.request("GET /fails HTTP/1.1\nHost: a")
        #expect(problem.status == 400)
        let value = try JSONValue(parsing: problem.body)
        #expect(value["type"] == "/problems/invalid_field" && value["field"] == "gid" && value["status"] == 400)
        let unfinished = RawClient(port: server.boundPort)
        let noLength = await unfinished.request("POST /echo HTTP/1.1\nHost: a")
        #expect(noLength.status == 201 && noLength.headers["connection"] == "close")
        #expect(await unfinished.isClosed())
        await server.stop()
    }

    /// However long, and wherever nothing stands between two ampersands: none is taken for one that was not sent.
    @Test func everyParameterOfAQueryIsSeen() async throws {
        let server = try server { router in
            router.get("/q") { request in
                .text(request.query.map { "\($0.name)=\($0.value.utf8.count)" }.joined(separator: ","))
            }
        }
        let client = RawClient(port: server.boundPort)
        let long = String(repeating: "x", count: 5_000)
        #expect(await client.request("GET /q?q=\(long)&gid=7 HTTP/1.1\nHost: a").text == "q=5000,gid=1")
        let gaps = await client.request("GET /q?&&a=1&&&b=22 HTTP/1.1\nHost: a")
        #expect(gaps.text == "a=1,b=2", "\(gaps.status) \(gaps.text)")
        #expect(await client.request("GET /q HTTP/1.1\nHost: a").text == "")
        await server.stop()
    }

    @Test func limitsAreTold() async throws {
        let server = try server {
            $0.bodyLimitBytes = 10
            $0.handlerTimeout = .seconds(2)
        } _: { router in
            router.on("POST", "/echo") { request in .bytes(request.body, type: "text/plain") }
            // Longer than the test runs; cancelled with the process.
            router.get("/slow") { _ in
                try await Task.sleep(for: .seconds(600))
                return .empty()
            }
        }
        let large = RawClient(port: server.boundPort)
        let answer = await large.request("POST /echo HTTP/1.1\nHost: a\nContent-Length: 11", body: Array("01234567890".utf8))
        #expect(answer.status == 413)
        let chunked = RawClient(port: server.boundPort)
        #expect(await chunked.request("POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked").status == 411)
        let slow = RawClient(port: server.boundPort)
        #expect(await slow.request("GET /slow HTTP/1.1\nHost: a").status == 503)
        #expect(await slow.request("POST /echo HTTP/1.1\nHost: a\nContent-Length: 1", body: [65]).text == "A")
        await server.stop()
    }

    @Test func foreignOriginsAreRefused() async throws {
        let server = try server { router in router.get("/") { _ in .text("ok") } }
        let client = RawClient(port: server.boundPort)
        let ours = await client.request("GET / HTTP/1.1\nHost: a\nOrigin: http://localhost:3000")
        #expect(ours.status == 200 && ours.headers["access-control-allow-origin"] == "http://localhost:3000")
        let preflight = await client.request(
            "OPTIONS / HTTP/1.1\nHost: a\nOrigin: http://127.0.0.1\nAccess-Control-Request-Method: PUT")
        #expect(preflight.status == 204 && preflight.headers["access-control-allow-methods"]?.contains("PUT") == true)
        #expect(await client.request("GET / HTTP/1.1\nHost: a\nOrigin: https://evil.example").status == 403)
        await server.stop()
    }

    @Test(arguments: [
        (["https://a.example"], "https://a.example", true), (["https://a.example"], "http://localhost", false),
        ([], "http://127.0.0.9:80", true), ([], "http://127.evil.example", false), ([], "http://localhost.evil", false),
        ([], "null", false),
        ([], "http://[::1]:5", true), ([], "http://127.0.0.1:x", false),
    ])
    func origins(_ list: [String], _ origin: String, _ allowed: Bool) {
        #expect(OriginPolicy(origins: list).allows(origin) == allowed)
    }

    @Test func filesComeInRanges() async throws {
        let folder = "/tmp/talkburst-web-\(getpid())"
        mkdir(folder, 0o700)
        let content = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let descriptor = open(folder + "/a.mp3", O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        #expect(content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == content.count)
        close(descriptor)
        let server = try server { router in router.files(under: "/spool/", from: folder) }
        let client = RawClient(port: server.boundPort)
        let whole = await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a")
        #expect(whole.holds(content) && whole.headers["accept-ranges"] == "bytes" && whole.headers["content-type"] == "audio/mpeg")
        let tag = whole.headers["etag"] ?? ""
        let part = await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a\nRange: bytes=100000-\nIf-Range: \(tag)")
        #expect(part.status == 206 && part.holds(Array(content[100_000...])))
        #expect(part.headers["content-range"] == "bytes 100000-199999/200000")
        let last = await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a\nRange: bytes=-3")
        #expect(last.body == Array(content.suffix(3)))
        #expect(await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a\nRange: bytes=200000-").status == 416)
        #expect(await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a\nIf-None-Match: \(tag)").status == 304)
        #expect(await client.request("GET /spool/a.mp3 HTTP/1.1\nHost: a\nRange: bytes=0-1\nIf-Range: \"x\"").status == 200)
        let head = await client.request("HEAD /spool/a.mp3 HTTP/1.1\nHost: a")
        #expect(head.headers["content-length"] == "200000")
        for path in ["/spool/../etc/passwd", "/spool/%2e%2e/%2e%2e/etc/passwd", "/spool/..%2f..%2fetc/passwd", "/spool/", "/spool/.hidden"]
        {
            let status = await RawClient(port: server.boundPort).request("GET \(path) HTTP/1.1\nHost: a").status
            #expect([404, 403, 400, 0].contains(status), "\(path)")
        }
        await server.stop()
        unlink(folder + "/a.mp3")
        rmdir(folder)
    }

    @Test(arguments: [
        ("bytes=0-0", ByteRange.part(0..<1)), ("bytes=9-20", .part(9..<10)), ("bytes=-20", .part(0..<10)), ("bytes=10-", .unsatisfiable),
        ("bytes=-0", .unsatisfiable), ("bytes=5-4", .whole), ("bytes=0-1,3-4", .whole), ("items=0-1", .whole), ("bytes=-", .whole),
        ("bytes=0-99999999999999999999", .part(0..<10)), ("bytes=99999999999999999999-", .unsatisfiable),
    ])
    func ranges(_ header: String, _ expected: ByteRange) {
        #expect(ByteRange(header: header, length: 10) == expected)
    }

    @Test func aPortInUseIsTold() async throws {
        let first = try server { _ in }
        #expect(throws: WebError.self) {
            var settings = WebSettings()
            settings.host = "203.0.113.7"
            _ = try WebServer(settings, router: Router())
        }
        await first.stop()
    }

    @Test func datesAreHTTPDates() { #expect(httpDate(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT") }
}
