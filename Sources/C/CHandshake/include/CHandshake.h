#pragma once
#include <openssl/types.h>

/// OpenSSL with the algorithms that a DTLS handshake of WebRTC needs, and no others.
///
/// For each peer's certificate OpenSSL 3 goes through all public key formats and key types that it has, to find out which this one may be:
/// with all that it comes with that is a quarter of a handshake's CPU. In a context of its own there is little to go through.
///
/// It is made at the first call and stays; from any thread. NULL: it can't be made, and OpenSSL's error queue says why.
OSSL_LIB_CTX *chandshake_context(void);
