import Crypto
import Database
import Telemetry
import Web

/// Carries out each POST with an `Idempotency-Key` once.
actor IdempotencyKeys {
    /// How long an answer is kept, ms.
    private static let keepMs: Int64 = 24 * 3_600_000
    private let database: Database
    private var machine = IdempotencyStateMachine()
    private var waiters: [UInt64: CheckedContinuation<HTTPResponse, Never>] = [:]
    private var lastWaiter: UInt64 = 0

    init(database: Database) { self.database = database }

    /// A key as it stands in the table.
    struct Key: Sendable {
        let name: String
        let fingerprint: String

        /// Keeps an answer, in the caller's transaction.
        func keep(_ status: Int, _ body: String, _ connection: Connection) throws {
            try connection.execute(
                """
                INSERT INTO idempotency_keys (name, fingerprint, status, body, kept_ms) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (name) DO NOTHING
                """, [.text(name), .text(fingerprint), .int(Int64(status)), .text(body), .int(WallClock.nowMs())])
        }
    }

    /// The key of a request, or nil where it has none.
    static func key(of request: HTTPRequest) throws(Problem) -> Key? {
        guard let name = request.headers["idempotency-key"], !name.isEmpty else { return nil }
        guard name.utf8.count <= 256 else { throw .invalid("Idempotency-Key", "the Idempotency-Key may have 256 bytes") }
        let seen = Array("\(request.method) \(request.path)\n".utf8) + request.body
        return Key(name: name, fingerprint: Digests.hex(Digests.hash(.sha256, seen)))
    }

    /// Answers from memory, or lets `body` answer.
    func perform(_ key: Key, _ body: @Sendable () async -> HTTPResponse) async -> HTTPResponse {
        lastWaiter += 1
        let waiter = lastWaiter
        switch machine.begin(key.name, fingerprint: key.fingerprint, waiter: waiter) {
        case .conflict: return Self.conflict
        case .wait: return await withCheckedContinuation { waiters[waiter] = $0 }
        case .run:
            let response = await answer(key, body)
            for waiter in machine.finished(key.name) { waiters.removeValue(forKey: waiter)?.resume(returning: response) }
            return response
        }
    }

    private func answer(_ key: Key, _ body: @Sendable () async -> HTTPResponse) async -> HTTPResponse {
        do {
            // The key is in flight by now, so what the table says can't change under us.
            let row = try await database.run { connection in
                try connection.execute("DELETE FROM idempotency_keys WHERE kept_ms < ?", [.int(WallClock.nowMs() - Self.keepMs)])
                return try connection.first("SELECT * FROM idempotency_keys WHERE name = ?", [.text(key.name)])
            }
            if let row {
                guard row.text("fingerprint") == key.fingerprint else { return Self.conflict }
                return Self.response(Int(row.int("status") ?? 500), row.text("body") ?? "")
            }
            let response = await body()
            if IdempotencyStateMachine.keeps(response.status) {
                let text = String(decoding: response.bytes, as: UTF8.self)
                // Should this fail, a repeated request is carried out again: the answer at hand is still the right one.
                try? await database.transaction { try key.keep(response.status, text, $0) }
            }
            return response
        } catch {
            return Problem(status: 503, code: "database_unavailable", detail: "\(error)").response
        }
    }

    private static let conflict = Problem(
        status: 422, code: "idempotency_key_reused", detail: "the Idempotency-Key belongs to another request; take a new one"
    ).response

    private static func response(_ status: Int, _ body: String) -> HTTPResponse {
        .text(body, type: status < 400 ? "application/json" : "application/problem+json", status: status)
    }
}
