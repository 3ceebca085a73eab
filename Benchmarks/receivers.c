// Thousands of listeners in one process: UDP sockets on loopback that are read as live ones are.
// usage: receivers COUNT | receivers fds FD…     (sockets of its own, or of who starts it)
// Prints their ports as a JSON list. Then, a line of input each: "reset" forgets all, "report" prints one line of JSON,
// "raw": they are no RTP, all are counted; "sealed": they are SRTP, but for some; the end of input ends it.
//
// When a packet was out is the kernel's own time of it (SO_TIMESTAMPNS: as it is put into the listener's socket), so that a reader which
// waits for a core blames nobody. Of packets from talker.c or bare_sendmmsg.c the time until the last listener had it is told, by packet. What
// is sealed is known by its RTP timestamp, and when it was sent is known from a listener who hears the same packet as it is.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16
#define PACKETS (1 << 16)
// How many listeners are asked for at once: a kernel that is not preemptible lets nobody else have the core until it has found them all, and on
// the machines where radios are nobody waits for it.
#define AT_ONCE 32
// What talker.c sends, octets; sealed it is longer.
#define TOLD 72
#define NAP_NS 4000000
static struct { uint32_t count; int64_t last, sent; } packets[PACKETS];
static long received, octets, counted;
static int raw, sealed;
static int64_t offset;

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void take(const unsigned char *data, int length, struct msghdr *header) {
    // RTCP (RFC 5761, 4) is no packet of the talk.
    if (!raw && length > 1 && data[0] >> 6 == 2 && data[1] >= 192 && data[1] <= 223) return;
    received++;
    octets += length;
    // 12 octets of RTP, Opus's TOC, when it was sent (CLOCK_MONOTONIC), its number, 1 where its time counts.
    int is_told = length >= 26 && (!sealed || length == TOLD) && data[0] == 0x80 && data[12] == 0x48 && data[25] == 1;
    if (!is_told && !(sealed && length > TOLD)) return;
    int64_t sent = 0, arrived = 0;
    uint32_t index, timestamp;
    if (is_told) memcpy(&sent, data + 13, 8);
    memcpy(&index, data + 21, 4);
    memcpy(&timestamp, data + 4, 4);
    if (sealed) index = ntohl(timestamp) / 960 % PACKETS;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            arrived = t.tv_sec * 1000000000LL + t.tv_nsec - offset;
        }
    }
    if (index >= PACKETS || !arrived) return;
    counted++;
    packets[index].count++;
    if (is_told) packets[index].sent = sent;
    if (arrived > packets[index].last) packets[index].last = arrived;
}

static void drain(int fd) {
    static unsigned char data[BATCH][2048], control[BATCH][64];
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    int n;
    do {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data[i], sizeof data[i]};
            messages[i].msg_hdr = (struct msghdr){NULL, 0, &vectors[i], 1, control[i], sizeof control[i], 0};
        }
        n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) take(data[i], messages[i].msg_len, &messages[i].msg_hdr);
    } while (n == BATCH);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(void) {
    static int64_t times[PACKETS];
    int n = 0, most = 0, complete = 0;
    for (int i = 0; i < PACKETS; i++) {
        if (!packets[i].sent) continue;
        times[n++] = packets[i].last - packets[i].sent;
        if ((int)packets[i].count > most) most = packets[i].count;
    }
    for (int i = 0; i < PACKETS; i++) complete += packets[i].sent && most && (int)packets[i].count == most;
    qsort(times, n, sizeof *times, ascending);
    double p50 = n ? times[n / 2] / 1e6 : 0, p99 = n ? times[n * 99 / 100] / 1e6 : 0, max = n ? times[n - 1] / 1e6 : 0;
    printf("{\"received\": %ld, \"octets\": %ld, \"timed\": %ld, \"packets\": %d, \"listeners\": %d, \"complete\": %d, "
           "\"p50\": %f, \"p99\": %f, \"max\": %f}\n", received, octets, counted, n, most, complete, p50, p99, max);
    fflush(stdout);
}

int main(int argc, char **argv) {
    int given = argc > 2 ? argc - 2 : 0, count = given ? given : argc > 1 ? atoi(argv[1]) : 1, poller = epoll_create1(0);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    printf("[");
    for (int i = 0; i < count; i++) {
        int fd = given ? atoi(argv[2 + i]) : socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 1 << 20;
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof a;
        if (fd < 0 || (!given && bind(fd, (struct sockaddr *)&a, length))) { perror("socket"); return 1; }
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        getsockname(fd, (struct sockaddr *)&a, &length);
        printf("%s%d", i ? "," : "", ntohs(a.sin_port));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
    printf("]\n");
    fflush(stdout);
    struct epoll_event input = {.events = EPOLLIN, .data.fd = 0}, events[AT_ONCE];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input)) { perror("input"); return 1; }
    fcntl(0, F_SETFL, O_NONBLOCK);
    for (;;) {
        int n = epoll_wait(poller, events, AT_ONCE, 1000), word = 0;
        offset = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd) drain(events[i].data.fd); else word = 1;
        }
        if (word) {
            char line[64];
            ssize_t length = read(0, line, sizeof line);
            if (length == 0 || (length < 0 && errno != EAGAIN)) return 0;
            if (length > 0 && (!strncmp(line, "raw", 3) || !strncmp(line, "sealed", 6))) {
                *(line[0] == 'r' ? &raw : &sealed) = 1;
                printf("{}\n");
                fflush(stdout);
            } else if (length > 0 && !strncmp(line, "reset", 5)) {
                memset(packets, 0, sizeof packets);
                received = octets = counted = 0;
                printf("{}\n");
                fflush(stdout);
            } else if (length > 0) {
                report();
            }
        }
        // What comes in a burst is read together: a wake-up for each datagram would take the core from who sends.
        if (n < 512) nanosleep(&(struct timespec){0, NAP_NS}, NULL);
    }
}
