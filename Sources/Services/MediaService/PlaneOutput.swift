import MediaPlane
import Messages
import Room
import Talk

/// Where what happens in rooms goes: Kafka, Redis, and the director. Called on the worker's thread; nothing here waits.
struct PlaneOutput: MediaPlaneOutput {
    let publisher: RoomPublisher
    let roles: RoleDirectory
    let note: @Sendable (DirectorNote) -> Void

    func lookUp(_ uid: UserID, in gid: GroupID, token: UInt64) { roles.lookUp(uid, in: gid, token: token) }

    func correctLater(_ uid: UserID, in gid: GroupID, generation: UInt64) { roles.correctLater(uid, in: gid, generation: generation) }

    func publish(_ news: RoomNews, of gid: GroupID, epoch: Int64, atMs: Int64) {
        publisher.publish(news, of: gid, epoch: epoch, atMs: atMs)
    }

    func publish(_ quality: QualityMessage) { publisher.publish(quality) }

    func persist(_ record: RoomRecord) { note(.persist(record)) }

    func presence(_ uid: UserID, online: Bool) { roles.presence(uid, online: online) }
}
