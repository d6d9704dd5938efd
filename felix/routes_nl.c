#include "config.h"

#include "felix/routes_nl.h"

#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "lib/nl.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

/* --- requests --- */

static void put_hop(struct nl_batch *b, const struct rc_op *op)
{
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE,
						sizeof(struct nhmsg), &head);
	struct nhmsg *nhm = head;
	nhm->nh_family = (unsigned char)family_af(op->hop.gateway.fam);
	nhm->nh_protocol = RTPROT_SELVAGE;
	nhm->nh_flags = op->hop.onlink ? RTNH_F_ONLINK : 0;
	mnl_attr_put_u32(nlh, NHA_ID, op->id);
	mnl_attr_put_u32(nlh, NHA_OIF, op->hop.ifindex);
	nl_put_addr(nlh, NHA_GATEWAY, &op->hop.gateway);
}

static void put_group(struct nl_batch *b, const struct rc_op *op)
{
	struct nexthop_grp grp[RC_MAX_MEMBERS] = { 0 };
	void *head;

	for (unsigned i = 0; i < op->nmembers; i++) {
		grp[i].id = op->members[i].id;
		grp[i].weight = (uint8_t)(op->members[i].weight - 1); /* the kernel adds one */
	}
	struct nlmsghdr *nlh = nl_batch_request(b, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE,
						sizeof(struct nhmsg), &head);
	struct nhmsg *nhm = head;
	nhm->nh_protocol = RTPROT_SELVAGE;
	mnl_attr_put_u32(nlh, NHA_ID, op->id);
	mnl_attr_put(nlh, NHA_GROUP, op->nmembers * sizeof(grp[0]), grp);
}

void rnl_put_nh_del(struct nl_batch *b, uint32_t id, uint64_t cookie)
{
	struct nlmsghdr *nlh = nl_batch_request(b, RTM_DELNEXTHOP, 0, sizeof(struct nhmsg), NULL);

	mnl_attr_put_u32(nlh, NHA_ID, id);
	nl_batch_commit(b, cookie);
}

static void put_route(struct nl_batch *b, uint32_t table, const struct rc_op *op)
{
	bool set = op->type == RC_OP_ROUTE;
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(b, set ? RTM_NEWROUTE : RTM_DELROUTE,
						set ? NLM_F_CREATE | NLM_F_REPLACE : 0,
						sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(op->prefix.addr.fam);
	rtm->rtm_dst_len = op->prefix.len;
	rtm->rtm_table = table < 256 ? (unsigned char)table : RT_TABLE_UNSPEC;
	rtm->rtm_protocol = RTPROT_SELVAGE;
	/* Of a deletion, "nowhere" and type 0 mean any. */
	rtm->rtm_scope = !set			   ? RT_SCOPE_NOWHERE
			 : op->what.kind == RC_DEV ? RT_SCOPE_LINK
						   : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = !set				? RTN_UNSPEC
			: op->what.kind == RC_BLACKHOLE ? RTN_BLACKHOLE
							: RTN_UNICAST;
	nl_put_addr(nlh, RTA_DST, &op->prefix.addr);
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_PRIORITY, ROUTE_METRIC);
	if (set && op->what.kind == RC_DEV)
		mnl_attr_put_u32(nlh, RTA_OIF, op->what.value);
	else if (set && op->what.kind == RC_NH)
		mnl_attr_put_u32(nlh, RTA_NH_ID, op->what.value);
}

void rnl_put(struct nl_batch *b, uint32_t table, const struct rc_op *op, uint64_t cookie)
{
	switch (op->type) {
	case RC_OP_HOP:
		put_hop(b, op);
		break;
	case RC_OP_GROUP:
		put_group(b, op);
		break;
	case RC_OP_NH_DEL:
		rnl_put_nh_del(b, op->id, cookie);
		return;
	case RC_OP_ROUTE:
	case RC_OP_ROUTE_DEL:
		put_route(b, table, op);
		break;
	}
	nl_batch_commit(b, cookie);
}

/* --- what the kernel tells --- */

