// The limit that the fan-out is held against: one packet to N loopback sockets by sendmmsg(2), and nothing else.
// usage: bare_sendmmsg loop COUNT RATE < ports    COUNT packets by its own clock: what sending alone costs
//        bare_sendmmsg relay COUNT < ports        prints its port; passes COUNT packets on as they come (it gives up after 3 s of silence)
// Ports of 127.0.0.1, or address:port, are one a line. Prints the packets sent and the CPU seconds used for it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define MAXIMUM 16384
#define BATCH 256
static struct mmsghdr messages[MAXIMUM];
static struct sockaddr_in addresses[MAXIMUM];
static unsigned char packet[2048] = {0x80};
static struct iovec vector = {packet, 72};
static int count;
static long sent;

static double used(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void send_to_all(int fd) {
    for (int start = 0; start < count; start += BATCH) {
        int n = sendmmsg(fd, messages + start, count - start < BATCH ? count - start : BATCH, 0);
        sent += n > 0 ? n : 0;
    }
}

static void loop(int fd, int ticks, int rate) {
    struct timespec next, now;
    clock_gettime(CLOCK_MONOTONIC, &next);
    memset(packet + 26, 0x55, vector.iov_len - 26);
    packet[12] = 0x48;
    packet[25] = 1;
    for (uint32_t tick = 0; tick < (uint32_t)ticks; tick++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t time = now.tv_sec * 1000000000LL + now.tv_nsec;
        memcpy(packet + 13, &time, 8);
        memcpy(packet + 21, &tick, 4);
        send_to_all(fd);
        next.tv_nsec += 1000000000 / rate;
        if (next.tv_nsec >= 1000000000) { next.tv_nsec -= 1000000000; next.tv_sec++; }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

static void relay(int fd, int ticks) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {3, 0};
    socklen_t length = sizeof own;
    if (bind(fd, (struct sockaddr *)&own, length)) { perror("bind"); exit(1); }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    getsockname(fd, (struct sockaddr *)&own, &length);
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    while (ticks-- > 0) {
        ssize_t n = recv(fd, packet, sizeof packet, 0);
        if (n < 0) return;
        vector.iov_len = n;
        send_to_all(fd);
    }
}

int main(int argc, char **argv) {
    if (argc < 3 || (!strcmp(argv[1], "loop") && argc < 4)) { fprintf(stderr, "usage: bare_sendmmsg loop COUNT RATE | relay COUNT\n"); return 2; }
    char where[64];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    while (count < MAXIMUM && scanf("%63s", where) == 1) {
        char *colon = strchr(where, ':');
        if (colon) *colon = 0;
        addresses[count] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(colon ? colon + 1 : where)),
            .sin_addr.s_addr = colon ? inet_addr(where) : htonl(INADDR_LOOPBACK)};
        messages[count].msg_hdr = (struct msghdr){&addresses[count], sizeof addresses[count], &vector, 1, 0, 0, 0};
        count++;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    double before = used();
    if (strcmp(argv[1], "loop")) relay(fd, atoi(argv[2])); else loop(fd, atoi(argv[2]), atoi(argv[3]));
    printf("%ld %f\n", sent, used() - before);
    return 0;
}
