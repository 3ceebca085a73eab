"""What lies between a peer and the server: a NAT that may forget, or a TCP connection (RFC 4571) for clients that know UDP only."""
import re, socket, struct, threading


def through(sdp, port):
    """The answer with a port of this machine as the only candidate."""
    lines = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
    place = lines.index("a=end-of-candidates")
    return "\r\n".join([*lines[:place], f"a=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host", *lines[place:]]) + "\r\n"


class NAT:
    """A UDP port of this machine; what comes there goes out by another one, which `rebind` changes."""

    def __init__(self, sdp):
        """Before the UDP candidate of an answer."""
        found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", sdp)
        self.server, self.peer = (found[1], int(found[2])), None
        self.inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inner.bind(("127.0.0.1", 0))
        self.rebind()
        threading.Thread(target=self.outwards, daemon=True).start()

    def rebind(self):
        """From now on the peer is seen at another port; what still comes to the one before is lost."""
        self.outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outer.bind(("127.0.0.1", 0))
        threading.Thread(target=self.inwards, args=[self.outer], daemon=True).start()

    def answer(self, sdp):
        return through(sdp, self.inner.getsockname()[1])

    def outwards(self):
        try:
            while True:
                datagram, self.peer = self.inner.recvfrom(2_048)
                self.outer.sendto(datagram, self.server)
        except OSError:
            return

    def inwards(self, outer):
        try:
            while True:
                datagram = outer.recv(2_048)
                if outer is self.outer and self.peer:
                    self.inner.sendto(datagram, self.peer)
        except OSError:
            return

    def close(self):
        self.inner.close()
        self.outer.close()


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
        """Nothing can go by UDP."""
        return through(sdp, self.udp.getsockname()[1])

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
