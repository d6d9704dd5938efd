/* felix/routes and felix/links over the real kernel: two uplinks to two routers. */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "felix/links.h"
#include "felix/plumb.h"
#include "felix/routes.h"
#include "lib/nl.h"
#include "test/unit/netns.h"

struct lab {
	struct ev_loop *loop;
	struct nl *nl;
	struct nl_events *route_events, *link_events;
	struct routes *routes;
	struct links *links;
	unsigned failed, on_link, on_gone;
	char why[160];
};

static void on_failed(void *arg, const struct prefix *p, unsigned n, const char *why)
{
	struct lab *d = arg;

	(void)p;
	d->failed += n;
	snprintf(d->why, sizeof(d->why), "%s", why);
}

static void on_link(void *arg, const struct link *l)
{
	(void)l;
	((struct lab *)arg)->on_link++;
}

static void on_gone(void *arg, uint32_t ifindex, const char *name)
{
	(void)ifindex;
	(void)name;
	((struct lab *)arg)->on_gone++;
}

static void on_event(void *arg, const struct nlmsghdr *nlh)
{
	struct lab *d = arg;

	if (d->links)
		links_on_event(d->links, nlh);
	if (d->routes)
		routes_on_event(d->routes, nlh);
}

static void on_lost(void *arg)
{
	struct lab *d = arg;

	if (d->routes)
		routes_resync(d->routes);
}

static const struct routes_ops routes_ops = { on_failed };
static const struct links_ops links_ops = { on_link, on_gone };
static const struct nl_events_ops events_ops = { on_event, on_lost };
static const int route_groups[] = { RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP, 0 };
static const int link_groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, 0 };

static void felix_start(struct lab *d)
{
	struct err err = { 0 };

	memset(d, 0, sizeof(*d));
	d->loop = ev_loop_new(0);
	d->nl = nl_open(NETLINK_ROUTE, &err);
	ck_assert_ptr_nonnull(d->nl);
	d->link_events =
		nl_events_open(d->loop, NETLINK_ROUTE, link_groups, 0, &events_ops, d, &err);
	d->route_events = nl_events_open(d->loop, NETLINK_ROUTE, route_groups, nl_portid(d->nl),
					 &events_ops, d, &err);
	d->links = links_new(d->nl, &links_ops, d, &err);
	ck_assert_msg(d->links != NULL, "%s", err.text);
	d->routes = routes_new(d->nl, RT_TABLE_MAIN, &routes_ops, d, &err);
	ck_assert_msg(d->routes != NULL, "%s", err.text);
}

static void felix_stop(struct lab *d)
{
	nl_events_close(d->route_events);
	nl_events_close(d->link_events);
	routes_free(d->routes);
	links_free(d->links);
	nl_close(d->nl);
	ev_loop_destroy(d->loop);
}

/* Reads events and sends until both are at rest; link events may be some milliseconds late. */
static void settle(struct lab *d)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	for (unsigned quiet = 0, i = 0; quiet < 12; i++) {
		ck_assert_uint_lt(i, 2000);
		for (unsigned k = 0; k < 50; k++)
			ev_run(d->loop, EVRUN_NOWAIT);
		if (routes_flush(d->routes, 10000)) {
			quiet = 0;
			continue;
		}
		quiet++;
		nanosleep(&pause, NULL);
	}
}

/* up1 and up2 lead to two other namespaces. */
static void topology(int tor[2])
{
	struct err err;

	netns_enter();
	ck_assert_int_eq(plumb_node_sysctls(&err), 0);
	for (int i = 0; i < 2; i++) {
		tor[i] = netns_make();
		SH("ip link add up%d type veth peer name t netns /proc/self/fd/%d && "
		   "ip addr add 10.0.%d.1/24 dev up%d && "
		   "ip addr add fd00:%d::1/64 dev up%d nodad && ip link set up%d up",
		   i, tor[i], i, i, i, i, i);
		SH_IN(tor[i],
		      "ip link set lo up; ip addr add 10.0.%d.2/24 dev t;"
		      "ip addr add fd00:%d::2/64 dev t nodad; ip link set dev t up",
		      i, i);
	}
	SH("for i in 1 2 3 4 5 6 7 8 9; do "
	   "ip -br link show up0 | grep -q ' UP ' && ip -br link show up1 | grep -q ' UP ' && exit;"
	   "sleep 0.1; done");
}

