#include "test/unit/rib_sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/unit/unit.h"

uint32_t sim_random(struct sim *s, uint32_t below)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return (uint32_t)((s->random >> 20) % below);
}

/* ---- the shell ---- */

static void track(void *arg, const struct addr *nh, uint32_t ifindex, bool on)
{
	struct sim *s = arg;
	for (unsigned k = 0; k < s->nnh; k++) {
		struct sim_nexthop *h = &s->nh[k];
		if (!addr_eq(&h->a, nh))
			continue;
		ck_assert_msg(h->tracked != on, "tracking told twice");
		h->tracked = on;
		h->answered = false;
		if (on && s->answer_now) {
			h->answered = true;
			rib_nexthop_state(s->rib, nh, ifindex, h->reachable, h->metric);
		}
		return;
	}
	ck_abort_msg("a next hop that nobody sent is tracked");
}

static void group_set(void *arg, uint32_t id, const struct rib_nexthop *nh, unsigned n)
{
	struct sim *s = arg;
	ck_assert_uint_lt(id, SIM_GROUPS);
	ck_assert_uint_ne(id, 0);
	ck_assert(n >= 1 && n <= 8);
	memcpy(s->group[id], nh, n * sizeof(*nh));
	s->group_n[id] = n;
	s->group_sets++;
}

static void group_del(void *arg, uint32_t id)
{
	struct sim *s = arg;
	ck_assert_uint_ne(s->group_n[id], 0);
	for (unsigned p = 0; p < s->nprefix; p++)
		ck_assert_msg(s->route[p] != id, "a group is deleted that a route uses");
	s->group_n[id] = 0;
}

static int find_prefix(const struct sim *s, const struct prefix *p)
{
	for (unsigned k = 0; k < s->nprefix; k++)
		if (prefix_eq(&s->prefix[k], p))
			return (int)k;
	return -1;
}

static void routes(void *arg, uint32_t group, const struct prefix *p, unsigned n)
{
	struct sim *s = arg;
	ck_assert_msg(!s->kernel_full, "routes although the queue is full");
	ck_assert(n >= 1 && n <= 1024);
	s->routes_calls++;
	ck_assert_msg(!group || s->group_n[group], "a route through an unknown group");
	for (unsigned k = 0; k < n; k++) {
		int i = find_prefix(s, &p[k]);
		ck_assert_int_ge(i, 0);
		s->route[i] = group;
	}
}

static void output(void *arg, struct rib_peer *rp)
{
	struct sim *s = arg;
	for (unsigned k = 0; k < SIM_PEERS; k++)
		if (s->peer[k].up && s->peer[k].rp == rp) {
			ck_assert_ptr_eq(rib_peer_owner(rp), &s->peer[k]);
			s->peer[k].signalled = true;
			return;
		}
	ck_abort_msg("output of a peer that is down");
}

static bool may_install(void *arg)
{
	return !((struct sim *)arg)->kernel_full;
}

static const struct rib_ops ops = { track, group_set, group_del, routes, output, may_install };

void sim_start(struct sim *s, const struct rib_global *g)
{
	memset(s, 0, sizeof(*s));
	s->random = 88172645463325252ULL;
	s->global = *g;
	s->answer_now = true;
	s->rib = rib_new(g, &ops, s);
}

void sim_stop(struct sim *s)
{
	rib_free(s->rib);
}

/* ---- sessions ---- */

void sim_peer_conf(struct sim *s, unsigned k, uint32_t asn, bool client)
{
	struct sim_peer *p = &s->peer[k];
	char text[64];
	memset(p, 0, sizeof(*p));
	struct rib_peer_conf *c = &p->conf;
	snprintf(p->name, sizeof(p->name), "p%u", k);
	c->owner = p;
	c->name = p->name;
	snprintf(text, sizeof(text), "10.9.%u.2", k);
	addr_parse(text, &c->address);
	addr_parse("10.9.0.1", &c->local);
	c->local4 = c->local;
	addr_parse("2001:db8:9::1", &c->local6);
	c->asn = asn;
	c->local_asn = s->global.asn;
	c->id = 0x0a090000 + k;
	c->ebgp = asn != s->global.asn;
	c->reflector_client = client;
	c->connected = c->ebgp;
	c->policy = true;
	c->rx = (struct bgp_session_ctx){ .as4 = true,
					  .ebgp = c->ebgp,
					  .peer_as = asn,
					  .families = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6),
					  .max_message = BGP_MAX };
	c->tx = c->rx;
}

