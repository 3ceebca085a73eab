// A DTLS 1.2 handshake in memory, and nothing else: what it costs the server's end.
// usage: bare_dtls COUNT | bare_dtls each     (so many in a row | one for each line of input)
// Both ends have ECDSA P-256 certificates of their own making, as WebRTC's have; the server asks for the client's, offers SRTP and exports its keys.
// Prints the server's CPU seconds per handshake, from SSL_new to the exported keys: once, or for each.
#define _GNU_SOURCE
#include <openssl/err.h>
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

// What the server's end used.
static double handshake(SSL_CTX *servers, SSL_CTX *clients) {
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(up, -1), BIO_set_mem_eof_return(down, -1);
    double begin = used(), total;
    SSL *server = end_of(servers, up, down, 1);
    total = used() - begin;
    SSL *client = end_of(clients, down, up, 0);
    for (int turn = 0; turn < 20 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); turn++) {
        SSL_do_handshake(client);
        begin = used();
        SSL_do_handshake(server);
        total += used() - begin;
    }
    unsigned char keys[56];
    begin = used();
    int ok = SSL_is_init_finished(server) && SSL_export_keying_material(server, keys, sizeof keys, "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0);
    SSL_free(server);
    total += used() - begin;
    if (!ok) ERR_print_errors_fp(stderr), exit(1);
    SSL_free(client);
    BIO_free(up), BIO_free(down);
    return total;
}

int main(int argc, char **argv) {
    SSL_CTX *servers = context(DTLS_server_method()), *clients = context(DTLS_client_method());
    char line[16];
    if (argc > 1 && !strcmp(argv[1], "each")) {
        while (fgets(line, sizeof line, stdin)) printf("%.9f\n", handshake(servers, clients)), fflush(stdout);
        return 0;
    }
    int count = argc > 1 ? atoi(argv[1]) : 100;
    double total = 0;
    for (int i = 0; i < count; i++) total += handshake(servers, clients);
    printf("%.9f\n", total / count);
    return 0;
}
