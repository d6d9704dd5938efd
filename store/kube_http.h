/* The HTTP client of the Kubernetes store: libcurl's multi_socket on the process's loop, nothing
 * that blocks. TLS 1.2 or newer, always verified; HTTP/1.1; no redirects; http:// is refused, for a
 * token must not go in the clear. Only this client's files know libcurl.
 *
 * Several API servers: a request goes to the first one in use that is believed alive; when no
 * connection to it comes about, the next is tried at once, and the dead one is probed in the
 * background with growing pauses until it answers again. A request that a server may have seen is
 * repeated elsewhere only when it reads (GET); a write that got no answer is reported as such:
 * status 0 and sent true mean that nobody knows whether it happened.
 */
#ifndef SELVAGE_STORE_KUBE_HTTP_H
#define SELVAGE_STORE_KUBE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "store/kube_path.h"

struct ev_loop;
struct kube_access; /* lib/kubeconfig.h */
struct kube_http;
struct kube_http_handle; /* a request under way */

/* 0 in a field: the default. */
struct kube_http_options {
	uint32_t connect_timeout_ms; /* 5000: name, TCP and TLS, for each server tried */
	uint32_t timeout_ms;	     /* 30000: a plain request whose call says none */
	uint32_t dead_peer_ms;	 /* 30000: a connection whose peer is gone is dropped after it */
	uint32_t credentials_ms; /* 5000: how long a 401 waits for new credentials */
	uint32_t probe_ms;	 /* 1000: first pause before a dead server is asked again */
	uint32_t slice_bytes;	 /* 131072: most data handed out in one turn of the loop */
	uint32_t max_plain;	 /* 16: plain requests on the wire at once; the others queue */
	/* Which server comes first, modulo their number: a hash of the node's name spreads many
	 * nodes over the servers. */
	uint32_t first_server;
};

struct kube_http_ops {
	/* A server answered 401; called once for each kube_http_access(), and every 10 s while it
	 * goes on, for a plugin may give the refused token once more. NULL: nobody can fetch new
	 * ones, 401 is reported at once. */
	void (*on_unauthorized)(void *arg);
	/* A server that was believed dead answers again. May be NULL. */
	void (*on_up)(void *arg);
};

enum kube_http_class {
	/* Total time-out, at most max_plain at once, connections kept for the next. */
	KUBE_HTTP_PLAIN,
	/* A connection of its own, not counted in max_plain, ended only by timeout_ms. */
	KUBE_HTTP_WATCH,
};

enum kube_http_flow { KUBE_HTTP_GO, KUBE_HTTP_PAUSE };

struct kube_http_result {
	unsigned status; /* HTTP's; 0: no answer */
	/* The answer came to its end. With a 2xx status and complete false, data was cut short. */
	bool complete;
	/* False: certainly no server has seen the request. True with status 0: outcome unknown. */
	bool sent;
	uint64_t retry_after_ms; /* of Retry-After; 0: none was said */
	/* For people, with the server named; "" when the status is 2xx and complete. Never holds a
	 * secret. One line. */
	const char *error;
	const char *body; /* of an answer that is not 2xx: its first 16 KiB, terminated; else "" */
	size_t body_len;
	const char *server; /* that gave the answer or the error: "https://10.0.0.1:6443" */
};

struct kube_http_call {
	const char *method;	  /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *path;	  /* "/api/v1/pods?limit=500", as kube_path_*() builds it */
	const char *accept;	  /* NULL: application/json */
	const char *content_type; /* NULL: application/json */
	const void *body;	  /* NULL: none */
	size_t body_len;
	enum kube_http_class class;
	/* From kube_http_request() to the end, over all servers tried. 0: options.timeout_ms for a
	 * plain request, no limit for a watch (give timeoutSeconds and some slack). */
	uint32_t timeout_ms;
	/* The head of a 2xx answer is there: the watch stands. May be NULL. */
	void (*on_open)(void *arg);
	/* A piece of a 2xx answer's body, at most 16 KiB, always taken whole. KUBE_HTTP_PAUSE: no
	 * more until kube_http_resume(); what libcurl holds meanwhile is bounded, the rest waits in
	 * the server's socket. May be NULL: the body is thrown away. */
	enum kube_http_flow (*on_data)(void *arg, const void *data, size_t len);
	/* Exactly once, never from inside kube_http_request(); the handle is gone when it returns.
	 * The result is borrowed until it returns. */
	void (*on_done)(void *arg, const struct kube_http_result *result);
	void *arg;
};

/* Callbacks may make and cancel requests (also their own), but not free the client. opts may be
 * NULL. Borrows loop until kube_http_free(). NULL when libcurl cannot do what is needed. */
struct kube_http *kube_http_new(struct ev_loop *loop, const struct kube_http_options *opts,
				const struct kube_http_ops *ops, void *arg, struct err *err);

/* Ends everything; requests under way get no callback. */
void kube_http_free(struct kube_http *h);

/* Sets or replaces servers and credentials (copied). Requests and watches under way go on with what
 * they started with; requests that wait after a 401 are sent again, once. -1 when there is no
 * server, or one that is no https URL; what was in force then stays. */
int kube_http_access(struct kube_http *h, const struct kube_access *access, struct err *err);

/* Starts a request; path, headers and body are copied. Never fails: what is wrong comes to on_done,
 * also that no access has been given yet. */
struct kube_http_handle *kube_http_request(struct kube_http *h, const struct kube_http_call *call);

/* Data flows again after KUBE_HTTP_PAUSE; not before the next turn of the loop. */
void kube_http_resume(struct kube_http_handle *r);

/* Ends a request without a callback; the handle is gone. A write may happen all the same. */
void kube_http_cancel(struct kube_http_handle *r);

struct kube_http_server_status {
	const char *url;
	bool up;	       /* believed alive (also before it was first asked) */
	bool current;	       /* new requests go here */
	uint64_t last_contact; /* its last answer, ms since the epoch; 0: never */
	const char *error;     /* the last one; "" after an answer */
};

struct kube_http_status {
	uint64_t last_contact; /* of any server, ms since the epoch; 0: never */
	uint64_t requests;     /* sent to a server, repeats and probes included */
	uint64_t bytes_in;     /* bodies, as they came over the wire */
	unsigned active, queued;
	bool unauthorized; /* the credentials in force were refused with 401 */
	unsigned nservers;
	const struct kube_http_server_status *servers; /* borrowed until the next call */
};
void kube_http_status(struct kube_http *h, struct kube_http_status *out);

#endif
