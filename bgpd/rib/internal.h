/* What the RIB's own files share. Nobody outside bgpd/rib includes this but its tests.
 *
 * The way of a route: import.c (Adj-RIB-In, dirty prefixes) -> select.c (best path, pending bits of
 * groups and kernel) -> group.c (what each group was told, messages into its log) -> member.c (each
 * peer's place in that log, or its own catching up) and install.c (next-hop groups, kernel).
 */
#ifndef SELVAGE_BGPD_RIB_INTERNAL_H
#define SELVAGE_BGPD_RIB_INTERNAL_H

#include "bgpd/rib/attr.h"
#include "bgpd/rib/decision.h"
#include "bgpd/rib/nexthop.h"
#include "bgpd/rib/outlog.h"
#include "bgpd/rib/rib.h"
#include "bgpd/rib/table.h"

enum {
	NFAM = 2,
	ORIGIN_KINDS = 3,
	LOCAL_PEER = 0, /* the peer id of what this node originates */
	DEFAULT_LOCAL_PREF = 100,
	BATCH = 2048, /* prefixes that are encoded or installed together at most */
	INSTALL_BATCH = 1024,
	RAW_CACHE = 256,
	RAW_MAX = 192,
};

#define FAM_IX(fam) ((fam)-1u)
#define IX_FAM(f)   ((uint8_t)((f) + 1))

struct group;

/* A member's catching up with its group's Adj-RIB-Out, one family. */
struct catchup {
	uint32_t cursor;  /* entries from here on are still to be told; BITS_NONE: none */
	bool told;	  /* it may know entries that lie behind the cursor (a refresh) */
	bool end_of_rib;  /* to be sent when the cursor is through */
	struct bits todo; /* changed since they were told to it; each pins its node */
};

struct rib_peer {
	uint16_t id;
	bool dead, swept;
	uint32_t sweep_at;
	struct rib_peer_conf conf;
	uint32_t received[NFAM], accepted[NFAM];
	uint32_t holds;		   /* attribute sets and next hops that name it */
	struct bits regions[NFAM]; /* where it has paths */
	/* output */
	struct group *group;
	bool attached;	     /* follows the group's log; else it catches up */
	uint32_t slot;	     /* in the group's list */
	uint32_t mine[NFAM]; /* the group's entries that came from this peer */
	struct reader rd;
	uint64_t stop;	    /* not attached: where it left the log */
	uint64_t took;	    /* the last position in the log that it took something from */
	struct outlog priv; /* what is encoded for it alone */
	struct reader prd;
	struct catchup cu[NFAM];
	bool has_out, notify;
	uint64_t updates_out;
};

struct peer_list {
	struct rib_peer **v;
	uint32_t n, cap;
};

/* Everything that changes the bytes or the choice of what is sent. Compared as bytes. */
struct group_key {
	uint32_t local_asn, max_message;
	struct addr local4, local6;
	uint8_t families, add_path, ext_nexthop, nexthop_mode;
	uint8_t ebgp, client, as4, policy;
};

struct group {
	struct group_key key;
	struct bgp_session_ctx tx;
	struct bgp_nexthop self[NFAM];
	bool has_self[NFAM];
	struct peer_list attached, catching;
	struct map32 out[NFAM];	   /* Adj-RIB-Out: prefix to attribute set; pins its nodes */
	struct bits pending[NFAM]; /* to be looked at; pins its nodes */
	uint32_t at[NFAM];
	struct outlog log;
	uint32_t fill[NFAM]; /* prefixes from here on were never looked at */
	uint32_t turn;	     /* of the members that catch up */
	unsigned patience;   /* turns that it was held up by its slowest member */
	bool dying;	     /* no member any more: what it holds is let go in slices */
};

/* A walk over all prefixes in slices. */
struct sweep {
	bool on;
	uint8_t f;
	uint32_t at;
};

struct nhg { /* a set of next hops that routes in the kernel share */
	uint32_t id, refs;
	uint16_t n;
	bool told;
	bool reduced; /* the kernel was told to do without some */
	uint32_t nh[];
};

struct install {
	struct map32 group[NFAM];  /* prefix to nhg id, as told; pins its nodes */
	struct bits pending[NFAM]; /* pins its nodes */
	uint32_t at[NFAM];
	struct nhg **nhgs; /* by id */
	uint32_t cap;
	uint32_t count;
	struct hidx index;
	struct sweep resend;
	struct prefix *batch; /* scratch */
};

struct origin_set {
	struct prefix *v; /* sorted */
	uint32_t n;
};

