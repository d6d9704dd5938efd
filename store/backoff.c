#include "store/backoff.h"

uint64_t backoff_next(struct backoff *b, uint64_t now_ms, uint32_t random)
{
	if (b->failures && now_ms - b->last_failure >= BACKOFF_RESET_MS)
		b->failures = 0;
	uint64_t ceiling = BACKOFF_MAX_MS;
	/* Six doublings pass 30 s. */
	if (b->failures < 6 && (uint64_t)BACKOFF_MIN_MS << b->failures < BACKOFF_MAX_MS)
		ceiling = (uint64_t)BACKOFF_MIN_MS << b->failures;
	if (b->failures < 6)
		b->failures++;
	b->last_failure = now_ms;
	return (ceiling + 1) * random >> 32;
}
