/* The shell around felix/routes_core: sends its requests in batches, tells it what the kernel
 * answers and what it announces. */
#include "config.h"

#include "felix/routes.h"

#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "felix/routes_nl.h"
#include "lib/arena.h"
#include "lib/log.h"
#include "lib/nl.h"

/* How many prefixes on_failed() gets at once: what one message to bgpd takes. */
enum { FAILED_LIST = 1024, REASONS = 16 };

struct link_state {
	uint32_t ifindex;
	bool up;
};

struct failure {
	struct prefix prefix;
	unsigned reason;
};

struct u32s {
	uint32_t *v, n, cap;
};

struct routes {
	struct nl *nl;
	struct nl_batch *batch;
	struct rc *core;
	uint32_t table;
	const struct routes_ops *ops;
	void *arg;
	bool adopting, resync;
	struct u32s verify;  /* links whose next hops the kernel may have dropped */
	struct u32s refused; /* objects that the kernel refused in this phase */
	/* Each link is asked once in one evaluation. */
	struct link_state links[64];
	unsigned nlinks;
	/* Told at the end of a flush, when the callee may call back in. */
	struct failure *failed;
	unsigned nfailed, failed_cap, nreasons;
	char reason[REASONS][160];
	bool broken;
};

static void u32s_add(struct u32s *s, uint32_t v)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->v[i] == v)
			return;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n++] = v;
}

/* --- what the core asks --- */

static bool env_resolve(void *arg, const struct addr *gw, struct addr *via, uint32_t *ifindex)
{
	struct routes *r = arg;

	return rnl_resolve(r->nl, gw, via, ifindex);
}

static bool env_link_up(void *arg, uint32_t ifindex)
{
	struct routes *r = arg;

	for (unsigned i = 0; i < r->nlinks; i++)
		if (r->links[i].ifindex == ifindex)
			return r->links[i].up;
	bool up = rnl_link_up(r->nl, ifindex);
	if (r->nlinks < sizeof(r->links) / sizeof(r->links[0]))
		r->links[r->nlinks++] = (struct link_state){ ifindex, up };
	return up;
}

static void env_failed(void *arg, const struct prefix *p, const char *why)
{
	struct routes *r = arg;
	unsigned reason = 0;

	while (reason < r->nreasons && strcmp(r->reason[reason], why) != 0)
		reason++;
	if (reason == REASONS)
		reason = REASONS - 1;
	else if (reason == r->nreasons)
		snprintf(r->reason[r->nreasons++], sizeof(r->reason[0]), "%s", why);
	if (r->nfailed == r->failed_cap) {
		r->failed_cap = r->failed_cap ? r->failed_cap * 2 : 64;
		r->failed = xrealloc(r->failed, r->failed_cap * sizeof(*r->failed));
	}
	r->failed[r->nfailed++] = (struct failure){ *p, reason };
}

static void tell_failures(struct routes *r)
{
	struct failure *all = r->failed;
	unsigned n = r->nfailed, nreasons = r->nreasons;
	struct prefix list[FAILED_LIST];
	char why[sizeof(r->reason[0])];

	r->failed = NULL;
	r->nfailed = r->failed_cap = r->nreasons = 0;
	for (unsigned reason = 0; n && reason < nreasons; reason++) {
		unsigned k = 0;

		snprintf(why, sizeof(why), "%s", r->reason[reason]);
		for (unsigned i = 0; i < n; i++) {
			if (all[i].reason != reason)
				continue;
			list[k++] = all[i].prefix;
			if (k == FAILED_LIST) {
				r->ops->on_failed(r->arg, list, k, why);
				k = 0;
			}
		}
		if (k)
			r->ops->on_failed(r->arg, list, k, why);
	}
	free(all);
}

/* --- what the kernel answers --- */

static uint64_t cookie_of(const struct rc_op *op)
{
	return (uint64_t)op->type << 32 | op->id;
}

static void on_refused(void *arg, uint64_t cookie, int errnum, const char *text)
{
	struct routes *r = arg;
	uint32_t id = (uint32_t)cookie;
	char why[160];

	switch ((enum rc_op_type)(cookie >> 32)) {
	case RC_OP_HOP:
	case RC_OP_GROUP:
		log_debug("routes", "next-hop object %u refused: %s", id, text);
		u32s_add(&r->refused, id);
		break;
	case RC_OP_ROUTE:
		snprintf(why, sizeof(why), "the kernel refused it: %.120s", text);
		rc_route_failed(r->core, id, why, errnum == ENODEV);
		break;
	case RC_OP_NH_DEL:
	case RC_OP_ROUTE_DEL:
		/* Gone already is what was wanted. */
		if (errnum != ENOENT && errnum != ESRCH)
			log_warn("routes", "the kernel refused a deletion: %s", text);
		break;
	}
}

static void send_batch(struct routes *r)
{
	struct err err;

	if (nl_batch_flush(r->batch, &err) < 0) {
		log_error("routes", "%s; reading the kernel's routes again", err.text);
		r->resync = true;
		r->broken = true;
	}
}

/* --- dumps --- */

