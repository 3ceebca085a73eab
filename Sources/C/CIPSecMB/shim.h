#include <stdint.h>
#include <string.h>

#include <intel-ipsec-mb.h>

// The manager is a table of function pointers reached by macros, its jobs have anonymous unions: neither is for Swift. All is void * here,
// so that Swift need not know a structure of 200 kB.

// A manager with the best implementation for this CPU; NULL where memory or the library's own test fails. *arch and *features tell which.
static inline void *talkburst_imb_new(int *arch, uint64_t *features) {
    IMB_MGR *manager = alloc_mb_mgr(0);
    if (!manager) return NULL;
    IMB_ARCH found = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager, &found);
    if (imb_get_errno(manager) != 0) {
        free_mb_mgr(manager);
        return NULL;
    }
    *arch = (int)found;
    *features = manager->features;
    return manager;
}
static inline void talkburst_imb_free(void *manager) { free_mb_mgr((IMB_MGR *)manager); }
// AES and carry-less multiplication in hardware, and the self-test passed.
static inline uint64_t talkburst_imb_needed_features(void) {
    return IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;
}
static inline uint64_t talkburst_imb_emulated_feature(void) { return IMB_FEATURE_AESNI_EMU; }

// What a short packet needs of a key: the state before it, its round keys, and the lowest powers of the hash key.
static inline void talkburst_imb_prefetch(const void *state, size_t key_offset) {
    const char *start = (const char *)state, *key = start + key_offset;
    __builtin_prefetch(start, 1);
    for (size_t line = 0; line < sizeof(struct gcm_key_data); line += 64) __builtin_prefetch(key + line);
}
static inline size_t talkburst_imb_gcm_key_size(void) { return sizeof(struct gcm_key_data); }
static inline size_t talkburst_imb_gcm_context_size(void) { return sizeof(struct gcm_context_data); }
static inline void talkburst_imb_gcm128_expand(void *manager, const void *key, void *expanded) {
    IMB_AES128_GCM_PRE((IMB_MGR *)manager, key, (struct gcm_key_data *)expanded);
}
static inline void talkburst_imb_gcm256_expand(void *manager, const void *key, void *expanded) {
    IMB_AES256_GCM_PRE((IMB_MGR *)manager, key, (struct gcm_key_data *)expanded);
}
static inline void talkburst_imb_gcm128_seal(
    void *manager, const void *expanded, void *context, void *out, const void *in, size_t count, const void *iv, const void *aad,
    size_t aad_count, void *tag) {
    IMB_AES128_GCM_ENC(
        (IMB_MGR *)manager, (const struct gcm_key_data *)expanded, (struct gcm_context_data *)context, (uint8_t *)out, (const uint8_t *)in,
        count, (const uint8_t *)iv, (const uint8_t *)aad, aad_count, (uint8_t *)tag, 16);
}
static inline void talkburst_imb_gcm256_seal(
    void *manager, const void *expanded, void *context, void *out, const void *in, size_t count, const void *iv, const void *aad,
    size_t aad_count, void *tag) {
    IMB_AES256_GCM_ENC(
        (IMB_MGR *)manager, (const struct gcm_key_data *)expanded, (struct gcm_context_data *)context, (uint8_t *)out, (const uint8_t *)in,
        count, (const uint8_t *)iv, (const uint8_t *)aad, aad_count, (uint8_t *)tag, 16);
}

// Encryption round keys for AES-128: 176 bytes, the first 16 of which are the key itself.
static inline void talkburst_imb_ctr128_expand(void *manager, const void *key, void *expanded) {
    uint32_t decryption[44];
    IMB_AES_KEYEXP_128((IMB_MGR *)manager, key, expanded, decryption);
    imb_clear_mem(decryption, sizeof(decryption));
}

// Jobs of AES-CTR into dst, then HMAC-SHA1 over what stands from `hashed` on. What never changes is written once.
static inline size_t talkburst_imb_job_size(void) { return sizeof(IMB_JOB); }
static inline void talkburst_imb_job_prepare(void *jobs, size_t index, void *iv, void *tag) {
    IMB_JOB *job = (IMB_JOB *)jobs + index;
    memset(job, 0, sizeof(*job));
    job->key_len_in_bytes = 16;
    job->iv = (const uint8_t *)iv;
    job->iv_len_in_bytes = 16;
    job->auth_tag_output = (uint8_t *)tag;
    // The library knows 12 and 20 bytes; SRTP takes 10 of them.
    job->auth_tag_output_len_in_bytes = 12;
    job->cipher_mode = IMB_CIPHER_CNTR;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->hash_alg = IMB_AUTH_HMAC_SHA_1;
    job->chain_order = IMB_ORDER_CIPHER_HASH;
}
static inline void talkburst_imb_job_set(
    void *jobs, size_t index, const void *expanded, const void *inner, const void *outer, const void *src, void *dst, size_t count,
    const void *hashed, size_t hashed_count) {
    IMB_JOB *job = (IMB_JOB *)jobs + index;
    job->enc_keys = expanded;
    job->dec_keys = expanded;
    job->src = (const uint8_t *)src;
    job->dst = (uint8_t *)dst;
    job->msg_len_to_cipher_in_bytes = count;
    // The library hashes from src + offset; what is hashed stands elsewhere, and the sum wraps to there.
    job->hash_start_src_offset_in_bytes = (uint64_t)((uintptr_t)hashed - (uintptr_t)src);
    job->msg_len_to_hash_in_bytes = hashed_count;
    job->u.HMAC._hashed_auth_key_xor_ipad = (const uint8_t *)inner;
    job->u.HMAC._hashed_auth_key_xor_opad = (const uint8_t *)outer;
}
static inline void talkburst_imb_jobs_run(void *manager, void *jobs, uint32_t count) {
    IMB_MGR *imb = (IMB_MGR *)manager;
    IMB_SUBMIT_CIPHER_BURST_NOCHECK(imb, (IMB_JOB *)jobs, count, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
    IMB_SUBMIT_HASH_BURST_NOCHECK(imb, (IMB_JOB *)jobs, count, IMB_AUTH_HMAC_SHA_1);
}
