#ifndef TALKBURST_CCLOCK_H
#define TALKBURST_CCLOCK_H

#include <stdint.h>

// OpenSSL asks gettimeofday(2) for the time of its DTLS retransmissions, also in the middle of reading, and takes no other clock. This
// module's gettimeofday stands before libc's in every program that links it: to a thread that was told a time it gives that, to all others
// the wall clock, as libc does.

/// From now on this thread's gettimeofday(2) gives this time, ns from 0; until `cclock_forget`.
void cclock_tell(int64_t ns);
/// This thread is back on the wall clock.
void cclock_forget(void);

#endif