void sim_up(struct sim *s, unsigned k)
{
	struct sim_peer *p = &s->peer[k];
	memset(p->in, 0, sizeof(p->in));
	memset(p->got, 0, sizeof(p->got));
	memset(p->eor, 0, sizeof(p->eor));
	p->rx_len = 0;
	p->signalled = false;
	p->messages = p->announces = p->withdraws = 0;
	p->up = true;
	p->rp = rib_peer_up(s->rib, &p->conf);
	ck_assert_ptr_nonnull(p->rp);
}

void sim_down(struct sim *s, unsigned k)
{
	s->peer[k].up = false;
	rib_peer_down(s->rib, s->peer[k].rp);
	memset(s->peer[k].in, 0, sizeof(s->peer[k].in));
}

unsigned sim_prefix(struct sim *s, const char *text)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(text, &p), 0);
	int have = find_prefix(s, &p);
	if (have >= 0)
		return (unsigned)have;
	ck_assert_uint_lt(s->nprefix, SIM_PREFIXES);
	s->prefix[s->nprefix] = p;
	return s->nprefix++;
}

unsigned sim_nexthop(struct sim *s, const char *text, bool reachable, uint32_t metric)
{
	struct sim_nexthop *h = &s->nh[s->nnh];
	ck_assert_int_eq(addr_parse(text, &h->a), 0);
	h->reachable = reachable;
	h->metric = metric;
	return s->nnh++;
}

static void put_list(uint8_t *buf, struct blob *out, const uint32_t *v, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		put_u32(buf + 4 * k, v[k]);
	*out = (struct blob){ buf, (uint16_t)(4 * n) };
}

static size_t put_nlri(uint8_t *out, const struct prefix *p, bool add_path, uint32_t id)
{
	size_t n = 0, bytes = (p->len + 7u) / 8;
	if (add_path) {
		put_u32(out, id);
		n = 4;
	}
	out[n++] = p->len;
	memcpy(out + n, p->addr.b, bytes);
	return n + bytes;
}

/* One UPDATE a family; raw is a digest of all that is in it, as the wire's bytes would be. */
static void send_family(struct sim *s, unsigned k, uint32_t path_id, const struct spec *what,
			const unsigned *v, unsigned n, uint8_t fam)
{
	struct sim_peer *p = &s->peer[k];
	uint8_t nlri[32 * SIM_PREFIXES], path[64], comm[32], cluster[32];
	bool add_path = p->conf.rx.add_path & FAMILY_BIT(fam);
	size_t len = 0;
	for (unsigned i = 0; i < n; i++) {
		if (s->prefix[v[i]].addr.fam != fam)
			continue;
		len += put_nlri(nlri + len, &s->prefix[v[i]], add_path, path_id);
		p->in[add_path ? path_id : 0][v[i]] = what ? *what : (struct spec){ 0 };
		p->in[add_path ? path_id : 0][v[i]].there = what;
	}
	if (!len)
		return;
	struct bgp_update u = { .outcome = UPDATE_OK };
	struct nlri *to = what ? &u.reach[fam == FAM_V6] : &u.withdrawn[fam == FAM_V6];
	*to = (struct nlri){ fam, add_path, nlri, len };
	if (what) {
		u.nexthop[fam == FAM_V6].global = what->nh;
		u.nexthop[fam == FAM_V6].linklocal = what->ll;
		u.attrs = (struct attrs){ .origin = what->origin,
					  .has_med = what->med,
					  .med = what->medv,
					  .has_local_pref = what->lp,
					  .local_pref = what->lpv,
					  .has_originator = what->originator,
					  .originator = what->originatorv };
		path[0] = 2;
		path[1] = what->nas;
		put_list(path + 2, &u.attrs.as_path, what->as, what->nas);
		u.attrs.as_path =
			(struct blob){ path, (uint16_t)(what->nas ? 2 + 4 * what->nas : 0) };
		put_list(comm, &u.attrs.communities, what->comm, what->ncomm);
		put_list(cluster, &u.attrs.cluster_list, what->cluster, what->ncluster);
		if (sim_random(s, 2))
			u.raw = (struct blob){ (const uint8_t *)what, sizeof(*what) };
	}
	rib_update(s->rib, p->rp, &u);
}