static void define(struct lab *d, uint32_t id, const char *gw0, const char *gw1)
{
	struct m_nexthop v[2] = { { .weight = 1 }, { .weight = 1 } };
	struct m_nhg g = { .id = id, .nexthops = { gw1 ? 2 : 1, v } };

	ck_assert_int_eq(addr_parse(gw0, &v[0].gateway), 0);
	if (gw1)
		ck_assert_int_eq(addr_parse(gw1, &v[1].gateway), 0);
	routes_nhg(d->routes, &g);
}

static void learn(struct lab *d, uint32_t nhg, const char *text)
{
	struct prefix p;

	ck_assert_int_eq(prefix_parse(text, &p), 0);
	routes_learned(d->routes, nhg, &p, 1);
}

static struct prefix pfx(const char *text)
{
	struct prefix p;

	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

#define BOTH  "10.0.0.2", "10.0.1.2"
#define BOTH6 "fd00:0::2", "fd00:1::2"
/* Until the command succeeds or 5 s have passed: the kernel tells of a lost carrier up to a second
 * late (linkwatch). */
__attribute__((format(printf, 2, 3))) static void until(struct lab *d, const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < 50; i++) {
		settle(d);
		if (sh("%s", cmd) == 0)
			return;
	}
	sh("ip route; ip -6 route; ip nexthop; ip link");
	ck_abort_msg("still not so: %s", cmd);
}

/* Does `ip route get` use, over many destinations, just these uplinks? */
#define VIA(d, dst, what)                                                                          \
	until(d,                                                                                   \
	      "test \"$(for i in $(seq 60); do ip route get " dst "$i; done | grep -o 'up[01]' | " \
	      "sort -u | xargs)\" = '" what "'")
#define VIA4(what) VIA(&d, "192.168.7.", what)
#define VIA6(what) VIA(&d, "fd77::", what)

static void standard_routes(struct lab *d)
{
	define(d, 1, BOTH);
	define(d, 2, BOTH6);
	learn(d, 1, "192.168.7.0/24");
	learn(d, 2, "fd77::/64");
	settle(d);
}

