"""What the benchmarks share: C programs built as they are needed, processes that end with the run, CPU by thread, a quick WebSocket client,
rows of a table."""
import atexit, base64, contextlib, json, os, pathlib, random, re, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile, time, urllib.parse, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
HERE = ROOT / "Benchmarks"
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))
from harness import Stack, wait_for  # noqa: E402

WORK = pathlib.Path(tempfile.mkdtemp(prefix="talkburst-bench-"))
# For what is about packets and not about the disk: to make a file takes the kernel up to 1.4 ms here (ext4 without a journal goes through all inodes
# that were freed in the last half minute), and a kernel that does not preempt itself lets nobody else onto that core until it is done.
MEMORY = pathlib.Path(tempfile.mkdtemp(prefix="talkburst-bench-", dir="/dev/shm"))
KAFKA = pathlib.Path(os.environ.get("KAFKA_HOME") or ROOT.parent / "shared/kafka") / "start"
running = []
# Registered first, so that it comes last: when all that writes there has ended.
for folder in (WORK, MEMORY):
    atexit.register(shutil.rmtree, folder, True)


# MARK: Programs

def program(name, *libraries, folder=HERE):
    """A C program beside this file, built once a run."""
    made = WORK / name
    if not made.exists():
        subprocess.run(["cc", "-O2", "-Wall", "-I", ROOT / "Sources/C/CLinux/include", "-o", made, folder / f"{name}.c",
                        *[f"-l{one}" for one in libraries]], check=True)
    return made


def start(*words, **more):
    """A child that is ended with the run, whatever happens."""
    child = subprocess.Popen([str(word) for word in words], **more)
    running.append(child)
    return child


def start_first(*words, **more):
    """A child that stands for a server: it goes first where the system allows it, as the media service's threads do (`Pace.realTime`)."""
    return start(program("first"), *words, **more)


@contextlib.contextmanager
def going_first():
    """The calling thread goes first, too: a device that waits for an answer waits for nothing else on this machine."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    except PermissionError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def end(child, seconds=20):
    """Asks a child to end, and sees to it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for stream in (child.stdin, child.stdout):
        if stream:
            stream.close()


def end_all():
    for child in reversed(running):
        try:
            end(child)
        except Exception:
            pass


atexit.register(end_all)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))


