/* What the RIB should come to, by the plainest reading of the RFCs: for each prefix all paths are
 * looked at anew, for each peer everything is computed anew. Shares no code with the RIB.
 */
#include <stdlib.h>

#include "test/unit/rib_sim.h"
#include "test/unit/unit.h"

struct cand {
	const struct spec *s;
	int peer; /* -1: own */
	uint32_t path_id, lp, med, metric, router_id, neighbour;
	bool ebgp, in;
};

enum { MAX_CAND = SIM_PEERS * 3 + 3 };

static bool is_direct(const struct sim_peer *p, const struct spec *x)
{
	return p->conf.connected && p->conf.ebgp && addr_eq(&x->nh, &p->conf.address);
}

static const struct sim_nexthop *find_nh(const struct sim *s, const struct addr *a)
{
	for (unsigned k = 0; k < s->nnh; k++)
		if (addr_eq(&s->nh[k].a, a))
			return &s->nh[k];
	return NULL;
}

static bool own_address(const struct sim *s, const struct addr *a)
{
	for (unsigned k = 0; k < SIM_PEERS; k++) {
		const struct sim_peer *p = &s->peer[k];
		if (p->up && (addr_eq(&p->conf.local, a) || addr_eq(&p->conf.local4, a) ||
			      addr_eq(&p->conf.local6, a)))
			return true;
	}
	return false;
}

static unsigned count(const struct spec *x, uint32_t asn)
{
	unsigned n = 0;
	for (unsigned k = 0; k < x->nas; k++)
		n += x->as[k] == asn;
	return n;
}

static bool has_comm(const struct spec *x, uint32_t c)
{
	for (unsigned k = 0; k < x->ncomm; k++)
		if (x->comm[k] == c)
			return true;
	return false;
}

static bool accepted(const struct sim *s, const struct sim_peer *p, const struct spec *x)
{
	const struct rib_global *g = &s->global;
	if (count(x, p->conf.local_asn) > p->conf.allowed_own_as ||
	    count(x, g->asn) > p->conf.allowed_own_as)
		return false;
	if (x->originator && x->originatorv == g->router_id)
		return false;
	for (unsigned k = 0; k < x->ncluster; k++)
		if (g->cluster_id && x->cluster[k] == g->cluster_id)
			return false;
	return !(g->require_policy && p->conf.ebgp && !p->conf.policy);
}

static bool usable(const struct sim *s, const struct sim_peer *p, const struct spec *x)
{
	return accepted(s, p, x) && !own_address(s, &x->nh) &&
	       (is_direct(p, x) || find_nh(s, &x->nh)->reachable);
}

static uint32_t local_pref(const struct spec *x)
{
	if (has_comm(x, (uint32_t)COMM_GRACEFUL_SHUTDOWN))
		return 0;
	return x->lp ? x->lpv : 100;
}

static unsigned collect(const struct sim *s, unsigned prefix, struct cand *c)
{
	unsigned n = 0;
	static const struct spec own = { .there = true };
	for (unsigned kind = 0; kind < 3; kind++)
		if (s->local[kind][prefix])
			c[n++] = (struct cand){
				.s = &own, .peer = -1, .path_id = kind + 1, .in = true
			};
	for (unsigned k = 0; k < SIM_PEERS; k++)
		for (unsigned id = 0; id < 3; id++) {
			const struct sim_peer *p = &s->peer[k];
			const struct spec *x = &p->in[id][prefix];
			if (!p->up || !x->there || !usable(s, p, x))
				continue;
			c[n++] = (struct cand){
				.s = x,
				.peer = (int)k,
				.path_id = id,
				.lp = local_pref(x),
				.med = x->med ? x->medv : 0,
				.metric = is_direct(p, x) ? 0 : find_nh(s, &x->nh)->metric,
				.router_id = x->originator ? x->originatorv : p->conf.id,
				.neighbour = x->nas ? x->as[0] : 0,
				.ebgp = p->conf.ebgp,
				.in = true,
			};
		}
	return n;
}

/* Of those still in, all whose value is higher than the lowest one go out. */
typedef uint64_t (*value_fn)(const struct sim *s, const struct cand *c);

static void keep_lowest(const struct sim *s, struct cand *c, unsigned n, value_fn value)
{
	uint64_t low = UINT64_MAX;
	for (unsigned k = 0; k < n; k++)
		if (c[k].in && value(s, &c[k]) < low)
			low = value(s, &c[k]);
	for (unsigned k = 0; k < n; k++)
		if (value(s, &c[k]) > low)
			c[k].in = false;
}

#define VALUE(name, expr)                                                                          \
	static uint64_t name(const struct sim *s, const struct cand *c)                            \
	{                                                                                          \
		(void)s;                                                                           \
		return (expr);                                                                     \
	}
