/* One request to the API, its answer taken apart piece by piece: items of a list, lines of a watch,
 * or the whole. What libcurl delivers is put aside and worked through in slices, so that a big
 * answer never holds the loop up; meanwhile the transfer is paused. Inside store/.
 */
#ifndef SELVAGE_STORE_KUBE_STREAM_H
#define SELVAGE_STORE_KUBE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/json_split.h"

struct kube_streams; /* those of one store */
struct kube_stream;
struct kube_http;
struct ev_loop;

enum kube_stream_mode { KUBE_STREAM_LIST, KUBE_STREAM_LINES, KUBE_STREAM_WHOLE };

struct kube_stream_end {
	int status;	    /* HTTP's; 0: no answer came */
	bool sent;	    /* with status 0: a server may have seen it */
	bool whole;	    /* a 2xx answer that came to its end, nothing half */
	bool garbage;	    /* a 2xx answer that is no JSON; why says it */
	double retry_after; /* s; 0 unsaid */
	const char *why;    /* for people; "" where whole */
	const char *body;   /* WHOLE, and any answer that is no 2xx: terminated, "" none */
	size_t len;
};

struct kube_stream_call {
	const char *method, *path, *accept, *content_type; /* as kube_http.h has them */
	const char *body;				   /* NULL none */
	enum kube_stream_mode mode;
	uint32_t timeout_ms;
	bool watch; /* a connection of its own */
	/* Each may close the stream. open, member: may be NULL. */
	void (*open)(void *arg);
	void (*item)(void *arg, const char *text, size_t len);
	void (*member)(void *arg, const char *key, const char *text, size_t len);
	/* Exactly once unless the stream is closed before; the stream is gone afterwards. */
	void (*end)(void *arg, const struct kube_stream_end *end);
	void *arg;
};

/* after: called at the end of each slice of work. */
struct kube_streams *kube_streams_new(struct ev_loop *loop, struct kube_http *http,
				      void (*after)(void *arg, bool idle), void *arg);
void kube_streams_free(struct kube_streams *all);
/* How long the longest slice took, ms. */
double kube_streams_longest(const struct kube_streams *all);

/* The call's texts are copied as far as they are needed later. */
struct kube_stream *kube_stream_open(struct kube_streams *all, const struct kube_stream_call *call);
/* No further callback. */
void kube_stream_close(struct kube_stream *s);

#endif
