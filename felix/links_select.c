/* Which of the node's addresses is the node's own, and which MTU its pods get. */
#include "config.h"

#include <fnmatch.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "felix/links.h"
#include "felix/routes.h"
#include "lib/log.h"
#include "lib/nl.h"

static bool is_pod_link(const struct link *l)
{
	return strncmp(l->name, "cali", 4) == 0;
}

/* May this address stand for the node? */
static bool is_candidate(const struct link *l, const struct prefix *p)
{
	return !l->loopback && !is_pod_link(l) && !addr_is_linklocal(&p->addr) &&
	       !addr_is_martian(&p->addr);
}

struct search {
	const struct links *links;
	enum family fam;
	const char *glob;	 /* or NULL */
	const struct prefix *in; /* or NULL */
	uint32_t ifindex;	 /* or 0 */
	uint32_t best_ifindex;
	struct prefix best;
};

static void search_link(void *arg, const struct link *l)
{
	struct search *s = arg;

	if ((s->glob && fnmatch(s->glob, l->name, 0) != 0) ||
	    (s->ifindex && l->ifindex != s->ifindex))
		return;
	/* The lowest ifindex wins, so that the choice is the same at every start. */
	if (s->best.addr.fam && l->ifindex > s->best_ifindex)
		return;
	for (unsigned i = 0; i < l->naddrs; i++) {
		const struct prefix *p = &l->addrs[i];

		if (p->addr.fam != s->fam || !is_candidate(l, p) ||
		    (s->in && !prefix_contains(s->in, &p->addr)))
			continue;
		s->best = *p;
		s->best_ifindex = l->ifindex;
		return;
	}
}

static bool search(struct search *s, struct prefix *out)
{
	links_each(s->links, search_link, s);
	if (!s->best.addr.fam)
		return false;
	*out = s->best;
	return true;
}

struct text {
	char buf[320];
	size_t len;
};

static void list_link(void *arg, const struct link *l)
{
	struct text *t = arg;
	char addr[PREFIX_STRLEN];

	for (unsigned i = 0; i < l->naddrs && t->len < sizeof(t->buf); i++) {
		if (!is_candidate(l, &l->addrs[i]))
			continue;
		t->len += (size_t)snprintf(t->buf + t->len, sizeof(t->buf) - t->len, "%s%s %s",
					   t->len ? ", " : "", l->name,
					   prefix_format(&l->addrs[i], addr, sizeof(addr)));
	}
}

static int no_address(const struct links *l, const char *wanted, struct err *err)
{
	struct text t = { .len = 0 };

	links_each(l, list_link, &t);
	return err_set(err, "no address for this node: %s; there is %s; set node.address", wanted,
		       t.len ? t.buf : "no usable address on any interface");
}

/* --- node.address --- */

struct presence {
	const struct addr *addr;
	bool found;
};

static void look_for(void *arg, const struct link *l)
{
	struct presence *p = arg;

	for (unsigned i = 0; i < l->naddrs; i++)
		if (addr_eq(&l->addrs[i].addr, p->addr))
			p->found = true;
}

/* What a person wrote is taken as it stands: the address may come later than felix does. */
static int configured(const struct links *l, const struct nodeconf *conf, struct prefix out[2])
{
	const struct prefix *v = conf->node.address.v;
	int n = 0;

	for (uint32_t i = 0; i < conf->node.address.n && n < 2; i++) {
		struct presence here = { &v[i].addr, false };
		char text[PREFIX_STRLEN];

		links_each(l, look_for, &here);
		if (!here.found)
			log_warn("links", "node.address %s is on no interface of this node",
				 prefix_format(&v[i], text, sizeof(text)));
		out[n++] = v[i];
	}
	return n;
}

/* --- addressFrom.reach --- */

struct route_answer {
	struct addr prefsrc;
	uint32_t oif;
};

static int route_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct route_answer *a = arg;
	const struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_ERROR;
	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_PREFSRC:
			nl_attr_addr(attr, &a->prefsrc);
			break;
		case RTA_OIF:
			a->oif = mnl_attr_get_u32(attr);
			break;
		}
	}
	return MNL_CB_OK;
}

static bool by_reach(const struct links *l, struct nl *nl, const struct addr *reach,
		     struct prefix *out, struct err *err)
{
	struct route_answer a = { .oif = 0 };
	void *head;

	struct nlmsghdr *nlh = nl_request(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(reach->fam);
	rtm->rtm_dst_len = (unsigned char)family_bits(reach->fam);
	nl_put_addr(nlh, RTA_DST, reach);
	if (nl_get(nl, nlh, route_answer, &a, err) < 0 || !a.prefsrc.fam)
		return false;
	struct prefix host = prefix_host(&a.prefsrc);
	struct search s = { .links = l, .fam = reach->fam, .in = &host };
	return search(&s, out);
}

/* --- the default route --- */

struct default_route {
	const struct links *links;
	uint32_t ifindex, metric;
};

static uint32_t first_hop_link(const struct nlattr *multipath)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(multipath);

