// swift-tools-version: 6.2
import PackageDescription

// The floors of the house, lowest first; a module imports only from floors below its own.
// Sources/C         module maps of the C libraries; CLinux, shims for what Swift can't import; CClock, OpenSSL's clock; CHandshake, OpenSSL with few algorithms
// Sources/Cores     sans-IO: values in, values out
// Sources/Adapters  one outside thing each, with a Swift face
// Sources/Engines   doors, the media plane, the recorder
// Sources/Services  one service each
// Sources/Executables

let settings: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]

func library(_ floor: String, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)", swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: "Sources/Executables/\(name)", swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: settings)
}

/// A C library from the system: its module map, its pkg-config name where that is usable, and the Debian package.
func clibrary(_ name: String, pkgConfig: String? = nil, apt: String) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

// Debian has intel-ipsec-mb for amd64 alone; elsewhere SecureRTP does without.
#if arch(x86_64)
    let multiBuffer: [Target.Dependency] = ["CIPSecMB"]
    let multiBufferLibraries: [Target] = [clibrary("CIPSecMB", apt: "libipsec-mb-dev")]
#else
    let multiBuffer: [Target.Dependency] = []
    let multiBufferLibraries: [Target] = []
#endif

let cLibraries: [Target] = [
    clibrary("CRdKafka", pkgConfig: "rdkafka", apt: "librdkafka-dev"),
    clibrary("CHiredis", apt: "libhiredis-dev"),
    clibrary("CJansson", pkgConfig: "jansson", apt: "libjansson-dev"),
    clibrary("COpus", pkgConfig: "opus", apt: "libopus-dev"),
    clibrary("CLame", apt: "libmp3lame-dev"),
    clibrary("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
    clibrary("CWebSockets", pkgConfig: "libwebsockets", apt: "libwebsockets-dev"),
    clibrary("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
    clibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
    clibrary("CSRTP", apt: "libsrtp2-dev"),
    .target(name: "CLinux", path: "Sources/C/CLinux"),
    .target(name: "CClock", path: "Sources/C/CClock"),
    .target(name: "CHandshake", dependencies: ["COpenSSL"], path: "Sources/C/CHandshake"),
]

let cores: [Target] = [
    library("Cores", "JSON", ["CJansson"]),
    library("Cores", "Talk"),
    library("Cores", "Messages", ["JSON", "Talk"]),
    library("Cores", "Floor", ["Talk"]),
    library("Cores", "RTP"),
    library("Cores", "STUN"),
    library("Cores", "ICE", ["STUN"]),
    library("Cores", "SDP"),
    library("Cores", "Room", ["Talk", "Floor"]),
    library("Cores", "JanusProtocol", ["JSON", "Talk"]),
]

let adapters: [Target] = [
    library("Adapters", "Threads", ["CLinux"]),
    library("Adapters", "Telemetry", ["CLinux"]),
    library("Adapters", "Configuration", ["JSON"]),
    library("Adapters", "Reactor", ["CLinux", "Threads", "Telemetry"]),
    library("Adapters", "DTLS", ["COpenSSL", "CClock", "CHandshake"]),
    library("Adapters", "Crypto", ["COpenSSL"]),
    library("Adapters", "SecureRTP", ["COpenSSL"] + multiBuffer),
    library("Adapters", "Kafka", ["CRdKafka", "CLinux", "Threads"]),
    library("Adapters", "Redis", ["CHiredis", "CLinux", "Threads"]),
    library("Adapters", "Database", ["CSQLite", "CLinux", "Threads"]),
    library("Adapters", "Web", ["CWebSockets", "JSON", "Telemetry", "Configuration", "Threads"]),
    library("Adapters", "HTTPClient", ["CCurl", "Telemetry"]),
    library("Adapters", "AudioCodecs", ["COpus", "CLame"]),
]

let engines: [Target] = [
    library("Engines", "ServiceKit", ["Messages", "Kafka", "JSON", "Telemetry", "Configuration", "Web", "CLinux"]),
    library("Engines", "PeerSession", ["STUN", "ICE", "Crypto", "DTLS"]),
    library("Engines", "Mixer", ["Talk", "RTP", "AudioCodecs"]),
    library(
        "Engines", "MediaPlane",
        [
            "Talk", "Messages", "Floor", "Room", "RTP", "STUN", "ICE", "Reactor", "Crypto", "SecureRTP", "DTLS", "PeerSession", "Telemetry",
            "Recorder", "Mixer", "CLinux",
        ]),
    library(
        "Engines", "Recorder",
        ["Talk", "Messages", "JSON", "RTP", "AudioCodecs", "Crypto", "Telemetry", "Configuration", "Reactor", "Threads", "CLinux"]),
    library(
        "Engines", "JanusDoor",
        [
            "Talk", "Messages", "Floor", "Room", "JSON", "JanusProtocol", "SDP", "ICE", "Web", "MediaPlane", "SecureRTP", "DTLS",
            "AudioCodecs",
            "Telemetry", "Configuration", "Reactor",
        ]),
]

let services: [Target] = [
    library(
        "Services", "MediaService",
        [
            "Talk", "Floor", "Room", "Messages", "JSON", "Kafka", "Redis", "Web", "SecureRTP", "MediaPlane", "JanusDoor", "Recorder",
            "Telemetry", "Configuration", "Reactor", "ServiceKit", "Threads",
        ]),
    library(
        "Services", "BackOffice",
        [
            "Talk", "Messages", "JSON", "Kafka", "Redis", "Database", "Web", "HTTPClient", "Crypto", "Telemetry", "Configuration",
            "ServiceKit",
        ]),
    library(
        "Services", "FileArchive",
        [
            "Talk", "Threads", "Reactor", "Messages", "JSON", "Kafka", "Database", "Web", "HTTPClient", "Crypto", "Telemetry",
            "Configuration", "ServiceKit",
        ]),
    library(
        "Services", "Tool",
        ["Talk", "Messages", "JSON", "RTP", "Kafka", "Web", "HTTPClient", "AudioCodecs", "Telemetry", "Reactor", "ServiceKit", "CLinux"]),
]

let programs: [Target] = [
    program("media-service", ["MediaService", "ServiceKit"]),
    program("bo-server", ["BackOffice", "ServiceKit"]),
    program("file-server", ["FileArchive", "ServiceKit"]),
    program("ptt", ["Tool"]),
]

let testTargets: [Target] = [
    tests("JSONTests", ["JSON"]),
    tests("RTPTests", ["RTP"]),
    tests("STUNTests", ["STUN", "Crypto"]),
    tests("MixerTests", ["Mixer", "RTP", "AudioCodecs", "Talk", "TestTraits"]),
    tests("MessagesTests", ["Messages", "JSON", "Talk"]),
    tests("TidyTests", ["TestTraits"]),
    tests("JanusProtocolTests", ["JanusProtocol", "JSON"]),
    tests("HostileInputTests", ["FuzzBodies", "TestTraits"]),
    tests("RoomTests", ["Room", "Floor", "Talk"]),
    tests("FloorTests", ["Floor", "Talk", "TestTraits"]),
    tests("TelemetryTests", ["Telemetry"]),
    tests("ThreadsTests", ["Threads"]),
    tests("ReactorTests", ["Reactor"]),
    tests("ServiceKitTests", ["ServiceKit", "Configuration", "Telemetry", "Web"]),
    tests("CryptoTests", ["Crypto"]),
    tests("SecureRTPTests", ["SecureRTP", "CSRTP", "TestTraits"]),
    tests("HTTPClientTests", ["HTTPClient", "Web"]),
    tests(
        "MediaPlaneTests",
        [
            "MediaPlane", "Recorder", "Room", "Floor", "Talk", "Messages", "RTP", "STUN", "ICE", "DTLS", "SecureRTP", "Crypto", "Telemetry",
            "Reactor", "CLinux", "Support", "TestTraits",
        ]),
    tests("RecorderTests", ["Recorder", "Talk", "Messages", "JSON", "AudioCodecs", "Telemetry"]),
    tests("AudioCodecsTests", ["AudioCodecs", "TestTraits"]),
    tests("DatabaseTests", ["Database"]),
    tests("DTLSTests", ["DTLS", "COpenSSL", "TestTraits"]),
    tests("ICETests", ["ICE", "STUN", "Crypto"]),
    tests("SDPTests", ["SDP"]),
    tests("BackOfficeTests", ["BackOffice", "Talk", "Messages", "JSON", "Kafka", "Redis", "Database", "Telemetry", "TestServers"]),
    tests("MediaServiceTests", ["MediaService", "Configuration", "JSON", "Messages", "Talk"]),
    tests("FileArchiveTests", ["FileArchive", "Configuration", "Crypto", "JSON", "Kafka", "Messages", "ServiceKit", "Talk", "Web"]),
    tests("WebTests", ["Web", "JSON"]),
    tests("ConfigurationTests", ["Configuration", "JSON"]),
    tests("KafkaTests", ["Kafka"]),
    tests("RedisTests", ["Redis", "TestServers"]),
    tests("SimulationTests", ["Support", "TestTraits", "PeerSession", "ICE", "STUN", "DTLS", "Crypto"]),
    .target(name: "Support", dependencies: ["PeerSession"], path: "Tests/Support", swiftSettings: settings),
    .target(name: "TestServers", path: "Tests/TestServers", swiftSettings: settings),
    .target(name: "TestTraits", path: "Tests/TestTraits", swiftSettings: settings),
]

/// The parsers' fuzz bodies are an ordinary library, so that they can't rot; what drives them under libFuzzer is built with PTT_FUZZ only.
let fuzzing: [Target] =
    [
        .target(
            name: "FuzzBodies",
            dependencies: [
                "RTP", "STUN", "ICE", "SDP", "SecureRTP", "DTLS", "PeerSession", "JSON", "Messages", "JanusProtocol", "AudioCodecs", "Talk",
                "Web",
            ],
            path: "Tests/FuzzBodies", swiftSettings: settings)
    ]
    + (Context.environment["PTT_FUZZ"] == nil
        ? []
        : [
            .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
            .executableTarget(
                name: "Fuzz", dependencies: ["FuzzBodies", "CFuzzer"], path: "Tests/Fuzz/Fuzz", swiftSettings: settings),
        ])

let package = Package(
    name: "talkburst",
    products: [
        .executable(name: "media-service", targets: ["media-service"]),
        .executable(name: "bo-server", targets: ["bo-server"]),
        .executable(name: "file-server", targets: ["file-server"]),
        .executable(name: "ptt", targets: ["ptt"]),
    ],
    targets: cLibraries + multiBufferLibraries + cores + adapters + engines + services + programs + testTargets + fuzzing
)
