/* Encoded messages on their way to peers: immutable counted buffers in a chain, and readers that
 * follow it.
 *
 * A buffer lives as long as a reader is at it or before it. Part of a buffer may be meant
 * for all readers but one, or for one alone (split horizon); readers pass over what is not for
 * them.
 */
#ifndef SELVAGE_BGPD_RIB_OUTLOG_H
#define SELVAGE_BGPD_RIB_OUTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum run_kind { RUN_ALL, RUN_EXCEPT, RUN_ONLY };

struct outrun { /* from the end of the run before */
	uint32_t end;
	uint16_t who;
	uint8_t kind;
};

struct outbuf {
	uint32_t refs, len;
	struct outbuf *next; /* holds a reference to it */
	uint32_t nruns;
	struct outrun *runs;
	uint8_t data[]; /* whole BGP messages */
};

struct outlog {
	struct outbuf *tail; /* holds a reference */
	uint64_t end;	     /* bytes ever appended */
};

struct reader {
	struct outbuf *buf; /* NULL: at the end */
	uint32_t off, run;
	uint32_t msg_left; /* bytes of a message that was begun */
	uint64_t pos;	   /* in the log's count of bytes */
};

/* Copies. Returns the new buffer, for outlog_hook(). */
struct outbuf *outlog_append(struct outlog *log, const uint8_t *data, uint32_t len,
			     const struct outrun *runs, uint32_t nruns);
void outlog_clear(struct outlog *log);
/* Frees the last buffer when no reader needs it any more. */
void outlog_trim(struct outlog *log);

/* A reader at the end: puts it on a buffer that was appended since. */
void reader_hook(struct reader *r, struct outbuf *buf);
/* To the log's end, without reading. Not inside a message. */
void reader_to_end(struct reader *r, const struct outlog *log);
/* Passes over what is not for `me`, up to position stop. true: there is something for it. */
bool reader_skip(struct reader *r, uint16_t me, uint64_t stop);
/* What is next for `me`, up to position stop; reader_skip() was called before. */
unsigned reader_peek(const struct reader *r, uint16_t me, uint64_t stop, struct iovec *iov,
		     unsigned max);
/* Moves on by `bytes` of what reader_peek() gave; returns how many messages were ended. */
unsigned reader_consume(struct reader *r, uint16_t me, uint64_t stop, size_t bytes);
void reader_drop(struct reader *r);

#endif
