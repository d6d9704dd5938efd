#include "config.h"

#include "bgpd/bgpd.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "bgpd/conf.h"
#include "bgpd/ctl.h"
#include "bgpd/felix_link.h"
#include "bgpd/linger.h"
#include "bgpd/listener.h"
#include "bgpd/peer.h"
#include "bgpd/session.h"
#include "bgpd/transmit.h"

/* Work between two looks at the sockets: some milliseconds at most. */
enum { RIB_SLICE = 4096, CTL_SLICE = 256, RESTART_MS = 120000 };

struct bgpd_wiring {
	ev_prepare prepare;
	ev_idle idle;	/* keeps the loop from sleeping while there is work */
	ev_timer pause; /* felix reads slowly: look again soon */
	bool told, ready;
	char reason[160];
	void (*on_ready)(void *arg, bool ready, const char *reason);
	void *arg;
};

uint64_t bgpd_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + 1;
}

uint64_t bgpd_wall(void)
{
	return (uint64_t)time(NULL);
}

/* xorshift64: only jitter hangs on it. */
uint32_t bgpd_random(struct bgpd *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return (uint32_t)(b->random >> 16);
}

bool rate_allow(struct rate *r, unsigned burst, uint32_t period_ms, unsigned *swallowed)
{
	uint64_t now = bgpd_now();
	*swallowed = 0;
	if (now - r->start >= period_ms) {
		*swallowed = r->swallowed;
		*r = (struct rate){ .start = now };
	}
	if (r->n >= burst) {
		r->swallowed++;
		return false;
	}
	r->n++;
	return true;
}

/* ---- the loop's turn ---- */

static void nothing_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop, (void)w, (void)revents;
}

static void nothing_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
}

/* Sockets have been served: one pass over what they changed, then what it made goes out. */
static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct bgpd *b = w->data;
	struct bgpd_wiring *wi = b->wiring;
	bool more = false, blocked = false;
	(void)revents;
	if (b->rib) {
		felix_link_answer(b->felix);
		more = rib_run(b->rib, RIB_SLICE);
		blocked = felix_link_turn(b->felix, !more);
		tx_flush_all(b);
	}
	if (blocked && more)
		ev_timer_again(loop, &wi->pause);
	else
		ev_timer_stop(loop, &wi->pause);
	if (ctl_run(b->ctl, CTL_SLICE) || (more && !blocked))
		ev_idle_start(loop, &wi->idle);
	else
		ev_idle_stop(loop, &wi->idle);
	conn_free_retired(b);
}

void bgpd_wake(struct bgpd *b)
{
	ev_idle_start(b->loop, &b->wiring->idle);
}

/* ---- the RIB's shell ---- */

static void on_output(void *arg, struct rib_peer *rp)
{
	struct peer *p = rib_peer_owner(rp);
	(void)arg;
	if (p->session)
		tx_mark(p->session);
}

static const struct rib_ops rib_ops = {
	.nexthop_track = felix_link_track,
	.group_set = felix_link_group_set,
	.group_del = felix_link_group_del,
	.routes = felix_link_routes,
	.output = on_output,
	.may_install = felix_link_may_install,
};

void bgpd_set_global(struct bgpd *b, const struct rib_global *global)
{
	b->global = *global;
	if (b->rib)
		rib_set_global(b->rib, global);
	else
		b->rib = rib_new(global, &rib_ops, b);
}

bool bgpd_restarting(const struct bgpd *b)
{
	return b->restarted && !b->converged && bgpd_now() - b->started < RESTART_MS;
}

/* ---- readiness ---- */

static void readiness(const struct bgpd *b, char *reason, size_t size)
{
	unsigned peers = 0, up = 0;
	for (const struct peer *p = b->peers; p; p = p->next) {
		peers++;
		up += p->session != NULL;
	}
	reason[0] = '\0';
	if (!b->configured_at)
		snprintf(reason, size, "bgpd waits for felix's configuration");
	else if (!b->ifaces_known)
		snprintf(reason, size, "bgpd waits for felix's list of interfaces");
	else if (peers && !up)
		snprintf(reason, size, "no BGP peer is established (%u configured)", peers);
}

void bgpd_update_ready(struct bgpd *b)
{
	struct bgpd_wiring *wi = b->wiring;
	char reason[sizeof(wi->reason)];
	if (b->stopping)
		return;
	readiness(b, reason, sizeof(reason));
	if (wi->told && !strcmp(reason, wi->reason))
		return;
	memcpy(wi->reason, reason, sizeof(reason));
	wi->told = true;
	if (wi->on_ready)
		wi->on_ready(wi->arg, !reason[0], wi->reason);
}

/* ---- life ---- */

static struct bgpd_wiring *wire_up(struct bgpd *b, const struct bgpd_opts *opts)
{
	struct bgpd_wiring *wi = xcalloc(1, sizeof(*wi));
	wi->on_ready = opts->ready;
	wi->arg = opts->arg;
	ev_prepare_init(&wi->prepare, on_prepare);
	ev_idle_init(&wi->idle, nothing_idle);
	ev_init(&wi->pause, nothing_timer);
	wi->pause.repeat = 0.005;
	wi->prepare.data = b;
	ev_prepare_start(b->loop, &wi->prepare);
	return wi;
}

struct bgpd *bgpd_new(const struct bgpd_opts *opts)
{
	struct bgpd *b = xcalloc(1, sizeof(*b));
	b->loop = opts->loop;
	b->restarted = opts->restarted;
	b->started = bgpd_now();
	if (getrandom(&b->random, sizeof(b->random), GRND_NONBLOCK) < 0 || !b->random)
		b->random = b->started | 1;
	b->rx = xmalloc(sizeof(*b->rx));
	b->wiring = wire_up(b, opts);
	b->lingering = linger_new(b->loop);
	b->listeners = listeners_new(b, opts->listeners, opts->nlisteners);
	b->config = config_new(b);
	b->felix = felix_link_new(b);
	b->ctl = ctl_new(b);
	bgpd_update_ready(b);
	return b;
}

void bgpd_channel(struct bgpd *b, int fd)
{
	felix_link_channel(b->felix, fd);
}

void bgpd_ctl_client(struct bgpd *b, int fd, bool readonly)
{
	(void)readonly; /* every query of bgpd only reads */
	ctl_add(b->ctl, fd);
}

void bgpd_stop(struct bgpd *b)
{
	b->stopping = true;
	felix_link_hang_up(b->felix);
	for (struct peer *p = b->peers; p; p = p->next) {
		bool quiet = p->session && p->session->gr;
		peer_stop(p, quiet ? 0 : BERR_CEASE, CEASE_SHUTDOWN, "bgpd stops");
	}
}

void bgpd_free(struct bgpd *b)
{
	while (b->peers)
		peer_free(b->peers);
	conn_free_retired(b);
	felix_link_free(b->felix);
	ctl_free(b->ctl);
	config_free(b->config);
	listeners_free(b->listeners);
	linger_free(b->lingering);
	ifaces_free(&b->ifaces);
	if (b->rib)
		rib_free(b->rib);
	ev_prepare_stop(b->loop, &b->wiring->prepare);
	ev_idle_stop(b->loop, &b->wiring->idle);
	ev_timer_stop(b->loop, &b->wiring->pause);
	free(b->wiring);
	free(b->rx);
	free(b);
}
