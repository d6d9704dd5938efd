/* A place for whole bgpd cores: a network namespace of its own, a loop, and for each core a
 * listener and a channel whose other end plays felix and remembers what it was told.
 */
#ifndef SELVAGE_TEST_BGPD_LAB_H
#define SELVAGE_TEST_BGPD_LAB_H

#include <ev.h>

#include "bgpd/bgpd.h"
#include "bgpd/peer.h"
#include "lib/ipc.h"

enum { LAB_PORT = 1790, LAB_ROUTES = 64 };

struct lab_route {
	struct prefix prefix;
	uint32_t group;
};

struct lab_node {
	struct ev_loop *loop;
	unsigned number; /* n: 10.9.0.n, fd00:9::n, AS 65000 + n */
	struct bgpd *b;
	struct ipc *felix;
	int listener;
	bool ready;
	char reason[160];
	/* what felix was told */
	struct lab_route routes[LAB_ROUTES];
	unsigned nroutes, total_routes, ends;
	struct m_nexthop gateway[256][8]; /* by group */
	unsigned gateways[256];
	/* what felix says */
	struct m_bgp_peer peers[4];
	unsigned npeers;
	struct prefix *origin;
	unsigned norigin;
};

/* A namespace with 10.9.0.1-9 and fd00:9::1-9 on lo. Once a process. */
struct ev_loop *lab_enter(void);
/* A core with its channel; no configuration yet. */
void lab_start(struct lab_node *n, struct ev_loop *loop, unsigned number, bool restarted);
/* Stops and frees the core, keeps the listener. */
void lab_stop(struct lab_node *n);
/* felix restarts: a new channel, interfaces and configuration told again. */
void lab_felix(struct lab_node *n);
/* An interface eth0 with the node's two addresses. */
void lab_iface(struct lab_node *n, bool up);
/* A peer towards node `other` with lively timers; change the returned row before lab_configure().
 */
struct m_bgp_peer *lab_peer(struct lab_node *n, unsigned other);
void lab_configure(struct lab_node *n);

/* Turns the loop until *done, checked each turn; false after ms. */
bool lab_until(struct ev_loop *loop, bool (*done)(void *), void *arg, unsigned ms);
void lab_run(struct ev_loop *loop, unsigned ms);
bool lab_established(void *node); /* its first peer */

struct addr lab_addr(unsigned fam, unsigned number);
struct prefix lab_prefix(const char *text);
/* The group of a route that felix holds; 0: not there. */
uint32_t lab_route(const struct lab_node *n, const char *prefix);

#endif