static int dump_nexthop(const struct nlmsghdr *nlh, void *arg)
{
	struct routes *r = arg;
	struct rnl_nexthop nh;

	if (nlh->nlmsg_type != RTM_NEWNEXTHOP || !rnl_nexthop(nlh, &nh) ||
	    nh.protocol != RTPROT_SELVAGE)
		return MNL_CB_OK;
	if (nh.is_group)
		rc_dump_group(r->core, nh.id, nh.members, nh.n);
	else
		rc_dump_hop(r->core, nh.id, &nh.hop);
	return MNL_CB_OK;
}

static bool is_ours(const struct routes *r, const struct rnl_route *rt)
{
	return rt->protocol == RTPROT_SELVAGE && rt->metric == ROUTE_METRIC &&
	       rt->table == r->table;
}

static int dump_route(const struct nlmsghdr *nlh, void *arg)
{
	struct routes *r = arg;
	struct rnl_route rt;

	if (nlh->nlmsg_type == RTM_NEWROUTE && rnl_route(nlh, &rt) && is_ours(r, &rt))
		rc_dump_route(r->core, &rt.prefix, rt.what, r->adopting);
	return MNL_CB_OK;
}

static int read_kernel(struct routes *r, struct err *err)
{
	rc_dump_begin(r->core);
	if (rnl_dump_nexthops(r->nl, dump_nexthop, r, err) < 0 ||
	    rnl_dump_routes(r->nl, FAM_V4, r->table, dump_route, r, err) < 0)
		return -1;
	/* A kernel without IPv6 has no routes of it either. */
	if (rnl_dump_routes(r->nl, FAM_V6, r->table, dump_route, r, err) < 0 &&
	    err->code != EOPNOTSUPP && err->code != EAFNOSUPPORT)
		return -1;
	rc_dump_end(r->core);
	return 0;
}

struct routes *routes_new(struct nl *nl, uint32_t table, const struct routes_ops *ops, void *arg,
			  struct err *err)
{
	static const struct rc_env env = { env_resolve, env_link_up, env_failed };
	struct routes *r = xcalloc(1, sizeof(*r));

	r->nl = nl;
	r->table = table ? table : RT_TABLE_MAIN;
	r->ops = ops;
	r->arg = arg;
	r->batch = nl_batch_new(nl, on_refused, r);
	r->core = rc_new(&env, r);
	r->adopting = true;
	if (read_kernel(r, err) < 0) {
		routes_free(r);
		return NULL;
	}
	r->adopting = false;
	/* Groups found are planned now, so that bgpd's first definitions can take them over. */
	rc_plan(r->core);
	return r;
}

void routes_free(struct routes *r)
{
	if (!r)
		return;
	nl_batch_free(r->batch);
	rc_free(r->core);
	free(r->verify.v);
	free(r->refused.v);
	free(r->failed);
	free(r);
}

/* --- desired state --- */

void routes_set_block(struct routes *r, const struct prefix *block, bool present)
{
	struct prefix net = prefix_mask(block);

	rc_set_block(r->core, &net, present);
}

void routes_set_pod(struct routes *r, const struct prefix *host, uint32_t ifindex)
{
	struct prefix net = prefix_mask(host);

	rc_set_pod(r->core, &net, ifindex);
}

void routes_nhg(struct routes *r, const struct m_nhg *g)
{
	r->nlinks = 0;
	rc_nhg(r->core, g);
}

void routes_nhg_del(struct routes *r, uint32_t id)
{
	rc_nhg_del(r->core, id);
}

void routes_learned(struct routes *r, uint32_t nhg, const struct prefix *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct prefix net = prefix_mask(&p[i]);

		rc_learned(r->core, nhg, &net);
	}
}

void routes_bgpd_reset(struct routes *r)
{
	rc_reset_learned(r->core);
}

void routes_sweep(struct routes *r)
{
	rc_sweep(r->core);
}

void routes_resync(struct routes *r)
{
	r->resync = true;
}

/* --- events --- */

static void on_route_event(struct routes *r, const struct nlmsghdr *nlh)
{
	struct rnl_route rt;

	if (!rnl_route(nlh, &rt))
		return;
	if (is_ours(r, &rt)) {
		if (nlh->nlmsg_type == RTM_DELROUTE)
			rt.what = (struct rc_what){ RC_ABSENT, 0 };
		rc_route_is(r->core, &rt.prefix, rt.what);
	} else if (rt.protocol != RTPROT_SELVAGE && rt.table != RT_TABLE_LOCAL &&
		   !addr_is_linklocal(&rt.prefix.addr)) {
		/* Some next hop may now be reached another way. */
		rc_reevaluate(r->core);
	}
}

static void on_nexthop_event(struct routes *r, const struct nlmsghdr *nlh)
{
	struct rnl_nexthop nh;

	if (!rnl_nexthop(nlh, &nh))
		return;
	if (nlh->nlmsg_type == RTM_DELNEXTHOP)
		rc_nh_lost(r->core, nh.id);
	else if (nh.protocol == RTPROT_SELVAGE && nh.is_group)
		rc_group_is(r->core, nh.id, nh.members, nh.n);
	else if (nh.protocol == RTPROT_SELVAGE)
		rc_dump_hop(r->core, nh.id, &nh.hop);
}