VALUE(v_local, c->peer >= 0)
VALUE(v_lp, UINT32_MAX - c->lp)
VALUE(v_len, c->s->nas)
VALUE(v_origin, c->s->origin)
VALUE(v_ebgp, !c->ebgp)
VALUE(v_metric, c->metric)
VALUE(v_id, c->router_id)
VALUE(v_cluster, c->s->ncluster)
VALUE(v_address, c->peer < 0 ? 0 : addr_to_u32(&s->peer[c->peer].conf.address))
VALUE(v_path_id, c->path_id)

/* Leaves `in` those equal up to the metric; returns the best of all, NULL where there is none. */
static struct cand *choose(const struct sim *s, struct cand *c, unsigned n)
{
	static struct cand last[MAX_CAND];
	keep_lowest(s, c, n, v_local);
	keep_lowest(s, c, n, v_lp);
	keep_lowest(s, c, n, v_len);
	keep_lowest(s, c, n, v_origin);
	bool out[MAX_CAND] = { false };
	for (unsigned a = 0; a < n; a++)
		for (unsigned b = 0; b < n; b++)
			if (c[a].in && c[b].in && c[a].neighbour == c[b].neighbour &&
			    c[b].med < c[a].med)
				out[a] = true;
	for (unsigned a = 0; a < n; a++)
		c[a].in = c[a].in && !out[a];
	keep_lowest(s, c, n, v_ebgp);
	keep_lowest(s, c, n, v_metric);
	memcpy(last, c, n * sizeof(*c));
	keep_lowest(s, last, n, v_id);
	keep_lowest(s, last, n, v_cluster);
	keep_lowest(s, last, n, v_address);
	keep_lowest(s, last, n, v_path_id);
	for (unsigned k = 0; k < n; k++)
		if (last[k].in)
			return &c[k];
	return NULL;
}

static bool mode_allows(const struct sim *s, unsigned prefix, bool own)
{
	bool pool = false, never = false;
	for (unsigned k = 0; k < s->npool; k++)
		if (prefix_covers(&s->pool[k].cidr, &s->prefix[prefix])) {
			pool |= !s->pool[k].disable_export;
			never |= s->pool[k].disable_export;
		}
	if (s->global.export_mode == EXPORT_ALL)
		return true;
	return !never && (own || (s->global.export_mode == EXPORT_POOLS && pool));
}

static bool may_tell(const struct sim *s, const struct sim_peer *to, const struct cand *best,
		     unsigned prefix)
{
	const struct rib_peer_conf *c = &to->conf;
	uint8_t fam = s->prefix[prefix].addr.fam;
	if (!(c->tx.families & FAMILY_BIT(fam)) || !mode_allows(s, prefix, best->peer < 0))
		return false;
	if (best->peer >= 0 && &s->peer[best->peer] == to)
		return false;
	if (has_comm(best->s, (uint32_t)COMM_NO_ADVERTISE))
		return false;
	if (c->ebgp && (has_comm(best->s, (uint32_t)COMM_NO_EXPORT) ||
			has_comm(best->s, (uint32_t)COMM_NO_EXPORT_SUBCONFED)))
		return false;
	if (c->ebgp && s->global.require_policy && !c->policy)
		return false;
	if (!c->ebgp && best->peer >= 0 && !best->ebgp)
		return s->global.cluster_id &&
		       (c->reflector_client || s->peer[best->peer].conf.reflector_client);
	return true;
}

static struct addr next_hop(const struct sim *s, const struct rib_peer_conf *c,
			    const struct cand *best, uint8_t fam)
{
	struct addr self = fam == FAM_V4 ? c->local4 : c->local6;
	if (fam == FAM_V4 && !self.fam && c->tx.ext_nexthop & FAMILY_BIT(FAM_V4))
		self = c->local6;
	bool keep =
		c->nexthop_mode == NEXTHOP_KEEP || (c->nexthop_mode == NEXTHOP_AUTO && !c->ebgp);
	(void)s;
	if (!keep || best->peer < 0)
		return self;
	bool says = best->s->nh.fam == fam ||
		    (best->s->nh.fam == FAM_V6 && c->tx.ext_nexthop & FAMILY_BIT(fam));
	return says ? best->s->nh : self;
}

static void to_internal(const struct sim *s, const struct cand *best, struct spec *out)
{
	out->lp = true;
	out->lpv = best->lp;
	if (best->peer < 0) {
		out->lpv = s->global.export_mode == EXPORT_ALL ? 100 : 2147482623;
	} else if (!best->ebgp) {
		if (!out->originator)
			out->originatorv = s->peer[best->peer].conf.id;
		out->originator = true;
		memmove(out->cluster + 1, out->cluster, out->ncluster * sizeof(uint32_t));
		out->cluster[0] = s->global.cluster_id;
		out->ncluster++;
	}
}

