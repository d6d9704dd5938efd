/* The routing information base: what peers told us, which of it is best, and what each peer is
 * told.
 *
 * Pure: no socket, no clock, no libev. Bytes of UPDATEs come in decoded (wire/wire.h), encoded
 * messages go out through cursors, and everything that grows with the table is done in bounded
 * slices by rib_run().
 *
 * Layout (measured reasons in HACKING): attributes interned once, immutable, by hash of their
 * bytes, with a cache keyed by the raw block of the last UPDATEs; 32-bit indices into slabs instead
 * of pointers; one open-addressing table a family; a path is Adj-RIB-In entry and candidate in one,
 * the first one inline in its prefix; changed prefixes are marked dirty and decided once a turn;
 * peers that would be sent the same bytes form an update group, which keeps one Adj-RIB-Out,
 * encodes each message once into reference-counted buffers, and a cursor a member; a member that
 * falls behind never holds up the others.
 */
#ifndef SELVAGE_BGPD_RIB_H
#define SELVAGE_BGPD_RIB_H

#include <sys/uio.h>

#include "bgpd/wire/wire.h"
#include "lib/msg.h"

struct rib;
struct rib_peer;

struct rib_nexthop { /* of an installed route */
	struct addr gateway;
	uint32_t ifindex; /* link-local gateways */
	uint16_t weight;
};

/* What the RIB asks of the shell; each is called from rib_run() or the call named. */
struct rib_ops {
	/* A next hop is used for the first or no longer (on=false): answer, now or later, with
	 * rib_nexthop_state(). Until then paths through it are not usable. */
	void (*nexthop_track)(void *arg, const struct addr *nh, uint32_t ifindex, bool on);
	/* A next-hop group was defined, and one is used by no route any more. */
	void (*group_set)(void *arg, uint32_t id, const struct rib_nexthop *nh, unsigned n);
	void (*group_del)(void *arg, uint32_t id);
	/* The kernel should have these: group 0 = remove. In the order of the calls. */
	void (*routes)(void *arg, uint32_t group, const struct prefix *p, unsigned n);
	/* The peer has output: rib_out_peek(). Called when it goes from none to some; it has none
	 * when rib_out_peek() has said so. */
	void (*output)(void *arg, struct rib_peer *peer);
	/* false: the shell's queue to felix is full, no routes() now; rib_run() is called again. */
	bool (*may_install)(void *arg);
};

struct rib_global {
	uint32_t asn, router_id, cluster_id;
	enum bgp_export export_mode;
	bool install, require_policy;
	unsigned max_paths; /* multipath, 64 */
};

/* Takes nothing. ops and arg are borrowed until rib_free(). */
struct rib *rib_new(const struct rib_global *global, const struct rib_ops *ops, void *arg);
void rib_free(struct rib *rib);
/* A changed global is applied without dropping a route: everything is decided and exported anew. */
void rib_set_global(struct rib *rib, const struct rib_global *global);

/* What this node originates, whole set; the difference is announced and withdrawn. */
void rib_originate(struct rib *rib, enum origin_kind kind, const struct prefix *p, unsigned n);
void rib_set_pools(struct rib *rib, const struct m_bgp_pool *pools, unsigned n);
/* Networks whose learned routes, they and what lies inside, are not installed; whole set. */
void rib_keep_out(struct rib *rib, const struct prefix *p, unsigned n);

/* ---- peers ---- */

/* What the RIB needs to know of an established session. */
struct rib_peer_conf {
	void *owner;		    /* the shell's, given back by rib_peer_owner() */
	const char *name;	    /* borrowed while up */
	struct addr address, local; /* the session's ends */
	struct addr local4, local6; /* our addresses on that link for next-hop-self; FAM_NONE: none,
				       then that family is not announced */
	uint32_t ifindex;	    /* of the link, for link-local next hops; 0 unknown */
	uint32_t asn, local_asn, id;
	bool ebgp, reflector_client;
	bool connected; /* single-hop eBGP: next hops on the link are usable */
	enum bgp_nexthop_mode nexthop_mode;
	uint8_t allowed_own_as;
	uint32_t max_prefixes;	   /* 0: none */
	bool policy;		   /* RFC 8212: it has one */
	struct bgp_session_ctx rx; /* how its UPDATEs are read */
	struct bgp_session_ctx tx; /* how ours are written */
};

