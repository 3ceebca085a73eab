import AudioCodecs
import Glibc
import Talk

/// An Ogg Opus file that is to be played to a room.
enum AnnouncementFile {
    private static let sizeMaximum = 32 << 20

    /// Reads a file. Blocks.
    static func read(_ path: String) -> Result<[(payload: [UInt8], samples: Int)], Refusal> {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(Refusal(.noSuchUser, "No such file: \(String(cString: strerror(errno)))")) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= sizeMaximum else {
            return .failure(Refusal(.invalidElement, "Invalid element (filename should be a file of at most 32 MiB)"))
        }
        var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            done += count
        }
        let packets = OggOpus.packets(Array(bytes.prefix(done))) ?? []
        let known = packets.compactMap { payload in OpusPacket(payload).map { (payload: payload, samples: $0.samples) } }
        guard !known.isEmpty else { return .failure(Refusal(.invalidElement, "Invalid element (filename should be an Ogg Opus file)")) }
        return .success(known)
    }
}
