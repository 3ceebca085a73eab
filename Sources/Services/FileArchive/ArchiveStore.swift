import Crypto
import Glibc
import JSON
import Messages
import Talk
import Threads

/// Why a talk could not be fetched or stored; the row and the log bear it.
struct ArchiveError: Error, Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
    /// With the reason that `errno` has.
    init(_ what: String, _ path: String) { description = "\(what) \(path): \(String(cString: strerror(errno)))" }
}

/// The archive's files below one directory: `2026/01/31/470/<talk_id>.mp3`, and beside each a `.json` that tells what it is, so that the
/// table can be made again from them. Everything here blocks, and runs on threads of its own.
struct ArchiveStore: Sendable {
    /// The `backend` in messages.
    static let backend = "file"
    let directory: String

    /// Makes the directory, and removes what an earlier run left half fetched.
    func prepare() async throws {
        let incoming = incoming
        try await NamedThread.run("archive") {
            try Self.makeFolders(incoming)
            for name in Self.names(in: incoming) { unlink(incoming + "/" + name) }
        }
    }

    private var incoming: String { directory + "/.incoming" }

    /// The file of a key.
    func path(_ key: String) -> String { directory + "/" + key }

    /// A new, empty file for a talk that is being fetched; the caller closes it.
    func openIncoming(_ talkID: TalkID) throws -> Int32 {
        let path = incoming + "/\(talkID)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ArchiveError("can't write", path) }
        return descriptor
    }

    /// Throws away what was fetched of a talk.
    func discardIncoming(_ talkID: TalkID) { unlink(incoming + "/\(talkID)") }

    /// Copies a local file.
    func copy(_ path: String, below folder: String, into descriptor: Int32, maxBytes: Int) async throws {
        try await NamedThread.run("archive") {
            // Links are followed first: what counts is where the file really is.
            guard let real = realpath(path, nil) else { throw ArchiveError("can't read", path) }
            defer { free(real) }
            guard let root = realpath(folder, nil) else { throw ArchiveError("can't read", folder) }
            defer { free(root) }
            guard String(cString: real).hasPrefix(String(cString: root) + "/") else { throw ArchiveError("\(path) leads out of \(folder)") }
            let source = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard source >= 0 else { throw ArchiveError("can't read", path) }
            defer { close(source) }
            var facts = stat()
            guard fstat(source, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { throw ArchiveError("\(path) is no file") }
            var chunk = [UInt8](repeating: 0, count: 256 * 1024)
            var total = 0
            while true {
                let count = Glibc.read(source, &chunk, chunk.count)
                guard count >= 0 else { throw ArchiveError("can't read", path) }
                if count == 0 { return }
                total += count
                guard total <= maxBytes else { throw ArchiveError("\(path) is larger than \(maxBytes) bytes") }
                guard write(descriptor, chunk, count) == count else { throw ArchiveError("can't write", "the archive") }
            }
        }
    }

    /// Checks what was fetched and puts it in its place, so that it is there as a whole or not at all.
    func keep(_ talk: TalkFile, _ descriptor: Int32, nowMs: Int64) async throws -> TalkFile.Stored {
        let from = incoming + "/\(talk.talkID)"
        return try await NamedThread.run("archive") {
            var head = [UInt8](repeating: 0, count: 10)
            let count = pread(descriptor, &head, head.count, 0)
            guard count > 0, FetchPolicy.isMP3(Array(head[0..<count])) else { throw ArchiveError("it is no MP3 file") }
            guard let (digest, size) = Digests.hash(.md5, descriptor: descriptor) else { throw ArchiveError("can't read", from) }
            let md5 = Digests.hex(digest)
            if let wanted = talk.sourceMD5, wanted != md5 { throw ArchiveError("its MD5 is \(md5), the record says \(wanted)") }
            if let wanted = talk.sourceSize, wanted != Int64(size) { throw ArchiveError("it has \(size) bytes, the record says \(wanted)") }
            let stored = TalkFile.Stored(key: talk.key, md5: md5, size: Int64(size), storedMs: nowMs, backend: Self.backend)
            let target = path(stored.key)
            let folder = String(target[..<(target.lastIndex(of: "/") ?? target.endIndex)])
            try Self.makeFolders(folder)
            var described = talk
            described.stored = stored
            try Self.replace(Self.sidecar(target), with: described.description.encoded(pretty: true))
            guard fsync(descriptor) == 0, rename(from, target) == 0 else { throw ArchiveError("can't write", target) }
            try Self.sync(folder)
            return stored
        }
    }

    /// The digest of a stored file; nil where it can't be read.
    func md5(of key: String) async throws -> String? {
        let path = path(key)
        return try await NamedThread.run("archive") { Digests.hash(.md5, file: path).map { Digests.hex($0.digest) } }
    }

    /// Every talk whose file and description are there.
    func inventory() async throws -> [TalkFile] {
        let directory = directory
        return try await NamedThread.run("archive") {
            var found: [TalkFile] = []
            var folders = [directory]
            while let folder = folders.popLast() {
                for name in Self.names(in: folder) where !name.hasPrefix(".") {
                    let path = folder + "/" + name
                    var facts = stat()
                    guard lstat(path, &facts) == 0 else { continue }
                    if facts.st_mode & S_IFMT == S_IFDIR {
                        folders.append(path)
                    } else if name.hasSuffix(".mp3"), let bytes = Self.read(Self.sidecar(path)), let value = try? JSONValue(parsing: bytes),
                        let talk = TalkFile(described: value)
                    {
                        found.append(talk)
                    }
                }
            }
            return found
        }
    }

    private static func sidecar(_ path: String) -> String { String(path.dropLast("mp3".count)) + "json" }

    private static func names(in folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 * 1024)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return count >= 0 ? Array(bytes[0..<count]) : nil
    }

    private static func replace(_ path: String, with bytes: [UInt8]) throws(ArchiveError) {
        let descriptor = open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ArchiveError("can't write", path) }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0, rename(path + ".part", path) == 0 else {
            throw ArchiveError("can't write", path)
        }
    }

    /// Makes a folder and those above it, and makes their names last.
    private static func makeFolders(_ path: String) throws(ArchiveError) {
        if access(path, F_OK) == 0 { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            let parent = String(path[..<slash])
            try makeFolders(parent)
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw ArchiveError("can't make the folder", path) }
            try sync(parent)
        } else if mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw ArchiveError("can't make the folder", path)
        }
    }

    private static func sync(_ folder: String) throws(ArchiveError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ArchiveError("can't open", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw ArchiveError("can't sync", folder) }
    }
}

extension TalkFile {
    /// What stands beside the file in the archive.
    var description: JSONValue {
        guard case .object(var members) = json(publicURL: "") else { return .null }
        members["url"] = nil
        members["file_path"] = .string(filePath)
        members["record"] = .string(record)
        return .object(members)
    }

    /// Reads what stands beside a file.
    init?(described value: JSONValue) {
        guard let message = value["record"]?.string, let parsed = try? JSONValue(parsing: Array(message.utf8)),
            let record = try? TalkRecord(parsed), let key = value["key"]?.string, let md5 = value["md5"]?.string,
            let size = value["size"]?.integer, let storedMs = value["stored_ms"]?.integer
        else { return nil }
        self.init(record, value: message, nowMs: storedMs)
        state = .stored
        stored = Stored(key: key, md5: md5, size: size, storedMs: storedMs, backend: value["backend"]?.string ?? ArchiveStore.backend)
    }
}
