/* The BGP daemon: what its modules share, and how they are wired to the loop. It takes a loop,
 * listeners and channels, so that a test can run two of them in one process.
 */
#ifndef SELVAGE_BGPD_BGPD_H
#define SELVAGE_BGPD_BGPD_H

#include "bgpd/ifaces.h"
#include "bgpd/rib/rib.h"

struct ev_loop;
struct linger_list;
struct listeners;
struct felix_link;
struct config;
struct ctl;
struct peer;
struct conn;
struct bgpd;

struct bgpd_opts {
	struct ev_loop *loop;
	const int *listeners; /* bound, listening; borrowed */
	unsigned nlisteners;
	bool restarted; /* an earlier bgpd ran here: RFC 4724's R bit */
	/* Called when it changes, the first time from bgpd_new(). */
	void (*ready)(void *arg, bool ready, const char *reason);
	void *arg;
};

struct bgpd *bgpd_new(const struct bgpd_opts *opts);
/* A channel to felix; takes fd. An older one is closed. */
void bgpd_channel(struct bgpd *b, int fd);
/* A client of nodectl; takes fd. */
void bgpd_ctl_client(struct bgpd *b, int fd, bool readonly);
/* A planned stop: a peer with graceful restart just loses its TCP connection and keeps our routes,
 * the others are told Cease/Administrative Shutdown. */
void bgpd_stop(struct bgpd *b);
void bgpd_free(struct bgpd *b); /* after bgpd_stop() */

/* ---- for bgpd's own modules ---- */

enum { RX_SLICE = 65536 }; /* read from one socket a wakeup */

struct bgpd_rx { /* one for all connections: used only while one is read */
	uint8_t buf[RX_SLICE + BGP_MAX_EXTENDED];
	uint8_t scratch[2 * BGP_MAX_EXTENDED];
};

struct bgpd {
	struct ev_loop *loop;
	struct rib *rib; /* NULL until the first configuration */
	struct rib_global global;
	struct ifaces ifaces;
	bool ifaces_known; /* felix has told all of them once */
	struct peer *peers;
	struct conn *retired; /* to be freed when no callback of theirs runs */
	struct conn *output;  /* have something to send */
	struct listeners *listeners;
	struct linger_list *lingering;
	struct felix_link *felix;
	struct config *config;
	struct ctl *ctl;
	struct bgpd_rx *rx;
	uint64_t random;
	uint64_t configured_at; /* ms; 0: not yet */
	bool restarted, stopping;
	bool converged;	  /* every peer has told its routes, or had its time */
	uint64_t started; /* ms */
	struct bgpd_wiring *wiring;
};

uint64_t bgpd_now(void);  /* ms, monotonic, never 0 */
uint64_t bgpd_wall(void); /* seconds since the epoch */
uint32_t bgpd_random(struct bgpd *b);
/* The RIB is made or told of a changed global part. */
void bgpd_set_global(struct bgpd *b, const struct rib_global *global);
/* Is this daemon still in its restart (RFC 4724's R bit goes into OPENs)? */
bool bgpd_restarting(const struct bgpd *b);
/* Something changed that readiness may hang on. */
void bgpd_update_ready(struct bgpd *b);
/* Wakes the loop's work step although no socket does. */
void bgpd_wake(struct bgpd *b);

/* At most `burst` in each period; says how many were swallowed before this one. */
struct rate {
	uint64_t start;
	unsigned n, swallowed;
};
bool rate_allow(struct rate *r, unsigned burst, uint32_t period_ms, unsigned *swallowed);

#endif
