/* The inside of the calc graph. calc.c and calc_policies.c take objects in, calc_rules.c makes
 * policies into rules that ask about identities, calc_class.c finds classes, calc_table.c fills
 * their tables, calc_rows.c says what changed in them, calc_flush.c runs it all and tells.
 */
#ifndef SELVAGE_FELIX_POLICY_CALC_IMPL_H
#define SELVAGE_FELIX_POLICY_CALC_IMPL_H

#include "felix/policy/calc.h"
#include "felix/policy/calc_hash.h"
#include "felix/policy/flatten.h"
#include "felix/policy/ident.h"

/* A text to find something by, or to compare. */
struct blob {
	uint8_t *v;
	size_t n, cap;
};
void blob_add(struct blob *b, const void *data, size_t n);
void blob_u32(struct blob *b, uint32_t v);
void blob_text(struct blob *b, const char *s); /* NULL too, apart from "" */

/* A namespace or service account. It is here while it is known or something names it. */
struct scoperec {
	uint32_t hash, refs;
	bool known;
	struct scope scope;
	char *namespace_, *name; /* namespace_ NULL: is a namespace */
};

/* Pods that are alike in all that policies may ask. */
struct group {
	uint32_t hash, refs;
	struct scoperec *ns, *sa; /* sa NULL: none */
	struct kvset *own;
	struct portset *ports;
	struct lset *lset; /* NULL before the first flush */
	struct claim *claims;
	uint32_t local;	  /* endpoints here */
	bool dirty;	  /* its lset is to be made (or it is to go) */
	bool listed;	  /* in calc.local */
	bool choose;	  /* pols is to be made anew */
	bool reorder;	  /* pols, or one of them, changed */
	struct pvec pols; /* struct polrec *, in order, when local */
};

struct cpod {
	uint32_t hash;
	struct scoperec *ns;
	struct group *group;
	struct endpoint *endpoints;
	bool terminating;
	uint8_t naddrs;
	struct addr addrs[2];
	struct claim claims[2];
	char name[];
};

struct endpoint {
	uint32_t hash;
	uint64_t id;
	bool own_labels, dirty, fresh;
	char *namespace_, *name;
	struct cpod *pod;
	struct endpoint *next; /* of the same pod, or of those without */
	struct group *own, *group;
	struct addr *addrs;
	struct claim *claims; /* with a group: one each */
	size_t naddrs;
	struct cclass *class_;
};

struct netsetrec {
	uint32_t hash;
	struct netset *set;
	struct scoperec *ns; /* NULL global */
	struct attr *attr;
};

struct tierrec {
	uint32_t hash;
	struct tier *tier;
};

struct svcrec {
	uint32_t hash, refs; /* refs: attrs; it is here while it is known or an attr needs it */
	bool known;
	char *namespace_, *name;
	struct calc_backend *v;
	size_t n;
	struct pvec attrs; /* struct attr * */
};

struct ruleref {
	uint32_t hash, refs, id;
	struct calc_rule info;
	char *texts;
};

/* One end of a rule as far as it is about addresses. What it takes is known for each identity. */
struct peer {
	uint32_t hash, refs;
	uint32_t uses; /* by rules that are not retired; with 0 it asks nothing more */
	struct blob key;
	bool fresh; /* bits are to be made */
	bool has_nets, selected;
	bool nets_all[3], not_all[3]; /* by family: contains every address */
	struct attr *nets, *not_nets, *service;
	const struct match *match; /* of the owner's */
	const struct selector *not_labels;
	struct policy *owner;
	uint64_t *bits; /* by identity index */
	uint32_t words;
};

struct crule {
	const struct rule *rule;
	struct ruleref *ref;	   /* NULL: Pass */
	struct peer *remote, *own; /* NULL: any */
	bool remote_names, own_names;
	bool service; /* the destination's port is this one */
	uint8_t service_proto;
	uint16_t service_port;
};

/* A policy, compiled; here while it selects somebody or a class that is about to go has it. */
struct cpol {
	uint32_t refs;
	uint64_t serial;
	struct policy *policy;
	struct crule *rules[POLICY_DIRECTIONS];
	uint32_t n[POLICY_DIRECTIONS];
	struct pvec names; /* struct nameuse * */
};

struct nameuse {
	uint32_t hash, refs;
	char name[];
};

struct polrec {
	uint32_t hash;
	uint32_t active; /* groups here that it selects */
	bool dirty, gone, uses_services;
	bool counted;		      /* in calc.counted: active changed */
	struct policy *policy, *next; /* next: what it will be */
	struct cpol *compiled;
	struct tier unknown;
	const struct tier *tier;
};

struct cstep {
	const struct crule *rule; /* NULL: the end of a tier */
	uint32_t end_id;
	enum policy_action action;
};

struct assigned {
	uint32_t index;
	struct profile *profile;
};

struct table {
	bool there;
	struct cstep *steps;
	uint32_t nsteps;
	struct profile *base; /* identity 0's */
	struct assigned *v;   /* those that differ from it, by index */
	uint32_t n;
};

