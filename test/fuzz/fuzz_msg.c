/* Any bytes go through msg_decode(); what it takes must encode to the very same bytes, for the wire
 * has one form for each message.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[MSG_MAX];
	struct arena arena = { 0 };
	struct wr w = wr_over(again, sizeof(again));
	struct err err;
	struct msg m;

	if (!msg_decode(data, len, &arena, &m, &err)) {
		msg_encode(&w, m.type, m.body);
		if (w.full || w.len != len || memcmp(again, data, len)) {
			fprintf(stderr, "%s decodes but encodes to other bytes\n",
				msg_name(m.type));
			abort();
		}
	}
	arena_free(&arena);
	return 0;
}