class Place:
    """A stack on a real Kafka of its own where there is one, else on the embedded broker; ends with the block."""

    def __init__(self, options, name, home=WORK, **environment):
        self.folder = home / f"{name}-{random.getrandbits(24):x}"
        (self.folder / "stack").mkdir(parents=True)
        self.kafka, bootstrap = None, None
        if KAFKA.exists():
            # A start fails now and then by chance: once more.
            for attempt in range(4):
                port = random.randrange(21000, 29000, 20)
                self.kafka = start(sys.executable, KAFKA, "--dir", self.folder / f"kafka-{attempt}", "--port", port, stdout=subprocess.PIPE)
                if line := self.kafka.stdout.readline():
                    break
            bootstrap = json.loads(line)["bootstrap"]
        self.stack = Stack(options.bin, self.folder / "stack", bootstrap, environment=environment)
        running.append(self.stack.process)
        self.bootstrap, self.janus = self.stack.address["kafka"], self.stack.address["media"]["janus"]
        self.pid = self.stack.pid("media-service")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.stop()
        if self.kafka:
            end(self.kafka)

    def drops(self):
        """How many datagrams the media plane has let go, by reason."""
        with urllib.request.urlopen(self.stack.address["media"]["http"] + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [re.match(r'media_datagrams_dropped_total\{reason="(\w+)"\} (\d+)', line) for line in lines]
        return {one[1]: int(one[2]) for one in found if one and int(one[2])}

    def create(self, first, count=1, **options):
        """Groups first…, by as many signal requests."""
        made = ask(self.bootstrap, "ptt.signal.requests", "ptt.signal.responses", 0, count, first, count, json.dumps(options))
        assert made["good"] == count, made
        return made


def ask(*words):
    """kafka_bench.c, the one who asks."""
    words = [str(word) for word in (program("kafka_bench", "rdkafka", "pthread"), "ask", *words)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


# MARK: What a process uses

def cpu_by_thread(pid):
    """Seconds on a core since the start, by thread name, to the nanosecond (schedstat; `stat` counts in hundredths)."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used = (task / "comm").read_text().strip(), int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
        found[name] = found.get(name, 0) + used
    return found


def cpu(pid):
    return sum(cpu_by_thread(pid).values())


def memory(pid):
    """Resident octets, exactly (`statm` may be some hundred pages late)."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


# MARK: Sockets that are read, and who sends to them

class Receivers:
    """receivers.c. With `first` they wait for nobody else on this machine, as radios wouldn't: where a few of them are all there is to serve, what
    counts is when they could have heard."""

    def __init__(self, count, sockets=(), first=False):
        fds = [one.fileno() for one in sockets]
        self.child = (start_first if first else start)(program("receivers"), *(["fds", *fds] if fds else [count]), pass_fds=fds,
                                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.child.stdout.readline())
        self.count = len(self.ports)

    def ask(self, word):
        self.child.stdin.write(word + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def now(self):
        return self.ask("report")

    def report(self):
        """When nothing more comes: who is behind has sent it all by then (bounded: 15 s)."""
        last = None
        for _ in range(150):
            time.sleep(0.1)
            found = self.now()
            if found["received"] == last:
                break
            last = found["received"]
        return found

    def reset(self):
        """What is still under way belongs to what was before."""
        self.report()
        self.ask("reset")

    def close(self):
        end(self.child)


def udp():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one


def talk(one, port, first, count, rate=50, payload_type=100, ssrc=77):
    """Has talker.c send on this socket, and waits until it has."""
    words = [program("talker"), one.fileno(), port, payload_type, ssrc, first, count, rate]
    subprocess.run([str(word) for word in words], check=True, pass_fds=[one.fileno()], timeout=count / rate + 30)


def bare_loop(ports, count, rate=50, loop=None):
    """Packets per CPU-second of sendmmsg alone, or of another loop."""
    words = [loop] if loop else [program("bare_sendmmsg"), "loop"]
    done = subprocess.run([*words, str(count), str(rate)], input="\n".join(map(str, ports)), check=True,
                          capture_output=True, text=True, timeout=count / rate * 5 + 30)
    sent, used = done.stdout.split()
    return int(sent) / float(used)


def bare_relay(ports, receivers, first, count, rate=50):
    """The receivers' report on packets that were received and passed on, and nothing else."""
    child = start_first(program("bare_sendmmsg"), "relay", count, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdin.write("\n".join(map(str, ports)))
    child.stdin.close()
    port, one = int(child.stdout.readline()), udp()
    receivers.reset()
    talk(one, port, first, count, rate)
    child.wait(60)
    one.close()
    return receivers.report()


# MARK: WebSocket

class WebSocket:
    """A client that waits in recv itself: no thread, no library between the clock and the wire."""

    def __init__(self, url, protocol="janus-protocol"):
        where = urllib.parse.urlparse(url)
        self.socket, self.buffer = socket.create_connection((where.hostname, where.port), 30), b""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET / HTTP/1.1\r\nHost: {where.hostname}:{where.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the WebSocket was closed")
        self.buffer += data

    def send(self, text):
        data, size = text.encode(), len(text.encode())
        length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0xFE, size)
        # A mask of zeros is a mask: the octets stay as they are.
        self.socket.sendall(b"\x81" + length + b"\0\0\0\0" + data)

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def receive(self):
        text = b""
        while True:
            kind, size = self.take(2)
            if size == 126:
                size, = struct.unpack("!H", self.take(2))
            elif size == 127:
                size, = struct.unpack("!Q", self.take(8))
            data = self.take(size)
            # Text, or what goes on with it: Janus cuts what is long into frames (RFC 6455, 5.4).
            if kind & 15 in (0, 1):
                text += data
                if kind & 0x80:
                    return text.decode()
            if kind & 15 == 9:
                self.socket.sendall(b"\x8a\x80\0\0\0\0")

    def close(self):
        self.socket.close()


class Janus(WebSocket):
    """A session of the Janus API; requests may be sent many at once."""

    def __init__(self, url, plugin="janus.plugin.audiobridge"):
        super().__init__(url)
        self.plugin, self.number, self.session = plugin, 0, None
        self.session = self.all([{"janus": "create"}])[0]["data"]["id"]

    def prepared(self, message):
        """A request's name and text."""
        self.number += 1
        name = str(self.number)
        return name, json.dumps({**message, "transaction": name, **({"session_id": self.session} if self.session else {})})

    def request(self, message):
        name, text = self.prepared(message)
        self.send(text)
        return name

    def all(self, messages, window=32):
        """Sends all, so many on the way at once; gives the last answer to each (acknowledgements are none)."""
        answers, waiting, rest = [None] * len(messages), {}, iter(enumerate(messages))
        while True:
            while len(waiting) < window and (one := next(rest, None)):
                waiting[self.request(one[1])] = one[0]
            if not waiting:
                return answers
            answer = json.loads(self.receive())
            if answer["janus"] != "ack" and answer.get("transaction") in waiting:
                answers[waiting.pop(answer["transaction"])] = answer

    def keep(self):
        """The session lives on, and what came meanwhile is read (the server's pings are answered)."""
        name = self.request({"janus": "keepalive"})
        while json.loads(self.receive()).get("transaction") != name:
            pass

    def attach(self, count=1):
        return [a["data"]["id"] for a in self.all([{"janus": "attach", "plugin": self.plugin}] * count)]

    def bodies(self, pairs, window=32):
        """Plugin requests: (handle, body) each; gives the plugin's data of each."""
        answers = self.all([{"janus": "message", "handle_id": handle, "body": body} for handle, body in pairs], window)
        return [answer.get("plugindata", {}).get("data", answer) for answer in answers]

    def body(self, handle, **body):
        return self.bodies([(handle, body)])[0]

    def floor(self, handle, action, state):
        """Asks, and waits for a state (which may come as the answer or as news)."""
        self.request(floor_message(handle, action))
        while True:
            answer = json.loads(self.receive())
            if answer.get("sender") == handle and answer.get("plugindata", {}).get("data", {}).get("state") == state:
                return answer["plugindata"]["data"]


def floor_message(handle, action):
    return {"janus": "message", "handle_id": handle, "body": {"request": "floor", "action": action}}


class Talker:
    """A participant with a socket of its own, on a session of its own."""

    def __init__(self, url, room, uid):
        self.janus, self.socket, self.next = Janus(url), udp(), 0
        self.handle, = self.janus.attach()
        joined = self.janus.body(self.handle, request="join", room=room, id=uid, floor=True, rtp={
            "ip": "127.0.0.1", "port": self.socket.getsockname()[1]})
        assert joined.get("audiobridge") == "joined", joined
        self.port = joined["rtp"]["port"]

    def prepared(self, action):
        return self.janus.prepared(floor_message(self.handle, action))[1]

    def request(self):
        self.janus.floor(self.handle, "request", "granted")

    def release(self):
        self.janus.floor(self.handle, "release", "idle")

    def talk(self, count, rate=50):
        self.janus.keep()
        first, self.next = self.next, (self.next + count) % 60_000
        talk(self.socket, self.port, first, count, rate)

    def close(self):
        self.janus.close()
        self.socket.close()


def listener(room, uid, port):
    return {"request": "join", "room": room, "id": uid, "events": "none", "listen_only": True, "rtp": {"ip": "127.0.0.1", "port": port}}


# MARK: Figures

def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def row(what, ours, reference, ratios, target, form="{:,.2f}", least=False, beside=""):
    """A row: medians of both, best and median ratio, and whether the median reaches what is to be reached."""
    best, middle = (min if least else max)(ratios), statistics.median(ratios)
    limit = float(target.split()[1])
    reached = middle <= limit if least else middle >= limit
    return [what, form.format(statistics.median(ours)), form.format(statistics.median(reference)) + (f" ({beside})" if beside else ""),
            f"{best:.2f}", f"{middle:.2f}", target, "yes" if reached else "**no**"]
