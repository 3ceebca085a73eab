import Glibc
import Messages
import Synchronization
import Talk

/// Why the spool could not be read or written.
struct SpoolError: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, _ path: String) { description = "\(what) \(path): \(String(cString: strerror(errno)))" }
}

/// The folders of the spool, and how its files come and go.
///
///     FOLDER/room_1_user_14_1569569695.mp3    finished talks, served over HTTP
///     FOLDER/.talks/<talk_id>.rtp             captures, until their talk is in the outbox
///     FOLDER/.outbox/<talk_id>                records until they are archived; then <talk_id>.archived until the MP3 is deleted
struct Spool: Sendable {
    let folder: String
    var captures: String { folder + "/.talks" }
    var outbox: String { folder + "/.outbox" }

    /// Makes the folders.
    func prepare() throws(SpoolError) {
        for path in [folder, captures, outbox] where mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw SpoolError("can't make the folder", path)
        }
    }

    func capture(_ talkID: TalkID) -> String { captures + "/\(talkID).rtp" }

    /// The names in a folder; empty where it can't be read.
    static func names(in folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { return bytes }
            bytes += chunk[0..<count]
        }
    }

    /// Writes all of it, at the end or at an offset.
    static func write(_ bytes: [UInt8], to descriptor: Int32, at offset: Int? = nil) throws(SpoolError) {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { rest in
                if let offset { return pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done)) }
                return Glibc.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw SpoolError("can't write", "the spool") }
            done += count
        }
    }

    /// Writes a whole file so that it is there as a whole or not at all, also after a power failure.
    static func replace(_ path: String, with bytes: [UInt8]) throws(SpoolError) {
        let part = path + ".part"
        let descriptor = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SpoolError("can't write", part) }
        defer { close(descriptor) }
        try write(bytes, to: descriptor)
        guard fsync(descriptor) == 0, rename(part, path) == 0 else { throw SpoolError("can't write", path) }
        try syncFolder(of: path)
    }

    /// Makes names that were changed in a folder last.
    static func syncFolder(of path: String) throws(SpoolError) {
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SpoolError("can't open", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw SpoolError("can't sync", folder) }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

/// Gives each burst a file name that no other one has or will have.
final class SpoolNames: Sendable {
    private let folder: String
    private let taken = Mutex<Set<String>>([])

    init(folder: String) { self.folder = folder }

    /// `room_{gid}_user_{uid}_{start seconds}.mp3`, a `-n` before `.mp3` where that exists.
    func reserve(_ start: BurstStart) -> String {
        let stem = "room_\(start.gid)_user_\(start.uid)_\(start.startMs / 1000)"
        return taken.withLock { taken in
            var name = stem + ".mp3"
            var number = 1
            while taken.contains(name) || Spool.exists(folder + "/" + name) {
                number += 1
                name = "\(stem)-\(number).mp3"
            }
            taken.insert(name)
            return name
        }
    }

    /// A name that a capture from before has.
    func keep(_ name: String) { taken.withLock { _ = $0.insert(name) } }

    /// The file is there, or will not come.
    func release(_ name: String) { taken.withLock { _ = $0.remove(name) } }
}
