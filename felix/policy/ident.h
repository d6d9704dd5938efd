/* Identities: which addresses are alike to every policy. Label sets, lists of networks around an
 * address, and the trie of all addresses and networks that hold them together. Part of the calc
 * graph; pure.
 *
 * A node of the trie is an address of a pod, a network that something mentions, or where two of
 * them part. What lies in a network and in no smaller one is its atom. Nodes hold identities: that
 * of their pod, or else that of their atom.
 */
#ifndef SELVAGE_FELIX_POLICY_IDENT_H
#define SELVAGE_FELIX_POLICY_IDENT_H

#include "felix/policy/calc.h"
#include "felix/policy/calc_hash.h"

/* ---- interned sets of texts ---- */

/* Labels in the order given; equal contents are one. */
struct kvset {
	uint32_t hash, refs;
	struct field_kvs kvs;
	struct field_kv v[];
};

struct portset {
	uint32_t hash, refs, n;
	struct pod_port v[];
};

/* What policies see of a pod or, is_pod false, of a network set. */
struct lset {
	uint32_t hash, refs;
	bool is_pod;
	const char *namespace_, *account; /* "" none; borrowed from the sets below */
	struct kvset *own, *ns, *sa, *ns_prefixed, *sa_prefixed;
	struct portset *ports;	 /* those whose name some policy uses */
	struct field_kvs labels; /* all of them, as struct match wants them */
};

struct sets {
	struct hset kvs, ports, lsets;
};

struct kvset *kvset_get(struct sets *s, const struct field_kv *v, uint32_t n);
struct kvset *kvset_ref(struct kvset *k);
void kvset_put(struct sets *s, struct kvset *k);
struct portset *portset_get(struct sets *s, const struct pod_port *v, uint32_t n);
void portset_put(struct sets *s, struct portset *p);

/* A namespace or service account as it is now: its labels, and the same with their prefix. */
struct scope {
	struct kvset *view, *prefixed;
};
struct scope scope_namespace(struct sets *s, const char *name, const struct field_kvs *labels);
struct scope scope_account(struct sets *s, const char *name, const struct field_kvs *labels);
struct scope scope_none(struct sets *s);
void scope_put(struct sets *s, struct scope *scope);
/* Takes no reference of what it is given; gives one of the set. */
struct lset *lset_get(struct sets *s, bool is_pod, struct kvset *own, const struct scope *ns,
		      const struct scope *sa, struct portset *ports);
struct lset *lset_ref(struct lset *l);
void lset_put(struct sets *s, struct lset *l);

/* ---- what surrounds an address ---- */

struct idents;

enum attr_kind { ATTR_NETS, ATTR_NETSET, ATTR_SERVICE };

/* Something that contains addresses: a list of networks of some rule, all network sets with the
 * same labels, the endpoints of a service. */
struct attr {
	uint32_t hash, refs, id;
	uint32_t users; /* the owner's; while 0 it holds no networks */
	enum attr_kind kind;
	struct lset *labels; /* ATTR_NETSET */
	void *key;	     /* the owner's */
	size_t keylen;
	struct policy_nets nets; /* ATTR_NETS, ATTR_SERVICE: what it holds now; owned */
};

/* The attrs that contain an address; sorted by id. */
struct netclass {
	uint32_t hash, refs, n;
	struct attr *v[];
};

bool netclass_has(const struct netclass *nc, const struct attr *a);
void netclass_put(struct idents *t, struct netclass *nc);

struct ident {
	uint32_t hash, refs; /* refs: nodes that hold it */
	uint32_t index;	     /* dense; its number is ident_id() */
	uint8_t fam;
	bool fresh, rekeyed; /* in this flush */
	bool unhashed;	     /* a world took its key */
	struct lset *lset;   /* NULL: no pod */
	struct netclass *nc;
	/* While nodes move: how many leave, and where to (NULL with moving > 0: to several). */
	uint32_t moving;
	bool joined; /* and somebody comes */
	struct ident *target, *heir_of;
};

