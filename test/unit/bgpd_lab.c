#include "config.h"

#include "test/unit/bgpd_lab.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "test/unit/unit.h"

/* linux/ipv6.h's, which cannot stand beside netinet/in.h */
struct lab_in6_ifreq {
	struct in6_addr addr;
	uint32_t prefixlen;
	int ifindex;
};

struct addr lab_addr(unsigned fam, unsigned number)
{
	struct addr a;
	char text[32];
	snprintf(text, sizeof(text), fam == FAM_V4 ? "10.9.0.%u" : "fd00:9::%u", number);
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

struct prefix lab_prefix(const char *text)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

static void add_v4(int fd, unsigned number)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_storage ss;
	struct addr a = lab_addr(FAM_V4, number);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "lo:%u", number);
	addr_to_sockaddr(&a, 0, 0, &ss);
	memcpy(&ifr.ifr_addr, &ss, sizeof(ifr.ifr_addr));
	ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &ifr), 0);
}

static void add_v6(int fd, unsigned number, int lo)
{
	struct addr a = lab_addr(FAM_V6, number);
	struct lab_in6_ifreq req = { .prefixlen = 128, .ifindex = lo };
	memcpy(&req.addr, a.b, 16);
	ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &req), 0);
}

struct ev_loop *lab_enter(void)
{
	int flags = CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0);
	ck_assert_msg(unshare(flags) == 0, "this test needs a network namespace of its own");
	int four = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	ck_assert_int_eq(ioctl(four, SIOCSIFFLAGS, &ifr), 0);
	for (unsigned k = 1; k <= 9; k++) {
		add_v4(four, k);
		add_v6(six, k, (int)if_nametoindex("lo"));
	}
	close(four);
	close(six);
	log_init("test", getenv("LAB_DEBUG") ? LOG_DEBUG : LOG_ERROR);
	return ev_default_loop(EVFLAG_NOENV);
}

/* ---- felix's part ---- */

static void forget(struct lab_node *n, const struct prefix *p)
{
	for (unsigned k = 0; k < n->nroutes; k++)
		if (prefix_eq(&n->routes[k].prefix, p))
			n->routes[k--] = n->routes[--n->nroutes];
}

static void take_routes(struct lab_node *n, const struct m_routes *m)
{
	n->total_routes += m->prefixes.n;
	for (uint32_t k = 0; k < m->prefixes.n; k++) {
		forget(n, &m->prefixes.v[k]);
		if (m->nhg && n->nroutes < LAB_ROUTES)
			n->routes[n->nroutes++] = (struct lab_route){ m->prefixes.v[k], m->nhg };
	}
}

static void on_msg(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct lab_node *n = arg;
	if (m->type == M_ROUTES) {
		take_routes(n, m->body);
	} else if (m->type == M_NHG) {
		const struct m_nhg *g = m->body;
		ck_assert(g->id && g->id < 256 && g->nexthops.n <= 8);
		n->gateways[g->id] = g->nexthops.n;
		memcpy(n->gateway[g->id], g->nexthops.v, g->nexthops.n * sizeof(struct m_nexthop));
	} else if (m->type == M_NH_TRACK) {
		const struct m_nh_track *t = m->body;
		if (t->on)
			ipc_send(ipc, M_NH_STATE, &(struct m_nh_state){ t->nexthop, true, 100 });
	} else if (m->type == M_ROUTES_END) {
		n->ends++;
	}
}

static void on_close(struct ipc *ipc, void *arg, const struct err *why)
{
	struct lab_node *n = arg;
	(void)why;
	ipc_free(ipc);
	n->felix = NULL;
}

static const struct ipc_ops ops = { on_msg, on_close, NULL };

static void on_ready(void *arg, bool ready, const char *reason)
{
	struct lab_node *n = arg;
	n->ready = ready;
	snprintf(n->reason, sizeof(n->reason), "%s", reason);
}

static int listen_on(const struct addr *a)
{
	struct sockaddr_storage ss;
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	socklen_t len = addr_to_sockaddr(a, LAB_PORT, 0, &ss);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&ss, len), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

