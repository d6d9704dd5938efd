/* felix's end of the channel to bgpd, over a real kernel's routes. Needs root. */
#include "config.h"

#include <ev.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "felix/bgp_link.h"
#include "felix/routes.h"
#include "lib/ipc.h"
#include "lib/nl.h"
#include "test/unit/netns.h"

struct world {
	struct ev_loop *loop;
	struct nl *nl;
	struct routes *routes;
	struct bgp_link *b;
	struct arena arena;
	int fd; /* bgpd's end */
	unsigned dirty;
};

static bool send_config(void *arg, struct ipc *ipc)
{
	(void)arg;
	ipc_send(ipc, M_BGP_BEGIN, &(struct m_bgp_begin){ .asn = 65101 });
	ipc_send(ipc, M_BGP_END, NULL);
	return true;
}

static void each_link(void *arg, void (*cb)(void *cb_arg, const struct link *l), void *cb_arg)
{
	struct prefix p;
	struct link l = { .ifindex = 7, .name = "up0", .up = true, .naddrs = 1, .addrs = &p };

	(void)arg;
	prefix_parse("192.0.2.1/24", &p);
	cb(cb_arg, &l);
}

static void dirty(void *arg)
{
	((struct world *)arg)->dirty++;
}

static void failed(void *arg, const struct prefix *p, unsigned n, const char *why)
{
	bgp_link_failed(((struct world *)arg)->b, p, n, why);
}

static const struct routes_ops routes_ops = { .on_failed = failed };

/* The next message to bgpd; type 0: none within a while. */
static struct msg hear(struct world *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	struct msg m = { 0 };
	struct err err;

	for (int i = 0; i < 300 && poll(&p, 1, 1) == 0; i++)
		ev_run(w->loop, EVRUN_NOWAIT);
	arena_reset(&w->arena);
	if (poll(&p, 1, 0) == 1)
		ck_assert_int_eq(ipc_sync_recv(w->fd, &w->arena, &m, 10, &err), 1);
	return m;
}

static void say(struct world *w, enum msg_type type, const void *body)
{
	struct err err;

	ck_assert_int_eq(ipc_sync_send(w->fd, type, body, NULL, 0, &err), 0);
	for (int i = 0; i < 5; i++)
		ev_run(w->loop, EVRUN_NOWAIT);
}

static void new_channel(struct world *w)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	w->fd = sv[1];
	bgp_link_channel(w->b, sv[0]);
	ck_assert_int_eq(hear(w).type, M_BGP_BEGIN);
	ck_assert_int_eq(hear(w).type, M_BGP_END);
	struct msg m = hear(w);
	ck_assert_int_eq(m.type, M_IFACE);
	ck_assert_str_eq(((const struct m_iface *)m.body)->name, "up0");
	ck_assert_int_eq(hear(w).type, M_IFACE_SYNC);
}

static void begin(struct world *w)
{
	struct err err = { 0 };

	memset(w, 0, sizeof(*w));
	netns_enter();
	SH("ip link add up0 type veth peer name p0 && ip link set p0 up && ip link set up0 up && "
	   "ip addr add 192.0.2.1/24 dev up0");
	w->loop = ev_loop_new(EVFLAG_AUTO);
	w->nl = nl_open(NETLINK_ROUTE, &err);
	ck_assert_ptr_nonnull(w->nl);
	w->routes = routes_new(w->nl, 254, &routes_ops, w, &err);
	ck_assert_ptr_nonnull(w->routes);
	const struct bgp_link_conf conf = {
		.loop = w->loop,
		.nl = w->nl,
		.routes = w->routes,
		.send_config = send_config,
		.each_link = each_link,
		.routes_dirty = dirty,
		.arg = w,
	};
	w->b = bgp_link_new(&conf);
	new_channel(w);
}

static void end(struct world *w)
{
	bgp_link_free(w->b);
	routes_free(w->routes);
	nl_close(w->nl);
	ev_loop_destroy(w->loop);
	arena_free(&w->arena);
	close(w->fd);
}