void sim_send(struct sim *s, unsigned k, uint32_t path_id, const struct spec *what,
	      const unsigned *v, unsigned n)
{
	send_family(s, k, path_id, what, v, n, FAM_V4);
	send_family(s, k, path_id, what, v, n, FAM_V6);
}

void sim_originate(struct sim *s, enum origin_kind kind)
{
	struct prefix v[SIM_PREFIXES];
	unsigned n = 0;
	for (unsigned i = 0; i < s->nprefix; i++)
		if (s->local[kind][i])
			v[n++] = s->prefix[i];
	rib_originate(s->rib, kind, v, n);
}

void sim_nexthop_set(struct sim *s, unsigned k, bool reachable, uint32_t metric)
{
	struct sim_nexthop *h = &s->nh[k];
	h->reachable = reachable;
	h->metric = metric;
	h->answered = false;
	if (h->tracked && s->answer_now) {
		h->answered = true;
		rib_nexthop_state(s->rib, &h->a, 0, reachable, metric);
	}
}

void sim_resend(struct sim *s)
{
	memset(s->route, 0, sizeof(s->route));
	memset(s->group_n, 0, sizeof(s->group_n));
	rib_resend(s->rib);
}

/* ---- the other end of a session ---- */

static unsigned get_list(struct blob b, uint32_t *out)
{
	struct rd r = rd_over(b.p, b.len);
	unsigned n = 0;
	while (rd_left(&r) >= 4)
		out[n++] = rd_u32(&r);
	return n;
}

static void decode(const struct bgp_update *u, const struct bgp_nexthop *nh, struct spec *out)
{
	*out = (struct spec){ .there = true,
			      .nh = nh->global,
			      .ll = nh->linklocal,
			      .origin = u->attrs.origin,
			      .med = u->attrs.has_med,
			      .medv = u->attrs.med,
			      .lp = u->attrs.has_local_pref,
			      .lpv = u->attrs.local_pref,
			      .originator = u->attrs.has_originator,
			      .originatorv = u->attrs.originator };
	struct rd r = rd_over(u->attrs.as_path.p, u->attrs.as_path.len);
	while (rd_left(&r)) {
		ck_assert_uint_eq(rd_u8(&r), 2);
		for (unsigned n = rd_u8(&r); n; n--)
			out->as[out->nas++] = rd_u32(&r);
	}
	out->ncomm = (uint8_t)get_list(u->attrs.communities, out->comm);
	out->ncluster = (uint8_t)get_list(u->attrs.cluster_list, out->cluster);
}

static void apply(struct sim *s, struct sim_peer *p, const uint8_t *msg, size_t len)
{
	static uint8_t scratch[4 * BGP_MAX_EXTENDED];
	struct bgp_session_ctx ctx = p->conf.tx;
	struct bgp_update u;
	struct prefix x;
	ctx.ebgp = false;
	ctx.check_first_as = false;
	ctx.families = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	bgp_update_decode(msg, len, &ctx, scratch, sizeof(scratch), &u);
	ck_assert_msg(u.outcome == UPDATE_OK, "what was sent does not decode: %s", u.error.text);
	p->messages++;
	for (unsigned f = 1; f <= 2; f++)
		p->eor[f] += u.end_of_rib & FAMILY_BIT(f) ? 1 : 0;
	for (unsigned k = 0; k < 2; k++)
		while (u.withdrawn[k].len && nlri_next(&u.withdrawn[k], &x, NULL)) {
			int i = find_prefix(s, &x);
			ck_assert_int_ge(i, 0);
			p->got[i].there = false;
			p->withdraws++;
		}
	for (unsigned k = 0; k < 2; k++)
		while (u.reach[k].len && nlri_next(&u.reach[k], &x, NULL)) {
			int i = find_prefix(s, &x);
			ck_assert_int_ge(i, 0);
			ck_assert(p->conf.tx.families & FAMILY_BIT(x.addr.fam));
			decode(&u, &u.nexthop[k], &p->got[i]);
			p->announces++;
		}
}

