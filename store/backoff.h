/* Pauses between attempts against the API: 0.8 s doubling to 30 s, with full jitter, so that many
 * nodes that failed together do not come back together. Pure: time and randomness are arguments.
 */
#ifndef SELVAGE_STORE_BACKOFF_H
#define SELVAGE_STORE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MIN_MS	 800
#define BACKOFF_MAX_MS	 30000
#define BACKOFF_RESET_MS 120000

/* Zeroed: nothing has failed. */
struct backoff {
	unsigned failures;     /* in a row */
	uint64_t last_failure; /* ms */
};

/* A failure at now_ms (a clock that never goes back): how many ms to wait before the next attempt,
 * from 0 to the ceiling, which doubles with each failure. Without a failure for 2 minutes it begins
 * anew. random: any 32 random bits. */
uint64_t backoff_next(struct backoff *b, uint64_t now_ms, uint32_t random);

#endif
