import Glibc
import Testing
import Web

@testable import HTTPClient

@Suite struct HTTPClientTests {
    func server() throws -> WebServer {
        var router = Router()
        router.on("POST", "/echo") { request in
            .bytes(request.body, type: "text/plain", status: 201).with("X-Id", request.headers["request-id"] ?? "")
        }
        router.get("/large") { _ in .bytes([UInt8](repeating: 1, count: 500_000), type: "audio/mpeg") }
        router.get("/moved") { _ in HTTPResponse.empty(status: 302).with("Location", "/large") }
        router.get("/slow") { _ in
            try await Task.sleep(for: .seconds(600))
            return .empty()
        }
        return try WebServer(WebSettings(), router: router)
    }

    @Test func answersComeWhole() async throws {
        let server = try server()
        let client = try HTTPClient()
        let base = "http://127.0.0.1:\(server.boundPort)"
        let body = [UInt8](repeating: 65, count: 5000)
        let echo = try await client.fetch(HTTPClientRequest("POST", base + "/echo", headers: [("Request-Id", "7")], body: body))
        #expect(echo.status == 201 && echo.body == body && echo.headers["x-id"] == "7")
        #expect(try await client.fetch(HTTPClientRequest("POST", base + "/echo", body: [])).body.isEmpty)
        #expect(try await client.fetch(HTTPClientRequest("GET", base + "/none")).status == 404)
        #expect(try await client.fetch(HTTPClientRequest("HEAD", base + "/large")).headers["content-length"] == "500000")
        // Redirects are answers, not ways.
        #expect(try await client.fetch(HTTPClientRequest("GET", base + "/moved")).status == 302)
        await client.stop()
        await server.stop()
    }

    /// Who waits no more need not wait for the other end.
    @Test(arguments: [false, true]) func aCancelledRequestEndsAtOnce(isUnderWay: Bool) async throws {
        let server = try server()
        let client = try HTTPClient()
        let task = Task {
            try await client.fetch(HTTPClientRequest("GET", "http://127.0.0.1:\(server.boundPort)/slow", timeout: .seconds(300)))
        }
        if isUnderWay { _ = try await client.fetch(HTTPClientRequest("GET", "http://127.0.0.1:\(server.boundPort)/none")) }
        task.cancel()
        let error = await #expect(throws: HTTPClientError.self) { try await task.value }
        #expect(error?.code == .stopped)
        await client.stop()
        await server.stop()
    }

    @Test func limitsHold() async throws {
        let server = try server()
        let client = try HTTPClient()
        let base = "http://127.0.0.1:\(server.boundPort)"
        let large = await #expect(throws: HTTPClientError.self) {
            _ = try await client.fetch(HTTPClientRequest("GET", base + "/large", maxBytes: 499_999))
        }
        #expect(large?.code == .tooLarge)
        let slow = await #expect(throws: HTTPClientError.self) {
            _ = try await client.fetch(HTTPClientRequest("GET", base + "/slow", timeout: .milliseconds(50)))
        }
        #expect(slow?.code == .timeout)
        let refused = await #expect(throws: HTTPClientError.self) {
            _ = try await client.fetch(HTTPClientRequest("GET", "http://u:pw@127.0.0.1:1/x"))
        }
        #expect(refused?.code == .connection && refused?.description.hasPrefix("GET http://127.0.0.1:1/x: ") == true)
        let scheme = await #expect(throws: HTTPClientError.self) {
            _ = try await client.fetch(HTTPClientRequest("GET", "file:///etc/passwd"))
        }
        #expect(scheme?.code == .address)
        await client.stop()
        await #expect(throws: HTTPClientError.self) { _ = try await client.fetch(HTTPClientRequest("GET", base + "/large")) }
        await server.stop()
    }

    @Test func bodiesGoIntoFiles() async throws {
        let server = try server()
        let client = try HTTPClient()
        let name = "/tmp/talkburst-http-\(getpid())"
        let descriptor = open(name, O_CREAT | O_RDWR | O_TRUNC, 0o600)
        let answer = try await client.fetch(
            HTTPClientRequest("GET", "http://127.0.0.1:\(server.boundPort)/large", intoDescriptor: descriptor))
        #expect(answer.byteCount == 500_000 && answer.body.isEmpty && lseek(descriptor, 0, SEEK_END) == 500_000)
        close(descriptor)
        unlink(name)
        await client.stop()
        await server.stop()
    }
}
