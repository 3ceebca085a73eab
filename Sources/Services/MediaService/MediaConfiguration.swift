import Configuration
import Floor
import JanusDoor
import MediaPlane
import Recorder
import ServiceKit
import Talk
import Web

/// The media service's configuration; every key is explained in `config/media-service.json5`.
public struct MediaConfiguration: Sendable {
    var node: String
    var ip: String
    var region: String
    var kafka: KafkaSections
    var group: String
    var redisURL: String
    var lookupDeadline: Duration
    var requiresMembership: Bool
    var media: MediaSettings
    var janus: JanusSettings
    var web: WebSettings
    var janusWeb: WebSettings
    var recorder: RecorderSettings

    /// Reads all sections.
    public init(_ configuration: Configuration) {
        let node = configuration.section("node")
        self.node = node.string("id", default: "media-1")
        ip = node.string("ip", default: "127.0.0.1")
        region = node.string("region", default: "")
        kafka = KafkaSections(configuration, clientId: self.node)
        group = configuration.section("kafka").string("group", default: "media-service")
        let redis = configuration.section("redis")
        redisURL = redis.url("url", default: "redis://127.0.0.1:6379", schemes: ["redis"])
        lookupDeadline = redis.duration("lookup_ms", default: .milliseconds(50), in: .milliseconds(1) ... .seconds(10))
        let rooms = configuration.section("rooms")
        requiresMembership = rooms.bool("require_membership", default: false)
        web = ListenSettings.read(configuration.section("web"), port: 8088)
        let door = configuration.section("janus")
        janusWeb = ListenSettings.read(door, port: 8188, origins: web.origins)
        janusWeb.webSocket.messageLimitBytes = door.int("message_limit_bytes", default: 65_536, in: 1_024...1_048_576)
        // Before the media threads: a press must not wait until a packet has gone to all of thousands.
        janusWeb.pace = .realTime(2)
        media = Self.media(configuration, rooms)
        janus = Self.janus(door, requiresMembership: requiresMembership)
        media.rules.notifyMax = janus.notifyMax
        recorder = RecorderSettings(configuration)
    }

    /// The address that devices are told; nil: the one that is listened on.
    private static func announced(_ section: Section, _ listen: SocketAddress) -> String? {
        let ip = section.string("announced_ip", default: "")
        if ip.isEmpty {
            if listen.isUnspecified {
                section.reject("host", "devices can't send to \(listen.ip): say in media.announced_ip where they reach this machine")
            }
            return nil
        }
        guard let address = SocketAddress(ip: ip, port: 0) else {
            section.reject("announced_ip", "\(ip) is not an IP address")
            return nil
        }
        if address.isUnspecified { section.reject("announced_ip", "devices can't send to \(ip)") }
        return ip
    }

