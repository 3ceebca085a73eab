import Glibc

/// Files that come with the programs: migrations, OpenAPI documents.
public enum InstalledFiles {
    /// Where such a file or directory is: below the working directory, or next to the program or any directory above it (as in a
    /// checkout's `.build`), or in `/usr/share/talkburst`.
    /// - Returns: the path itself where it is in none of them, so that the error names it.
    public static func path(_ relative: String) -> String {
        var candidates = [relative]
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        var directory = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        while let slash = directory.lastIndex(of: "/") {
            directory = String(directory[..<slash])
            candidates.append(directory + "/" + relative)
        }
        candidates.append("/usr/share/talkburst/" + relative)
        return candidates.first { access($0, R_OK) == 0 } ?? relative
    }
}
