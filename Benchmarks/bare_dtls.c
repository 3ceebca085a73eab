// DTLS 1.2 handshakes in memory, and nothing else: what one costs the server's end.
// usage: bare_dtls COUNT | bare_dtls beside COUNT | bare_dtls each
//   COUNT         so many in a row, on a machine that does nothing else
//   beside COUNT  so many, of which the clients' ends are on a thread of their own and at work all the while: as the clients of a real server are,
//                 and where two cores are two threads of one, that makes either of them slower
//   each          one for each line of input
// Both ends have ECDSA P-256 certificates of their own making, as WebRTC's have; the server asks for the client's, offers SRTP and exports its keys.
// Prints the server's CPU seconds per handshake, from SSL_new to the exported keys: once, or for each.
#define _GNU_SOURCE
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dtls_end.h"

static double used(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static SSL_CTX *context(const SSL_METHOD *method) {
    SSL_CTX *ctx = dtls_context(method, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
    SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256");
    return ctx;
}

static SSL *end_of(SSL_CTX *ctx, BIO *in, BIO *out, int server) {
    SSL *ssl = SSL_new(ctx);
    BIO_up_ref(in), BIO_up_ref(out);
    SSL_set_bio(ssl, in, out);
    SSL_set_mtu(ssl, 1200);
    server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
    return ssl;
}

typedef struct {
    BIO *up, *down;
    SSL *server, *client;
} Pair;

// Each end has two turns: the client's hello and its keys, the server's certificate and its last word.

static void greet(Pair *pair, SSL_CTX *clients) {
    pair->up = BIO_new(BIO_s_mem()), pair->down = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair->up, -1), BIO_set_mem_eof_return(pair->down, -1);
    pair->client = end_of(clients, pair->down, pair->up, 0);
    SSL_do_handshake(pair->client);
}

static void answer(Pair *pair, SSL_CTX *servers) {
    pair->server = end_of(servers, pair->up, pair->down, 1);
    SSL_do_handshake(pair->server);
}

static void agree(Pair *pair) { SSL_do_handshake(pair->client); }

static void take_keys(Pair *pair) {
    unsigned char keys[56];
    int done = SSL_do_handshake(pair->server);
    if (done != 1 || !SSL_export_keying_material(pair->server, keys, sizeof keys, "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0)) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_free(pair->server);
}

static void forget(Pair *pair) { SSL_free(pair->client), BIO_free(pair->up), BIO_free(pair->down); }

// MARK: One at a time

static double handshake(SSL_CTX *servers, SSL_CTX *clients) {
    Pair pair;
    greet(&pair, clients);
    double begin = used(), total;
    answer(&pair, servers);
    total = used() - begin;
    agree(&pair);
    begin = used();
    take_keys(&pair);
    total += used() - begin;
    forget(&pair);
    return total;
}

// MARK: Beside their clients

// Pairs go in groups. In each step the clients greet with one group and agree with the one before the last, while the server answers the group
// between and takes the keys of the one before that.
enum { GROUP = 10 };

typedef struct {
    Pair *pairs;
    int groups;
    SSL_CTX *clients;
    pthread_barrier_t step;
} Crowd;

// The pairs of a group; none where there is no such group.
static Pair *group(Crowd *crowd, int index) { return index >= 0 && index < crowd->groups ? crowd->pairs + index * GROUP : NULL; }

static void *clients_of(void *argument) {
    Crowd *crowd = argument;
    for (int step = 0; step < crowd->groups + 3; step++) {
        pthread_barrier_wait(&crowd->step);
        Pair *first = group(crowd, step), *second = group(crowd, step - 2);
        for (int i = 0; first && i < GROUP; i++) greet(first + i, crowd->clients);
        for (int i = 0; second && i < GROUP; i++) agree(second + i);
    }
    return NULL;
}

static double handshakes(SSL_CTX *servers, SSL_CTX *clients, int groups) {
    Crowd crowd = {.pairs = calloc(groups * GROUP, sizeof(Pair)), .groups = groups, .clients = clients};
    pthread_barrier_init(&crowd.step, NULL, 2);
    pthread_t thread;
    pthread_create(&thread, NULL, clients_of, &crowd);
    double total = 0;
    for (int step = 0; step < groups + 3; step++) {
        pthread_barrier_wait(&crowd.step);
        Pair *first = group(&crowd, step - 1), *second = group(&crowd, step - 3);
        double begin = used();
        for (int i = 0; first && i < GROUP; i++) answer(first + i, servers);
        for (int i = 0; second && i < GROUP; i++) take_keys(second + i);
        total += used() - begin;
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < groups * GROUP; i++) forget(crowd.pairs + i);
    free(crowd.pairs);
    return total / (groups * GROUP);
}

int main(int argc, char **argv) {
    SSL_CTX *servers = context(DTLS_server_method()), *clients = context(DTLS_client_method());
    char line[16];
    if (argc > 1 && !strcmp(argv[1], "each")) {
        while (fgets(line, sizeof line, stdin)) printf("%.9f\n", handshake(servers, clients)), fflush(stdout);
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "beside")) {
        printf("%.9f\n", handshakes(servers, clients, (atoi(argv[2]) + GROUP - 1) / GROUP));
        return 0;
    }
    int count = argc > 1 ? atoi(argv[1]) : 100;
    double total = 0;
    for (int i = 0; i < count; i++) total += handshake(servers, clients);
    printf("%.9f\n", total / count);
    return 0;
}