START_TEST(ecmp_of_both_families)
{
	struct lab d;
	int tor[2];

	topology(tor);
	felix_start(&d);
	standard_routes(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	/* One link less: the group is replaced, not the route. */
	define(&d, 1, "10.0.1.2", NULL);
	settle(&d);
	VIA4("up1");
	VIA6("up0 up1");
	learn(&d, 0, "192.168.7.0/24");
	learn(&d, 0, "fd77::/64");
	routes_nhg_del(d.routes, 1);
	routes_nhg_del(d.routes, 2);
	settle(&d);
	SH("test -z \"$(ip route show proto 80)$(ip -6 route show proto 80)$(ip nexthop)\"");
	ck_assert_uint_eq(d.failed, 0);
	felix_stop(&d);
}
END_TEST

START_TEST(failover_and_return_of_links)
{
	struct lab d;
	int tor[2];

	topology(tor);
	felix_start(&d);
	standard_routes(&d);
	/* Carrier, as when the switch dies. */
	SH_IN(tor[0], "ip link set dev t down");
	settle(&d);
	VIA4("up1");
	VIA6("up1");
	/* The last one: the kernel takes the routes along. */
	SH_IN(tor[1], "ip link set dev t down");
	until(&d, "test -z \"$(ip route show proto 80)\"");
	SH_IN(tor[1], "ip link set dev t up");
	settle(&d);
	VIA4("up1");
	VIA6("up1");
	SH_IN(tor[0], "ip link set dev t up");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	/* Down by hand, which in IPv6 takes the addresses along. */
	SH("ip link set up0 down");
	settle(&d);
	VIA4("up1");
	SH("ip link set up0 up; ip addr add fd00:0::1/64 dev up0 nodad");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	/* Down and up before any event is read. */
	SH("ip link set up0 down; ip link set up1 down; ip link set up0 up; ip link set up1 up;"
	   "ip addr add fd00:0::1/64 dev up0 nodad; ip addr add fd00:1::1/64 dev up1 nodad");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	felix_stop(&d);
}
END_TEST

START_TEST(foreign_deletion_is_healed)
{
	struct lab d;
	int tor[2];

	topology(tor);
	felix_start(&d);
	standard_routes(&d);
	SH("ip route del 192.168.7.0/24 proto 80 metric 1080");
	SH("ip -6 route del fd77::/64 proto 80 metric 1080");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	SH("ip nexthop flush proto 80 >/dev/null 2>&1; test -z \"$(ip nexthop)\"");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	/* A group changed by another hand. */
	SH("g=$(ip nexthop | sed -n 's/^id \\([0-9]*\\) group \\([0-9]*\\).*/\\1 \\2/p' | head -1);"
	   "set -- $g; ip nexthop replace id $1 group $2 proto 80");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	/* And a deletion whose event was lost. */
	SH("ip route del 192.168.7.0/24 proto 80 metric 1080");
	for (unsigned i = 0; i < 50; i++) {
		struct routes *r = d.routes;

		d.routes = NULL;
		ev_run(d.loop, EVRUN_NOWAIT);
		d.routes = r;
	}
	settle(&d);
	SH("test -z \"$(ip route show 192.168.7.0/24)\"");
	routes_resync(d.routes);
	settle(&d);
	VIA4("up0 up1");
	felix_stop(&d);
}
END_TEST

START_TEST(others_routes_are_left_alone)
{
	struct lab d;
	int tor[2];

	topology(tor);
	/* As an administrator writes them: metric 0 in IPv4, 1024 in IPv6. */
	SH("ip route add 192.168.7.0/24 via 10.0.0.77");
	SH("ip -6 route add fd77::/64 via fd00:0::77");
	SH("ip route add 10.244.0.0/26 via 10.0.0.77");
	felix_start(&d);
	standard_routes(&d);
	learn(&d, 1, "10.0.1.0/24"); /* the fabric tells our own connected network */
	struct prefix block = pfx("10.244.0.0/26");
	routes_set_block(d.routes, &block, true);
	settle(&d);
	SH("ip route show 192.168.7.0/24 | grep -q 'via 10.0.0.77'");
	SH("ip -6 route show fd77::/64 | grep -q 'via fd00::77'");
	SH("test $(ip route show 10.244.0.0/26 | wc -l) = 2");
	SH("ip route show 10.0.1.0/24 | grep -q 'proto kernel'");
	SH("ip route get 10.0.1.9 | grep -q 'dev up1 src'");
	learn(&d, 0, "192.168.7.0/24");
	learn(&d, 0, "fd77::/64");
	learn(&d, 0, "10.0.1.0/24");
	routes_set_block(d.routes, &block, false);
	settle(&d);
	SH("ip route show 192.168.7.0/24 | grep -q 'via 10.0.0.77'");
	SH("ip -6 route show fd77::/64 | grep -q 'via fd00::77'");
	SH("ip route show 10.244.0.0/26 | grep -q 'via 10.0.0.77'");
	SH("ip route show 10.0.1.0/24 | grep -q 'proto kernel'");
	SH("test -z \"$(ip route show proto 80)\"");
	felix_stop(&d);
}
END_TEST

START_TEST(a_restart_keeps_forwarding_and_sweeps)
{
	struct lab d;
	struct routes_stats st;
	int tor[2];
	struct prefix block = pfx("10.244.0.0/26"), pod = pfx("10.244.0.5/32"),
		      pod6 = pfx("fd44::5/128");

	topology(tor);
	SH("ip link add caliaaaaaaaaaaa type veth peer name p netns /proc/self/fd/%d &&"
	   "ip link set caliaaaaaaaaaaa up",
	   tor[0]);
	SH_IN(tor[0], "ip link set dev p up");
	unsigned veth = if_nametoindex("caliaaaaaaaaaaa");
	felix_start(&d);
	standard_routes(&d);
	learn(&d, 1, "192.168.8.0/24");
	routes_set_block(d.routes, &block, true);
	routes_set_pod(d.routes, &pod, veth);
	routes_set_pod(d.routes, &pod6, veth);
	settle(&d);
	SH("ip route show 10.244.0.5 | grep -q 'caliaaaaaaaaaaa.*scope link'");
	SH("ip -6 route show fd44::5 | grep -q caliaaaaaaaaaaa");
	SH("ip route show type blackhole | grep -q 10.244.0.0/26");
	felix_stop(&d);

	felix_start(&d);
	routes_stats(d.routes, &st);
	ck_assert_uint_eq(st.stale, 6);
	settle(&d);
	VIA4("up0 up1");
	routes_set_block(d.routes, &block, true);
	routes_set_pod(d.routes, &pod, veth);
	routes_set_pod(d.routes, &pod6, veth);
	define(&d, 51, BOTH6);
	define(&d, 52, BOTH);
	learn(&d, 52, "192.168.7.0/24");
	learn(&d, 51, "fd77::/64");
	settle(&d);
	SH("ip route show 192.168.8.0/24 | grep -q nhid");
	routes_sweep(d.routes);
	settle(&d);
	SH("test -z \"$(ip route show 192.168.8.0/24)\"");
	VIA4("up0 up1");
	VIA6("up0 up1");
	SH("test $(ip nexthop | wc -l) = 6"); /* four next hops, two groups: those of before */
	routes_stats(d.routes, &st);
	ck_assert_uint_eq(st.stale, 0);
	ck_assert_uint_eq(st.learned, 2);
	ck_assert_uint_eq(st.local, 3);
	ck_assert_uint_eq(st.groups, 2);

	/* The veth's end: its routes go, and nobody puts them back. */
	SH("ip link del caliaaaaaaaaaaa");
	settle(&d);
	SH("test -z \"$(ip route show 10.244.0.5)$(ip -6 route show fd44::5)\"");
	routes_stats(d.routes, &st);
	ck_assert_uint_eq(st.local, 1);
	ck_assert_uint_eq(st.failed, 0);
	felix_stop(&d);
}
END_TEST

START_TEST(an_unreachable_gateway_is_told_and_healed)
{
	struct lab d;
	int tor[2];

	topology(tor);
	felix_start(&d);
	define(&d, 1, "172.16.0.1", NULL);
	learn(&d, 1, "192.168.7.0/24");
	learn(&d, 1, "192.168.8.0/24");
	settle(&d);
	ck_assert_uint_eq(d.failed, 2);
	ck_assert_ptr_nonnull(strstr(d.why, "172.16.0.1"));
	/* A route of another protocol makes it reachable: recursively, by that route's gateway. */
	SH("ip route add 172.16.0.0/24 via 10.0.1.2");
	settle(&d);
	VIA4("up1");
	ck_assert_uint_eq(d.failed, 2);
	SH("ip route del 172.16.0.0/24");
	SH("ip addr add 172.16.0.9/24 dev up0");
	settle(&d);
	VIA4("up0");
	felix_stop(&d);
}
END_TEST

START_TEST(unnumbered_next_hops)
{
	struct lab d;
	int tor[2];
	struct m_nexthop v[2];
	struct m_nhg g = { .id = 4, .nexthops = { 2, v } };

	topology(tor);
	felix_start(&d);
	for (unsigned i = 0; i < 2; i++) {
		char name[8];

		snprintf(name, sizeof(name), "up%u", i);
		v[i] = (struct m_nexthop){ .ifindex = if_nametoindex(name), .weight = 1 };
		addr_parse("fe80::1", &v[i].gateway);
	}
	/* IPv4 by an IPv6 next hop is RFC 8950's. */
	routes_nhg(d.routes, &g);
	learn(&d, 4, "192.168.7.0/24");
	learn(&d, 4, "fd77::/64");
	settle(&d);
	VIA4("up0 up1");
	VIA6("up0 up1");
	felix_stop(&d);
}
END_TEST

/* --- links --- */

static void find_link(void *arg, const struct link *l)
{
	unsigned *n = arg;

	if (strcmp(l->name, "up0") == 0 && l->up && l->naddrs >= 2 && l->mtu == 1500)
		++*n;
}

START_TEST(links_follow_events)
{
	struct lab d;
	int tor[2];
	unsigned n = 0;
	struct addr a;
	struct err err;

	topology(tor);
	felix_start(&d);
	links_each(d.links, find_link, &n);
	ck_assert_uint_eq(n, 1);
	addr_parse("10.0.1.77", &a);
	const struct link *l = links_connected(d.links, &a);
	ck_assert_ptr_nonnull(l);
	ck_assert_str_eq(l->name, "up1");
	uint32_t up1 = l->ifindex;
	SH("ip addr del 10.0.1.1/24 dev up1");
	settle(&d);
	ck_assert_ptr_null(links_connected(d.links, &a));
	SH_IN(tor[1], "ip link set dev t down");
	for (unsigned i = 0; i < 50 && links_by_index(d.links, up1)->up; i++)
		settle(&d);
	ck_assert(!links_by_index(d.links, up1)->up);
	SH_IN(tor[1], "ip link set dev t up");
	SH("ip link set up1 mtu 1400");
	for (unsigned i = 0; i < 50 && !links_by_index(d.links, up1)->up; i++)
		settle(&d);
	ck_assert(links_by_index(d.links, up1)->up);
	ck_assert_uint_eq(links_auto_mtu(d.links), 1400);
	unsigned told = d.on_link;
	ck_assert_int_eq(links_resync(d.links, &err), 0);
	ck_assert_uint_eq(d.on_link, told);
	/* Made and deleted by our own socket: link events are not filtered by port. */
	struct nlmsghdr *nlh = nl_request(d.nl, RTM_DELLINK, 0, sizeof(struct ifinfomsg), NULL);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "up1");
	ck_assert_int_eq(nl_talk(d.nl, nlh, &err), 0);
	settle(&d);
	ck_assert_ptr_null(links_by_index(d.links, up1));
	ck_assert_uint_eq(d.on_gone, 1);
	felix_stop(&d);
}
END_TEST

