/* When a daemon is started, restarted and given up waiting for: the rules, with time as an
 * argument.
 *
 * Times are milliseconds of one monotonic clock. A daemon that ends is started again after 100 ms,
 * doubling to 10 s; one that lived for 60 s starts again at 100 ms. The shell that forks and waits
 * is noded/children.c.
 */
#ifndef SELVAGE_NODED_SUPERVISE_H
#define SELVAGE_NODED_SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUP_BACKOFF_MIN = 100, SUP_BACKOFF_MAX = 10000, SUP_SETTLED = 60000, SUP_REFUSE = 1000 };
#define SUP_NEVER UINT64_MAX

enum sup_state { SUP_DOWN, SUP_STARTING, SUP_RUNNING, SUP_WAITING };

struct sup {
	enum sup_state state;
	uint64_t started;  /* when the last process was started */
	uint64_t ended;	   /* when it ended */
	uint64_t start_at; /* SUP_WAITING: when the next one is due */
	uint32_t backoff;  /* the next wait */
	uint32_t starts;
	int wstatus;	/* how the last one ended, as waitpid() gives it */
	bool was_ready; /* some process of this daemon has said M_READY: start-up is over */
	bool ready;
	bool refusing; /* its listeners answer RST for it is away too long */
	char reason[256];
};

void sup_init(struct sup *s);
void sup_started(struct sup *s, uint64_t now);
/* The process has said how it is; the first time ends SUP_STARTING. reason is copied. */
void sup_said(struct sup *s, bool ready, const char *reason);
void sup_ended(struct sup *s, uint64_t now, int wstatus);

/* A process is to be started now. */
bool sup_start_due(const struct sup *s, uint64_t now);
/* Away for more than a second: its listeners should refuse, so that peers see it at once. True
 * once an absence. */
bool sup_refuse_due(struct sup *s, uint64_t now);
/* The next time at which one of the two above can become true; SUP_NEVER. */
uint64_t sup_next(const struct sup *s);

/* How many times it was started again. */
uint32_t sup_restarts(const struct sup *s);
/* "running", "starting", "waiting 2 s after signal 11"; writes to buf and returns it. */
const char *sup_describe(const struct sup *s, uint64_t now, char *buf, size_t size);
/* "exit status 1", "signal 11". */
const char *sup_why(int wstatus, char *buf, size_t size);

#endif