	return mnl_attr_get_payload_len(multipath) >= sizeof(*nh) ? (uint32_t)nh->rtnh_ifindex : 0;
}

static int default_row(const struct nlmsghdr *nlh, void *arg)
{
	struct default_route *d = arg;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	uint32_t oif = 0, metric = 0;

	/* A default route that we learned by BGP leads anywhere in the fabric. */
	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_dst_len || rtm->rtm_type != RTN_UNICAST ||
	    rtm->rtm_protocol == RTPROT_SELVAGE || rtm->rtm_table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			oif = mnl_attr_get_u32(attr);
			break;
		case RTA_MULTIPATH:
			oif = first_hop_link(attr);
			break;
		case RTA_PRIORITY:
			metric = mnl_attr_get_u32(attr);
			break;
		}
	}
	const struct link *l = links_by_index(d->links, oif);
	if (l && !l->loopback && (!d->ifindex || metric < d->metric)) {
		d->ifindex = oif;
		d->metric = metric;
	}
	return MNL_CB_OK;
}

static void default_restart(void *arg)
{
	((struct default_route *)arg)->ifindex = 0;
}

static uint32_t default_link(const struct links *l, struct nl *nl, enum family fam, struct err *err)
{
	struct default_route d = { .links = l };
	void *head;

	struct nlmsghdr *nlh = nl_request(nl, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(fam);
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_MAIN);
	if (nl_dump(nl, nlh, default_row, default_restart, &d, err) < 0)
		return 0;
	return d.ifindex;
}

static int by_default_route(const struct links *l, struct nl *nl, struct prefix out[2],
			    struct err *err)
{
	static const enum family fams[2] = { FAM_V4, FAM_V6 };
	uint32_t via[2];
	int n = 0;

	for (unsigned i = 0; i < 2; i++)
		via[i] = default_link(l, nl, fams[i], err);
	for (unsigned i = 0; i < 2; i++) {
		/* A family without a default route of its own takes the other one's link. */
		struct search s = { .links = l,
				    .fam = fams[i],
				    .ifindex = via[i] ? via[i] : via[1 - i] };

		if (s.ifindex && search(&s, &out[n]))
			n++;
	}
	if (n)
		return n;
	return no_address(l,
			  via[0] || via[1] ? "the link of the default route has none"
					   : "there is no default route to find one by",
			  err);
}

int links_node_addresses(const struct links *l, struct nl *nl, const struct nodeconf *conf,
			 struct prefix out[2], struct err *err)
{
	static const enum family fams[2] = { FAM_V4, FAM_V6 };
	const char *glob = conf->node.address_from.interface;
	const struct prefix *cidr = &conf->node.address_from.cidr;
	const struct addr *reach = &conf->node.address_from.reach;
	char wanted[160], text[PREFIX_STRLEN];
	int n = 0;

	if (conf->node.address.n)
		return configured(l, conf, out);
	if (glob && glob[0]) {
		for (unsigned i = 0; i < 2; i++) {
			struct search s = { .links = l, .fam = fams[i], .glob = glob };

			n += search(&s, &out[n]);
		}
		snprintf(wanted, sizeof(wanted), "no interface \"%.100s\" has one", glob);
	} else if (cidr->addr.fam) {
		struct search s = { .links = l, .fam = cidr->addr.fam, .in = cidr };

		n += search(&s, &out[n]);
		snprintf(wanted, sizeof(wanted), "none lies in %s",
			 prefix_format(cidr, text, sizeof(text)));
	} else if (reach->fam) {
		n += by_reach(l, nl, reach, &out[n], err);
		snprintf(wanted, sizeof(wanted), "no route leads to %s",
			 addr_format(reach, text, sizeof(text)));
	} else {
		return by_default_route(l, nl, out, err);
	}
	return n ? n : no_address(l, wanted, err);
}

/* --- MTU --- */

struct mtu_search {
	uint32_t with_global, with_any;
};

static void mtu_link(void *arg, const struct link *l)
{
	struct mtu_search *m = arg;
	bool global = false;

	if (l->loopback || is_pod_link(l) || !l->up || !l->naddrs)
		return;
	for (unsigned i = 0; i < l->naddrs; i++)
		global |= is_candidate(l, &l->addrs[i]);
	if (global && (!m->with_global || l->mtu < m->with_global))
		m->with_global = l->mtu;
	if (!m->with_any || l->mtu < m->with_any)
		m->with_any = l->mtu;
}

uint32_t links_auto_mtu(const struct links *l)
{
	struct mtu_search m = { 0 };

	/* Uplinks of unnumbered BGP have nothing but link-local addresses; where a link has a
	 * global one, those others are bridges' and containers' ends. */
	links_each(l, mtu_link, &m);
	if (m.with_global)
		return m.with_global;
	return m.with_any ? m.with_any : 1500;
}
