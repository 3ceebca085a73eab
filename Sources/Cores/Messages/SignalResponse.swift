import JSON
import Talk

/// The media service's answer to a signal request (`msg_type` 2 with `res`, MESSAGES.md §1).
public struct SignalResponse: Sendable, Equatable {
    /// The request's, echoed.
    public let ip: String
    /// The group's number as it was given, in range or not.
    public let gid: Int64
    /// The request's, where it had a usable one.
    public let signalType: Int64?
    /// The request's fields, integers as numbers; empty where its type is unknown.
    public let fields: [String: JSONValue]
    /// The outcome.
    public let code: ResultCode
    /// The outcome in words.
    public let message: String

    /// The record's value.
    public var encoded: [UInt8] {
        var signal: [String: JSONValue] = ["res": ["code": .int(Int64(code.rawValue)), "msg": .string(message)]]
        signal["signal_type"] = signalType.map { .int($0) }
        if let type = signalType, let name = SignalRequest.names[type] {
            signal["\(name)_resp"] = .object(fields)
        } else {
            signal["gid"] = .int(gid)
        }
        return JSONValue.object(["msg_type": 2, "ip": .string(ip), "signal_msg": .object(signal)]).encoded()
    }

    /// Reads a response; nil for anything that is none (topics may be shared).
    public init?(_ message: JSONValue) {
        guard message["msg_type"]?.integer == 2, let signal = message["signal_msg"]?.object, let result = signal["res"],
            let code = result["code"]?.integer.flatMap({ Int(exactly: $0) })
        else { return nil }
        let type = signal["signal_type"]?.integer
        let fields = type.flatMap { SignalRequest.names[$0] }.flatMap { signal["\($0)_resp"]?.object } ?? [:]
        guard let gid = (fields["gid"] ?? signal["gid"])?.integer else { return nil }
        self.init(
            ip: message["ip"]?.string ?? "", gid: gid, signalType: type, fields: fields, code: ResultCode(rawValue: code),
            message: result["msg"]?.string ?? "")
    }

    init(ip: String, gid: Int64, signalType: Int64?, fields: [String: JSONValue], code: ResultCode, message: String) {
        (self.ip, self.gid, self.signalType, self.fields, self.code, self.message) = (ip, gid, signalType, fields, code, message)
    }
}
