import Database
import Foundation

/// The scripts that give bo-server's database its shape.
let testMigrations = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("schemas/sql/bo").path

/// A database of bo-server's shape in a file of its own.
/// - Parameter version: of the shape; nil: the present one.
func openTestDatabase(version: Int = .max) async throws -> Database {
    let folder = NSTemporaryDirectory() + "bo-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in try FileManager.default.contentsOfDirectory(atPath: testMigrations) where Int(name.prefix(4)).map({ $0 <= version }) == true
    {
        try FileManager.default.copyItem(atPath: "\(testMigrations)/\(name)", toPath: "\(folder)/\(name)")
    }
    let database = try await Database(path: folder + "/bo.sqlite")
    try await Migrations(directory: folder).apply(to: database)
    return database
}
