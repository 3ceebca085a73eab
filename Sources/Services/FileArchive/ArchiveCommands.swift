import Reactor
import Talk

/// What `file-server` can do instead of serving.
enum ArchiveCommands {
    /// Takes up again what was given up; a running file server fetches it.
    static func retry(_ settings: ArchiveConfiguration) async throws -> Int32 {
        let table = try await TalkTable.open(file: settings.databaseFile, migrations: settings.migrations)
        let count = try await table.retryFailed(nowMs: Clocks.wallMs())
        print("\(count) talks will be fetched again")
        await table.database.close()
        return 0
    }

    /// Makes the table's rows again from the archive's files.
    static func reindex(_ settings: ArchiveConfiguration) async throws -> Int32 {
        let table = try await TalkTable.open(file: settings.databaseFile, migrations: settings.migrations)
        let talks = try await ArchiveStore(directory: settings.directory).inventory()
        try await table.reindex(talks)
        print("\(talks.count) talks are in the table")
        await table.database.close()
        return 0
    }

    /// Reads every stored file against its MD5.
    static func verify(_ settings: ArchiveConfiguration) async throws -> Int32 {
        let table = try await TalkTable.open(file: settings.databaseFile, migrations: settings.migrations)
        let store = ArchiveStore(directory: settings.directory)
        var search = TalkTable.Search()
        search.state = .stored
        search.limit = 500
        var (good, bad) = (0, 0)
        while true {
            let page = try await table.search(search)
            for talk in page {
                guard let stored = talk.stored else { continue }
                let md5 = try await store.md5(of: stored.key)
                if md5 == stored.md5 {
                    good += 1
                } else {
                    bad += 1
                    print(
                        "\(talk.talkID) \(store.path(stored.key)): \(md5.map { "MD5 is \($0), should be \(stored.md5)" } ?? "can't be read")"
                    )
                }
            }
            guard page.count == search.limit, let last = page.last else { break }
            search.after = (last.startMs, last.talkID.description)
        }
        print("\(good) files are as they should be, \(bad) are not")
        await table.database.close()
        return bad == 0 ? 0 : 1
    }
}
