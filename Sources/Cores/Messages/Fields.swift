import JSON
import Talk

/// Reads fields of a JSON object liberally, and names what is missing or wrong (483, 484).
public struct Fields: Sendable {
    /// The object itself.
    public let object: [String: JSONValue]
    /// Where it stands, for error messages: `signal_msg.create_group_req`.
    public let path: String

    /// The fields of an object that stands at `path`.
    public init(_ object: [String: JSONValue], at path: String) {
        self.object = object
        self.path = path
    }

    /// The value of a field that must be there.
    /// - Throws: `Refusal` 483 where it is missing or null.
    public func required(_ name: String) throws(Refusal) -> JSONValue {
        guard let value = object[name], !value.isNull else { throw Refusal(.missingElement, "missing element (\(full(name)))") }
        return value
    }

    /// A whole number, as a JSON number or a decimal string.
    /// - Throws: 483 where it is missing, 484 where it is no integer or out of range.
    public func integer(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64 {
        guard let value = try required(name).integer else { throw invalid(name, "must be an integer") }
        guard range.contains(value) else { throw invalid(name, "must be in \(range.lowerBound)…\(range.upperBound)") }
        return value
    }

    /// The same, where the field may be missing.
    public func optionalInteger(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
        guard let value = object[name], !value.isNull else { return nil }
        return try integer(name, in: range)
    }

    /// A text of 1…`maximum` bytes of UTF-8.
    public func string(_ name: String, maximum: Int = 256) throws(Refusal) -> String {
        guard let text = try required(name).string else { throw invalid(name, "must be a string") }
        guard !text.isEmpty, text.utf8.count <= maximum else { throw invalid(name, "must have 1…\(maximum) bytes") }
        return text
    }

    /// The same, where the field may be missing.
    public func optionalString(_ name: String, maximum: Int = 256) throws(Refusal) -> String? {
        guard let value = object[name], !value.isNull else { return nil }
        return try string(name, maximum: maximum)
    }

    /// A truth value that may be missing.
    public func optionalBool(_ name: String) throws(Refusal) -> Bool? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let truth = value.bool else { throw invalid(name, "must be true or false") }
        return truth
    }

    /// An object that may be missing.
    public func optionalFields(_ name: String) throws(Refusal) -> Fields? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let object = value.object else { throw invalid(name, "must be an object") }
        return Fields(object, at: full(name))
    }

    /// The group's number.
    public func group(_ name: String = "gid") throws(Refusal) -> GroupID {
        guard let id = GroupID(try integer(name, in: 1...maximumID)) else { throw invalid(name, "is out of range") }
        return id
    }

    /// A user's number.
    public func user(_ name: String = "uid") throws(Refusal) -> UserID {
        guard let id = UserID(try integer(name, in: 1...maximumID)) else { throw invalid(name, "is out of range") }
        return id
    }

    /// A 484 that names the field.
    public func invalid(_ name: String, _ why: String) -> Refusal { Refusal(.invalidElement, "invalid element (\(full(name)) \(why))") }

    private func full(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}

extension GroupOptions {
    /// Reads `options`; unknown ones are ignored.
    public init(_ fields: Fields) throws(Refusal) {
        self.init()
        guard !fields.object.isEmpty else { return }
        for (name, path, range) in GroupOptions.numbers {
            self[keyPath: path] = try fields.optionalInteger(name, in: range).map { Int($0) }
        }
        for (name, path) in GroupOptions.switches {
            self[keyPath: path] = try fields.optionalBool(name)
        }
    }

    /// What is set, as JSON.
    public var json: JSONValue {
        guard self != GroupOptions() else { return [:] }
        var members: [String: JSONValue] = [:]
        for (name, path, _) in GroupOptions.numbers { members[name] = self[keyPath: path].map { .int(Int64($0)) } }
        for (name, path) in GroupOptions.switches { members[name] = self[keyPath: path].map { .bool($0) } }
        return .object(members)
    }

    /// These, with what `other` sets instead.
    public func merging(_ other: GroupOptions) -> GroupOptions {
        var merged = self
        for (_, path, _) in GroupOptions.numbers { merged[keyPath: path] = other[keyPath: path] ?? merged[keyPath: path] }
        for (_, path) in GroupOptions.switches { merged[keyPath: path] = other[keyPath: path] ?? merged[keyPath: path] }
        return merged
    }
}

extension JSONValue {
    /// The number of a group.
    public static func id(_ group: GroupID) -> JSONValue { .int(group.value) }
    /// The number of a user.
    public static func id(_ user: UserID) -> JSONValue { .int(user.value) }
}