static bool attr_u32(const struct nlattr *attr, uint32_t *out)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return false;
	*out = mnl_attr_get_u32(attr);
	return true;
}

bool rnl_route(const struct nlmsghdr *nlh, struct rnl_route *out)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	uint32_t oif = 0, nhid = 0;
	bool gateway = false;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm))
		return false;
	*out = (struct rnl_route){ .protocol = rtm->rtm_protocol, .table = rtm->rtm_table };
	out->prefix.addr.fam = family_from_af(rtm->rtm_family);
	out->prefix.len = rtm->rtm_dst_len;
	if (!out->prefix.addr.fam || rtm->rtm_flags & RTM_F_CLONED)
		return false;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			if (mnl_attr_get_payload_len(attr) == family_bytes(out->prefix.addr.fam))
				nl_attr_addr(attr, &out->prefix.addr);
			break;
		case RTA_TABLE:
			attr_u32(attr, &out->table);
			break;
		case RTA_PRIORITY:
			attr_u32(attr, &out->metric);
			break;
		case RTA_OIF:
			attr_u32(attr, &oif);
			break;
		case RTA_NH_ID:
			attr_u32(attr, &nhid);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
		case RTA_MULTIPATH:
			gateway = true;
			break;
		}
	}
	if (nhid)
		out->what = (struct rc_what){ RC_NH, nhid };
	else if (rtm->rtm_type == RTN_BLACKHOLE)
		out->what = (struct rc_what){ RC_BLACKHOLE, 0 };
	else if (rtm->rtm_type == RTN_UNICAST && oif && !gateway)
		out->what = (struct rc_what){ RC_DEV, oif };
	else
		out->what = (struct rc_what){ RC_OTHER, 0 };
	return true;
}

static bool read_group(const struct nlattr *attr, struct rnl_nexthop *out)
{
	size_t n = mnl_attr_get_payload_len(attr) / sizeof(struct nexthop_grp);

	out->is_group = true;
	if (n > RC_MAX_MEMBERS)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct nexthop_grp g;

		memcpy(&g, (const char *)mnl_attr_get_payload(attr) + i * sizeof(g), sizeof(g));
		out->members[i] = (struct rc_member){ g.id, (uint16_t)(g.weight + 1) };
	}
	out->n = (unsigned)n;
	return true;
}

bool rnl_nexthop(const struct nlmsghdr *nlh, struct rnl_nexthop *out)
{
	const struct nhmsg *nhm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nhm))
		return false;
	out->id = 0;
	out->protocol = nhm->nh_protocol;
	out->is_group = false;
	out->n = 0;
	out->hop = (struct rc_hop){ .onlink = nhm->nh_flags & RTNH_F_ONLINK };
	mnl_attr_for_each(attr, nlh, sizeof(*nhm))
	{
		switch (mnl_attr_get_type(attr)) {
		case NHA_ID:
			attr_u32(attr, &out->id);
			break;
		case NHA_OIF:
			attr_u32(attr, &out->hop.ifindex);
			break;
		case NHA_GATEWAY:
			nl_attr_addr(attr, &out->hop.gateway);
			break;
		case NHA_GROUP:
			if (!read_group(attr, out))
				return false;
			break;
		}
	}
	return out->id != 0;
}

