import JSON
import Messages
import Talk
import Web

/// Reads the query of a request and names what is wrong.
struct Query {
    private let request: HTTPRequest

    init(_ request: HTTPRequest) { self.request = request }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let text = request.query(name) else { return nil }
        guard let value = Int64(text), range.contains(value) else {
            throw .invalid(name, "\(name) must be an integer in \(range.lowerBound)…\(range.upperBound)")
        }
        return value
    }

    func text(_ name: String) throws(Problem) -> String? {
        guard let text = request.query(name), !text.isEmpty else { return nil }
        guard text.utf8.count <= 256 else { throw .invalid(name, "\(name) may have 256 bytes") }
        return text
    }

    func group(_ name: String = "gid") throws(Problem) -> GroupID? { try integer(name, in: 1...maximumID).flatMap { GroupID($0) } }
    func user(_ name: String = "uid") throws(Problem) -> UserID? { try integer(name, in: 1...maximumID).flatMap { UserID($0) } }

    /// 1…500, 50 by default.
    func limit() throws(Problem) -> Int { Int(try integer("limit", in: 1...500) ?? 50) }
}

extension HTTPRequest {
    func pathGroup() throws(Problem) -> GroupID {
        guard let gid = Int64(parameter("gid")).flatMap({ GroupID($0) }) else {
            throw .invalid("gid", "\(parameter("gid")) is no group number (1…\(maximumID))")
        }
        return gid
    }

    func pathUser() throws(Problem) -> UserID {
        guard let uid = Int64(parameter("uid")).flatMap({ UserID($0) }) else {
            throw .invalid("uid", "\(parameter("uid")) is no user number (1…\(maximumID))")
        }
        return uid
    }
}

/// Reads the fields of a JSON body and names what is wrong.
struct Body {
    private let object: [String: JSONValue]

    init(_ request: HTTPRequest) throws(Problem) {
        guard let object = try request.json().object else { throw .invalid("", "the body must be a JSON object") }
        self.object = object
    }

    subscript(_ name: String) -> JSONValue? { object[name].flatMap { $0.isNull ? nil : $0 } }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Problem) -> Int64? {
        guard let value = self[name] else { return nil }
        guard value.string == nil, let number = value.integer, range.contains(number) else {
            throw .invalid(name, "\(name) must be an integer in \(range.lowerBound)…\(range.upperBound)")
        }
        return number
    }

    func text(_ name: String) throws(Problem) -> String? {
        guard let value = self[name] else { return nil }
        guard let text = value.string, !text.isEmpty, text.utf8.count <= 256 else {
            throw .invalid(name, "\(name) must be a text of 1…256 bytes")
        }
        return text
    }

    func users(_ name: String) throws(Problem) -> [UserID] {
        guard let value = self[name] else { return [] }
        guard let list = value.array, list.count <= 100_000 else { throw .invalid(name, "\(name) must be a list of user numbers") }
        var users: [UserID] = []
        for item in list {
            guard item.string == nil, let uid = item.integer.flatMap({ UserID($0) }) else {
                throw .invalid(name, "\(item.text) in \(name) is no user number")
            }
            users.append(uid)
        }
        return users
    }

    func options() throws(Problem) -> GroupOptions? {
        guard let value = self["options"] else { return nil }
        guard let members = value.object else { throw .invalid("options", "options must be an object") }
        let known = Set(GroupOptions.numbers.map(\.name) + GroupOptions.switches.map(\.name))
        if let unknown = members.keys.sorted().first(where: { !known.contains($0) }) {
            throw .invalid("options.\(unknown)", "there is no option \(unknown); there are \(known.sorted().joined(separator: ", "))")
        }
        do {
            return try GroupOptions(Fields(members, at: "options"))
        } catch {
            throw .invalid("options", error.message)
        }
    }
}

/// A page of a list: `{"items": […], "next": cursor | null}`.
func page(_ items: [JSONValue], next: String?) -> HTTPResponse {
    .json(["items": .array(items), "next": next.map { .string($0) } ?? .null])
}
