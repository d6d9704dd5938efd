#include "config.h"

#include "felix/links.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "lib/log.h"
#include "lib/nl.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

struct entry {
	struct link link;
	struct entry *next;
};

/* By ifindex; a node has a link for each pod. */
struct table {
	struct entry **bucket;
	unsigned nbuckets, n;
};

struct links {
	struct nl *nl;
	const struct links_ops *ops;
	void *arg;
	struct table t;
};

static struct entry **table_slot(const struct table *t, uint32_t ifindex)
{
	struct entry **at = &t->bucket[ifindex & (t->nbuckets - 1)];

	while (*at && (*at)->link.ifindex != ifindex)
		at = &(*at)->next;
	return at;
}

static struct table table_new(void)
{
	return (struct table){ xcalloc(64, sizeof(struct entry *)), 64, 0 };
}

static void table_grow(struct table *t)
{
	struct table bigger = { xcalloc(t->nbuckets * 2, sizeof(struct entry *)), t->nbuckets * 2,
				t->n };

	for (unsigned i = 0; i < t->nbuckets; i++) {
		for (struct entry *e = t->bucket[i], *next; e; e = next) {
			struct entry **at = &bigger.bucket[e->link.ifindex & (bigger.nbuckets - 1)];

			next = e->next;
			e->next = *at;
			*at = e;
		}
	}
	free(t->bucket);
	*t = bigger;
}

static struct entry *table_add(struct table *t, uint32_t ifindex)
{
	if (t->n >= t->nbuckets)
		table_grow(t);
	struct entry **at = table_slot(t, ifindex);
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->link.ifindex = ifindex;
		t->n++;
	}
	return *at;
}

static void entry_free(struct entry *e)
{
	free(e->link.addrs);
	free(e);
}

static void table_free(struct table *t)
{
	for (unsigned i = 0; i < t->nbuckets; i++) {
		for (struct entry *e = t->bucket[i], *next; e; e = next) {
			next = e->next;
			entry_free(e);
		}
	}
	free(t->bucket);
	*t = (struct table){ 0 };
}

static bool link_eq(const struct link *a, const struct link *b)
{
	if (a->mtu != b->mtu || a->up != b->up || a->loopback != b->loopback ||
	    a->naddrs != b->naddrs || strcmp(a->name, b->name) != 0)
		return false;
	for (unsigned i = 0; i < a->naddrs; i++)
		if (!prefix_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	return true;
}

/* Name, state and MTU from an RTM_NEWLINK; true where something changed. */
static bool link_fill(struct link *l, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct link was = *l;

	l->up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_LOWER_UP);
	l->loopback = ifi->ifi_flags & IFF_LOOPBACK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				snprintf(l->name, sizeof(l->name), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_MTU:
			if (mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
				l->mtu = mnl_attr_get_u32(attr);
			break;
		}
	}
	return !link_eq(&was, l);
}

/* The address of an RTM_NEWADDR or DELADDR; -1 where it has none that counts. */
static int addr_of(const struct nlmsghdr *nlh, struct prefix *out, bool *usable)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	uint32_t flags = ifa->ifa_flags;
	struct addr local = { 0 }, address = { 0 };

	mnl_attr_for_each(attr, nlh, sizeof(*ifa))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFA_LOCAL:
			nl_attr_addr(attr, &local);
			break;
		case IFA_ADDRESS:
			nl_attr_addr(attr, &address);
			break;
		case IFA_FLAGS:
			if (mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
				flags = mnl_attr_get_u32(attr);
			break;
		}
	}
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	out->addr = local.fam ? local : address;
	out->len = ifa->ifa_prefixlen;
	*usable = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
	return out->addr.fam == FAM_NONE ? -1 : 0;
}

static bool link_addr_add(struct link *l, const struct prefix *p)
{
	for (unsigned i = 0; i < l->naddrs; i++)
		if (prefix_eq(&l->addrs[i], p))
			return false;
	l->addrs = xrealloc(l->addrs, (l->naddrs + 1) * sizeof(*p));
	l->addrs[l->naddrs++] = *p;
	return true;
}

static bool link_addr_del(struct link *l, const struct prefix *p)
{
	for (unsigned i = 0; i < l->naddrs; i++) {
		if (!prefix_eq(&l->addrs[i], p))
			continue;
		l->naddrs--;
		memmove(&l->addrs[i], &l->addrs[i + 1], (l->naddrs - i) * sizeof(*p));
		return true;
	}
	return false;
}

static void on_link_message(struct links *l, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	uint32_t ifindex = (uint32_t)ifi->ifi_index;

	/* A link that leaves a bridge gives a DELLINK of family AF_BRIDGE and lives on. */
	if (ifi->ifi_family != AF_UNSPEC || ifi->ifi_index <= 0)
		return;
	struct entry **at = table_slot(&l->t, ifindex), *e = *at;
	if (nlh->nlmsg_type == RTM_NEWLINK) {
		bool fresh = !e;

		if (fresh)
			e = table_add(&l->t, ifindex);
		if (link_fill(&e->link, nlh) || fresh)
			l->ops->on_link(l->arg, &e->link);
	} else if (e) {
		*at = e->next;
		l->t.n--;
		l->ops->on_gone(l->arg, ifindex, e->link.name);
		entry_free(e);
	}
}

