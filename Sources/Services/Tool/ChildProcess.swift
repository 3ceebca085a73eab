import CLinux
import Glibc
import Reactor

/// The thread that forks: the kernel ends a child with the thread that made it (PR_SET_PDEATHSIG), so this one lives as long as the
/// process. The main thread does not: Swift's asynchronous `main` gives it up.
private enum Spawner {
    private struct Order: Sendable {
        let start: @Sendable () -> pid_t
        let done: @Sendable (pid_t) -> Void
    }
    private static let mailbox: Mailbox<Order> = {
        let mailbox = Mailbox<Order>()
        ServiceThread(name: "spawner") {
            let poller = Poller()
            poller.watch(mailbox.descriptor, token: 0)
            while true {
                poller.wait(until: nil, now: 0) { _ in }
                for order in mailbox.take() { order.done(order.start()) }
            }
        }.detach()
        return mailbox
    }()

    static func spawn(_ start: @escaping @Sendable () -> pid_t) async -> pid_t {
        await withCheckedContinuation { continuation in
            mailbox.post(Order(start: start) { continuation.resume(returning: $0) })
        }
    }
}

/// A child that dies with this process.
@MainActor
final class ChildProcess {
    let name: String
    let pid: pid_t

    /// Starts a program.
    /// - Parameters:
    ///   - path: the program's file.
    ///   - environment: what is added to this process's own.
    ///   - log: where its output and errors are appended; nil: they go where this process's errors go.
    ///   - ended: called once, with the exit status as waitpid(2) gives it, on a thread of its own.
    /// - Throws: `ToolError` where it can't be started.
    init(
        _ name: String, _ path: String, _ arguments: [String], environment: [String: String] = [:], log: String? = nil,
        ended: @escaping @Sendable (pid_t, Int32) -> Void
    ) async throws(ToolError) {
        self.name = name
        var descriptor = STDERR_FILENO
        if let log {
            descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw ToolError("\(log) can't be written: \(String(cString: strerror(errno)))") }
        }
        defer { if log != nil { close(descriptor) } }
        var variables = Self.environment()
        variables.merge(environment) { _, new in new }
        let (words, settings, output) = ([path] + arguments, variables.map { "\($0.key)=\($0.value)" }, descriptor)
        let pid = await Spawner.spawn {
            let argv = words.map { strdup($0) } + [nil]
            let envp = settings.map { strdup($0) } + [nil]
            defer { for pointer in argv + envp { free(pointer) } }
            return clinux_spawn(path, argv, envp, output, output)
        }
        guard pid > 0 else { throw ToolError("\(path) can't be started: \(String(cString: strerror(errno)))") }
        self.pid = pid
        ServiceThread(name: "wait-\(name)") {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            ended(pid, status)
        }.detach()
    }

    /// Sends a signal.
    func signal(_ number: Int32) { kill(pid, number) }

    /// This process's own environment.
    static func environment() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let pair = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
            entry += 1
        }
        return variables
    }

    /// The file of a program: beside this one, or on the PATH.
    /// - Throws: `ToolError` that says what to install.
    static func find(_ program: String, package: String? = nil) throws(ToolError) -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        var folders: [String] = []
        if length > 0 {
            let own = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            folders.append(own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/"))
        }
        folders += (environment()["PATH"] ?? "/usr/bin").split(separator: ":").map(String.init)
        for folder in folders where access("\(folder)/\(program)", X_OK) == 0 { return "\(folder)/\(program)" }
        throw ToolError("\(program) is not installed\(package.map { "; run: apt-get install \($0)" } ?? "")")
    }
}

/// What went wrong in a tool, in one line that says what to do.
struct ToolError: Error, Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Free ports on loopback, below those that the kernel gives out by itself: a service that starts again finds its own still free.
enum FreePort {
    private static let range = 12_000..<32_000

    /// A port that nobody has now.
    /// - Parameter taken: ports that are somebody's already, who has not begun.
    static func tcp(except taken: Set<Int> = []) -> Int { find([SOCK_STREAM], count: 1, except: taken) }
    /// The first of some ports in a row that nobody has now, over UDP or TCP.
    static func both(count: Int) -> Int { find([SOCK_DGRAM, SOCK_STREAM], count: count, except: []) }

    private static func find(_ types: [__socket_type], count: Int, except taken: Set<Int>) -> Int {
        for _ in 0..<1_000 {
            let first = Int.random(in: range)
            guard !taken.contains(first) else { continue }
            if (first..<first + count).allSatisfy({ port in types.allSatisfy { isFree(port, $0) } }) { return first }
        }
        return 0
    }

    private static func isFree(_ port: Int, _ type: __socket_type) -> Bool {
        let descriptor = socket(AF_INET, Int32(type.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
    }
}
