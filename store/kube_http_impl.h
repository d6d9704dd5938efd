/* What the parts of the HTTP client share: kube_http.c (requests from their start to their end),
 * kube_http_curl.c (libcurl and the loop), kube_http_servers.c (which server), kube_http_error.c
 * (what went wrong, in words).
 */
#ifndef SELVAGE_STORE_KUBE_HTTP_IMPL_H
#define SELVAGE_STORE_KUBE_HTTP_IMPL_H

#include <curl/curl.h>
#include <ev.h>
#include <sys/queue.h>

#include "lib/kubeconfig.h"
#include "store/kube_http.h"
#include "store/kube_http_error.h"

enum { KUBE_ERROR_BODY = 16 * 1024, KUBE_ERROR_TEXT = 512 };

/* ---- servers ---- */

struct kube_server {
	unsigned refs;
	char *url;	    /* as configured */
	char *host, *port;  /* host in brackets when it is an IPv6 address */
	const char *folder; /* of url, from the slash after the host: "" or "/k8s/clusters/c1" */
	bool up;
	bool fresh;	    /* its kept connections are not to be trusted */
	unsigned failures;  /* in a row */
	uint64_t failed_at; /* monotonic ms */
	uint64_t probe_at;  /* monotonic ms; 0: no probe is due */
	bool probing;
	unsigned connecting;	   /* attempts that have no connection yet */
	uint64_t connecting_since; /* monotonic ms; since the last sign of life */
	uint64_t last_contact;	   /* ms since the epoch */
	char error[KUBE_ERROR_TEXT];
};

struct kube_servers {
	struct kube_server *list[KUBE_MAX_SERVERS];
	unsigned n, first;
	uint32_t probe_ms;
};

/* Takes the new list over; servers that stay keep what is known of them. True when the list
 * changed. */
bool servers_set(struct kube_servers *s, unsigned n, const char *const *urls);
void servers_clear(struct kube_servers *s);
void server_unref(struct kube_server *s);
struct kube_server *server_ref(struct kube_server *s);
/* The place in the list, or -1. */
int servers_index(const struct kube_servers *s, const struct kube_server *one);
/* The best one that is not in the set of places `tried`, or -1. */
int servers_pick(const struct kube_servers *s, uint32_t tried, uint64_t now_ms);
void server_ok(struct kube_server *s, uint64_t epoch_ms);
/* It is not asked before the others until a probe gets an answer. */
void server_failed(struct kube_servers *all, struct kube_server *s, const char *text,
		   uint64_t now_ms, uint32_t random);
void server_connect_begin(struct kube_server *s, uint64_t now_ms);
void server_connect_end(struct kube_server *s, bool connected, uint64_t now_ms);
/* The next server to be probed; *wait_ms is set to 0 and it is given when one is due, else NULL and
 * how long to wait (UINT64_MAX: nothing to probe). */
struct kube_server *servers_probe(const struct kube_servers *s, uint64_t now_ms, uint64_t *wait_ms);

/* ---- requests ---- */

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_AWAITS_ACCESS, CALL_FINISHED, CALL_DEAD };

struct kube_credentials {
	unsigned refs;
	struct kube_access *access;
};

TAILQ_HEAD(kube_calls, kube_http_handle);

struct kube_http_handle {
	TAILQ_ENTRY(kube_http_handle) entry; /* in the list of its state */
	struct kube_http *h;
	enum call_state state;
	char *method, *path, *accept, *content_type;
	void *body;
	size_t body_len;
	enum kube_http_class class;
	void (*on_open)(void *arg);
	enum kube_http_flow (*on_data)(void *arg, const void *data, size_t len);
	void (*on_done)(void *arg, const struct kube_http_result *result);
	void *arg;
	struct kube_server *pinned; /* a probe of this server */
	uint32_t timeout_ms;	    /* 0 none */
	uint64_t deadline;	    /* monotonic ms; 0 none */
	ev_timer timer;		    /* waiting: its end. A watch: the head of the answer is late */
	uint32_t tried;		    /* set of places in the servers' list */
	bool repeated_for_access;
	bool sent;

	/* the attempt */
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct kube_server *server;
	struct kube_credentials *credentials;
	unsigned generation; /* of the credentials */
	size_t body_given;
	bool connected, opened, counted, head_late;
	bool user_paused, curl_paused;
	bool in_resumes;
	TAILQ_ENTRY(kube_http_handle) resume;
	char detail[CURL_ERROR_SIZE];

	/* the result */
	unsigned status;
	bool complete;
	uint64_t retry_after_ms;
	char error[KUBE_ERROR_TEXT];
	char *error_body;
	size_t error_body_len;
};

struct kube_http {
	struct ev_loop *loop;
	struct kube_http_options opts;
	struct kube_http_ops ops;
	void *arg;
	CURLM *multi;
	ev_timer curl_timer; /* libcurl's */
	ev_timer kick;	     /* work for the next turn */
	ev_timer probe;
	unsigned in_curl; /* depth: libcurl's functions cannot be called now */
	struct kube_calls queued, running, awaiting, dead, resumes;
	unsigned nplain, nqueued, nrunning;
	struct kube_credentials *credentials;
	unsigned generation;	     /* of credentials; 0 none yet */
	unsigned told_generation;    /* on_unauthorized() was called for it */
	uint64_t told_at;	     /* and when, ms */
	unsigned refused_generation; /* the last one a 401 was seen for */
	uint64_t access_until;	     /* monotonic ms: 401s wait until then */
	struct kube_servers servers;
	struct kube_http_server_status status[KUBE_MAX_SERVERS];
	uint64_t last_contact, requests, bytes_in;
	unsigned slice_turn; /* the loop's turn that slice_used belongs to */
	uint32_t slice_used;
	uint32_t random;
};

uint64_t kube_http_now(void); /* monotonic ms */
uint64_t kube_http_epoch(const struct kube_http *h);
void kube_http_kick(struct kube_http *h);
/* libcurl is done with the attempt. */
void call_attempt_done(struct kube_http_handle *r, CURLcode code);
/* Sends r to r->server; -1 and r->error when it cannot. */
int call_attempt_start(struct kube_http_handle *r);
/* Takes the attempt out of libcurl. */
void call_attempt_end(struct kube_http_handle *r);
/* A piece of the answer is in: the watch's late timer stops. */
void call_opened(struct kube_http_handle *r);
void call_free(struct kube_http_handle *r);

int curl_part_init(struct kube_http *h, struct err *err);
void curl_part_clear(struct kube_http *h);
void curl_part_resume(struct kube_http *h);
/* After libcurl had the processor: ends, cancels and starts what has come up. */
void kube_http_settle(struct kube_http *h);

#endif
