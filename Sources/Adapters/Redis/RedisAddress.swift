import FoundationEssentials

/// Where Redis is: `redis://[:password@]host[:port][/database]`.
struct RedisAddress: Sendable, Hashable {
    var host: String
    var port: Int
    var password: String?
    var database: Int

    /// - Throws: `RedisError` with code `badAddress`.
    init(url: String) throws(RedisError) {
        guard let parts = URLComponents(string: url), parts.scheme == "redis", let host = parts.host, !host.isEmpty else {
            throw RedisError(.badAddress, "\(url) is not an address such as redis://127.0.0.1:6379")
        }
        let path = parts.path.drop { $0 == "/" }
        guard path.isEmpty || Int(path) != nil else { throw RedisError(.badAddress, "\(url): the path must be a database's number") }
        self.host = host
        port = parts.port ?? 6379
        password = parts.password
        database = Int(path) ?? 0
    }

    /// What must be said first on a new connection.
    var greetings: [[String]] {
        var commands: [[String]] = []
        if let password { commands.append(["AUTH", password]) }
        if database != 0 { commands.append(["SELECT", String(database)]) }
        return commands
    }
}