START_TEST(node_addresses)
{
	struct lab d;
	int tor[2];
	struct nodeconf conf = { 0 };
	struct prefix out[2], given = pfx("10.9.9.9/24");
	struct err err;
	char text[PREFIX_STRLEN];

	topology(tor);
	SH("ip link add caliabcdef type veth peer name q; ip addr add 10.77.0.1/24 dev caliabcdef");
	felix_start(&d);
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "no default route"));
	ck_assert_ptr_nonnull(strstr(err.text, "up1 10.0.1.1/24"));
	ck_assert_ptr_null(strstr(err.text, "10.77"));
	SH("ip route add default via 10.0.1.2 metric 50; ip route add default via 10.0.0.2 metric "
	   "60");
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), 2);
	ck_assert_str_eq(prefix_format(&out[0], text, sizeof(text)), "10.0.1.1/24");
	ck_assert_str_eq(prefix_format(&out[1], text, sizeof(text)), "fd00:1::1/64");
	conf.node.address_from.interface = "up[0-9]";
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), 2);
	ck_assert_str_eq(prefix_format(&out[0], text, sizeof(text)), "10.0.0.1/24");
	conf.node.address_from.interface = "bond*";
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "bond*"));
	conf.node.address_from.interface = "";
	conf.node.address_from.cidr = pfx("10.0.1.0/24");
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), 1);
	ck_assert_str_eq(prefix_format(&out[0], text, sizeof(text)), "10.0.1.1/24");
	conf.node.address_from.cidr = (struct prefix){ 0 };
	addr_parse("fd00:0::2", &conf.node.address_from.reach);
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), 1);
	ck_assert_str_eq(prefix_format(&out[0], text, sizeof(text)), "fd00::1/64");
	conf.node.address = (struct field_list){ 1, &given };
	ck_assert_int_eq(links_node_addresses(d.links, d.nl, &conf, out, &err), 1);
	ck_assert(prefix_eq(&out[0], &given));
	felix_stop(&d);
}
END_TEST

