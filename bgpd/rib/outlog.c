#include "bgpd/rib/outlog.h"

#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

static void outbuf_unref(struct outbuf *b)
{
	while (b && --b->refs == 0) {
		struct outbuf *next = b->next;
		free(b);
		b = next;
	}
}

struct outbuf *outlog_append(struct outlog *log, const uint8_t *data, uint32_t len,
			     const struct outrun *runs, uint32_t nruns)
{
	size_t head = (sizeof(struct outbuf) + len + 7) & ~(size_t)7;
	struct outbuf *b = xmalloc(head + nruns * sizeof(*runs));
	*b = (struct outbuf){ .refs = 1, .len = len, .nruns = nruns };
	memcpy(b->data, data, len);
	b->runs = (struct outrun *)(void *)((uint8_t *)b + head);
	memcpy(b->runs, runs, nruns * sizeof(*runs));
	struct outbuf *old = log->tail;
	if (old && old->refs > 1) {
		old->next = b;
		b->refs++;
	}
	outbuf_unref(old);
	log->tail = b;
	log->end += len;
	return b;
}

void outlog_clear(struct outlog *log)
{
	outbuf_unref(log->tail);
	log->tail = NULL;
}

void outlog_trim(struct outlog *log)
{
	if (log->tail && log->tail->refs == 1)
		outlog_clear(log);
}

void reader_hook(struct reader *r, struct outbuf *buf)
{
	r->buf = buf;
	r->off = r->run = 0;
	buf->refs++;
}

void reader_drop(struct reader *r)
{
	outbuf_unref(r->buf);
	r->buf = NULL;
	r->off = r->run = r->msg_left = 0;
}

void reader_to_end(struct reader *r, const struct outlog *log)
{
	reader_drop(r);
	r->pos = log->end;
}

static bool for_me(const struct outrun *run, uint16_t me)
{
	return run->kind == RUN_ALL || (run->kind == RUN_EXCEPT) == (run->who != me);
}

/* To the next buffer, or off the chain. */
static void next_buf(struct reader *r)
{
	struct outbuf *old = r->buf, *next = old->next;
	r->off = r->run = 0;
	r->buf = next;
	if (next)
		next->refs++;
	outbuf_unref(old);
}

static void forward(struct reader *r, uint32_t n)
{
	r->off += n;
	r->pos += n;
	if (r->off == r->buf->runs[r->run].end)
		r->run++;
	if (r->off == r->buf->len)
		next_buf(r);
}

bool reader_skip(struct reader *r, uint16_t me, uint64_t stop)
{
	while (r->buf) {
		if (r->pos >= stop) {
			reader_drop(r);
			break;
		}
		const struct outrun *run = &r->buf->runs[r->run];
		if (r->msg_left || for_me(run, me))
			return true;
		forward(r, run->end - r->off);
	}
	return false;
}

unsigned reader_peek(const struct reader *r, uint16_t me, uint64_t stop, struct iovec *iov,
		     unsigned max)
{
	unsigned n = 0;
	const struct outbuf *b = r->buf;
	uint32_t off = r->off, run = r->run;
	uint64_t pos = r->pos;
	for (; b && pos < stop && n < max; b = b->next, off = run = 0) {
		bool joined = false;
		for (; run < b->nruns && n < max; run++) {
			uint32_t end = b->runs[run].end;
			bool take = for_me(&b->runs[run], me);
			if (take && joined)
				iov[n - 1].iov_len += end - off;
			else if (take)
				iov[n++] = (struct iovec){ (void *)(uintptr_t)(b->data + off),
							   end - off };
			joined = take;
			pos += end - off;
			off = end;
		}
	}
	return n;
}

unsigned reader_consume(struct reader *r, uint16_t me, uint64_t stop, size_t bytes)
{
	unsigned messages = 0;
	while (bytes && reader_skip(r, me, stop)) {
		const uint8_t *at = r->buf->data + r->off;
		if (!r->msg_left)
			r->msg_left = (uint32_t)at[16] << 8 | at[17];
		uint32_t n = bytes < r->msg_left ? (uint32_t)bytes : r->msg_left;
		bytes -= n;
		r->msg_left -= n;
		messages += r->msg_left == 0;
		forward(r, n);
	}
	return messages;
}