struct raw_entry {     /* the last raw attribute blocks and what they were interned as */
	uint32_t attr; /* holds a reference; 0: free */
	uint16_t peer, len;
	struct bgp_nexthop nh;
	uint8_t raw[RAW_MAX];
};

struct change {		     /* one line of a batch to encode */
	uint32_t node, attr; /* attr 0: withdraw */
	uint32_t next;
	uint16_t who; /* enum run_kind's argument */
	uint8_t kind;
};

struct enc_key {
	uint64_t key;
	uint32_t head, tail, slot;
};

struct encoder; /* encode.c */

struct rib_limits { /* bytes; rib_new() sets them, tests make them small */
	uint64_t window_all, window_min, window_max; /* how far a member may lie behind its log */
	uint64_t private_low; /* a member that catches up is given more below this */
};

struct rib {
	struct rib_global global;
	struct rib_ops ops;
	void *arg;
	uint64_t seed;
	struct table tab[NFAM];
	struct attr_set attrs;
	struct nexthop_set nexthops;
	struct bits dirty[NFAM];
	uint32_t dirty_at[NFAM];
	struct rib_peer **peers; /* by id; [0] is this node */
	uint32_t npeers, peers_cap;
	struct peer_list dead; /* to be swept */
	uint32_t *nh_changed;  /* next hops to be swept, each with a reference */
	uint32_t nh_n, nh_cap;
	struct group **groups;
	uint32_t ngroups, groups_cap, group_turn;
	struct install inst;
	struct sweep all;
	struct origin_set origin[ORIGIN_KINDS];
	uint32_t local_attr[ORIGIN_KINDS];
	struct m_bgp_pool *pools;
	uint32_t npools;
	struct prefix *keep_out;
	uint32_t nkeep_out;
	struct raw_entry *raw; /* [RAW_CACHE] */
	struct encoder *enc;
	struct rib_limits limits;
	struct rib_peer **notify; /* NULL: went down since */
	uint32_t notify_n, notify_cap;
	struct candidate *cand; /* scratch of the decision */
	struct path **cand_path;
	uint32_t cand_cap;
	struct path *kept; /* scratch of the sweep */
	uint32_t kept_cap;
	uint64_t looked; /* paths looked at: what slices are measured by besides prefixes */
	uint64_t paths;
};

/* ---- rib.c ---- */
void attr_ref(struct rib *rib, uint32_t i);
void attr_unref(struct rib *rib, uint32_t i);
void node_pin(struct node *n);
/* Frees the node when nothing holds it any more. */
void node_unpin(struct rib *rib, unsigned f, uint32_t i);
void sweep_all(struct rib *rib);
/* Calls ops->output() of the peers that have output now and had none. */
void notify_output(struct rib *rib);
void notify_add(struct rib *rib, struct rib_peer *p);

/* ---- peer.c ---- */
void peer_list_add(struct peer_list *l, struct rib_peer *p); /* sets p->slot */
void peer_list_del(struct peer_list *l, struct rib_peer *p); /* by p->slot */
/* A dead peer without paths and holds: its id is free again. */
void peer_release(struct rib *rib, struct rib_peer *p);
void peer_unhold(struct rib *rib, uint16_t id);
unsigned peers_sweep(struct rib *rib, unsigned budget);
bool peer_own_address(const struct rib *rib, const struct addr *a);

/* ---- import.c ---- */
uint8_t import_flags(const struct rib *rib, const struct rib_peer *peer, const struct attrs *a);
void import_local(struct rib *rib, const struct prefix *p, enum origin_kind kind, bool on);
uint32_t import_local_attr(struct rib *rib, enum origin_kind kind);
void raw_cache_flush(struct rib *rib, const struct rib_peer *peer); /* NULL: of all */
/* What goes with a path that has been taken out of a node. */
void path_drop(struct rib *rib, unsigned f, const struct path *was);
/* Removes a path; the node stays, to be decided where that can change anything. */
void path_remove(struct rib *rib, unsigned f, uint32_t i, struct path *p);
/* Every path through it is decided anew, in slices. */
void nexthop_changed(struct rib *rib, uint32_t i);
void nexthop_release(struct rib *rib, uint32_t i);
unsigned nexthops_sweep(struct rib *rib, unsigned budget);

