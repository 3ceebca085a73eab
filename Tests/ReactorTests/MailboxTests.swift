import Glibc
import Reactor
import Testing

@Suite struct MailboxTests {
    /// Whether its thread would wake up.
    private func rings(_ mailbox: Mailbox<Int>) -> Bool {
        var bell = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&bell, 1, 0) == 1
    }

    @Test func whatIsPostedComesInItsOrderAndRingsOnce() {
        let mailbox = Mailbox<Int>()
        #expect(!mailbox.hasMessages && !rings(mailbox))
        for number in 1...5 { #expect(mailbox.post(number)) }
        #expect(mailbox.hasMessages && rings(mailbox))
        #expect(mailbox.take() == [1, 2, 3, 4, 5])
        #expect(!mailbox.hasMessages && !rings(mailbox))
        #expect(mailbox.take().isEmpty)
        mailbox.post(6)
        #expect(rings(mailbox))
        #expect(mailbox.take() == [6])
    }

    @Test func aFullOneRefusesAllButWhatItMustTake() {
        let mailbox = Mailbox<Int>(capacity: 2)
        #expect(mailbox.post(1) && mailbox.post(2))
        #expect(!mailbox.post(3))
        #expect(mailbox.post(4, must: true))
        #expect(!mailbox.post(5))
        #expect(mailbox.take() == [1, 2, 4])
        #expect(mailbox.post(6))
        #expect(mailbox.take() == [6])
    }
}