enum { TABLE_KINDS = 4 }; /* direction + 2 * staged */

struct cclass {
	uint32_t hash, refs, id;
	bool fresh, idle; /* idle: in idle_classes */
	struct blob key;
	struct cpol **pols;
	struct ruleref **ends;	     /* of each, its tier's end; NULL where the tier goes on */
	enum policy_action *actions; /* of the ends */
	uint32_t npols;
	struct portset *ports; /* of its endpoints: those that its rules ask of their own end */
	/* Of the endpoint that it was made for; until it is compiled. */
	struct lset *lset;
	struct netclass *around[3];
	struct table tables[TABLE_KINDS][3];
};

struct pending {
	struct pvec add, change, del; /* struct calc_change *, owned */
};

struct calc {
	struct calc_ops ops;
	void *arg;
	struct idents idents;
	struct profiles profiles;
	struct hset namespaces, accounts, groups, pods, endpoints, policies, tiers, netsets,
		services, names, peers, rules, classes;
	struct endpoint *orphans;
	struct pvec dirty_groups, local, dirty_policies, counted, dirty_endpoints, fresh_peers;
	struct pvec fresh_classes, idle_classes; /* idle: no endpoint had it for a moment */
	struct pvec class_by_id;
	struct ruleref **rule_by_id; /* [0] unused */
	uint32_t nrules, caprules, *free_rules, nfree_rules, cap_free_rules;
	uint32_t next_class, *free_class, nfree_class, cap_free_class;
	uint64_t serial;
	struct pvec old_tiers; /* policies may point to them until the next flush */
	bool tiers_changed, names_changed;
	struct pending pending;
	uint64_t *lost_endpoints;
	uint32_t nlost, caplost;
	struct calc_atom *atoms[3];
	size_t natoms[3];
	struct arena scratch;
};

/* What something is called; namespace_ NULL where it has none. */
struct name {
	const char *namespace_, *name;
};
uint32_t name_hash(const char *namespace_, const char *name);

/* calc.c */
/* With one reference more; namespace_ NULL: a namespace, else a service account. */
struct scoperec *scope_get(struct calc *c, const char *namespace_, const char *name);
void scope_release(struct calc *c, struct scoperec *r);
void group_dirty(struct calc *c, struct group *g);
void group_free(struct calc *c, struct group *g);
void endpoint_dirty(struct calc *c, struct endpoint *e);
const struct endpoint *calc_endpoint_there(const struct calc *c, uint64_t id);

/* calc_policies.c */
void policy_dirty(struct calc *c, struct polrec *p);
const struct tier *calc_tier_find(const struct calc *c, const char *name);
/* Its namespace's labels changed. */
void netset_follow(struct calc *c, struct netsetrec *r);
struct svcrec *service_rec(struct calc *c, const char *namespace_, const char *name, bool make);
void service_rec_put(struct calc *c, struct svcrec *s);
void service_free(struct svcrec *s);

/* calc_rules.c */
struct cpol *cpol_compile(struct calc *c, struct policy *p);
/* No policy has it any more, only classes that are about to go: what it asks does not part
 * addresses any longer. */
void cpol_retire(struct calc *c, struct cpol *p);
void cpol_put(struct calc *c, struct cpol *p);
void cpol_free(struct cpol *p); /* at the end of all */
void peer_free(struct peer *p);
bool peer_takes(const struct peer *p, unsigned fam, const struct lset *lset,
		const struct netclass *nc);
static inline bool peer_has(const struct peer *p, uint32_t index)
{
	return index / 64 < p->words && p->bits[index / 64] >> index % 64 & 1;
}
/* Bits of new peers, and of the identities that changed. */
void peers_update(struct calc *c);
struct ruleref *rule_tier_end(struct calc *c, const char *tier);
void rule_put(struct calc *c, struct ruleref *r);
bool match_takes(const struct match *m, const struct lset *l);
void service_attrs_update(struct calc *c, struct svcrec *s);

/* calc_class.c */
void endpoint_classify(struct calc *c, struct endpoint *e);
void class_put(struct calc *c, struct cclass *k);
void class_free(struct calc *c, struct cclass *k);
/* The rule holds for its own end where that is this. */
bool own_takes(const struct crule *r, unsigned fam, const struct lset *l,
	       struct netclass *const *nc);

/* calc_table.c */
void class_compile(struct calc *c, struct cclass *k);
/* t->steps are there; fills in the rest. */
void table_build(struct calc *c, const struct cclass *k, unsigned kind, unsigned fam,
		 struct table *t);
/* What one identity comes to; with a reference. */
struct profile *profile_for(struct calc *c, const struct cclass *k, unsigned kind,
			    const struct table *t, const struct ident *i);

/* calc_rows.c */
/* The rows that follow from identities that changed, into c->pending. */
void class_update(struct calc *c, struct cclass *k);
void class_rows_all(struct calc *c, const struct cclass *k);

#endif
