// What both ends of the WebRTC measurements share: DTLS 1.2 with an ECDSA P-256 certificate of its own making, as WebRTC's have, and SRTP.
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509.h>

static int accept_any(int ok, X509_STORE_CTX *store) {
    (void)ok, (void)store;
    return 1;
}

// Also gives the certificate's SHA-256, unless NULL.
static SSL_CTX *dtls_context(const SSL_METHOD *method, unsigned char *digest) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400);
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    if (digest) X509_digest(made, EVP_sha256(), digest, NULL);
    SSL_CTX *ctx = SSL_CTX_new(method);
    SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION);
    SSL_CTX_use_certificate(ctx, made);
    SSL_CTX_use_PrivateKey(ctx, key);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    SSL_CTX_set_tlsext_use_srtp(ctx, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80");
    return ctx;
}