static void channel(struct lab_node *n)
{
	int sv[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	bgpd_channel(n->b, sv[0]);
	n->felix = ipc_new(n->loop, sv[1], &ops, n);
	n->nroutes = n->ends = 0;
}

void lab_start(struct lab_node *n, struct ev_loop *loop, unsigned number, bool restarted)
{
	struct addr own = lab_addr(FAM_V4, number);
	if (!n->loop)
		n->listener = listen_on(&own);
	n->loop = loop;
	n->number = number;
	struct bgpd_opts opts = { .loop = loop,
				  .listeners = &n->listener,
				  .nlisteners = 1,
				  .restarted = restarted,
				  .ready = on_ready,
				  .arg = n };
	n->b = bgpd_new(&opts);
	channel(n);
}

void lab_stop(struct lab_node *n)
{
	bgpd_stop(n->b);
	bgpd_free(n->b);
	n->b = NULL;
	ipc_free(n->felix);
	n->felix = NULL;
}

void lab_felix(struct lab_node *n)
{
	ipc_free(n->felix);
	channel(n);
	lab_iface(n, true);
	ipc_send(n->felix, M_IFACE_SYNC, NULL);
	lab_configure(n);
}

void lab_iface(struct lab_node *n, bool up)
{
	struct prefix v[2] = { { lab_addr(FAM_V4, n->number), 24 },
			       { lab_addr(FAM_V6, n->number), 64 } };
	struct m_iface m = { .ifindex = 10, .name = "eth0", .up = up };
	m.addresses.n = 2;
	m.addresses.v = v;
	ipc_send(n->felix, M_IFACE, &m);
}

struct m_bgp_peer *lab_peer(struct lab_node *n, unsigned other)
{
	static const char *const name[] = { "p0", "p1", "p2", "p3", "p4", "p5" };
	struct m_bgp_peer *p = &n->peers[n->npeers++];
	*p = (struct m_bgp_peer){ .name = name[other],
				  .type = PEER_NODE,
				  .address = lab_addr(FAM_V4, other),
				  .interface = "",
				  .port = LAB_PORT,
				  .asn = 65000 + other,
				  .hold_time = 9,
				  .connect_retry = 1,
				  .source = lab_addr(FAM_V4, n->number),
				  .password = "" };
	return p;
}

void lab_configure(struct lab_node *n)
{
	struct m_bgp_begin begin = { .asn = 65000 + n->number,
				     .router_id = 0x0A090000 + n->number,
				     .export_mode = EXPORT_ALL,
				     .install = true };
	ipc_send(n->felix, M_BGP_BEGIN, &begin);
	for (unsigned k = 0; k < n->npeers; k++)
		ipc_send(n->felix, M_BGP_PEER, &n->peers[k]);
	for (unsigned at = 0; at < n->norigin; at += IPC_BATCH) {
		struct m_bgp_origin o = { .kind = ORIGIN_BLOCK };
		o.prefixes.n = n->norigin - at < IPC_BATCH ? n->norigin - at : IPC_BATCH;
		o.prefixes.v = n->origin + at;
		ipc_send(n->felix, M_BGP_ORIGIN, &o);
	}
	ipc_send(n->felix, M_BGP_END, NULL);
}

/* ---- time ---- */

static void tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
}

bool lab_until(struct ev_loop *loop, bool (*done)(void *), void *arg, unsigned ms)
{
	ev_timer t;
	uint64_t end = bgpd_now() + ms;
	bool ok;
	ev_timer_init(&t, tick, 0.005, 0.005);
	ev_timer_start(loop, &t);
	while (!(ok = done(arg)) && bgpd_now() < end)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &t);
	return ok;
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void lab_run(struct ev_loop *loop, unsigned ms)
{
	lab_until(loop, never, NULL, ms);
}

bool lab_established(void *node)
{
	const struct lab_node *n = node;
	return n->b->peers && n->b->peers->session != NULL;
}

uint32_t lab_route(const struct lab_node *n, const char *prefix)
{
	struct prefix p = lab_prefix(prefix);
	for (unsigned k = 0; k < n->nroutes; k++)
		if (prefix_eq(&n->routes[k].prefix, &p))
			return n->routes[k].group;
	return 0;
}
