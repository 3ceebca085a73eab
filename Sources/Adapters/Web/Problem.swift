import JSON

/// An error as the caller gets it: RFC 9457 problem details. A handler throws it.
public struct Problem: Error, Sendable, CustomStringConvertible {
    /// The status code.
    public var status: Int
    /// A stable `snake_case` name that programs may depend on.
    public var code: String
    /// What is wrong, for people, and the next step.
    public var detail: String
    /// The field that is wrong, where there is one.
    public var field: String?
    /// More members, such as `res_code`.
    public var members: [String: JSONValue]

    /// A problem.
    public init(status: Int, code: String, detail: String, field: String? = nil, members: [String: JSONValue] = [:]) {
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.members = members
    }

    /// 404 `not_found`.
    public static func notFound(_ detail: String) -> Problem { Problem(status: 404, code: "not_found", detail: detail) }

    /// 400 `invalid_field`.
    public static func invalid(_ field: String, _ detail: String) -> Problem {
        Problem(status: 400, code: "invalid_field", detail: detail, field: field)
    }

    /// The code and the detail.
    public var description: String { "\(code): \(detail)" }

    /// The answer in `application/problem+json`.
    public var response: HTTPResponse {
        var all = members
        all["type"] = .string("/problems/\(code)")
        all["title"] = .string(HTTPResponse.reason(status))
        all["status"] = .int(Int64(status))
        all["detail"] = .string(detail)
        all["code"] = .string(code)
        if let field { all["field"] = .string(field) }
        return .bytes(JSONValue.object(all).encoded(), type: "application/problem+json", status: status)
    }
}