enum { IDENT_WORLDS = 2, IDENT_UNSET = UINT32_MAX };

/* The two worlds have the indices 0 and 1 and both the number 0. */
static inline uint32_t ident_id(const struct ident *i)
{
	return i->index < IDENT_WORLDS ? 0 : i->index;
}

struct claim;
struct node_attr {
	struct attr *attr;
	uint32_t refs;
};

struct place {
	struct place *child[2], *parent;
	struct netclass *nc;
	struct node_attr *attrs;
	struct claim *claims; /* the first has the address */
	struct ident *ident, *want;
	uint32_t networks; /* nodes with attrs, here and below */
	uint32_t told;	   /* as an address: the number that the ops were told, or IDENT_UNSET */
	uint16_t nattrs;
	uint8_t fam, len, b[16];
	bool stale, touched;
};

/* A pod's or endpoint's claim on an address. */
struct claim {
	struct place *node;
	struct claim *next; /* of the node */
	struct claim *group_prev, *group_next;
	struct group *group;
	const void *owner; /* struct cpod or struct endpoint */
	bool is_endpoint;
};

struct idents {
	struct sets sets;
	struct hset netclasses, attrs, idents;
	struct netclass *empty;
	uint32_t next_attr;
	struct place *root[3]; /* by enum family */
	struct ident *world[3];
	struct ident **by_index; /* NULL: free */
	uint32_t nindex, cap_index;
	uint32_t *free_index; /* nobody's any more; a stack */
	uint32_t nfree, cap_free;
	size_t nnodes;
	bool atoms_changed[3];
	/* Filled until the next ident_begin(). */
	struct pvec stale;		  /* nodes whose attrs changed */
	struct pvec touched;		  /* nodes that may hold another identity now */
	struct pvec fresh, rekeyed, gone; /* identities */
	struct pvec moved;		  /* nodes whose address is to be told */
	struct pvec lost; /* struct addr *, owned: addresses that are no pod's any more */
	/* The owner's: which of two claims has the address, and what its pod is to policies. */
	bool (*claim_before)(const struct claim *a, const struct claim *b);
	struct lset *(*claim_lset)(const struct claim *c);
};

void idents_init(struct idents *t);
void idents_free(struct idents *t);

/* Finds or makes an attr, with no networks, and takes a reference. */
struct attr *attr_get(struct idents *t, enum attr_kind kind, const void *key, size_t keylen);
void attr_put(struct idents *t, struct attr *a);
/* Makes nets (copied) what it holds. */
void attr_set_nets(struct idents *t, struct attr *a, const struct policy_nets *nets);
/* One network more or less in it; counted. */
void attr_attach(struct idents *t, struct attr *a, const struct prefix *p);
void attr_detach(struct idents *t, struct attr *a, const struct prefix *p);

void claim_add(struct idents *t, struct claim *c, const struct addr *a);
void claim_remove(struct idents *t, struct claim *c);
void node_touch(struct idents *t, struct place *n);
/* The attrs around an address. */
const struct netclass *idents_around(const struct idents *t, const struct addr *a);
const struct place *node_find(const struct idents *t, const struct addr *a);
struct addr node_addr(const struct place *n);

/* The attrs around each node whose networks changed; touches what they change. */
void idents_surround(struct idents *t);
/* Gives every touched node its identity; fills fresh, rekeyed, gone, moved, lost. */
void idents_assign(struct idents *t);
/* Ends what idents_assign() began: identities that are gone are freed, their numbers rest. */
void idents_end(struct idents *t);
void ident_number_done(struct idents *t, uint32_t index);
uint32_t idents_of(const struct idents *t, const struct addr *a);
/* The atoms of a family, in an array of the caller's to free. */
struct calc_atom *idents_atoms(const struct idents *t, enum family fam, size_t *n);

/* For ident.c: the trie's part of init and free, and taking away, upwards, what nothing needs. */
void idents_trie_init(struct idents *t);
void idents_trie_free(struct idents *t);
void node_prune(struct idents *t, struct place *n);

#endif
