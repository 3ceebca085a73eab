import Foundation
import TestTraits
import Testing

/// The rules of the house, read off the sources (CONTRIBUTING.md).
@Suite(.oneAtATime) struct TidyTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    /// Lowest first.
    private static let floors = ["C", "Cores", "Adapters", "Engines", "Services", "Executables"]
    /// Inside a floor a module imports another only along these edges.
    private static let edges: [String: Set<String>] = [
        "Messages": ["JSON", "Talk"], "Floor": ["Talk"], "ICE": ["STUN"], "Room": ["Floor", "Talk"], "JanusProtocol": ["JSON", "Talk"],
        "Reactor": ["Telemetry", "Threads"], "Kafka": ["Threads"], "Redis": ["Threads"], "Database": ["Threads"], "Configuration": [],
        "Web": ["Telemetry", "Configuration", "Threads"], "HTTPClient": ["Telemetry"],
        "MediaPlane": ["Recorder", "Mixer", "PeerSession"],
        "JanusDoor": ["MediaPlane"],
    ]
    private static let system: Set<String> = ["Foundation", "FoundationEssentials", "Glibc", "Synchronization", "Dispatch"]

    private struct Source {
        let path: String
        let floor: String
        let module: String
        let lines: [String]
    }

    private static func sources() throws -> [Source] {
        var found: [Source] = []
        let base = root.appending(path: "Sources")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: base.path()).filter { $0.hasSuffix(".swift") }
        for path in paths.sorted() {
            let parts = path.split(separator: "/").map(String.init)
            guard parts.count >= 3 else { continue }
            let text = try String(contentsOf: base.appending(path: path), encoding: .utf8)
            found.append(Source(path: path, floor: parts[0], module: parts[1], lines: text.components(separatedBy: "\n")))
        }
        return found
    }

    private static func floorOf(_ sources: [Source]) -> [String: Int] {
        var floorOf: [String: Int] = [:]
        for source in sources { floorOf[source.module] = floors.firstIndex(of: source.floor) }
        return floorOf
    }

    @Test func importsGoDownwardsOnly() throws {
        let sources = try Self.sources()
        #expect(sources.count > 100, "the sources were not found")
        let floorOf = Self.floorOf(sources)
        for source in sources {
            let own = try #require(Self.floors.firstIndex(of: source.floor), "\(source.path) is on no floor")
            for line in source.lines where line.hasPrefix("import ") || line.hasPrefix("@testable import ") {
                let name = String(line.split(separator: " ").last ?? "")
                if Self.system.contains(name) { continue }
                // Of the cores JSON alone rests on a C library, which computes and does nothing else.
                if name == "CJansson", source.module == "JSON" { continue }
                if name.hasPrefix("C"), floorOf[name] == nil {
                    // CLinux alone is for engines too: sockets are theirs; and for the tool, which forks.
                    let highest = name == "CLinux" ? 4 : 2
                    #expect(own <= highest && own >= 2, "\(source.path) imports the C module \(name)")
                    continue
                }
                guard let other = floorOf[name] else {
                    Issue.record("\(source.path) imports \(name), which is on no floor")
                    continue
                }
                let isAllowed = other < own || (other == own && Self.edges[source.module]?.contains(name) == true)
                #expect(isAllowed, "\(source.path) imports \(name)")
            }
        }
    }

    @Test func coresKnowNoClockSocketOrThread() throws {
        for source in try Self.sources() where source.floor == "Cores" {
            for (number, line) in source.lines.enumerated() {
                for word in ["Date()", "ContinuousClock", "import Glibc", "import Foundation\n", "Task {", "Task.", ".now("] {
                    #expect(!line.contains(word), "\(source.path):\(number + 1) has \(word)")
                }
            }
        }
    }

    @Test func filesAndFunctionsStaySmall() throws {
        for source in try Self.sources() {
            #expect(source.lines.count <= 800, "\(source.path) has \(source.lines.count) lines")
            var start: Int?
            var indent = ""
            for (number, line) in source.lines.enumerated() {
                let trimmed = line.drop { $0 == " " }
                if start == nil, line.contains("func ") || trimmed.hasPrefix("init"), line.hasSuffix("{") {
                    start = number
                    indent = String(line.prefix(line.count - trimmed.count))
                } else if let first = start, line == indent + "}" {
                    #expect(number - first <= 100, "\(source.path):\(first + 1) is a function of \(number - first) lines")
                    start = nil
                }
            }
        }
    }

    @Test func uncheckedSendableSaysWhy() throws {
        for source in try Self.sources() {
            for (number, line) in source.lines.enumerated() where line.contains("@unchecked Sendable") && !line.contains("//") {
                #expect(["Adapters", "Engines", "Services"].contains(source.floor), "\(source.path):\(number + 1)")
                let before = source.lines[max(0, number - 30)..<number].joined(separator: "\n")
                #expect(before.contains("unchecked"), "\(source.path):\(number + 1) does not say why it is right")
            }
        }
    }

    @Test func nothingForcesOrTraps() throws {
        for source in try Self.sources() {
            for (number, line) in source.lines.enumerated() {
                for word in ["try!", "fatalError(", " as! ", "TODO", "FIXME"] {
                    #expect(!line.contains(word), "\(source.path):\(number + 1) has \(word)")
                }
            }
        }
    }
}
