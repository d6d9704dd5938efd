/* What the files of the sync engine share. Internal to ipam/.
 *
 * sync.c        events to the owner, the own affinities, the round of steps
 * sync_input.c  what the owner puts in
 * sync_status.c what it may ask
 * sync_block.c  one block: the next step towards having it or not having it
 * sync_follow.c the block object follows the leases; foreign addresses; leaks
 * sync_handle.c IPAMHandles
 * sync_claim.c  which block to claim, and when
 */
#ifndef SELVAGE_IPAM_SYNC_IMPL_H
#define SELVAGE_IPAM_SYNC_IMPL_H

#include "ipam/sync.h"
#include "ipam/sync_gate.h"
#include "ipam/sync_obj.h"
#include "lib/arena.h"

enum {
	SYNC_WATERMARK = 16,
	SYNC_DEFAULT_MAX_BLOCKS = 20,
	SYNC_DEFAULT_HANDLE_RATE = 10,
	SYNC_COALESCE = 1000, /* ms */
	SYNC_COALESCE_JITTER = 250,
	SYNC_RELIST = 600000,
	SYNC_EMPTY_AGE = 300000,
	SYNC_LEAK_SCAN = 30000,
	SYNC_LEAK_AGE = 60000,
	SYNC_TAKEN_RETRY = 300000,
	SYNC_REFUSED_RETRY = 60000,
	SYNC_RELEASED_AGE = 1200, /* s: the longest ipCooldownSeconds */
};

/* What is known of an object in the API. */
enum known { UNKNOWN, ABSENT, PRESENT };

struct own {
	struct prefix cidr, pool;
	bool want;	/* false: the affinity, and the block where it is ours, shall go */
	bool ours;	/* durably: the block names us and the affinity is confirmed */
	bool taken;	/* was ours; another has it */
	bool doubt;	/* not to be allocated from until read again */
	bool restored;	/* from the state file, not yet seen */
	bool releasing; /* want is false because it was empty */
	bool written;	/* the block's copy stems from a write of ours */
	bool adopted;	/* the affinity was seen with our instance */
	bool told;	/* a problem with it was said */
	uint64_t call;	/* 0: no request under way */
	uint64_t retry_at;
	unsigned tries;

	enum known aff_known, block_known;
	struct ipamobj_affinity *aff; /* PRESENT */
	struct ipamobj_block *block;
	struct arena aff_arena, block_arena;

	bool dirty; /* the block should be compared with the leases */
	uint64_t put_at;
	uint64_t empty_since, leak_scan_at;
	/* By ordinal. */
	uint8_t *foreign;
	char **gone;	      /* the handle whose lease ended and that the copy may still show */
	uint64_t *leak_since; /* ms + 1 of the first observation; 0: none */
	uint32_t *leak_hash;
};

struct handle {
	struct handle *next;
	char *id;
	struct held *held; /* its leases' addresses */
	unsigned leases;
	enum known known;
	bool writing, written; /* the request under way, the copy is of a write of ours */
	bool posted;	       /* it may exist: asked, or written without an answer */
	uint64_t call, retry_at, checked_at;
	unsigned tries;
	struct ipamobj_handle *copy;
	struct arena arena;
};

struct held {
	struct held *next, *next_of_handle;
	struct addr addr;
	struct handle *handle;
	char *pod, *namespace_;
	uint64_t since;
	bool settling, conflict;
	bool lost; /* never answered, and the owner has been told to give it up */
	uint64_t stale_since;
	bool stale_told;
};

struct want {
	enum family fam;
	bool has_pool;
	struct prefix pool;
};

enum claim_step { CLAIM_IDLE, CLAIM_NAMES, CLAIM_BLOCKS, CLAIM_VERIFY, CLAIM_WRITE };
struct claim {
	enum family fam;
	enum claim_step step;
	bool has_pool;
	struct prefix pool;
	struct prefix cidr; /* CLAIM_WRITE, CLAIM_VERIFY */
	uint64_t call, retry_at;
	unsigned tries;
	enum sync_claim last; /* the last failure, told again to like wants within a moment */
	char last_why[256];
	struct want failed;
	uint64_t failed_at; /* 0: never */
	uint64_t away_told;
	bool mixed_sizes; /* blocks of another size were seen: look again before it counts */
};

struct named {
	struct prefix cidr;
	uint64_t created; /* s since the epoch */
};

enum event_type { EV_FOREIGN, EV_CLAIMED, EV_SETTLED, EV_PROBLEM };
struct event {
	enum event_type type;
	int code;
	bool held;
	enum family fam;
	bool has_pool;
	struct prefix prefix;
	struct addr addr;
	char *object, *text;
};

enum { HELD_BUCKETS = 64 };

struct sync {
	char *node, *instance;
	const struct sync_ops *ops;
	void *arg;
	struct gate gate;
	struct sync_now now;
	uint64_t wake;
	unsigned depth;