struct spec model_sent(const struct sim *s, unsigned k, unsigned prefix)
{
	struct cand c[MAX_CAND];
	const struct sim_peer *to = &s->peer[k];
	const struct cand *best = choose(s, c, collect(s, prefix, c));
	if (!best || !may_tell(s, to, best, prefix))
		return (struct spec){ 0 };
	struct spec out = *best->s;
	out.nh = next_hop(s, &to->conf, best, s->prefix[prefix].addr.fam);
	if (!out.nh.fam)
		return (struct spec){ 0 };
	if (to->conf.ebgp) {
		memmove(out.as + 1, out.as, out.nas * sizeof(uint32_t));
		out.as[0] = to->conf.local_asn;
		out.nas++;
		out.med = out.lp = out.originator = false;
		out.ncluster = 0;
	} else {
		to_internal(s, best, &out);
	}
	return out;
}

static int by_addr(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

unsigned model_installed(const struct sim *s, unsigned prefix, struct addr *out)
{
	struct cand c[MAX_CAND];
	unsigned n = collect(s, prefix, c), k = 0;
	const struct cand *best = choose(s, c, n);
	if (!best || best->peer < 0 || !s->global.install)
		return 0;
	struct addr other[MAX_CAND];
	for (unsigned a = 0; a < n; a++) {
		bool new = c[a].in && !addr_eq(&c[a].s->nh, &best->s->nh);
		for (unsigned b = 0; b < k; b++)
			new = new && !addr_eq(&other[b], &c[a].s->nh);
		if (new)
			other[k++] = c[a].s->nh;
	}
	qsort(other, k, sizeof(*other), by_addr);
	out[0] = best->s->nh;
	unsigned m = 1;
	for (unsigned a = 0; a < k && m < s->global.max_paths; a++)
		out[m++] = other[a];
	qsort(out, m, sizeof(*out), by_addr);
	return m;
}

static void check_kernel(const struct sim *s, unsigned i, const char *name)
{
	struct addr want[MAX_CAND], have[8];
	unsigned n = model_installed(s, i, want), id = s->route[i];
	ck_assert_msg(!!id == !!n, "%s: installed %d, should be %d", name, !!id, !!n);
	if (!n)
		return;
	ck_assert_msg(s->group_n[id] == n, "%s: %u next hops, should be %u", name, s->group_n[id],
		      n);
	for (unsigned k = 0; k < n; k++)
		have[k] = s->group[id][k].gateway;
	qsort(have, n, sizeof(*have), by_addr);
	for (unsigned k = 0; k < n; k++)
		ck_assert_msg(addr_eq(&have[k], &want[k]), "%s: wrong next hop", name);
}

static void check_counts(const struct sim *s, const struct sim_peer *p)
{
	struct rib_peer_counts c;
	uint32_t received = 0, taken = 0, sent = 0;
	rib_peer_counts(s->rib, p->rp, &c);
	for (unsigned i = 0; i < s->nprefix; i++) {
		sent += p->got[i].there;
		for (unsigned id = 0; id < 3; id++) {
			const struct spec *x = &p->in[id][i];
			received += x->there;
			taken += x->there && accepted(s, p, x);
		}
	}
	ck_assert_msg(c.received == received, "%s: received %u, should be %u", p->name, c.received,
		      received);
	ck_assert_msg(c.accepted == taken, "%s: accepted %u, should be %u", p->name, c.accepted,
		      taken);
	ck_assert_msg(c.advertised == sent, "%s: advertised %u, should be %u", p->name,
		      c.advertised, sent);
}

void sim_check(struct sim *s)
{
	char name[PREFIX_STRLEN], a[300], b[300];
	for (unsigned i = 0; i < s->nprefix; i++) {
		prefix_format(&s->prefix[i], name, sizeof(name));
		check_kernel(s, i, name);
		for (unsigned k = 0; k < SIM_PEERS; k++) {
			if (!s->peer[k].up)
				continue;
			struct spec want = model_sent(s, k, i);
			ck_assert_msg(spec_eq(&want, &s->peer[k].got[i]),
				      "%s to p%u: has %s, should have %s", name, k,
				      spec_text(&s->peer[k].got[i], a, sizeof(a)),
				      spec_text(&want, b, sizeof(b)));
		}
	}
	for (unsigned k = 0; k < SIM_PEERS; k++)
		if (s->peer[k].up)
			check_counts(s, &s->peer[k]);
}