static bool is_pod_link(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			return strncmp(mnl_attr_get_str(attr), "cali", 4) == 0;
	}
	return false;
}

static void on_link_event(struct routes *r, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	uint32_t ifindex = (uint32_t)ifi->ifi_index;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return;
	if (nlh->nlmsg_type == RTM_DELLINK)
		rc_link_gone(r->core, ifindex);
	else if ((ifi->ifi_change & IFF_UP) && (ifi->ifi_flags & IFF_UP))
		rc_link_restored(r->core, ifindex);
	if (is_pod_link(nlh))
		return;
	/* The flags in an event are those of a moment: a short loss of carrier may show in none
	 * of them and has still cost the next hops. So the kernel is asked, whatever they say. */
	u32s_add(&r->verify, ifindex);
	rc_reevaluate(r->core);
}

static void on_address_event(struct routes *r, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	struct addr a = { 0 };

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct ifaddrmsg))
		return;
	mnl_attr_for_each(attr, nlh, sizeof(struct ifaddrmsg))
	{
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			nl_attr_addr(attr, &a);
	}
	/* A link-local next hop comes with its link; each pod's veth has such an address. */
	if (!addr_is_linklocal(&a))
		rc_reevaluate(r->core);
}

void routes_on_event(struct routes *r, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route_event(r, nlh);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		on_nexthop_event(r, nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link_event(r, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_address_event(r, nlh);
		break;
	}
}

/* --- sending --- */

/* Asks for each next hop on that link (0: on any) that we believe to stand. */
static void verify_hops(struct routes *r, uint32_t ifindex)
{
	enum { MAX = 4096 };
	uint32_t *ids = xcalloc(MAX, sizeof(*ids));
	unsigned n = rc_hops_on(r->core, ifindex, ids, MAX);

	for (unsigned i = 0; i < n; i++)
		if (!rnl_nexthop_exists(r->nl, ids[i]))
			rc_nh_lost(r->core, ids[i]);
	free(ids);
}

static void send_phase(struct routes *r, bool (*next)(struct rc *c, struct rc_op *op))
{
	struct rc_op op;

	r->refused.n = 0;
	while (next(r->core, &op))
		rnl_put(r->batch, r->table, &op, cookie_of(&op));
	send_batch(r);
}

static void give_up_refused(struct routes *r)
{
	for (uint32_t i = 0; i < r->refused.n; i++) {
		rc_nh_failed(r->core, r->refused.v[i]);
		/* An older form of it may stand: what is not as wanted must not forward. */
		rnl_put_nh_del(r->batch, r->refused.v[i], (uint64_t)RC_OP_NH_DEL << 32);
	}
	send_batch(r);
	rc_plan(r->core);
}

static void send_nexthops(struct routes *r)
{
	for (unsigned try = 0; try < 2; try++) {
		send_phase(r, rc_next_hop);
		if (r->refused.n)
			give_up_refused(r);
		send_phase(r, rc_next_group);
		if (!r->refused.n || r->broken)
			return;
		if (try == 1)
			break;
		/* Most likely a link went down and its event still waits to be read: the kernel
		 * has dropped a next hop that we believe to stand. */
		for (uint32_t i = 0; i < r->refused.n; i++)
			rc_group_unsent(r->core, r->refused.v[i]);
		verify_hops(r, 0);
		r->nlinks = 0;
		rc_reevaluate(r->core);
		rc_plan(r->core);
	}
	for (uint32_t i = 0; i < r->refused.n; i++)
		log_warn("routes", "the kernel refused next-hop group %u", r->refused.v[i]);
	give_up_refused(r);
}

static bool prepare(struct routes *r)
{
	struct err err;

	r->nlinks = 0;
	r->broken = false;
	if (r->resync) {
		if (read_kernel(r, &err) < 0) {
			log_error("routes", "%s", err.text);
			return false;
		}
		r->resync = false;
		r->verify.n = 0;
	}
	for (uint32_t i = 0; i < r->verify.n; i++)
		verify_hops(r, r->verify.v[i]);
	r->verify.n = 0;
	rc_plan(r->core);
	return true;
}

bool routes_flush(struct routes *r, unsigned budget)
{
	struct rc_op op;
	unsigned sent = 0;

	if (!r->resync && !r->verify.n && !rc_pending(r->core))
		return false;
	if (!prepare(r))
		return false;
	send_nexthops(r);
	while (!r->broken && sent < budget && rc_next_route(r->core, &op)) {
		rnl_put(r->batch, r->table, &op, cookie_of(&op));
		sent++;
	}
	send_batch(r);
	while (!r->broken && sent < budget && rc_next_unused(r->core, &op)) {
		rnl_put(r->batch, r->table, &op, cookie_of(&op));
		sent++;
	}
	send_batch(r);
	tell_failures(r);
	return r->resync || rc_pending(r->core);
}

void routes_stats(const struct routes *r, struct routes_stats *out)
{
	rc_stats(r->core, out);
}
