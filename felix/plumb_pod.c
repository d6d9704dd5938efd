/* The pod's side, all through the socket that was opened inside its netns. */
#include "config.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "felix/plumb_impl.h"

static struct nlmsghdr *route_request(struct plumb_steps *s, uint32_t ifindex, enum family fam,
				      unsigned scope, struct rtmsg **out)
{
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(
		s->batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = (unsigned char)family_af(fam);
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_BOOT;
	rtm->rtm_type = RTN_UNICAST;
	rtm->rtm_scope = (unsigned char)scope;
	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	*out = rtm;
	return nlh;
}

static void step_family(struct plumb_steps *s, uint32_t ifindex, enum family fam)
{
	static const uint8_t host_mac[6] = HOST_MAC;
	struct addr gw = plumb_gateway(fam);
	struct rtmsg *rtm;

	plumb_step_neigh(s, ifindex, &gw, host_mac);
	/* An IPv6 gateway is link-local and needs no route of its own. */
	if (fam == FAM_V4) {
		struct nlmsghdr *on_link = route_request(s, ifindex, fam, RT_SCOPE_LINK, &rtm);

		rtm->rtm_dst_len = 32;
		nl_put_addr(on_link, RTA_DST, &gw);
		nl_batch_commit(s->batch, STEP_ROUTE);
	}
	struct nlmsghdr *nlh = route_request(s, ifindex, fam, RT_SCOPE_UNIVERSE, &rtm);
	nl_put_addr(nlh, RTA_GATEWAY, &gw);
	nl_batch_commit(s->batch, STEP_ROUTE);
}

int plumb_pod(struct nl *pod, const struct plumb_link *link, const struct plumb_request *rq,
	      struct err *err)
{
	struct plumb_steps s;
	bool done[3] = { false };

	plumb_steps_begin(&s, pod, rq->ifname);
	plumb_step_link_up(&s, 1, STEP_LO); /* lo is 1 in every netns */
	plumb_step_link_up(&s, link->ifindex, STEP_UP);
	for (unsigned i = 0; i < rq->naddrs; i++)
		plumb_step_address(&s, link->ifindex, &rq->addrs[i], family_bits(rq->addrs[i].fam),
				   STEP_ADDRESS);
	for (unsigned i = 0; i < rq->naddrs; i++) {
		if (!done[rq->addrs[i].fam])
			step_family(&s, link->ifindex, rq->addrs[i].fam);
		done[rq->addrs[i].fam] = true;
	}
	if (plumb_steps_end(&s, err) == 0)
		return 0;
	/* What inet6_addr_add() says where disable_ipv6 is set; it sets no text. */
	if (err->code == EACCES && done[FAM_V6])
		return err_set(err,
			       "the pod gets an IPv6 address, but IPv6 is off in it: set "
			       "net.ipv6.conf.%s.disable_ipv6 to 0",
			       rq->ifname);
	return err_ctx(err, "in the pod");
}

static int route_type(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	*(unsigned *)arg = rtm->rtm_type;
	return MNL_CB_OK;
}

bool plumb_pod_ready(struct nl *pod, const struct plumb_request *rq)
{
	for (unsigned i = 0; i < rq->naddrs; i++) {
		const struct addr *a = &rq->addrs[i];
		unsigned type = RTN_UNSPEC;
		struct err err;
		void *head;

		struct nlmsghdr *nlh =
			nl_request(pod, RTM_GETROUTE, 0, sizeof(struct rtmsg), &head);
		struct rtmsg *rtm = head;
		rtm->rtm_family = (unsigned char)family_af(a->fam);
		rtm->rtm_dst_len = (unsigned char)family_bits(a->fam);
		nl_put_addr(nlh, RTA_DST, a);
		if (nl_get(pod, nlh, route_type, &type, &err) < 0 || type != RTN_LOCAL)
			return false;
	}
	return true;
}

/* --- CHECK --- */

struct check {
	const struct plumb_request *rq;
	uint32_t ifindex;
	unsigned addrs;	   /* bit i: address i is there */
	unsigned defaults; /* bit family: its default route is there */
};

static int check_addr(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct check *c = arg;
	const struct nlattr *attr;
	struct addr a;

	if (nlh->nlmsg_type != RTM_NEWADDR || ifa->ifa_index != c->ifindex)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa))
	{
		if (mnl_attr_get_type(attr) != IFA_ADDRESS || nl_attr_addr(attr, &a) < 0)
			continue;
		for (unsigned i = 0; i < c->rq->naddrs; i++)
			if (addr_eq(&a, &c->rq->addrs[i]))
				c->addrs |= 1u << i;
	}
	return MNL_CB_OK;
}

static int check_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct check *c = arg;
	enum family fam = family_from_af(rtm->rtm_family);
	struct addr gw = { 0 }, want;
	const struct nlattr *attr;
	uint32_t oif = 0;

	if (nlh->nlmsg_type != RTM_NEWROUTE || rtm->rtm_dst_len || !fam ||
	    rtm->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			nl_attr_addr(attr, &gw);
		else if (mnl_attr_get_type(attr) == RTA_OIF)
			oif = mnl_attr_get_u32(attr);
	}
	want = plumb_gateway(fam);
	if (oif == c->ifindex && addr_eq(&gw, &want))
		c->defaults |= 1u << fam;
	return MNL_CB_OK;
}

static int dump_into(struct nl *pod, uint16_t type, enum family fam, struct check *c,
		     struct err *err)
{
	bool routes = type == RTM_GETROUTE;
	void *head;

	struct nlmsghdr *nlh = nl_request(
		pod, type, 0, routes ? sizeof(struct rtmsg) : sizeof(struct ifaddrmsg), &head);
	*(unsigned char *)head = (unsigned char)family_af(fam); /* both begin with it */
	if (routes)
		mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_MAIN);
	return nl_dump(pod, nlh, routes ? check_route : check_addr, NULL, c, err);
}

int plumb_pod_check(struct nl *pod, const struct plumb_link *link, const struct plumb_request *rq,
		    struct err *err)
{
	struct check c = { .rq = rq, .ifindex = link->ifindex };
	char text[ADDR_STRLEN];

	if (!link->up)
		return err_set(err, "%s is down in the pod", rq->ifname);
	if (dump_into(pod, RTM_GETADDR, FAM_NONE, &c, err) < 0)
		return err_ctx(err, "cannot list the pod's addresses");
	for (unsigned i = 0; i < rq->naddrs; i++) {
		enum family fam = rq->addrs[i].fam;

		if (!(c.addrs & 1u << i))
			return err_set(err, "%s of the pod lacks the address %s", rq->ifname,
				       addr_format(&rq->addrs[i], text, sizeof(text)));
		struct err none;
		if (!(c.defaults & 1u << fam) && dump_into(pod, RTM_GETROUTE, fam, &c, &none) < 0 &&
		    none.code != ENOENT) {
			*err = none;
			return err_ctx(err, "cannot list the pod's routes");
		}
		if (!(c.defaults & 1u << fam)) {
			struct addr gw = plumb_gateway(fam);

			return err_set(err, "the pod has no default route by %s and %s",
				       addr_format(&gw, text, sizeof(text)), rq->ifname);
		}
	}
	return 0;
}
