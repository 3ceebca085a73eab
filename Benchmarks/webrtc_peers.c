// Many WebRTC peers in one process, each with a UDP socket of its own: one check of ICE with nomination, then DTLS 1.2 as client.
// usage: webrtc_peers COUNT
// Prints one line of JSON: their certificate's fingerprint, and the one password they have; peer I's user fragment is "peerI". Reads a line
// for each, in order: "PORT UFRAG PASSWORD" of the server on loopback. Then all begin at once; "up N" is printed when N have keys.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dtls_end.h"

#define PASSWORD "benchmarkbenchmarkbenchmark"
#define AGAIN_NS 500000000LL
#define LIMIT_NS 30000000000LL

typedef struct {
    int fd;
    char name[600], password[300];
    SSL *ssl;
    int64_t asked;
    int done;
} Peer;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t crc32_of(const unsigned char *bytes, int count) {
    uint32_t crc = ~0u;
    for (int i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static int attribute(unsigned char *at, int type, const void *value, int length) {
    int padded = (length + 3) & ~3;
    at[0] = type >> 8, at[1] = type, at[2] = length >> 8, at[3] = length;
    memset(at + 4, 0, padded), memcpy(at + 4, value, length);
    return 4 + padded;
}

static void set_length(unsigned char *message, int length) { message[2] = length >> 8, message[3] = length; }

// RFC 8445, 7.1: a check that nominates, from who controls.
static void check(Peer *peer, int index) {
    unsigned char message[1200] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, mac[20], *end = message + 20;
    memcpy(message + 8, &index, sizeof index), memcpy(message + 12, "checking", 8);
    char user[700];
    int length = snprintf(user, sizeof user, "%s:peer%d", peer->name, index);
    end += attribute(end, 0x0006, user, length);
    end += attribute(end, 0x0024, "\x6E\x7F\x1E\xFF", 4);
    end += attribute(end, 0x802A, "\1\2\3\4\5\6\7\10", 8);
    end += attribute(end, 0x0025, "", 0);
    set_length(message, end - message - 20 + 24);
    HMAC(EVP_sha1(), peer->password, strlen(peer->password), message, end - message, mac, NULL);
    end += attribute(end, 0x0008, mac, 20);
    set_length(message, end - message - 20 + 8);
    uint32_t print = htonl(crc32_of(message, end - message) ^ 0x5354554E);
    end += attribute(end, 0x8028, &print, 4);
    send(peer->fd, message, end - message, 0);
    peer->asked = now();
}

// Goes on with a peer's handshake. Returns 1 when it is done: that may be at once, where the server is quick and this thread waited for a core.
static int advance(Peer *peer) {
    ERR_clear_error();
    int result = SSL_do_handshake(peer->ssl);
    if (result != 1 && SSL_get_error(peer->ssl, result) != SSL_ERROR_WANT_READ) ERR_print_errors_fp(stderr), exit(1);
    return result == 1;
}

// What came for a peer. Returns 1 with its keys.
static int hear(Peer *peer, SSL_CTX *ctx) {
    unsigned char first;
    while (recv(peer->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
        if (first > 3) {
            if (!peer->ssl) break;
            if (advance(peer)) return 1;
            continue;
        }
        recv(peer->fd, &first, 1, MSG_DONTWAIT);
        if (peer->ssl) continue;
        peer->ssl = SSL_new(ctx);
        BIO *bio = BIO_new_dgram(peer->fd, BIO_NOCLOSE);
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        getpeername(peer->fd, (struct sockaddr *)&to, &size);
        BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &to);
        SSL_set_bio(peer->ssl, bio, bio);
        SSL_set_connect_state(peer->ssl);
        if (advance(peer)) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 0;
    unsigned char digest[32];
    SSL_CTX *ctx = dtls_context(DTLS_client_method(), digest);
    printf("{\"fingerprint\": \"");
    for (int i = 0; i < 32; i++) printf("%s%02X", i ? ":" : "", digest[i]);
    printf("\", \"password\": \"%s\"}\n", PASSWORD);
    fflush(stdout);
    Peer *peers = calloc(count, sizeof *peers);
    struct pollfd *polls = calloc(count, sizeof *polls);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        unsigned short port;
        if (scanf("%hu %599s %299s", &port, peers[i].name, peers[i].password) != 3) return 1;
        to.sin_port = htons(port);
        peers[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (peers[i].fd < 0 || connect(peers[i].fd, (struct sockaddr *)&to, sizeof to)) { perror("socket"); return 1; }
        polls[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
    }
    for (int i = 0; i < count; i++) check(&peers[i], i);
    int up = 0;
    for (int64_t end = now() + LIMIT_NS; up < count && now() < end;) {
        poll(polls, count, 50);
        for (int i = 0; i < count; i++) {
            Peer *peer = &peers[i];
            if (peer->done) continue;
            if (polls[i].revents && hear(peer, ctx)) peer->done = 1, up++, polls[i].fd = -1;
            else if (peer->ssl) DTLSv1_handle_timeout(peer->ssl);
            else if (now() - peer->asked > AGAIN_NS) check(peer, i);
        }
    }
    for (int i = 0; i < count; i++) {
        if (!peers[i].done) fprintf(stderr, "peer %d: %s\n", i, peers[i].ssl ? SSL_state_string_long(peers[i].ssl) : "no answer to its check");
    }
    printf("up %d\n", up);
    fflush(stdout);
    // They stay until whoever started them has measured.
    while (getchar() != EOF) {}
    return up == count ? 0 : 1;
}
