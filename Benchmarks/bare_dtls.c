// A DTLS 1.2 handshake in memory, and nothing else: what it costs the server's end.
// usage: bare_dtls COUNT | bare_dtls each     (so many in a row | one for each line of input)
// Both ends have ECDSA P-256 certificates of their own making, as WebRTC's have; the server asks for the client's, offers SRTP and exports its keys.
// Prints the server's CPU seconds per handshake, from SSL_new to the exported keys: once, or for each.
#define _GNU_SOURCE
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double used(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int accept_any(int ok, X509_STORE_CTX *store) {
    (void)ok, (void)store;
    return 1;
}

static SSL_CTX *context(const SSL_METHOD *method) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400);
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    SSL_CTX *ctx = SSL_CTX_new(method);
    SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION);
    SSL_CTX_use_certificate(ctx, made);
    SSL_CTX_use_PrivateKey(ctx, key);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
    SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256");
    SSL_CTX_set_tlsext_use_srtp(ctx, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80");
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
