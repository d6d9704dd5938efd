/* Keeping a copy of a list of the Kubernetes API: which request comes next, and what an answer
 * means for the copy. A state machine without input or output of its own: time and what happened go
 * in, the next request and what to do with the copy come out. Pure.
 *
 *   LIST (or a streaming list) -> replace the copy -> WATCH -> at a clean end WATCH again from the
 *   last version -> at 410 LIST again, at the second with resourceVersion="" (past every cache).
 */
#ifndef SELVAGE_STORE_REFLECTOR_H
#define SELVAGE_STORE_REFLECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "store/backoff.h"

enum {
	REFLECTOR_PAGE = 500,
	REFLECTOR_QUERY = 1024,
	REFLECTOR_VERSION = 40,
	REFLECTOR_CONTINUE = 4096,
};

enum reflector_want {
	REFLECTOR_WAIT,	   /* until `until` */
	REFLECTOR_REQUEST, /* GET `query` */
	REFLECTOR_BUSY,	   /* a request is under way */
};

enum reflector_mode {
	REFLECTOR_LIST,	 /* the answer is a list's page */
	REFLECTOR_WATCH, /* the answer is a stream of events */
};

struct reflector_next {
	enum reflector_want want;
	enum reflector_mode mode;
	double until;	/* WAIT; s */
	double timeout; /* REQUEST: s after which it has stalled and is given up */
	char query[REFLECTOR_QUERY + 3 * REFLECTOR_CONTINUE]; /* "?limit=500&..." */
};

/* What to do with the copy, in this order; several at once. */
enum reflector_act {
	REFLECTOR_BEGIN = 1,   /* a complete list begins: forget an unfinished one */
	REFLECTOR_PUT = 2,     /* the item is there (added or changed) */
	REFLECTOR_DELETE = 4,  /* the item is gone */
	REFLECTOR_COMMIT = 8,  /* the list is complete: what was not put since BEGIN is gone */
	REFLECTOR_STOP = 16,   /* end the running request now; no reflector_end() for it */
	REFLECTOR_ABSENT = 32, /* the server does not have this kind: the copy is empty */
};

enum reflector_type {
	REFLECTOR_ADDED,
	REFLECTOR_MODIFIED,
	REFLECTOR_DELETED,
	REFLECTOR_BOOKMARK,
	REFLECTOR_ERROR,
	REFLECTOR_OTHER,
};

struct reflector_event {
	enum reflector_type type;
	const char *version; /* object.metadata.resourceVersion; "" none */
	bool initial_end;    /* a bookmark with k8s.io/initial-events-end */
	int code;	     /* ERROR: of its Status (reasons Expired and Gone are 410); 0 none */
	double retry_after;  /* ERROR: s; 0 none */
	const char *text;    /* ERROR: for people */
};

enum reflector_absence {
	REFLECTOR_CORE,	    /* every server has this kind: 404 is a fault */
	REFLECTOR_CRD,	    /* 404: not installed; asked again every minute */
	REFLECTOR_OPTIONAL, /* 403 too */
};

struct reflector_conf {
	const char *label_selector, *field_selector; /* "" none; borrowed for ever */
	enum reflector_absence absence;
	bool *streaming; /* shared by all of a store: streaming lists are tried while true */
	uint64_t seed;	 /* jitter comes from it */
};

struct reflector {
	struct reflector_conf conf;
	/* to be read */
	bool synced;  /* a complete list has been committed (or the kind is absent) */
	bool absent;  /* not served */
	bool trouble; /* the last request failed; why says how */
	char why[256];
	/* its own */
	int phase;
	struct backoff backoff;
	char version[REFLECTOR_VERSION];
	char *next_page;  /* NULL: the first */
	unsigned expired; /* 410s since a watch last was good */
	unsigned missing; /* 404s in a row */
	double wait_until, opened;
	bool progress; /* the running watch has told something */
};

void reflector_init(struct reflector *r, const struct reflector_conf *conf);
void reflector_free(struct reflector *r);

void reflector_next(struct reflector *r, double now, struct reflector_next *out);
/* The head of a 200 is there. */
unsigned reflector_opened(struct reflector *r, double now);
/* One event of a watch. */
unsigned reflector_event(struct reflector *r, double now, const struct reflector_event *e);
/* A list's page is whole and its request has ended. next_page "" at the last one. */
unsigned reflector_page(struct reflector *r, double now, const char *version,
			const char *next_page);
/* The server answered with something else than 200; code 0: no answer came. retry_after 0: unsaid.
 * text is for people. */
unsigned reflector_failed(struct reflector *r, double now, int code, double retry_after,
			  const char *text);
/* A request that was opened has ended, a list's before its page was whole. why NULL: cleanly.
 * Otherwise the connection broke: a watch goes on from the last version it has. bad: what came
 * cannot be relied upon (no JSON), so a list is needed. */
unsigned reflector_end(struct reflector *r, double now, const char *why, bool bad);
/* Credentials or servers changed: do not wait any longer. */
void reflector_hurry(struct reflector *r);

#endif
