#include "CHandshake.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>

// By their first names in OpenSSL's own provider: what the cipher suites, groups and signatures of RFC 8827, section 6.5, are made of, and
// RSA and Ed25519 for peers that bring such certificates; then what OpenSSL's random numbers come from.
static const char *const names[] = {
    "AES-128-GCM", "AES-256-GCM", "SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "HMAC", "TLS1-PRF", "EC", "ECDH", "ECDSA",
    "X25519", "RSA", "ED25519", "CTR-DRBG", "AES-256-CTR", "SEED-SRC", NULL,
};

#define PER_OPERATION 32

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *context;
/// Its own provider, all of it, in a context behind ours.
static OSSL_PROVIDER *whole;
static OSSL_ALGORITHM kept[OSSL_OP__HIGHEST + 1][PER_OPERATION + 1];

static bool is_needed(int operation, const OSSL_ALGORITHM *algorithm) {
    // Certificates are read; no keys are, and nothing is written.
    if (operation == OSSL_OP_ENCODER || operation == OSSL_OP_STORE) return false;
    if (operation == OSSL_OP_DECODER && !strstr(algorithm->property_definition, "structure=SubjectPublicKeyInfo")) return false;
    size_t length = strcspn(algorithm->algorithm_names, ":");
    for (const char *const *name = names; *name; name++) {
        if (strlen(*name) == length && strncasecmp(algorithm->algorithm_names, *name, length) == 0) return true;
    }
    return false;
}

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache) {
    (void)provider;
    *no_cache = 0;
    return operation > 0 && operation <= OSSL_OP__HIGHEST ? kept[operation] : NULL;
}

static int capabilities(void *provider, const char *capability, OSSL_CALLBACK *callback, void *argument) {
    (void)provider;
    return OSSL_PROVIDER_get_capabilities(whole, capability, callback, argument);
}

static const OSSL_DISPATCH functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
    {0, NULL},
};

static int begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core, const OSSL_DISPATCH **out, void **provider) {
    (void)handle, (void)core;
    *out = functions;
    // The algorithms are the whole provider's, and so is what they are called with.
    *provider = OSSL_PROVIDER_get0_provider_ctx(whole);
    return 1;
}

static void make(void) {
    OSSL_LIB_CTX *behind = OSSL_LIB_CTX_new(), *made = OSSL_LIB_CTX_new();
    if (behind == NULL || made == NULL || (whole = OSSL_PROVIDER_load(behind, "default")) == NULL) return;
    for (int operation = 1; operation <= OSSL_OP__HIGHEST; operation++) {
        int count = 0, no_cache;
        const OSSL_ALGORITHM *one = OSSL_PROVIDER_query_operation(whole, operation, &no_cache);
        for (; one && one->algorithm_names && count < PER_OPERATION; one++) {
            if (is_needed(operation, one)) kept[operation][count++] = *one;
        }
    }
    if (OSSL_PROVIDER_add_builtin(made, "handshake", begin) && OSSL_PROVIDER_load(made, "handshake")) context = made;
}

OSSL_LIB_CTX *chandshake_context(void) {
    pthread_once(&once, make);
    return context;
}