	bool started, listed, stopped, suspended;
	const char *stopped_why;
	uint64_t start_at, list_retry, relist_at;
	uint64_t list_call;
	unsigned list_part;

	struct sync_pool *pools;
	unsigned npools;
	struct sync_settings set;
	struct own **own;
	unsigned nown;
	struct ipam_block_use *usage;
	unsigned nusage;

	struct held *held[HELD_BUCKETS];
	struct handle *handles[HELD_BUCKETS];
	unsigned handle_rate;
	uint64_t tokens, tokens_at; /* thousandths */
	uint64_t leases_scan_at;

	struct claim claims[2]; /* IPv4, IPv6 */
	struct want *wants;
	unsigned nwants;
	struct named *names; /* every block of the cluster: disjoint, in order */
	unsigned nnames;
	uint64_t names_at; /* ms + 1; 0: not known */

	struct event *events;
	unsigned nevents;
	bool blocks_changed;
};

/* ---- sync.c ---- */
/* Around each input; work: a round of steps belongs to it. What callbacks put in is worked off
 * behind them. */
void sync_enter(struct sync *s, struct sync_now now);
void sync_leave(struct sync *s, bool work);
void held_free(struct held *l);
void later(struct sync *s, uint64_t ms); /* wake by then */
/* Sends it now; the gate must be open. */
uint64_t send_request(struct sync *s, const struct ipamobj_request *r,
		      void (*done)(void *engine, void *obj, const struct ipamobj_reply *r),
		      void *obj);
void say_foreign(struct sync *s, const struct own *o, uint32_t ordinal, bool held);
void say_problem(struct sync *s, enum sync_problem kind, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void say_claimed(struct sync *s, const struct want *w, enum sync_claim result, const char *why);
void say_settled(struct sync *s, const struct addr *a, enum sync_settle result);
void say_blocks(struct sync *s);
void stop_twin(struct sync *s, const char *object, const char *other);
const struct sync_pool *pool_of(const struct sync *s, const struct prefix *cidr);
struct own *own_find(const struct sync *s, const struct prefix *cidr);
struct own *own_of_addr(const struct sync *s, const struct addr *a);
struct own *own_add(struct sync *s, const struct prefix *cidr, const struct prefix *pool);
void own_remove(struct sync *s, struct own *o);
struct held *held_find(const struct sync *s, const struct addr *a);
bool own_has_leases(const struct sync *s, const struct own *o);
const struct ipam_block_use *usage_of(const struct sync *s, const struct own *o);

/* ---- sync_block.c ---- */
enum owner { OWNER_NONE, OWNER_DYING, OWNER_FREE, OWNER_US, OWNER_OTHER };
enum owner own_owner(const struct sync *s, const struct own *o);
void step_own(struct sync *s, struct own *o); /* may remove it */
void own_set_affinity(struct sync *s, struct own *o, const struct ipamobj_affinity *f);
void own_forget_block(struct own *o);
/* A failed request: when to go on. Returns whether it was one (neither done nor a conflict). */
void own_retry(struct sync *s, struct own *o, const struct ipamobj_reply *r, const char *doing);
void own_drop_affinity(struct own *o, enum known k);
void own_put_block(struct sync *s, struct own *o, const struct ipamobj_block *b);

/* ---- sync_follow.c ---- */
void own_set_block(struct sync *s, struct own *o, const struct ipamobj_block *b, bool written);
/* Sends a PUT where the leases and the block differ and it is time. */
void follow(struct sync *s, struct own *o);
void follow_soon(struct sync *s, struct own *o, bool now);
void mark_gone(struct sync *s, struct own *o, uint32_t ordinal, const char *handle_id);
void scan_leaks(struct sync *s, struct own *o);
void scan_leases(struct sync *s);
void maybe_release(struct sync *s, struct own *o);
void lose_settling(struct sync *s, const struct own *o);
bool block_mentions(const struct ipamobj_block *b, const char *handle_id);

/* ---- sync_handle.c ---- */
struct handle *handle_find(const struct sync *s, const char *id);
struct handle *handle_get(struct sync *s, const char *id); /* made where missing */
bool handle_ready(const struct sync *s, const struct handle *h, const struct prefix *cidr);
void step_handles(struct sync *s);
void handles_free(struct sync *s);

/* ---- sync_claim.c ---- */
void step_claims(struct sync *s);
/* A block that was being claimed is ours now, or was lost to another. */
void claim_ended(struct sync *s, const struct own *o, bool got);
void claim_refused(struct sync *s, const struct own *o, const char *why);
/* Must what is being claimed be compared with the other blocks once more? true: wait. */
bool claim_verifying(struct sync *s, const struct own *o);
void names_forget(struct sync *s);

#endif