/* --- how long: printed, not asserted --- */

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

START_TEST(a_hundred_thousand_routes)
{
	enum { N = 100000 };
	struct lab d;
	struct routes_stats st;
	struct prefix *p = calloc(N, sizeof(*p));
	int tor[2];

	topology(tor);
	felix_start(&d);
	define(&d, 1, BOTH);
	for (unsigned i = 0; i < N; i++)
		p[i] = (struct prefix){ addr_v4(0x64000000u + (i << 4)), 28 };
	double t0 = seconds();
	routes_learned(d.routes, 1, p, N);
	double t1 = seconds();
	while (routes_flush(d.routes, 10000))
		;
	double t2 = seconds();
	routes_stats(d.routes, &st);
	ck_assert_uint_eq(st.learned, N);
	ck_assert_uint_eq(d.failed, 0);
	define(&d, 1, "10.0.1.2", NULL);
	double t3 = seconds();
	while (routes_flush(d.routes, 10000))
		;
	double t4 = seconds();
	felix_stop(&d);
	double t5 = seconds();
	felix_start(&d);
	double t6 = seconds();
	define(&d, 9, "10.0.1.2", NULL);
	routes_learned(d.routes, 9, p, N);
	routes_sweep(d.routes);
	while (routes_flush(d.routes, 10000))
		;
	double t7 = seconds();
	routes_learned(d.routes, 0, p, N);
	while (routes_flush(d.routes, 10000))
		;
	double t8 = seconds();
	printf("100,000 routes: taken in %.0f ms, installed in %.0f ms (%.0f/s), group changed in "
	       "%.2f ms, adopted at a start in %.0f ms, named again in %.0f ms, deleted in %.0f "
	       "ms\n",
	       (t1 - t0) * 1e3, (t2 - t1) * 1e3, N / (t2 - t1), (t4 - t3) * 1e3, (t6 - t5) * 1e3,
	       (t7 - t6) * 1e3, (t8 - t7) * 1e3);
	SH("test -z \"$(ip route show proto 80 | head -1)\"");
	felix_stop(&d);
	free(p);
}
END_TEST

UNIT_MAIN("routes_kernel", ecmp_of_both_families, failover_and_return_of_links,
	  foreign_deletion_is_healed, others_routes_are_left_alone,
	  a_restart_keeps_forwarding_and_sweeps, an_unreachable_gateway_is_told_and_healed,
	  unnumbered_next_hops, links_follow_events, node_addresses, a_hundred_thousand_routes)