/* ---- select.c ---- */
bool path_usable(const struct rib *rib, const struct path *p);
enum decision_reason path_reason(const struct rib *rib, const struct path *p);
/* The usable paths of a node into rib->cand and rib->cand_path; returns how many. */
unsigned gather(struct rib *rib, const struct table *t, struct node *n);
/* A path was added (fresh) or has changed, or one is gone: marks the prefix dirty where its best
 * path may change. Most paths of a prefix that has many lose against the best one at once. */
void path_changed(struct rib *rib, unsigned f, uint32_t i, const struct path *p, bool fresh);
void path_gone(struct rib *rib, unsigned f, uint32_t i, bool was_first);
/* Slices count a unit for a prefix and one for every few paths. */
unsigned path_units(uint64_t looked);
/* Decides one prefix. The node may be gone afterwards where nothing pins it. */
void decide(struct rib *rib, unsigned f, uint32_t i);
unsigned decide_dirty(struct rib *rib, unsigned budget);
/* The attribute set of the best path, decided now if need be; 0: none. The node must be pinned. */
uint32_t best_attr(struct rib *rib, unsigned f, uint32_t i);

/* ---- export.c: pure but for reading the RIB ---- */
/* What the group is to be told of this prefix: the attribute set, or 0 for nothing. */
uint32_t export_select(struct rib *rib, const struct group *g, unsigned f, uint32_t i);
/* The next hop and the attributes as this group is told them. false: they cannot be said. */
bool export_nexthop(const struct rib *rib, const struct group *g, unsigned f, const struct attr *a,
		    struct bgp_nexthop *nh);
/* buf: where a changed AS path, cluster list and communities are put, EXPORT_SCRATCH bytes; out
 * borrows from it and from a. false: they are too long to be changed. */
enum { EXPORT_PART = 65535, EXPORT_SCRATCH = 2 * EXPORT_PART };
bool export_attrs(const struct rib *rib, const struct group *g, const struct attr *a, uint8_t *buf,
		  struct attrs *out);
uint8_t pool_flags(const struct rib *rib, const struct table *t, const struct node *n);

/* ---- encode.c ---- */
struct encoder *encoder_new(void);
void encoder_free(struct encoder *e);
void encoder_start(struct encoder *e);
void encoder_add(struct encoder *e, uint32_t node, uint32_t attr, uint8_t kind, uint16_t who);
unsigned encoder_count(const struct encoder *e);
/* Encodes what was added, sorted so that one message carries many prefixes, into the log. Returns
 * the first new buffer, NULL when there was nothing. */
struct outbuf *encoder_run(struct encoder *e, struct rib *rib, const struct group *g, unsigned f,
			   struct outlog *log);
struct outbuf *encoder_end_of_rib(struct outlog *log, unsigned f);

/* ---- group.c ---- */
void group_join(struct rib *rib, struct rib_peer *p);
void group_leave(struct rib *rib, struct rib_peer *p);
/* The prefix may have to be told anew to any group. */
void groups_mark(struct rib *rib, unsigned f, uint32_t i);
unsigned group_encode(struct rib *rib, struct group *g, unsigned budget);
unsigned groups_run(struct rib *rib, unsigned budget);
bool group_work(struct rib *rib, struct group *g); /* groups_run() would get on with it */
bool group_encodable(const struct rib *rib, struct group *g); /* pending, and the log has room */
bool group_filling(const struct rib *rib, const struct group *g);
void group_free(struct group *g); /* its memory; what it holds has been let go, or all ends */
/* The bytes that go with an entry have changed: all members are told all again. */
void groups_restart(struct rib *rib);

/* ---- member.c ---- */
void member_start(struct rib *rib, struct rib_peer *p);
void member_stop(struct rib *rib, struct rib_peer *p);
void member_detach(struct rib_peer *p);
void member_restart(struct rib *rib, struct rib_peer *p, unsigned f, bool told);
/* An entry changed while p catches up. has: there is one for p now. */
void member_mark(struct rib *rib, struct rib_peer *p, unsigned f, uint32_t i, bool has);
bool member_work(const struct rib *rib, const struct rib_peer *p); /* it can be given more now */
unsigned member_run(struct rib *rib, struct rib_peer *p, unsigned budget);
bool member_output(struct rib_peer *p);
uint64_t member_lag(const struct rib_peer *p);

/* ---- install.c ---- */
void install_init(struct rib *rib);
void install_fini(struct rib *rib);
void install_mark(struct rib *rib, unsigned f, uint32_t i);
unsigned install_run(struct rib *rib, unsigned budget);
/* A next hop is gone: groups do without it from now on, before any prefix is looked at. */
void install_nexthop_lost(struct rib *rib, uint32_t nh);

#endif
