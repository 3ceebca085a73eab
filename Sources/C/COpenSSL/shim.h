#include <stdint.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/srtp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

// HMAC-SHA1 from the two states that its key leads to (RFC 2104, section 4): 40 bytes a key, where OpenSSL's own contexts take hundreds and
// allocate when they are copied. OpenSSL 3 calls the SHA1 functions deprecated without giving others that take a state.
static inline void talkburst_hmac_sha1_prepare(const void *key, size_t count, uint32_t inner[5], uint32_t outer[5]) {
    unsigned char block[SHA_CBLOCK];
    uint32_t *states[2] = {inner, outer};
    const unsigned char pads[2] = {0x36, 0x5c};
    if (count > sizeof(block)) count = sizeof(block);
    for (int which = 0; which < 2; which++) {
        memset(block, 0, sizeof(block));
        memcpy(block, key, count);
        for (size_t i = 0; i < sizeof(block); i++) block[i] ^= pads[which];
        SHA_CTX sha;
        SHA1_Init(&sha);
        SHA1_Transform(&sha, block);
        uint32_t state[5] = {sha.h0, sha.h1, sha.h2, sha.h3, sha.h4};
        memcpy(states[which], state, sizeof(state));
        OPENSSL_cleanse(&sha, sizeof(sha));
        OPENSSL_cleanse(state, sizeof(state));
    }
    OPENSSL_cleanse(block, sizeof(block));
}
static inline void talkburst_sha1_resume(SHA_CTX *sha, const uint32_t state[5]) {
    memset(sha, 0, sizeof(*sha));
    sha->h0 = state[0];
    sha->h1 = state[1];
    sha->h2 = state[2];
    sha->h3 = state[3];
    sha->h4 = state[4];
    sha->Nl = SHA_CBLOCK * 8;
}
static inline void talkburst_hmac_sha1(
    const uint32_t inner[5], const uint32_t outer[5], const void *data, size_t count, const void *more, size_t more_count,
    unsigned char digest[20]) {
    SHA_CTX sha;
    talkburst_sha1_resume(&sha, inner);
    SHA1_Update(&sha, data, count);
    SHA1_Update(&sha, more, more_count);
    SHA1_Final(digest, &sha);
    talkburst_sha1_resume(&sha, outer);
    SHA1_Update(&sha, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &sha);
}

/// SSL_OP_… are macros with casts, which Swift does not import: the MTU is ours (no query), no tickets, no renegotiation.
static inline uint64_t talkburst_ssl_options(void) { return SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION; }
