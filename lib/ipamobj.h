/* Calico's IPAM objects as plain structs, their names and labels, and the requests made of them:
 * where ipam/ (who decides) and store/ (who talks to the API) meet.
 *
 * Formats: crd.projectcalico.org/v1 IPAMBlock, BlockAffinity, IPAMHandle (facts: calico.md). Texts
 * are never NULL; everything a decoded object points at lives in the arena it was decoded into.
 */
#ifndef SELVAGE_LIB_IPAMOBJ_H
#define SELVAGE_LIB_IPAMOBJ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/prefix.h"

enum ipamobj_kind { IPAMOBJ_BLOCK, IPAMOBJ_AFFINITY, IPAMOBJ_HANDLE };

struct ipamobj_meta {
	const char *name, *uid, *resource_version; /* uid and version "" in a new object */
	/* The whole object as the API gave it (JSON), "" in a new one. Who encodes starts from it,
	 * so that no field which another writer set is lost. */
	const char *raw;
	uint64_t created; /* s since the epoch; 0 unknown */
};

struct ipamobj_kv {
	const char *key, *value;
};

struct ipamobj_attr {
	const char *handle_id; /* "" none */
	uint32_t nsecondary;
	struct ipamobj_kv *secondary; /* pod, namespace, node, timestamp, type */
	const char *released_at;      /* RFC 3339, "" not released */
	const char *raw;	      /* the element as read (JSON), "" new */
};

struct ipamobj_seq {
	uint32_t ordinal;
	uint64_t seq;
};

struct ipamobj_block {
	struct ipamobj_meta meta;
	struct prefix cidr;
	const char *affinity;	/* "host:<node>", "virtual:<name>", "" none */
	const char *claim_time; /* affinityClaimTime, RFC 3339, "" none */
	uint32_t size;		/* addresses */
	int32_t *allocations;	/* size of them: -1 free, else an index into attrs */
	uint32_t nunallocated;
	uint32_t *unallocated; /* ordinals, head first */
	uint32_t nattrs;
	struct ipamobj_attr *attrs;
	uint64_t sequence; /* sequenceNumber */
	uint32_t nseqs;
	struct ipamobj_seq *seqs; /* sequenceNumberForAllocation */
	bool deleted, strict_affinity;
};

enum ipamobj_state { IPAMOBJ_CONFIRMED, IPAMOBJ_PENDING, IPAMOBJ_PENDING_DELETION };

struct ipamobj_affinity {
	struct ipamobj_meta meta;
	const char *node, *type; /* type "host" or "virtual" */
	struct prefix cidr;
	int state; /* enum ipamobj_state */
	bool deleted;
	const char *instance; /* annotation selvage.io/instance: which daemon claimed it; "" none */
};

struct ipamobj_handle_block {
	struct prefix cidr;
	uint32_t count;
};

struct ipamobj_handle {
	struct ipamobj_meta meta;
	const char *handle_id;
	uint32_t nblocks;
	struct ipamobj_handle_block *blocks;
	bool deleted;
};

/* ---- names and labels (pure) ---- */

enum { IPAMOBJ_NAME = 254, IPAMOBJ_HASH = 53 };

/* "10-0-0-0-26", "fd00--1-0-122": '.', ':' and '/' of the prefix become '-'. Returns out. */
const char *ipamobj_block_name(const struct prefix *cidr, char out[IPAMOBJ_NAME]);
/* "<node>-<cidr name>"; 253 characters or more: cut, with a SHA-256 suffix, as Calico. */
const char *ipamobj_affinity_name(const char *node, const struct prefix *cidr,
				  char out[IPAMOBJ_NAME]);
/* The value of the label projectcalico.org/hostname-hash: unpadded base32 of SHA3-256(node). */
const char *ipamobj_hostname_hash(const char *node, char out[IPAMOBJ_HASH]);
/* An IPAMHandle's id, "<network>.<containerID>" (for any interface but eth0 ".<ifname>" follows),
 * and its object's name: the id in small letters. Returns out, cut to IPAMOBJ_NAME - 1. */
const char *ipamobj_handle_id(const char *network, const char *container_id, const char *ifname,
			      char out[IPAMOBJ_NAME]);
const char *ipamobj_handle_name(const char *handle_id, char out[IPAMOBJ_NAME]);
/* FNV-1 32 of the host's name, from which Calico begins its walk over a pool's blocks. */
uint32_t ipamobj_host_hash(const char *node);

/* ---- copies (pure) ---- */

/* Deep, in the arena; raw texts are left out (""), so a copy is for reading, not for writing back.
 */
struct ipamobj_block *ipamobj_copy_block(const struct ipamobj_block *b, struct arena *a);
struct ipamobj_affinity *ipamobj_copy_affinity(const struct ipamobj_affinity *f, struct arena *a);
struct ipamobj_handle *ipamobj_copy_handle(const struct ipamobj_handle *h, struct arena *a);

/* ---- requests ---- */

enum ipamobj_verb {
	IPAMOBJ_GET,
	IPAMOBJ_LIST,	/* whole objects */
	IPAMOBJ_NAMES,	/* names only (PartialObjectMetadata), of all that match */
	IPAMOBJ_CREATE, /* POST */
	IPAMOBJ_UPDATE, /* PUT with the object's resourceVersion and uid */
	IPAMOBJ_DELETE, /* with preconditions uid and resource_version, each where not "" */
};

struct ipamobj_request {
	enum ipamobj_verb verb;
	enum ipamobj_kind kind;
	const char *name;		   /* GET, DELETE */
	const char *uid, *resource_version; /* DELETE */
	const char *label_selector;	   /* LIST, NAMES; "" all */
	const void *object;		   /* CREATE, UPDATE: struct ipamobj_<kind> */
};

enum ipamobj_result {
	IPAMOBJ_OK,
	IPAMOBJ_EXISTS,	   /* CREATE: 409 AlreadyExists */
	IPAMOBJ_CONFLICT,  /* UPDATE, DELETE: 409, another version or uid */
	IPAMOBJ_NOT_FOUND, /* 404 */
	IPAMOBJ_UNKNOWN,   /* a write that was sent and got no answer: done or not */
	IPAMOBJ_AWAY,	   /* nothing was sent: no server is reachable, or 5xx before any effect */
	IPAMOBJ_BUSY,	   /* 429: retry_after says when */
	IPAMOBJ_REFUSED,   /* 400, 401, 403, 422: err says why; trying again at once is useless */
};

struct ipamobj_reply {
	enum ipamobj_result result;
	uint32_t retry_after; /* ms; 0 unsaid */
	const char *why;      /* for people, "" where OK */
	/* GET, CREATE, UPDATE: one object as it is now. LIST: all. Pointers to struct
	 * ipamobj_<kind>; NAMES: pointers to struct ipamobj_meta. Borrowed until the callback
	 * returns. */
	uint32_t n;
	const void *const *objects;
};

#endif