    private static func media(_ configuration: Configuration, _ rooms: Section) -> MediaSettings {
        let section = configuration.section("media")
        let host = ListenSettings.host(section)
        let port = UInt16(section.int("port", default: 10_000, in: 0...65_535))
        let loopback = SocketAddress(ip: "127.0.0.1", port: port)
        guard let listen = SocketAddress(ip: host, port: port) ?? loopback else { preconditionFailure("127.0.0.1 is an address") }
        if SocketAddress(ip: host, port: port) == nil { section.reject("host", "\(host) is not an IP address") }
        var media = MediaSettings(listen: listen)
        media.workers = section.int("workers", default: MediaSettings.processors, in: 1...64)
        if port != 0, Int(port) + media.workers - 1 > 65_535 {
            section.reject("port", "\(media.workers) workers need as many ports from \(port) on")
        }
        media.shareFrom = section.int("share_from", default: 2_000, in: 1...1_000_000)
        media.tcp = section.bool("tcp", default: true)
        media.announcedIP = Self.announced(section, listen)
        media.socketBufferBytes = section.int("socket_buffer_bytes", default: 4 << 20, in: 65_536...(1 << 30))
        media.packetsPerSecond = section.int("packets_per_second", default: 120, in: 10...10_000)
        media.packetBurst = section.int("packet_burst", default: 50, in: 1...10_000)
        for text in section.list("trusted_networks", default: ["127.0.0.0/8", "::1/128"]) {
            if let network = SocketAddress.Network(text) {
                media.trustedNetworks.append(network)
            } else {
                section.reject("trusted_networks", "\(text) is not a network such as 10.0.0.0/8")
            }
        }
        media.qualityMaxPerSecond = configuration.section("quality").int("max_per_second", default: 100, in: 0...100_000)
        media.joinWaitMs = rooms.int("join_wait_ms", default: 2_000, in: 0...60_000)
        media.rules.takeover = rooms.bool("takeover", default: true)
        media.rules.vanishMs = rooms.int("vanish_ms", default: 30_000, in: 100...3_600_000)
        media.rules.snapshotMs = rooms.int("snapshot_ms", default: 60_000, in: 1_000...3_600_000)
        media.rules.participantsMax = rooms.int("participants_max", default: 10_000, in: 1...1_000_000)
        media.rules.floor = floor(configuration.section("floor"))
        return media
    }

    private static func floor(_ section: Section) -> FloorSettings {
        var floor = FloorSettings()
        func milliseconds(_ key: String, _ path: WritableKeyPath<FloorSettings, Int>, _ range: ClosedRange<Int>) {
            floor[keyPath: path] = section.int(key, default: floor[keyPath: path], in: range)
        }
        milliseconds("t1_ms", \.t1Ms, 100...60_000)
        milliseconds("t2_ms", \.t2Ms, 500...3_600_000)
        milliseconds("t2_emergency_ms", \.t2EmergencyMs, 500...3_600_000)
        milliseconds("t3_ms", \.t3Ms, 0...60_000)
        milliseconds("t4_ms", \.t4Ms, 100...86_400_000)
        milliseconds("t7_ms", \.t7Ms, 0...60_000)
        milliseconds("t7_count", \.t7Count, 0...1_000)
        milliseconds("t8_ms", \.t8Ms, 100...60_000)
        milliseconds("t20_ms", \.t20Ms, 100...60_000)
        milliseconds("t20_count", \.t20Count, 0...100)
        milliseconds("preempt_grace_ms", \.preemptGraceMs, 0...60_000)
        milliseconds("retry_after_ms", \.retryAfterMs, 0...3_600_000)
        milliseconds("queue_max", \.queueMax, 0...1_000)
        floor.priorityCap = UInt8(section.int("priority_cap", default: 255, in: 0...255))
        let names = ["member", "manager", "owner"]
        var roles: Set<Role> = []
        for name in section.list("emergency_roles", default: names) {
            if let index = names.firstIndex(of: name), let role = Role(rawValue: index) {
                roles.insert(role)
            } else {
                section.reject("emergency_roles", "\(name) is none of member, manager, owner")
            }
        }
        floor.emergencyRoles = roles
        return floor
    }

    private static func janus(_ section: Section, requiresMembership: Bool) -> JanusSettings {
        var janus = JanusSettings(version: talkburstVersion)
        func secret(_ key: String) -> String? {
            let value = section.secret(key, default: "")
            return value.isEmpty ? nil : value
        }
        janus.apiSecret = secret("api_secret")
        janus.adminKey = secret("admin_key")
        let announcements = section.string("announcements", default: "")
        janus.announcements = announcements.isEmpty ? nil : announcements
        let tokens = section.list("tokens", default: [])
        janus.tokens = tokens.isEmpty ? nil : Set(tokens)
        janus.sessionTimeoutMs = section.int("session_timeout_ms", default: 60_000, in: 0...3_600_000)
        janus.notifyMax = section.int("notify_max", default: 50, in: 0...10_000)
        janus.randomIDs = !requiresMembership
        return janus
    }
}