int rnl_dump_routes(struct nl *nl, enum family fam, uint32_t table,
		    int (*cb)(const struct nlmsghdr *, void *), void *arg, struct err *err)
{
	void *head;

	/* A strict dump is filtered by the kernel: only rows of our protocol and table come. */
	struct nlmsghdr *nlh = nl_request(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(fam);
	rtm->rtm_protocol = RTPROT_SELVAGE;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	/* A repetition tells every row again; what went in between comes as an event. */
	if (nl_dump(nl, nlh, cb, NULL, arg, err) == 0)
		return 0;
	if (err->code == ENOENT) /* a table that has no route yet */
		return 0;
	return err_ctx(err, "cannot list the kernel's routes");
}

int rnl_dump_nexthops(struct nl *nl, int (*cb)(const struct nlmsghdr *, void *), void *arg,
		      struct err *err)
{
	struct nlmsghdr *nlh = nl_request(nl, RTM_GETNEXTHOP, 0, sizeof(struct nhmsg), NULL);

	if (nl_dump(nl, nlh, cb, NULL, arg, err) < 0)
		return err_ctx(err, "cannot list the kernel's next hops (they need Linux 5.3)");
	return 0;
}

/* --- questions --- */

static int ignore_answer(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	(void)arg;
	return MNL_CB_OK;
}

bool rnl_nexthop_exists(struct nl *nl, uint32_t id)
{
	struct err err;
	struct nlmsghdr *nlh = nl_request(nl, RTM_GETNEXTHOP, 0, sizeof(struct nhmsg), NULL);

	mnl_attr_put_u32(nlh, NHA_ID, id);
	return nl_get(nl, nlh, ignore_answer, NULL, &err) == 0 || err.code != ENOENT;
}

static int link_flags(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	*(unsigned *)arg = ifi->ifi_flags;
	return MNL_CB_OK;
}

bool rnl_link_up(struct nl *nl, uint32_t ifindex)
{
	unsigned flags = 0;
	struct err err;
	void *head;

	struct nlmsghdr *nlh = nl_request(nl, RTM_GETLINK, 0, sizeof(struct ifinfomsg), &head);
	((struct ifinfomsg *)head)->ifi_index = (int)ifindex;
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_get(nl, nlh, link_flags, &flags, &err) < 0)
		return false;
	return (flags & IFF_UP) && (flags & IFF_LOWER_UP);
}

struct resolved {
	uint8_t protocol, type;
	struct addr gateway;
	uint32_t oif;
};

static void first_hop(const struct nlattr *multipath, struct resolved *r)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(multipath);
	size_t len = mnl_attr_get_payload_len(multipath);
	const struct nlattr *attr;

	if (len < sizeof(*nh) || nh->rtnh_len < sizeof(*nh) || nh->rtnh_len > len)
		return;
	r->oif = (uint32_t)nh->rtnh_ifindex;
	const struct nlattr *in = (const void *)(nh + 1);
	mnl_attr_for_each_payload(in, nh->rtnh_len - sizeof(*nh))
	{
		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			nl_attr_addr(attr, &r->gateway);
	}
}

static int resolve_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct resolved *r = arg;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	r->protocol = rtm->rtm_protocol;
	r->type = rtm->rtm_type;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			attr_u32(attr, &r->oif);
			break;
		case RTA_GATEWAY:
			nl_attr_addr(attr, &r->gateway);
			break;
		case RTA_MULTIPATH:
			first_hop(attr, r);
			break;
		}
	}
	return MNL_CB_OK;
}

static bool ask_route(struct nl *nl, const struct addr *a, unsigned flags, struct resolved *r)
{
	struct err err;
	void *head;

	struct nlmsghdr *nlh = nl_request(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(a->fam);
	rtm->rtm_dst_len = (unsigned char)family_bits(a->fam);
	rtm->rtm_flags = flags;
	nl_put_addr(nlh, RTA_DST, a);
	*r = (struct resolved){ .type = RTN_UNSPEC };
	return nl_get(nl, nlh, resolve_answer, r, &err) == 0;
}

bool rnl_resolve(struct nl *nl, const struct addr *gw, struct addr *via, uint32_t *ifindex)
{
	struct resolved r;

	/* The entry itself tells whose it is; the plain answer would not. */
	if (!ask_route(nl, gw, RTM_F_FIB_MATCH, &r) || r.protocol == RTPROT_SELVAGE ||
	    r.type != RTN_UNICAST)
		return false;
	/* A route by someone's next-hop id names no link in that form. */
	if (!r.oif && !ask_route(nl, gw, 0, &r))
		return false;
	if (!r.oif || r.type != RTN_UNICAST)
		return false;
	*via = r.gateway.fam ? r.gateway : *gw;
	*ifindex = r.oif;
	return true;
}
