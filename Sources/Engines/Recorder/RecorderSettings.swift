import Configuration

/// Where and how talks are recorded.
public struct RecorderSettings: Sendable {
    /// The folder that is the spool.
    public var directory: String
    /// What stands before `/spool/…` in `file_path`, such as `http://127.0.0.1:8088`.
    public var publicURL: String
    /// The MP3's samples per second.
    public var sampleRate = 16_000
    /// The MP3's bit rate.
    public var bitrateKbps = 32
    /// LAME's quality, 0 best … 9 fastest.
    public var quality = 5
    /// How many threads encode.
    public var encoders = 1
    /// How long an MP3 is kept after its `archive_msg`.
    public var keep: Duration = .seconds(24 * 3600)

    /// The defaults for a directory.
    public init(directory: String, publicURL: String) {
        self.directory = directory
        self.publicURL = publicURL
    }

    /// Reads the section `spool`, and `files.public_url`.
    public init(_ configuration: Configuration) {
        let section = configuration.section("spool")
        self.init(
            directory: section.string("directory", default: "spool"),
            publicURL: configuration.section("files").url("public_url", default: "http://127.0.0.1:8088"))
        while publicURL.hasSuffix("/") { publicURL.removeLast() }
        keep = section.duration("keep_hours", default: .seconds(24 * 3600))
        sampleRate = section.int("sample_rate", default: 16_000, in: 8_000...48_000)
        if ![8_000, 12_000, 16_000, 24_000, 48_000].contains(sampleRate) {
            section.reject("sample_rate", "must be 8000, 12000, 16000, 24000 or 48000")
            sampleRate = 16_000
        }
        bitrateKbps = section.int("bitrate_kbps", default: 32, in: 8...160)
        quality = section.int("quality", default: 5, in: 0...9)
        encoders = section.int("encoders", default: 1, in: 1...8)
    }
}