/* The session is established: its routes start empty, and its families' tables are sent to it, each
 * followed by End-of-RIB. NULL: too many peers (65,535). */
struct rib_peer *rib_peer_up(struct rib *rib, const struct rib_peer_conf *conf);
/* The session is gone: its output is dropped at once, its routes become unusable now and are
 * withdrawn in slices. The pointer is dead after the call. */
void rib_peer_down(struct rib *rib, struct rib_peer *peer);
void *rib_peer_owner(const struct rib_peer *peer);

enum rib_verdict { RIB_OK, RIB_MAX_PREFIXES };

/* One decoded UPDATE: Adj-RIB-In, import policy, loop checks; prefixes become dirty. */
enum rib_verdict rib_update(struct rib *rib, struct rib_peer *peer, const struct bgp_update *u);
/* The peer asked for a refresh (RFC 2918): sends the family's table again. */
void rib_refresh(struct rib *rib, struct rib_peer *peer, uint8_t fam);

struct rib_peer_counts {
	uint32_t received, accepted, advertised; /* prefixes now, both families */
	uint64_t updates_out;
};
void rib_peer_counts(const struct rib *rib, const struct rib_peer *peer,
		     struct rib_peer_counts *out);

/* ---- next hops ---- */

/* metric: the kernel's, for the decision. Every path through nh is decided anew. */
void rib_nexthop_state(struct rib *rib, const struct addr *nh, uint32_t ifindex, bool reachable,
		       uint32_t metric);

/* ---- work ---- */

/* Does up to `budget` units of each kind of work (about one prefix decided, encoded or withdrawn
 * each). To be called once every turn of the loop; true: more is left, turn again after serving
 * sockets. What waits only for a slow peer to read is not counted: it goes on from rib_out_peek(),
 * which may call ops->output() of others. */
bool rib_run(struct rib *rib, unsigned budget);

/* felix has a fresh channel: tell every group and route again, in slices, then `routes` is up to
 * date when rib_run() returns false. */
void rib_resend(struct rib *rib);
/* Every route has been told; false while there are some left or may_install() holds them back. */
bool rib_install_done(const struct rib *rib);
void rib_install_failed(struct rib *rib, const struct prefix *p, unsigned n);

/* ---- output ---- */

/* Up to max pieces that are next on the wire for this peer; returns how many. Borrowed until the
 * next rib_ call. Whoever was called by ops->output() asks again after every write until 0. */
unsigned rib_out_peek(struct rib *rib, struct rib_peer *peer, struct iovec *iov, unsigned max);
/* So many of those bytes were written. */
void rib_out_consume(struct rib *rib, struct rib_peer *peer, size_t bytes);
/* The last consume stopped inside a message: no other message may be put on the wire now. */
bool rib_out_mid_message(const struct rib_peer *peer);

/* ---- queries (nodectl routes) ---- */

struct rib_query {
	struct prefix prefix; /* FAM_NONE: all */
	enum ctl_route_filter filter;
	struct rib_peer *peer; /* of CTL_ROUTE_IN and _OUT */
};

struct rib_cursor { /* survives changes of the table between calls; zero it to start */
	uint8_t fam;
	uint32_t slot;
};

/* The next route that the query selects, in the arena; for CTL_ROUTE_OUT the paths are as sent.
 * false: the end. Looks at no more than a bounded number of prefixes: *again tells that nothing was
 * found yet. */
bool rib_query_next(struct rib *rib, const struct rib_query *q, struct rib_cursor *c,
		    struct arena *arena, struct m_ctl_route *out, bool *again);

struct rib_stats {
	uint64_t prefixes, paths, attrs, nexthops, groups, bytes;
};
void rib_stats(const struct rib *rib, struct rib_stats *out);

#endif
