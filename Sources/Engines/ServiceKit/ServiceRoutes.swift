import JSON
import Telemetry
import Web

extension Router {
    /// Adds what every service answers: `/healthz` (200 while the process lives), `/readyz` (503 with the reasons while it is not
    /// ready) and `/metrics` (Prometheus text).
    public mutating func addServiceRoutes(readiness: Readiness, metrics: Metrics) {
        get("/healthz") { _ in .json(["status": "ok"]) }
        get("/readyz") { _ in
            let reasons = readiness.reasons
            let list = reasons.map { JSONValue.object(["condition": .string($0.condition), "reason": .string($0.reason)]) }
            return .json(["ready": .bool(reasons.isEmpty), "reasons": .array(list)], status: reasons.isEmpty ? 200 : 503)
        }
        get("/metrics") { _ in .text(metrics.exposition(), type: "text/plain; version=0.0.4; charset=utf-8") }
    }
}
