"""A small client of Mumble's protocol (mumble-protocol.readthedocs.io): TLS with framed protobuf to come in, OCB2-AES128 over UDP for voice."""
import ctypes, os, pathlib, selectors, shutil, socket, ssl, struct, tempfile, threading, time

import kit

CRYPTO = ctypes.CDLL("libcrypto.so.3")
for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_ecb"):
    getattr(CRYPTO, name).restype = ctypes.c_void_p
VERSION, AUTHENTICATE, PING, SERVER_SYNC, CRYPT_SETUP = 0, 2, 3, 5, 15


class AES:
    """Single blocks of AES-128, by OpenSSL."""

    def __init__(self, key):
        self.context, self.out, self.length = ctypes.c_void_p(CRYPTO.EVP_CIPHER_CTX_new()), ctypes.create_string_buffer(32), ctypes.c_int()
        CRYPTO.EVP_EncryptInit_ex(self.context, ctypes.c_void_p(CRYPTO.EVP_aes_128_ecb()), None, key, None)

    def block(self, data):
        CRYPTO.EVP_EncryptUpdate(self.context, self.out, ctypes.byref(self.length), data, 16)
        return self.out.raw[:16]


class OCB2:
    """The sending half of a crypt state (OCB2 with AES-128; Rogaway 2004): four octets of head, then the cipher text."""

    def __init__(self, key, nonce):
        self.block = AES(key).block
        self.nonce = int.from_bytes(nonce, "little")

    @staticmethod
    def double(value):
        return (value << 1 & (1 << 128) - 1) ^ (0x87 if value >> 127 else 0)

    def aes(self, value):
        return int.from_bytes(self.block(value.to_bytes(16, "big")), "big")

    def seal(self, plain):
        self.nonce = (self.nonce + 1) % (1 << 128)
        nonce = self.nonce.to_bytes(16, "little")
        delta, checksum, out = self.aes(int.from_bytes(nonce, "big")), 0, b""
        while len(plain) > 16:
            delta, word = self.double(delta), int.from_bytes(plain[:16], "big")
            out += (delta ^ self.aes(delta ^ word)).to_bytes(16, "big")
            checksum ^= word
            plain = plain[16:]
        delta = self.double(delta)
        pad = self.aes(len(plain) * 8 ^ delta).to_bytes(16, "big")
        last = plain + pad[len(plain):]
        checksum ^= int.from_bytes(last, "big")
        out += bytes(a ^ b for a, b in zip(plain, pad))
        tag = self.aes(self.double(delta) ^ delta ^ checksum).to_bytes(16, "big")
        return nonce[:1] + tag[:3] + out


def varint(value):
    """A protobuf number."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def octets(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field, value):
    return varint(field << 3) + varint(value)


def fields(data):
    """Number → last value of a message; nested ones stay octets."""
    found, at = {}, 0

    def read():
        nonlocal at
        value, shift = 0, 0
        while True:
            value |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 128:
                return value
    while at < len(data):
        tag = read()
        if tag & 7 == 0:
            found[tag >> 3] = read()
        elif tag & 7 == 2:
            size = read()
            found[tag >> 3], at = data[at:at + size], at + size
        else:
            at += 8 if tag & 7 == 1 else 4
    return found


def mumble_number(value):
    """Mumble's own variable length: up to 14 bits, or 32."""
    if value < 1 << 7:
        return bytes([value])
    return struct.pack("!H", 0x8000 | value) if value < 1 << 14 else b"\xf0" + struct.pack("!I", value)


class User:
    """One who is in: its UDP socket is known to the server when `ping` has come there."""

    def __init__(self, port, name, udp):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.port, self.udp, self.buffer, self.crypt, self.sequence, self.session = port, udp, b"", None, 0, None
        self.tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30))
        self.send(VERSION, number(1, 1 << 16 | 3 << 8 | 4) + octets(2, b"bench"))
        self.send(AUTHENTICATE, octets(1, name.encode()) + number(5, 1))
        while self.session is None:
            for kind, data in self.receive():
                if kind == CRYPT_SETUP:
                    one = fields(data)
                    self.crypt = OCB2(one[1], one[2])
                elif kind == SERVER_SYNC:
                    self.session = fields(data)[1]
                elif kind == 4:
                    raise ConnectionError(f"refused: {data!r}")

    def send(self, kind, data):
        self.tls.sendall(struct.pack("!HI", kind, len(data)) + data)

    def receive(self):
        self.buffer += self.read()
        while len(self.buffer) >= 6:
            kind, size = struct.unpack("!HI", self.buffer[:6])
            if len(self.buffer) < 6 + size:
                return
            data, self.buffer = self.buffer[6:6 + size], self.buffer[6 + size:]
            yield kind, data

    def read(self):
        data = self.tls.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def over_udp(self, plain):
        self.udp.sendto(self.crypt.seal(plain), ("127.0.0.1", self.port))

    def ping(self):
        self.over_udp(b"\x20" + mumble_number(1))

    def voice(self, opus):
        self.over_udp(b"\x80" + mumble_number(self.sequence) + mumble_number(len(opus)) + opus)
        self.sequence += 2


class Crowd:
    """Users whose control channels are read (the server tells everybody of everybody) and kept alive."""

    def __init__(self):
        self.users, self.poll, self.lock, self.running = [], selectors.DefaultSelector(), threading.Lock(), True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def add(self, user):
        user.tls.settimeout(0)
        user.buffer = b""
        with self.lock:
            self.users.append(user)
            self.poll.register(user.tls, selectors.EVENT_READ, user)

    def serve(self):
        last = time.monotonic()
        while self.running:
            with self.lock:
                ready = self.poll.select(0.02)
            for key, _ in ready:
                try:
                    while key.data.tls.recv(1 << 16):
                        pass
                except (ssl.SSLWantReadError, OSError):
                    pass
            if time.monotonic() - last > 10:
                last = time.monotonic()
                self.keep()
            time.sleep(0.01)

    def keep(self):
        for user in list(self.users):
            try:
                user.send(PING, b"")
            except OSError:
                pass

    def close(self):
        self.running = False
        self.thread.join()
        for user in self.users:
            user.tls.close()


CONFIGURATION = """host=127.0.0.1
port={port}
database={folder}/murmur.sqlite
logfile={folder}/murmur.log
pidfile=
users=4000
bandwidth=200000
timeout=600
autobanAttempts=0
bonjour=False
uname=
sslCert=
messageburst=100
messagelimit=100
"""


class Server:
    """Debian's murmurd. Started by root it becomes its own user: its folder is that user's."""

    def __init__(self, port):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="talkburst-mumble-"))
        self.folder.chmod(0o755)
        if os.getuid() == 0:
            shutil.chown(self.folder, "mumble-server")
        (self.folder / "murmur.ini").write_text(CONFIGURATION.format(port=port, folder=self.folder))
        log = open(self.folder / "murmurd.log", "wb")
        self.child = kit.start("/usr/sbin/murmurd", "-fg", "-ini", self.folder / "murmur.ini", stdout=log, stderr=log)
        self.pid = self.child.pid

    def close(self):
        kit.end(self.child)
        shutil.rmtree(self.folder)