static struct m_nh_state hear_state(struct world *w)
{
	struct msg m = hear(w);

	ck_assert_int_eq(m.type, M_NH_STATE);
	return *(const struct m_nh_state *)m.body;
}

START_TEST(next_hops_are_answered_and_followed)
{
	struct world w;
	struct m_nh_track near = { .on = true }, far = { .on = true };

	begin(&w);
	addr_parse("192.0.2.9", &near.nexthop);
	addr_parse("198.51.100.1", &far.nexthop);
	say(&w, M_NH_TRACK, &near);
	ck_assert(hear_state(&w).reachable);
	say(&w, M_NH_TRACK, &far);
	ck_assert(!hear_state(&w).reachable);

	SH("ip route add 198.51.100.0/24 via 192.0.2.254 metric 77");
	bgp_link_recheck(w.b);
	struct m_nh_state s = hear_state(&w);
	ck_assert(addr_eq(&s.nexthop, &far.nexthop)); /* only what changed */
	ck_assert(s.reachable);
	ck_assert_uint_eq(s.metric, 77);

	SH("ip route add 198.51.100.1/32 via 192.0.2.254 metric 5");
	bgp_link_recheck(w.b);
	ck_assert_uint_eq(hear_state(&w).metric, 5);

	SH("ip route replace blackhole 198.51.100.1/32 metric 1");
	bgp_link_recheck(w.b);
	ck_assert(!hear_state(&w).reachable);

	far.on = false;
	say(&w, M_NH_TRACK, &far);
	SH("ip route del blackhole 198.51.100.1/32");
	bgp_link_recheck(w.b);
	ck_assert_int_eq(hear(&w).type, 0);
	end(&w);
}
END_TEST

START_TEST(routes_stay_while_bgpd_is_away)
{
	struct world w;
	struct m_nexthop nh = { .weight = 1 };
	struct m_nhg g = { .id = 1 };
	struct m_routes r = { .nhg = 1 };
	struct prefix p[2];

	begin(&w);
	addr_parse("192.0.2.254", &nh.gateway);
	g.nexthops.n = 1;
	g.nexthops.v = &nh;
	prefix_parse("203.0.113.0/24", &p[0]);
	prefix_parse("198.51.100.0/24", &p[1]);
	r.prefixes.n = 2;
	r.prefixes.v = p;
	say(&w, M_NHG, &g);
	say(&w, M_ROUTES, &r);
	say(&w, M_ROUTES_END, NULL);
	ck_assert_uint_gt(w.dirty, 0);
	while (routes_flush(w.routes, 100))
		;
	SH("ip route get 203.0.113.1 | grep -q 192.0.2.254");
	SH("ip route get 198.51.100.1 | grep -q 192.0.2.254");

	close(w.fd);
	ck_assert_int_eq(poll(NULL, 0, 1), 0);
	for (int i = 0; i < 5; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
	while (routes_flush(w.routes, 100))
		;
	SH("ip route get 203.0.113.1 | grep -q 192.0.2.254");

	/* The next bgpd names one of the two: the other goes at its END, not before. */
	new_channel(&w);
	r.prefixes.n = 1;
	say(&w, M_NHG, &g);
	say(&w, M_ROUTES, &r);
	while (routes_flush(w.routes, 100))
		;
	SH("ip route get 198.51.100.1 | grep -q 192.0.2.254");
	say(&w, M_ROUTES_END, NULL);
	while (routes_flush(w.routes, 100))
		;
	SH("ip route get 203.0.113.1 | grep -q 192.0.2.254");
	SH("! ip route get 198.51.100.1 2>/dev/null | grep -q 192.0.2.254");
	end(&w);
}
END_TEST

UNIT_MAIN("bgp_link", next_hops_are_answered_and_followed, routes_stay_while_bgpd_is_away)
