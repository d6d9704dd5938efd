#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/nl_impl.h"

enum { BATCH_MSGS = 100, BATCH_BYTES = 64 * 1024 };

struct nl_batch {
	struct nl *nl;
	void (*on_error)(void *arg, uint64_t cookie, int errnum, const char *text);
	void *arg;
	size_t used;
	unsigned n;
	uint32_t first_seq;
	struct nlmsghdr *open, *last;
	bool broken; /* a full batch could not be sent: the next flush says so */
	struct err why;
	uint64_t cookies[BATCH_MSGS];
	/* Room behind the limit for the one message that is being filled. */
	uint8_t buf[BATCH_BYTES + NL_REQUEST_MAX] __attribute__((aligned(8)));
};

struct nl_batch *
nl_batch_new(struct nl *nl,
	     void (*on_error)(void *arg, uint64_t cookie, int errnum, const char *text), void *arg)
{
	struct nl_batch *b = xmalloc(sizeof(*b));

	memset(b, 0, offsetof(struct nl_batch, cookies));
	b->nl = nl;
	b->on_error = on_error;
	b->arg = arg;
	return b;
}

void nl_batch_free(struct nl_batch *b)
{
	free(b);
}

/* One acknowledgement comes for the last message, an error for each that failed. */
static int batch_answers(struct nl_batch *b, struct err *err)
{
	uint32_t last = b->first_seq + b->n - 1;

	for (;;) {
		ssize_t n = nl_read(b->nl, err);
		if (n < 0)
			return -1;
		int left = (int)n;
		const struct nlmsghdr *in = (const struct nlmsghdr *)b->nl->in;
		for (; mnl_nlmsg_ok(in, left); in = mnl_nlmsg_next(in, &left)) {
			const char *text;

			if (in->nlmsg_type != NLMSG_ERROR || in->nlmsg_pid != b->nl->portid ||
			    in->nlmsg_seq - b->first_seq >= b->n)
				continue;
			int e = nl_error_of(in, &text);
			if (e)
				b->on_error(b->arg, b->cookies[in->nlmsg_seq - b->first_seq], e,
					    text ? text : strerror(e));
			if (in->nlmsg_seq == last)
				return 0;
		}
	}
}

static int batch_send(struct nl_batch *b, struct err *err)
{
	int rc = 0;

	if (b->n) {
		b->last->nlmsg_flags |= NLM_F_ACK;
		rc = nl_send_raw(b->nl, b->buf, b->used, err);
		if (rc == 0)
			rc = batch_answers(b, err);
	}
	b->n = 0;
	b->used = 0;
	b->last = NULL;
	return rc;
}

struct nlmsghdr *nl_batch_request(struct nl_batch *b, uint16_t type, uint16_t flags, size_t extra,
				  void **extra_out)
{
	if (b->n == BATCH_MSGS || b->used >= BATCH_BYTES) {
		struct err err;

		if (batch_send(b, &err) < 0 && !b->broken) {
			b->broken = true;
			b->why = err;
		}
	}
	b->open = mnl_nlmsg_put_header(b->buf + b->used);
	b->open->nlmsg_type = type;
	b->open->nlmsg_flags = flags | NLM_F_REQUEST;
	void *head = mnl_nlmsg_put_extra_header(b->open, extra);
	if (extra_out)
		*extra_out = head;
	return b->open;
}

void nl_batch_commit(struct nl_batch *b, uint64_t cookie)
{
	struct nlmsghdr *nlh = b->open;

	nlh->nlmsg_seq = b->nl->seq++;
	nlh->nlmsg_pid = b->nl->portid;
	if (b->n == 0)
		b->first_seq = nlh->nlmsg_seq;
	b->cookies[b->n++] = cookie;
	b->used += MNL_ALIGN(nlh->nlmsg_len);
	b->last = nlh;
	b->open = NULL;
}

int nl_batch_flush(struct nl_batch *b, struct err *err)
{
	int rc = batch_send(b, err);

	if (b->broken) {
		b->broken = false;
		*err = b->why;
		rc = -1;
	}
	return rc;
}
