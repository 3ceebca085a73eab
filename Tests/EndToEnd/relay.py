"""Carries a peer's datagrams over TCP (RFC 4571), for clients that know UDP only: to the server it is a peer on an active TCP candidate."""
import re, socket, struct, threading


class Relay:
    """A UDP port of this machine; what comes there goes out on one TCP connection, and back."""

    def __init__(self, sdp):
        """Connects to the passive TCP candidate of an answer."""
        found = re.search(r"a=candidate:\S+ 1 tcp \d+ (\S+) (\d+) typ host tcptype passive", sdp)
        assert found, "no passive TCP candidate in:\n" + sdp
        self.stream = socket.create_connection((found[1], int(found[2])), timeout=10)
        self.stream.settimeout(None)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.peer, self.reads, self.counts = None, threading.Event(), [0, 0]
        self.reads.set()
        for work in (self.outwards, self.inwards):
            threading.Thread(target=work, daemon=True).start()

    def answer(self, sdp):
        """The answer with this relay as the only candidate, so that nothing can go by UDP."""
        port = self.udp.getsockname()[1]
        lines = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
        place = lines.index("a=end-of-candidates")
        return "\r\n".join([*lines[:place], f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host", *lines[place:]]) + "\r\n"

    def outwards(self):
        try:
            while True:
                datagram, self.peer = self.udp.recvfrom(2_048)
                self.counts[0] += 1
                self.stream.sendall(struct.pack("!H", len(datagram)) + datagram)
        except OSError:
            return

    def inwards(self):
        buffer = b""
        try:
            while True:
                self.reads.wait()
                part = self.stream.recv(4_096)
                if not part:
                    return
                buffer += part
                while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack("!H", buffer[:2])[0]:
                    length = struct.unpack("!H", buffer[:2])[0]
                    self.counts[1] += 1
                    if self.peer:
                        self.udp.sendto(buffer[2:2 + length], self.peer)
                    buffer = buffer[2 + length:]
        except OSError:
            return

    def close(self):
        self.stream.close()
        self.udp.close()
