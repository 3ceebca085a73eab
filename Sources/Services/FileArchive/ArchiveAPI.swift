import JSON
import ServiceKit
import Talk
import Web

/// The file server's HTTP API (HTTP.md; `schemas/openapi/file-server.yaml`).
struct ArchiveAPI: Sendable {
    let table: TalkTable
    let store: ArchiveStore
    let publicURL: String

    /// Adds the routes.
    func add(to router: inout Router) {
        router.get("/v1/talks") { try await list($0) }
        router.get("/v1/talks/{talk_id}") { try await find($0).json(publicURL: publicURL).response }
        router.get("/v1/talks/{talk_id}/audio") { try await audio($0) }
        router.get("/v1/openapi.yaml") { request in
            try HTTPResponse.file(InstalledFiles.path("schemas/openapi/file-server.yaml"), for: request)
        }
    }

    private func list(_ request: HTTPRequest) async throws -> HTTPResponse {
        var search = TalkTable.Search()
        search.gid = try id(request, "gid", GroupID.init)
        search.uid = try id(request, "uid", UserID.init)
        search.fromMs = try number(request, "from_ms", 0...maximumID)
        search.toMs = try number(request, "to_ms", 0...maximumID)
        search.limit = try number(request, "limit", 1...500).map { Int($0) } ?? 50
        if let state = request.query("state") {
            guard let known = TalkFile.State(rawValue: state) else {
                throw Problem.invalid("state", "state must be wanted, stored, failed or empty")
            }
            search.state = known
        }
        if let cursor = request.query("cursor") { search.after = try after(cursor) }
        let limit = search.limit
        // One more than is shown tells whether there is a next page.
        search.limit += 1
        let talks = try await table.search(search)
        let page = talks.prefix(limit)
        var next = JSONValue.null
        if talks.count > limit, let last = page.last { next = .string("\(last.startMs)_\(last.talkID)") }
        return .json(["items": .array(page.map { $0.json(publicURL: publicURL) }), "next": next])
    }

    private func find(_ request: HTTPRequest) async throws -> TalkFile {
        let text = request.parameter("talk_id")
        guard let talkID = TalkID(text) else { throw Problem.invalid("talk_id", "talk_id must be a UUID") }
        guard let talk = try await table.talk(talkID) else { throw Problem.notFound("there is no talk \(talkID)") }
        return talk
    }

    private func audio(_ request: HTTPRequest) async throws -> HTTPResponse {
        let talk = try await find(request)
        guard let stored = talk.stored, talk.state == .stored else {
            throw Problem.notFound("the audio of talk \(talk.talkID) is not in the archive; its state is \(talk.state.rawValue)")
        }
        return try HTTPResponse.file(store.path(stored.key), for: request, type: "audio/mpeg", etag: stored.md5)
    }

    private func number(_ request: HTTPRequest, _ name: String, _ range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let text = request.query(name) else { return nil }
        guard let number = JSONValue.string(text).integer, range.contains(number) else {
            throw Problem.invalid(name, "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func id<ID>(_ request: HTTPRequest, _ name: String, _ make: (Int64) -> ID?) throws(Problem) -> ID? {
        try number(request, name, 1...maximumID).flatMap { make($0) }
    }

    private func after(_ cursor: String) throws(Problem) -> (startMs: Int64, talkID: String) {
        let parts = cursor.split(separator: "_")
        guard parts.count == 2, let startMs = Int64(parts[0]), let talkID = TalkID(String(parts[1])) else {
            throw Problem.invalid("cursor", "cursor must be the next of an answer before")
        }
        return (startMs, talkID.description)
    }
}

extension JSONValue {
    /// The value as an answer.
    fileprivate var response: HTTPResponse { .json(self) }
}