static void on_addr_message(struct links *l, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct entry *e = *table_slot(&l->t, ifa->ifa_index);
	struct prefix p = { 0 };
	bool usable, changed;

	if (!e || addr_of(nlh, &p, &usable) < 0)
		return;
	if (nlh->nlmsg_type == RTM_NEWADDR && usable)
		changed = link_addr_add(&e->link, &p);
	else
		changed = link_addr_del(&e->link, &p);
	if (changed)
		l->ops->on_link(l->arg, &e->link);
}

void links_on_event(struct links *l, const struct nlmsghdr *nlh)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (len >= sizeof(struct ifinfomsg))
			on_link_message(l, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (len >= sizeof(struct ifaddrmsg))
			on_addr_message(l, nlh);
		break;
	}
}

/* --- dumps --- */

static int dump_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct table *t = arg;

	if (nlh->nlmsg_type == RTM_NEWLINK && ifi->ifi_index > 0)
		link_fill(&table_add(t, (uint32_t)ifi->ifi_index)->link, nlh);
	return MNL_CB_OK;
}

static int dump_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct table *t = arg;
	struct prefix p = { 0 };
	bool usable;

	struct entry *e = *table_slot(t, ifa->ifa_index);
	if (nlh->nlmsg_type == RTM_NEWADDR && e && addr_of(nlh, &p, &usable) == 0 && usable)
		link_addr_add(&e->link, &p);
	return MNL_CB_OK;
}

static void forget_links(void *arg)
{
	struct table *t = arg;

	table_free(t);
	*t = table_new();
}

static void forget_addrs(void *arg)
{
	const struct table *t = arg;

	for (unsigned i = 0; i < t->nbuckets; i++)
		for (struct entry *e = t->bucket[i]; e; e = e->next)
			e->link.naddrs = 0;
}

static int dump_all(struct nl *nl, struct table *t, struct err *err)
{
	void *head;

	struct nlmsghdr *nlh = nl_request(nl, RTM_GETLINK, 0, sizeof(struct ifinfomsg), &head);
	/* The counters alone would make each answer three times as long. */
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (nl_dump(nl, nlh, dump_link, forget_links, t, err) < 0)
		return err_ctx(err, "cannot list the network interfaces");
	nlh = nl_request(nl, RTM_GETADDR, 0, sizeof(struct ifaddrmsg), &head);
	if (nl_dump(nl, nlh, dump_addr, forget_addrs, t, err) < 0)
		return err_ctx(err, "cannot list the interfaces' addresses");
	return 0;
}

int links_resync(struct links *l, struct err *err)
{
	struct table fresh = table_new(), old;

	if (dump_all(l->nl, &fresh, err) < 0) {
		table_free(&fresh);
		return -1;
	}
	old = l->t;
	l->t = fresh;
	for (unsigned i = 0; i < old.nbuckets; i++)
		for (const struct entry *e = old.bucket[i]; e; e = e->next)
			if (!*table_slot(&l->t, e->link.ifindex))
				l->ops->on_gone(l->arg, e->link.ifindex, e->link.name);
	for (unsigned i = 0; i < l->t.nbuckets; i++) {
		for (const struct entry *e = l->t.bucket[i]; e; e = e->next) {
			const struct entry *was = *table_slot(&old, e->link.ifindex);

			if (!was || !link_eq(&was->link, &e->link))
				l->ops->on_link(l->arg, &e->link);
		}
	}
	table_free(&old);
	return 0;
}

struct links *links_new(struct nl *nl, const struct links_ops *ops, void *arg, struct err *err)
{
	struct links *l = xcalloc(1, sizeof(*l));

	l->nl = nl;
	l->ops = ops;
	l->arg = arg;
	l->t = table_new();
	if (links_resync(l, err) < 0) {
		links_free(l);
		return NULL;
	}
	return l;
}

void links_free(struct links *l)
{
	if (!l)
		return;
	table_free(&l->t);
	free(l);
}

/* --- questions --- */

void links_each(const struct links *l, void (*cb)(void *arg, const struct link *link), void *arg)
{
	for (unsigned i = 0; i < l->t.nbuckets; i++)
		for (const struct entry *e = l->t.bucket[i]; e; e = e->next)
			cb(arg, &e->link);
}

const struct link *links_by_index(const struct links *l, uint32_t ifindex)
{
	const struct entry *e = *table_slot(&l->t, ifindex);

	return e ? &e->link : NULL;
}

const struct link *links_connected(const struct links *l, const struct addr *a)
{
	const struct link *best = NULL;
	unsigned best_len = 0;

	for (unsigned i = 0; i < l->t.nbuckets; i++) {
		for (const struct entry *e = l->t.bucket[i]; e; e = e->next) {
			const struct link *k = &e->link;

			for (unsigned j = 0; j < k->naddrs; j++) {
				const struct prefix *p = &k->addrs[j];

				if (k->loopback || !prefix_contains(p, a))
					continue;
				/* The longest network wins; of equals one that is up. */
				if (!best || p->len > best_len ||
				    (p->len == best_len && k->up && !best->up)) {
					best = k;
					best_len = p->len;
				}
			}
		}
	}
	return best;
}
