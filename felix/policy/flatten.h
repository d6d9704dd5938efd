/* Ordered rules that hold for an identity, flattened to what they come to: disjoint pieces of
 * (protocol, destination ports, source ports), each with what is decided and by which rule. Pure.
 */
#ifndef SELVAGE_FELIX_POLICY_FLATTEN_H
#define SELVAGE_FELIX_POLICY_FLATTEN_H

#include "felix/policy/calc.h"
#include "felix/policy/calc_hash.h"

struct flat_range {
	uint16_t lo, hi;
};

/* One end's ports, names resolved. */
struct flat_ports {
	bool asked; /* only what is in `in`; n_in 0 then holds for nothing */
	const struct flat_range *in, *out;
	uint32_t n_in, n_out;
};

/* A rule as far as it is not about addresses, or the end of a tier: end set, action Deny or Pass.
 */
struct flat_step {
	enum policy_action action;
	bool end;
	uint32_t id; /* who decides; unused by Pass */
	struct policy_protocol protocol, not_protocol;
	const struct policy_icmp *icmp, *not_icmp;
	struct flat_ports dports, sports;
};

/* What is decided. */
struct flat_value {
	uint32_t rule, log;
	bool allow;
};

/* Pieces that differ from `other`, sorted; interned. */
struct profile {
	uint32_t hash, refs;
	struct flat_value other; /* for all that no piece names */
	uint32_t n;
	struct calc_row *v;
	/* What flat_rows() said last, and for which base. */
	uint64_t serial, rows_base;
	struct calc_row *rows;
	uint32_t nrows;
};

struct profiles {
	struct hset set;
	uint64_t serial;
};

/* Steps are in order; tiers end with their end step. After the last, `last` decides. One reference.
 */
struct profile *flatten(struct profiles *profiles, const struct flat_step *v, uint32_t n,
			struct flat_value last);
struct profile *profile_ref(struct profile *p);
void profile_put(struct profiles *profiles, struct profile *p);
void profile_free(struct profile *p);

/* The rows that an identity with profile p needs where identity 0 has `base`; base NULL: p is
 * identity 0's own. As few as it takes. Valid until the next call for p. */
const struct calc_row *flat_rows(struct profile *p, const struct profile *base, uint32_t *n);
struct flat_value profile_at(const struct profile *p, uint8_t proto, uint16_t sport,
			     uint16_t dport);

#endif
