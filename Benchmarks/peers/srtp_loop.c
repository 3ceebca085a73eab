// The limit that protected listeners are held against: one packet, sealed for each of N listeners with a key of its own (AEAD_AES_128_GCM, RFC
// 7714), by intel-ipsec-mb, into a batch that sendmmsg(2) sends; and nothing else.
// usage: srtp_loop COUNT RATE < ports (of 127.0.0.1, or address:port)    COUNT packets by its own clock; prints the packets sent and the CPU seconds used for it
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define MAXIMUM 16384
#define BATCH 256
#define HEADER 12
#define PAYLOAD 60
#define TAG 16
struct listener { struct gcm_key_data key; uint8_t salt[12]; struct sockaddr_in address; } __attribute__((aligned(64)));

static double used(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 3) { fprintf(stderr, "usage: srtp_loop COUNT RATE < ports\n"); return 2; }
    static uint8_t out[BATCH][HEADER + PAYLOAD + TAG], payload[PAYLOAD] = {0x48};
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    struct listener *listeners = aligned_alloc(64, sizeof *listeners * MAXIMUM);
    char where[64];
    int count = 0, rate = atoi(argv[2]), size = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    IMB_MGR *manager = alloc_mb_mgr(0);
    IMB_ARCH arch;
    init_mb_mgr_auto(manager, &arch);
    while (count < MAXIMUM && scanf("%63s", where) == 1) {
        char *colon = strchr(where, ':');
        if (colon) *colon = 0;
        struct listener *one = &listeners[count++];
        uint8_t key[16];
        if (getrandom(key, sizeof key, 0) < 0 || getrandom(one->salt, sizeof one->salt, 0) < 0) return 1;
        IMB_AES128_GCM_PRE(manager, key, &one->key);
        one->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(colon ? colon + 1 : where)),
            .sin_addr.s_addr = colon ? inet_addr(where) : htonl(INADDR_LOOPBACK)};
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct gcm_context_data context;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    double before = used();
    long sent = 0;
    uint32_t ssrc = htonl(77);
    for (int tick = 0; tick < atoi(argv[1]); tick++) {
        uint8_t header[HEADER] = {0x80, 100, tick >> 8, tick};
        uint32_t timestamp = htonl(tick * 960);
        memcpy(header + 4, &timestamp, 4);
        memcpy(header + 8, &ssrc, 4);
        for (int start = 0; start < count; start += BATCH) {
            int n = count - start < BATCH ? count - start : BATCH;
            for (int i = 0; i < n; i++) {
                struct listener *one = &listeners[start + i];
                // RFC 7714, 8.1: two octets of zero, the SSRC, the roll-over counter, the sequence number; over it the salt.
                uint8_t iv[12] = {0};
                memcpy(iv + 2, &ssrc, 4);
                memcpy(iv + 10, header + 2, 2);
                for (int k = 0; k < 12; k++) iv[k] ^= one->salt[k];
                memcpy(out[i], header, HEADER);
                IMB_AES128_GCM_ENC(manager, &one->key, &context, out[i] + HEADER, payload, PAYLOAD, iv, header, HEADER, out[i] + HEADER + PAYLOAD, TAG);
                vectors[i] = (struct iovec){out[i], sizeof out[i]};
                messages[i].msg_hdr = (struct msghdr){&one->address, sizeof one->address, &vectors[i], 1, NULL, 0, 0};
            }
            int done = sendmmsg(fd, messages, n, 0);
            sent += done > 0 ? done : 0;
        }
        next.tv_nsec += 1000000000 / rate;
        if (next.tv_nsec >= 1000000000) { next.tv_nsec -= 1000000000; next.tv_sec++; }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    printf("%ld %f\n", sent, used() - before);
    return 0;
}
