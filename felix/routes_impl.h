/* Shared by felix/routes_core.c (entries) and felix/routes_nh.c (next-hop objects). */
#ifndef SELVAGE_FELIX_ROUTES_IMPL_H
#define SELVAGE_FELIX_ROUTES_IMPL_H

#include "felix/routes_core.h"

enum ent_flags {
	ENT_QUEUED = 1,
	ENT_STALE = 2,	/* from before a restart; wanted until the sweep */
	ENT_FAILED = 4, /* refused and told; not tried again until something changes */
	ENT_SEEN = 8,
	ENT_BLOCK = 16, /* a blackhole is wanted */
};

/* Indices, not pointers: half the size, and the slab may move. 0 is none. */
struct ent {
	uint8_t b[16], fam, len, kind, flags;
	uint32_t pod;	/* ifindex wanted */
	uint32_t nhg;	/* object wanted */
	uint32_t value; /* with kind: what the kernel has */
	uint32_t next;	/* in the hash chain, or in the free list */
	uint32_t qnext;
};

/* A next hop as bgpd names it; one for all groups that name it. */
struct target {
	struct addr gateway;
	uint32_t ifindex; /* as given; 0: to be resolved */
	uint32_t refs;
	uint32_t hop; /* the object it leads to, 0: unresolved */
	uint32_t next;
	bool onlink, up;
};

struct want {
	uint32_t target;
	uint16_t weight;
};

enum obj_kind { OBJ_FREE, OBJ_HOP, OBJ_GROUP };

/* One next-hop object of the kernel; its id is NHID_BASE + its index. */
struct obj {
	uint8_t kind;
	bool present; /* in the kernel */
	bool failed;  /* refused by the kernel; not tried again until links change */
	bool seen, replan, changed;
	uint32_t routes; /* entries that the kernel has by it */
	union {
		struct {
			struct rc_hop key;
			uint32_t users; /* groups planned with it */
			uint32_t held;	/* groups in the kernel with it */
			uint32_t targets;
			uint32_t next; /* hash chain */
		} hop;
		struct {
			uint32_t bgp_id;  /* 0: adopted or left by bgpd */
			uint32_t desired; /* entries that want it */
			uint32_t next;	  /* hash chain of bgp_id */
			unsigned nwant, nplan, nhave;
			struct want *want;
			struct rc_member *plan, *have;
		} grp;
	};
};

enum { NH_BUCKETS = 1024, OBJ_MAX = 65536 };

struct rc {
	const struct rc_env *env;
	void *arg;

	struct ent *ent;
	uint32_t nent, ent_cap, ent_free, live;
	uint32_t *bucket, nbuckets;
	uint32_t qhead, qtail;
	uint32_t *pods, npods; /* entries with a pod */
	uint32_t nfailed;

	struct obj *obj;
	uint32_t nobj, obj_cap;
	struct target *target;
	uint32_t ntarget, target_free;
	uint32_t hop_hash[NH_BUCKETS], bgp_hash[NH_BUCKETS], target_hash[NH_BUCKETS];
	uint32_t hop_cursor, group_cursor;
	bool reevaluate, replan, rescan, objects_changed, look_for_unused;
};

/* routes_nh.c */
uint32_t nh_index(const struct rc *c, uint32_t id); /* 0: no object of ours */
uint32_t nh_group_of_bgp(struct rc *c, uint32_t bgp_id);
bool nh_group_usable(const struct obj *g);
/* Why a group has no usable next hop, where bgpd cannot know it from the links; NULL otherwise. */
const char *nh_group_why(const struct rc *c, const struct obj *g, char *buf, size_t size);
void nh_after_dump(struct rc *c);
void nh_plan(struct rc *c);
void nh_free_all(struct rc *c);

static inline uint32_t nh_id(uint32_t n)
{
	return NHID_BASE + n;
}

#endif
