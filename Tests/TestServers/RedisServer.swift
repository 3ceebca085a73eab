import Foundation
import Synchronization

/// A redis-server as a child process, which a test may stop, start and hold.
public final class RedisServer: Sendable {
    /// Where it listens.
    public let port: Int
    private let process: Mutex<Process>

    /// What went wrong at the start.
    public struct NotStarted: Error, CustomStringConvertible {
        /// In words.
        public let description: String
    }

    /// Starts a server; it listens when this returns. Blocks meanwhile.
    /// - Throws: `NotStarted` where none of several ports will do.
    public init() throws {
        for _ in 0..<20 {
            // Below the ports that the kernel gives to clients: one of those may be taken by a connection between a look and the start.
            let port = Int.random(in: 20_000...29_999)
            guard let started = try Self.start(on: port) else { continue }
            self.port = port
            process = Mutex(started)
            return
        }
        throw NotStarted(description: "redis-server does not listen on any of twenty ports")
    }

    deinit { signal(SIGKILL) }

    /// As clients name it.
    public var url: String { "redis://127.0.0.1:\(port)" }

    /// Starts it anew where it was.
    public func start() throws {
        guard let started = try Self.start(on: port) else { throw NotStarted(description: "redis-server does not listen on \(port) again") }
        process.withLock { $0 = started }
    }

    /// Ends it at once.
    public func stop() {
        signal(SIGKILL)
        process.withLock { $0 }.waitUntilExit()
    }

    /// Sends it a signal (`SIGSTOP` holds it, `SIGCONT` lets it go on).
    public func signal(_ number: Int32) { kill(process.withLock { $0.processIdentifier }, number) }

    /// - Returns: nil where it ended instead of listening: the port is another's.
    private static func start(on port: Int) throws -> Process? {
        // What answers there already is another's.
        if accepts(port) { return nil }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
        process.arguments = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        while process.isRunning {
            if accepts(port) { return process }
            usleep(5_000)
        }
        return nil
    }

    private static func accepts(_ port: Int) -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(probe) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = in_port_t(port).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
    }
}
