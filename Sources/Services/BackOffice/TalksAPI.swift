import Database
import HTTPClient
import JSON
import Messages
import Talk
import Web

/// `/v1/talks`, `/v1/users`, `/v1/quality` (HTTP.md, "bo-server").
struct TalksAPI: Sendable {
    let database: Database
    let keys: RedisKeys
    let quality: QualityBoard
    let client: HTTPClient

    func add(to router: inout Router) {
        router.get("/v1/talks", list)
        router.get("/v1/talks/{talk_id}") { request in .json(try await find(request).json) }
        router.get("/v1/talks/{talk_id}/audio", audio)
        router.get("/v1/users/{uid}", user)
        router.on("PUT", "/v1/users/{uid}", putUser)
        router.get("/v1/quality/{uid}") { request in
            let query = Query(request)
            let from = max(try query.integer("from_ms", in: 0...maximumID) ?? 0, try query.integer("cursor", in: 0...maximumID) ?? 0)
            let (items, next) = quality.series(of: try request.pathUser(), fromMs: from, limit: try query.limit())
            return page(items, next: next.map { String($0) })
        }
        router.get("/v1/quality") { request in
            let query = Query(request)
            guard let gid = try query.group() else { throw Problem.invalid("gid", "gid is needed: whose links are wanted") }
            let after = try query.integer("cursor", in: 0...maximumID) ?? 0
            let (items, next) = quality.latest(in: gid, after: after, limit: try query.limit())
            return page(items, next: next?.description)
        }
    }

    private func list(_ request: HTTPRequest) async throws -> HTTPResponse {
        let query = Query(request)
        var search = TalkTable.Search(
            gid: try query.group(), uid: try query.user(), fromMs: try query.integer("from_ms", in: 0...maximumID),
            toMs: try query.integer("to_ms", in: 0...maximumID), text: try query.text("q"))
        let limit = try query.limit()
        search.limit = limit + 1
        if let cursor = try query.text("cursor") {
            let parts = cursor.split(separator: "_", maxSplits: 1)
            guard parts.count == 2, let start = Int64(parts[0]), let talkID = TalkID(String(parts[1])) else {
                throw Problem.invalid("cursor", "the cursor must come from next of the page before")
            }
            search.after = (start, talkID.description)
        }
        let wanted = search
        let found = try await database.run { try TalkTable.list(wanted, $0) }
        let items = found.prefix(limit)
        return page(items.map(\.json), next: found.count > limit ? items.last.map { "\($0.startMs)_\($0.talkID)" } : nil)
    }

    private func find(_ request: HTTPRequest) async throws -> TalkRow {
        let text = request.parameter("talk_id")
        guard let talkID = TalkID(text) else { throw Problem.invalid("talk_id", "\(text) is no UUID") }
        guard let talk = try await database.run({ try TalkTable.find(talkID, $0) }) else {
            throw Problem.notFound("there is no talk \(talkID)")
        }
        return talk
    }

    /// The audio from the archive, before that (or while the archive is away) from the spool.
    private func audio(_ request: HTTPRequest) async throws -> HTTPResponse {
        let talk = try await find(request)
        let places = [talk.archiveURL, talk.fileURL].compactMap { $0 }.filter { $0.hasPrefix("http://") || $0.hasPrefix("https://") }
        guard !places.isEmpty else { throw Problem.notFound("nothing of talk \(talk.talkID) could be kept") }
        var cause = ""
        for place in places {
            do {
                let wanted = request.headers.filter { ["range", "if-range", "if-none-match"].contains($0.key) }
                let answer = try await client.fetch(
                    HTTPClientRequest("GET", place, headers: wanted.map { ($0.key, $0.value) }, maxBytes: 200 << 20))
                guard [200, 206, 304, 416].contains(answer.status) else {
                    cause = "\(place) answers \(answer.status)"
                    continue
                }
                return Self.passOn(answer)
            } catch {
                cause = "\(error)"
            }
        }
        throw Problem(status: 502, code: "audio_unavailable", detail: "\(cause); try again later")
    }

    private static func passOn(_ answer: HTTPClientResponse) -> HTTPResponse {
        if answer.status == 416 {
            let problem = Problem(status: 416, code: "range_not_satisfiable", detail: "the range is outside of the audio").response
            return answer.headers["content-range"].map { problem.with("Content-Range", $0) } ?? problem
        }
        var response =
            answer.status == 304 ? HTTPResponse.empty(status: 304) : .bytes(answer.body, type: "audio/mpeg", status: answer.status)
        for (name, header) in [("ETag", "etag"), ("Content-Range", "content-range"), ("Last-Modified", "last-modified")] {
            if let value = answer.headers[header] { response = response.with(name, value) }
        }
        return response.with("Accept-Ranges", "bytes")
    }

    // MARK: users

    private func user(_ request: HTTPRequest) async throws -> HTTPResponse {
        let uid = try request.pathUser()
        guard let row = try await database.run({ try $0.first("SELECT * FROM users WHERE uid = ?", [.int(uid.value)]) }) else {
            throw Problem.notFound("there is no user \(uid)")
        }
        return .json(Self.card(uid, row.text("user_name"), row.text("nick_name"), idName: "uid"))
    }

    private func putUser(_ request: HTTPRequest) async throws -> HTTPResponse {
        let uid = try request.pathUser()
        let body = try Body(request)
        let (name, nick) = (try body.text("user_name"), try body.text("nick_name"))
        do {
            try await keys.write(card: Self.card(uid, name, nick, idName: "id"), of: uid)
        } catch {
            throw Problem(status: 503, code: "redis_unavailable", detail: "\(error); nothing is changed")
        }
        _ = try await database.transaction { connection in
            try connection.execute(
                """
                INSERT INTO users (uid, user_name, nick_name) VALUES (?, ?, ?)
                ON CONFLICT (uid) DO UPDATE SET user_name = excluded.user_name, nick_name = excluded.nick_name
                """, [.int(uid.value), .optional(name), .optional(nick)])
        }
        return .json(Self.card(uid, name, nick, idName: "uid"))
    }

    private static func card(_ uid: UserID, _ name: String?, _ nick: String?, idName: String) -> JSONValue {
        .object([idName: .id(uid), "user_name": name.map { .string($0) } ?? .null, "nick_name": nick.map { .string($0) } ?? .null])
    }
}
