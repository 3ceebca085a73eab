import Web

/// The spool over HTTP: finished MP3 files only, by their exact name (MESSAGES.md §4).
enum SpoolFiles {
    /// The file, or a part of it; 404 for anything that is no finished recording.
    static func answer(_ request: HTTPRequest, directory: String) throws -> HTTPResponse {
        let name = request.parameter("name")
        guard name.hasSuffix(".mp3"), !name.hasPrefix("."), !name.contains("/") else {
            throw Problem(status: 404, code: "not_found", detail: "there is no recording named \(name)")
        }
        return try HTTPResponse.file(in: directory, path: name, for: request)
    }
}
