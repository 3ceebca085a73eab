import Configuration
import JSON
import Testing

@testable import MediaService

@Suite struct MediaConfigurationTests {
    /// What is wrong with a configuration of the media workers.
    private func problems(_ media: JSONValue) -> [String] {
        let configuration = Configuration(["media": media])
        _ = MediaConfiguration(configuration)
        do throws(ConfigurationError) {
            try configuration.finish()
            return []
        } catch {
            return error.problems
        }
    }

    /// Behind a NAT, or on all addresses, nobody could guess where devices are to send.
    @Test func whereDevicesSendIsAnAddressThatTheyCanReach() {
        #expect(problems(["host": "127.0.0.1"]).isEmpty)
        #expect(problems(["host": "0.0.0.0", "insecure": true, "announced_ip": "192.0.2.7"]).isEmpty)
        #expect(problems(["host": "::", "insecure": true, "announced_ip": "2001:db8::7"]).isEmpty)
        for host in ["0.0.0.0", "::"] as [JSONValue] {
            let found = problems(["host": host, "insecure": true])
            #expect(found.count == 1 && found[0].hasPrefix("media.host: devices can't send to") && found[0].contains("media.announced_ip"))
        }
        #expect(problems(["announced_ip": "example.org"]) == ["media.announced_ip: example.org is not an IP address"])
        #expect(problems(["announced_ip": "0.0.0.0"]) == ["media.announced_ip: devices can't send to 0.0.0.0"])
    }
}
