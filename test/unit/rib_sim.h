/* A RIB with everything around it simulated: sessions whose bytes are decoded and applied to a map,
 * a shell that tracks next hops, a kernel. And a naive model that says what all of it should be.
 */
#ifndef SELVAGE_TEST_RIB_SIM_H
#define SELVAGE_TEST_RIB_SIM_H

#include "bgpd/rib/rib.h"

enum {
	SIM_PEERS = 8,
	SIM_PREFIXES = 96,
	SIM_NEXTHOPS = 12,
	SIM_GROUPS = 4096,
	SIM_AS = 6,
};

/* A route's content, as given to the RIB, as expected by the model, and as decoded. */
struct spec {
	bool there;
	struct addr nh, ll;
	uint8_t origin, nas, ncluster, ncomm;
	uint32_t as[SIM_AS + 4];
	bool med, lp, originator;
	uint32_t medv, lpv, originatorv;
	uint32_t cluster[4], comm[4];
};

struct sim_peer {
	bool up;
	struct rib_peer *rp;
	struct rib_peer_conf conf;
	char name[16];
	/* Adj-RIB-In as sent: [path id][prefix] */
	struct spec in[3][SIM_PREFIXES];
	/* what the peer knows from the bytes it got */
	struct spec got[SIM_PREFIXES];
	uint8_t rx[BGP_MAX_EXTENDED + 64];
	size_t rx_len;
	bool signalled; /* ops->output was called since its output ran dry */
	unsigned messages, announces, withdraws, eor[3];
};

struct sim_nexthop {
	struct addr a;
	bool reachable;
	uint32_t metric;
	bool tracked, answered;
};

struct sim {
	struct rib *rib;
	struct rib_global global;
	struct sim_peer peer[SIM_PEERS];
	struct prefix prefix[SIM_PREFIXES];
	unsigned nprefix;
	struct sim_nexthop nh[SIM_NEXTHOPS];
	unsigned nnh;
	bool local[3][SIM_PREFIXES];
	struct m_bgp_pool pool[4];
	unsigned npool;
	/* the kernel */
	uint32_t route[SIM_PREFIXES];
	struct rib_nexthop group[SIM_GROUPS][8];
	unsigned group_n[SIM_GROUPS]; /* 0: not defined */
	unsigned routes_calls, group_sets;
	bool kernel_full, answer_now;
	uint64_t random;
};

uint32_t sim_random(struct sim *s, uint32_t below);
void sim_start(struct sim *s, const struct rib_global *g);
void sim_stop(struct sim *s);

/* A session of that kind: asn == global asn means iBGP. Fields can be changed before sim_up(). */
void sim_peer_conf(struct sim *s, unsigned k, uint32_t asn, bool client);
void sim_up(struct sim *s, unsigned k);
void sim_down(struct sim *s, unsigned k);

unsigned sim_prefix(struct sim *s, const char *text); /* its number */
unsigned sim_nexthop(struct sim *s, const char *text, bool reachable, uint32_t metric);
/* One UPDATE: the prefixes numbered in v with that content; NULL content withdraws. */
void sim_send(struct sim *s, unsigned k, uint32_t path_id, const struct spec *what,
	      const unsigned *v, unsigned n);
void sim_originate(struct sim *s, enum origin_kind kind);
void sim_nexthop_set(struct sim *s, unsigned k, bool reachable, uint32_t metric);
void sim_resend(struct sim *s);

/* Reads up to `max` bytes of the peer's output; returns how many there were. */
size_t sim_read(struct sim *s, unsigned k, size_t max);
void sim_settle(struct sim *s); /* until nothing moves any more */

bool spec_eq(const struct spec *a, const struct spec *b);
const char *spec_text(const struct spec *a, char *buf, size_t size);

/* ---- the model ---- */
struct spec model_sent(const struct sim *s, unsigned k, unsigned prefix);
/* The next hops that the kernel should have, ascending; returns how many. */
unsigned model_installed(const struct sim *s, unsigned prefix, struct addr *out);
/* Everything against the model; fails the test with a text where something differs. */
void sim_check(struct sim *s);

#endif