static void take_messages(struct sim *s, struct sim_peer *p)
{
	size_t at = 0;
	while (p->rx_len - at >= BGP_HEADER) {
		size_t len = (size_t)p->rx[at + 16] << 8 | p->rx[at + 17];
		ck_assert_uint_le(len, p->conf.tx.max_message);
		if (p->rx_len - at < len)
			break;
		apply(s, p, p->rx + at, len);
		at += len;
	}
	memmove(p->rx, p->rx + at, p->rx_len - at);
	p->rx_len -= at;
}

size_t sim_read(struct sim *s, unsigned k, size_t max)
{
	struct sim_peer *p = &s->peer[k];
	struct iovec iov[4];
	if (!p->up)
		return 0;
	unsigned n = rib_out_peek(s->rib, p->rp, iov, 1 + sim_random(s, 4));
	size_t sum = 0;
	for (unsigned i = 0; i < n && sum < max; i++) {
		size_t take = iov[i].iov_len < max - sum ? iov[i].iov_len : max - sum;
		for (size_t at = 0; at < take;) {
			size_t room = sizeof(p->rx) - p->rx_len;
			size_t part = take - at < room ? take - at : room;
			memcpy(p->rx + p->rx_len, (uint8_t *)iov[i].iov_base + at, part);
			p->rx_len += part;
			at += part;
			take_messages(s, p);
		}
		sum += take;
	}
	p->signalled = n; /* who asked and got some knows that there may be more */
	if (sum)
		rib_out_consume(s->rib, p->rp, sum);
	ck_assert_msg(rib_out_mid_message(p->rp) == (p->rx_len > 0),
		      "rib_out_mid_message() is wrong");
	return sum;
}

static bool answer_all(struct sim *s)
{
	bool any = false;
	for (unsigned k = 0; k < s->nnh; k++) {
		struct sim_nexthop *h = &s->nh[k];
		if (!h->tracked || h->answered)
			continue;
		any = h->answered = true;
		rib_nexthop_state(s->rib, &h->a, 0, h->reachable, h->metric);
	}
	return any;
}

/* Only peers that the RIB called for are read, as a shell does. */
void sim_settle(struct sim *s)
{
	bool moved = true;
	s->kernel_full = false;
	while (moved) {
		moved = answer_all(s);
		moved |= rib_run(s->rib, 100000);
		for (unsigned k = 0; k < SIM_PEERS; k++)
			while (s->peer[k].up && s->peer[k].signalled) {
				moved |= sim_read(s, k, SIZE_MAX) > 0;
			}
	}
}

bool spec_eq(const struct spec *a, const struct spec *b)
{
	if (!a->there || !b->there)
		return a->there == b->there;
	return addr_eq(&a->nh, &b->nh) && a->origin == b->origin && a->nas == b->nas &&
	       memcmp(a->as, b->as, a->nas * sizeof(*a->as)) == 0 && a->med == b->med &&
	       (!a->med || a->medv == b->medv) && a->lp == b->lp && (!a->lp || a->lpv == b->lpv) &&
	       a->originator == b->originator &&
	       (!a->originator || a->originatorv == b->originatorv) && a->ncluster == b->ncluster &&
	       memcmp(a->cluster, b->cluster, a->ncluster * sizeof(*a->cluster)) == 0 &&
	       a->ncomm == b->ncomm && memcmp(a->comm, b->comm, a->ncomm * sizeof(*a->comm)) == 0;
}

const char *spec_text(const struct spec *a, char *buf, size_t size)
{
	char nh[ADDR_STRLEN];
	if (!a->there) {
		snprintf(buf, size, "nothing");
		return buf;
	}
	int n = snprintf(buf, size, "via %s origin %u path", addr_format(&a->nh, nh, sizeof(nh)),
			 a->origin);
	for (unsigned k = 0; k < a->nas; k++)
		n += snprintf(buf + n, size - (size_t)n, " %u", a->as[k]);
	if (a->med)
		n += snprintf(buf + n, size - (size_t)n, " med %u", a->medv);
	if (a->lp)
		n += snprintf(buf + n, size - (size_t)n, " lp %u", a->lpv);
	if (a->originator)
		n += snprintf(buf + n, size - (size_t)n, " originator %x", a->originatorv);
	for (unsigned k = 0; k < a->ncluster; k++)
		n += snprintf(buf + n, size - (size_t)n, " cluster %x", a->cluster[k]);
	for (unsigned k = 0; k < a->ncomm; k++)
		n += snprintf(buf + n, size - (size_t)n, " comm %x", a->comm[k]);
	return buf;
}
