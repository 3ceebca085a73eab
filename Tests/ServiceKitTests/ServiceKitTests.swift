import Configuration
import Synchronization
import Telemetry
import Testing
import Web

@testable import ServiceKit

@Suite struct ServiceKitTests {
    @Test func argumentsAreRead() {
        let subcommands = ["verify"]
        #expect(Arguments.parse(["--config", "a"], subcommands: subcommands).arguments == Arguments(action: .run, configFile: "a"))
        #expect(
            Arguments.parse(["--check-config", "--config=b"], subcommands: []).arguments == Arguments(action: .checkConfig, configFile: "b")
        )
        #expect(
            Arguments.parse(["verify", "x", "--config", "c"], subcommands: subcommands).arguments
                == Arguments(action: .subcommand("verify", ["x"]), configFile: "c"))
        #expect(Arguments.parse(["verfy"], subcommands: subcommands).problem == "unknown argument verfy")
        #expect(Arguments.parse(["--config"], subcommands: subcommands).problem == "--config needs a file")
    }

    @Test func openInterfacesAreRefused() throws {
        let open = Configuration(["web": ["host": "0.0.0.0"], "janus": ["host": "0.0.0.0", "insecure": true]])
        #expect(ListenSettings.read(open.section("web"), port: 8080).port == 8080)
        #expect(ListenSettings.read(open.section("janus"), port: 1, origins: ["x"]).host == "0.0.0.0")
        let error = #expect(throws: ConfigurationError.self) { try open.finish() }
        #expect(error?.problems.count == 1 && error?.description.hasPrefix("web.host: 0.0.0.0 can be reached by others") == true)
    }

    @Test func readinessTellsItsReasons() async throws {
        let readiness = Readiness()
        readiness.block("kafka", "no broker")
        readiness.block("redis", "refused")
        readiness.clear("redis")
        var router = Router()
        router.addServiceRoutes(readiness: readiness, metrics: Metrics())
        let server = try WebServer(WebSettings(), router: router)
        #expect(!readiness.isReady && readiness.reasons.map(\.condition) == ["kafka"])
        readiness.clear("kafka")
        #expect(readiness.isReady)
        await server.stop()
    }

    @Test func partsStopInReverse() async {
        let context = ServiceContext(name: "t", startWait: .zero) {}
        let order = Mutex<[String]>([])
        for name in ["a", "b", "c"] { context.onStop(name) { order.withLock { $0.append(name) } } }
        await context.stopAll()
        #expect(order.withLock { $0 } == ["c", "b", "a"])
    }

    @Test func aMissingServerIsNamed() async {
        struct Refused: Error {}
        let context = ServiceContext(name: "t", startWait: .zero) {}
        let error = await #expect(throws: StartError.self) {
            try await context.wait(for: "Redis at 127.0.0.1:1") { throw Refused() }
        }
        #expect(error?.description == "Redis at 127.0.0.1:1 is not there after 0 s (start.wait_s): Refused()")
    }

    @Test func wrongConfigurationsAndArgumentsHaveTheirCodes() async {
        let program = ServiceProgram(name: "t", about: "a test") {
            $0.section("x").int("y", default: 1)
        } start: { _, _ in
        }
        #expect(await program.run(["--nope"]) == 64)
        #expect(await program.run(["--config", "/nowhere"]) == 78)
        #expect(await program.run(["--version"]) == 0)
    }
}
