/* felix/plumb over the real kernel: pods are namespaces, packets are real, and one packet has to
 * be enough. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "felix/plumb.h"
#include "felix/routes.h"
#include "felix/sysctl.h"
#include "lib/nl.h"
#include "test/unit/netns.h"

enum { PORT = 4242 };

struct pod {
	int ns, sock;
	int udp[2]; /* IPv4, IPv6: opened inside */
	struct plumb_request rq;
	struct plumb_result res;
	char host_ifname[PLUMB_IFNAME];
};

static struct addr ip(const char *text)
{
	struct addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static int udp_in_here(int af)
{
	int fd = socket(af, SOCK_DGRAM, 0), on = 1;

	ck_assert_int_ge(fd, 0);
	if (af == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return fd;
}

static void bind_to(int fd, const char *text)
{
	struct addr a = ip(text);
	struct sockaddr_storage ss;

	unsigned len = addr_to_sockaddr(&a, PORT, 0, &ss);
	ck_assert_msg(bind(fd, (struct sockaddr *)&ss, len) == 0, "bind %s: %m", text);
}

static bool arrives(int from, int to, const char *dst)
{
	struct addr a = ip(dst);
	struct sockaddr_storage ss;
	struct pollfd p = { .fd = to, .events = POLLIN };
	char buf[16];

	unsigned len = addr_to_sockaddr(&a, PORT, 0, &ss);
	if (sendto(from, "x", 1, 0, (struct sockaddr *)&ss, len) != 1)
		return false;
	return poll(&p, 1, 500) == 1 && recv(to, buf, sizeof(buf), 0) == 1;
}

/* A namespace with a socket opened in it, as the plugin does. */
static void pod_make(struct pod *pod, const char *name, const char *v4, const char *v6)
{
	int self = netns_self();

	memset(pod, 0, sizeof(*pod));
	pod->ns = netns_make();
	netns_switch(pod->ns);
	pod->sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	pod->udp[0] = udp_in_here(AF_INET);
	pod->udp[1] = udp_in_here(AF_INET6);
	netns_switch(self);
	close(self);
	plumb_host_ifname("default", name, "c", "eth0", pod->host_ifname);
	pod->rq = (struct plumb_request){ .pod_sock = pod->sock,
					  .ifname = "eth0",
					  .host_ifname = pod->host_ifname,
					  .mtu = 1450,
					  .mac = "" };
	if (v4)
		pod->rq.addrs[pod->rq.naddrs++] = ip(v4);
	if (v6)
		pod->rq.addrs[pod->rq.naddrs++] = ip(v6);
}

struct host {
	struct nl *nl;
	struct routes *routes;
};

static void no_failures(void *arg, const struct prefix *p, unsigned n, const char *why)
{
	(void)arg;
	(void)p;
	ck_abort_msg("%u routes refused: %s", n, why);
}

static void host_make(struct host *h)
{
	static const struct routes_ops ops = { no_failures };
	struct err err;

	h->nl = nl_open(NETLINK_ROUTE, &err);
	ck_assert_ptr_nonnull(h->nl);
	ck_assert_msg(plumb_node_sysctls(&err) == 0, "%s", err.text);
	h->routes = routes_new(h->nl, RT_TABLE_MAIN, &ops, h, &err);
	ck_assert_ptr_nonnull(h->routes);
}

static void host_free(struct host *h)
{
	routes_free(h->routes);
	nl_close(h->nl);
}

static void pod_add(struct host *h, struct pod *pod)
{
	struct err err = { 0 };

	ck_assert_msg(plumb_add(h->nl, &pod->rq, &pod->res, &err) == 0, "%s", err.text);
	for (unsigned i = 0; i < pod->rq.naddrs; i++) {
		struct prefix p = prefix_host(&pod->rq.addrs[i]);

		routes_set_pod(h->routes, &p, pod->res.host_ifindex);
	}
	while (routes_flush(h->routes, 100))
		;
}

static void node_addresses(void)
{
	SH("ip link add n0 type veth peer name n1; ip addr add 10.0.0.1/24 dev n0;"
	   "ip addr add fd00::1/64 dev n0 nodad; ip link set n0 up; ip link set n1 up");
}

START_TEST(the_first_packet_passes)
{
	struct host h;
	struct pod a, b;

	netns_enter();
	node_addresses();
	host_make(&h);
	int u4 = udp_in_here(AF_INET), u6 = udp_in_here(AF_INET6);
	bind_to(u4, "10.0.0.1");
	bind_to(u6, "fd00::1");
	pod_make(&a, "a", "10.244.0.1", "fd44::1");
	pod_make(&b, "b", "10.244.0.2", "fd44::2");
	pod_add(&h, &a);
	bind_to(a.udp[0], "10.244.0.1");
	ck_assert(arrives(a.udp[0], u4, "10.0.0.1"));
	bind_to(a.udp[1], "fd44::1");
	ck_assert(arrives(a.udp[1], u6, "fd00::1"));
	pod_add(&h, &b);
	/* From the host, from another pod, both families. */
	bind_to(b.udp[0], "10.244.0.2");
	bind_to(b.udp[1], "fd44::2");
	ck_assert(arrives(u4, b.udp[0], "10.244.0.2"));
	ck_assert(arrives(u6, b.udp[1], "fd44::2"));
	ck_assert(arrives(a.udp[0], b.udp[0], "10.244.0.2"));
	ck_assert(arrives(b.udp[1], a.udp[1], "fd44::1"));
	SH("ip neigh show dev %s | grep -qx '10.244.0.1 lladdr %s PERMANENT *'", a.host_ifname,
	   a.res.pod_mac);
	SH("ip link show %s | grep -q 'mtu 1450.*' && ip link show %s | grep -q ee:ee:ee:ee:ee:ee",
	   a.host_ifname, a.host_ifname);
	SH_IN(a.ns, "ip route | grep -q '^default via 169.254.1.1 dev eth0' &&"
		    "ip link show eth0 | grep -q 'mtu 1450' &&"
		    "ip -6 route | grep -q '^default via fe80::ecee:eeff:feee:eeee dev eth0'");
	ck_assert_str_eq(a.res.host_mac, "ee:ee:ee:ee:ee:ee");
	host_free(&h);
}
END_TEST

START_TEST(many_pods_first_packets)
{
	struct host h;
	unsigned lost = 0;

	netns_enter();
	node_addresses();
	host_make(&h);
	int u4 = udp_in_here(AF_INET), u6 = udp_in_here(AF_INET6);
	bind_to(u4, "10.0.0.1");
	bind_to(u6, "fd00::1");
	for (unsigned i = 0; i < 20; i++) {
		struct pod p;
		char name[16], v4[20], v6[20];

		snprintf(name, sizeof(name), "p%u", i);
		snprintf(v4, sizeof(v4), "10.244.1.%u", i + 1);
		snprintf(v6, sizeof(v6), "fd44::%x", i + 1);
		pod_make(&p, name, v4, v6);
		pod_add(&h, &p);
		/* The host speaks first: its end was raised first, and the pod's IPv6 address is
		 * younger still. Both must be ready. */
		bind_to(p.udp[1], v6);
		lost += !arrives(u6, p.udp[1], v6);
		bind_to(p.udp[0], v4);
		lost += !arrives(u4, p.udp[0], v4);
		lost += !arrives(p.udp[0], u4, "10.0.0.1");
	}
	ck_assert_uint_eq(lost, 0);
	host_free(&h);
}
END_TEST

START_TEST(the_hosts_own_netns_is_refused)
{
	struct err err;
	struct host h;
	struct pod p;
	struct plumb_result res;

	netns_enter();
	host_make(&h);
	pod_make(&p, "a", "10.244.0.1", NULL);
	ck_assert_int_eq(plumb_is_own_netns(p.sock, &err), 0);
	int own = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	ck_assert_int_eq(plumb_is_own_netns(own, &err), 1);
	ck_assert_int_eq(plumb_is_own_netns(open("/dev/null", O_RDONLY), &err), -1);
	p.rq.pod_sock = own;
	ck_assert_int_eq(plumb_add(h.nl, &p.rq, &res, &err), -1);
	SH("! ip link show %s 2>/dev/null", p.host_ifname);
	host_free(&h);
}
END_TEST

START_TEST(an_interface_that_exists_in_the_pod_is_an_error)
{
	struct err err;
	struct host h;
	struct pod p;
	struct plumb_result res;

	netns_enter();
	host_make(&h);
	pod_make(&p, "a", "10.244.0.1", "fd44::1");
	pod_add(&h, &p);
	ck_assert_int_eq(plumb_add(h.nl, &p.rq, &res, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "already has an interface eth0"));
	/* And what was there stands. */
	ck_assert_int_eq(plumb_check(h.nl, &p.rq, &err), 0);
	host_free(&h);
}
END_TEST

START_TEST(an_older_containers_veth_is_taken_over)
{
	struct err err;
	struct host h;
	struct pod old, new;

	netns_enter();
	node_addresses();
	host_make(&h);
	pod_make(&old, "a", "10.244.0.1", NULL);
	pod_make(&new, "a", "10.244.0.2", NULL);
	pod_add(&h, &old);
	pod_add(&h, &new);
	ck_assert_int_eq(plumb_check(h.nl, &new.rq, &err), 0);
	ck_assert_int_eq(plumb_check(h.nl, &old.rq, &err), -1);
	ck_assert_int_eq(plumb_del(h.nl, new.host_ifname, &err), 0);
	ck_assert_int_eq(plumb_del(h.nl, new.host_ifname, &err), 0);
	SH_IN(new.ns, "! ip link show eth0 2>/dev/null");
	host_free(&h);
}
END_TEST

START_TEST(a_failure_leaves_nothing)
{
	struct err err;
	struct host h;
	struct pod p;
	struct plumb_result res;

	netns_enter();
	host_make(&h);
	pod_make(&p, "a", "10.244.0.1", "fd44::1");
	SH_IN(p.ns, "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
	ck_assert_int_eq(plumb_add(h.nl, &p.rq, &res, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "disable_ipv6"));
	SH("! ip link show %s 2>/dev/null", p.host_ifname);
	SH_IN(p.ns, "! ip link show eth0 2>/dev/null");
	p.rq.mac = "01:00:00:00:00:01";
	ck_assert_int_eq(plumb_add(h.nl, &p.rq, &res, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "multicast"));
	p.rq.mac = "02:00:00:00:00:0g";
	ck_assert_int_eq(plumb_add(h.nl, &p.rq, &res, &err), -1);
	p.rq.mac = "02:00:00:00:00:07";
	p.rq.naddrs = 1;
	ck_assert_msg(plumb_add(h.nl, &p.rq, &res, &err) == 0, "%s", err.text);
	ck_assert_str_eq(res.pod_mac, "02:00:00:00:00:07");
	host_free(&h);
}
END_TEST

START_TEST(check_says_what_differs)
{
	static const struct {
		const char *damage, *text;
	} cases[] = {
		{ "ip addr del 10.244.0.1/32 dev eth0", "10.244.0.1" },
		{ "ip -6 addr del fd44::1/128 dev eth0", "fd44::1" },
		{ "ip route del default", "default route" },
		{ "ip -6 route del default", "default route" },
		{ "ip link set eth0 down", "down" },
		{ "ip link set eth0 down; ip link set eth0 name eth7", "no interface eth0" },
	};
	struct err err = { 0 };
	struct host h;
	struct pod p;

	netns_enter();
	host_make(&h);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pod_make(&p, "a", "10.244.0.1", "fd44::1");
		pod_add(&h, &p);
		ck_assert_msg(plumb_check(h.nl, &p.rq, &err) == 0, "%s", err.text);
		/* What later plugins add is nobody's harm. */
		SH_IN(p.ns, "ip addr add 10.5.5.5/24 dev eth0; ip route add 10.6.0.0/16 dev eth0");
		ck_assert_int_eq(plumb_check(h.nl, &p.rq, &err), 0);
		SH_IN(p.ns, "%s", cases[i].damage);
		ck_assert_msg(plumb_check(h.nl, &p.rq, &err) == -1, "case %u", i);
		ck_assert_msg(strstr(err.text, cases[i].text) != NULL, "case %u: %s", i, err.text);
	}
	ck_assert_int_eq(plumb_del(h.nl, p.host_ifname, &err), 0);
	ck_assert_int_eq(plumb_check(h.nl, &p.rq, &err), -1);
	host_free(&h);
}
END_TEST

/* --- as felix is: another uid, CAP_NET_ADMIN and nothing else --- */

static void only_net_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap != CAP_NET_ADMIN)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	data[0].effective = data[0].permitted = data[0].inheritable = 1u << CAP_NET_ADMIN;
	ck_assert_int_eq((int)syscall(SYS_capset, &head, data), 0);
	ck_assert_int_eq(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	/* It is so: a file of root's is closed to us. */
	ck_assert_int_eq(open("/etc/shadow", O_RDONLY), -1);
}

START_TEST(net_admin_alone_is_enough)
{
	struct host h;
	struct pod p;
	struct err err;

	netns_enter();
	node_addresses();
	pod_make(&p, "a", "10.244.0.1", "fd44::1");
	int u4 = udp_in_here(AF_INET), u6 = udp_in_here(AF_INET6);
	bind_to(u4, "10.0.0.1");
	bind_to(u6, "fd00::1");
	only_net_admin();
	host_make(&h);
	pod_add(&h, &p);
	bind_to(p.udp[0], "10.244.0.1");
	bind_to(p.udp[1], "fd44::1");
	ck_assert(arrives(p.udp[0], u4, "10.0.0.1"));
	ck_assert(arrives(p.udp[1], u6, "fd00::1"));
	ck_assert(arrives(u6, p.udp[1], "fd44::1"));
	ck_assert_msg(plumb_check(h.nl, &p.rq, &err) == 0, "%s", err.text);
	ck_assert_int_eq(plumb_del(h.nl, p.host_ifname, &err), 0);
	host_free(&h);
}
END_TEST

START_TEST(without_net_admin_the_mend_is_named)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	struct err err;

	netns_enter();
	only_net_admin();
	ck_assert_int_eq((int)syscall(SYS_capset, &head, data), 0);
	ck_assert_int_eq(plumb_node_sysctls(&err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "CAP_NET_ADMIN"));
	ck_assert_ptr_nonnull(strstr(err.text, "/proc/sys/net/ipv4/"));
}
END_TEST

/* --- source addresses --- */

static int value(const char *path)
{
	struct err err;
	int v = -1;

	ck_assert_msg(sysctl_get(path, &v, &err) == 0, "%s", err.text);
	return v;
}

START_TEST(node_sysctls_hold)
{
	struct err err;

	netns_enter();
	SH("ip link add n0 type veth peer name n1;"
	   "echo 1 > /proc/sys/net/ipv4/conf/n0/rp_filter;"
	   "echo 0 > /proc/sys/net/ipv4/conf/n1/rp_filter;"
	   "echo 1 > /proc/sys/net/ipv6/conf/n0/accept_ra;"
	   "echo 0 > /proc/sys/net/ipv6/conf/n1/accept_ra");
	ck_assert_int_eq(plumb_node_sysctls(&err), 0);
	ck_assert_int_eq(value("ipv4/ip_forward"), 1);
	ck_assert_int_eq(value("ipv6/conf/all/forwarding"), 1);
	ck_assert_int_eq(value("ipv4/nexthop_compat_mode"), 0);
	ck_assert_int_eq(value("ipv4/fib_multipath_hash_policy"), 1);
	ck_assert_int_eq(value("ipv6/fib_multipath_hash_policy"), 1);
	ck_assert_int_eq(value("ipv4/conf/all/rp_filter"), 0);
	ck_assert_int_eq(value("ipv4/conf/n0/rp_filter"), 2);
	ck_assert_int_eq(value("ipv4/conf/n1/rp_filter"), 0);
	ck_assert_int_eq(value("ipv6/conf/n0/accept_ra"), 2);
	ck_assert_int_eq(value("ipv6/conf/n1/accept_ra"), 0);
	/* What "all" asked of every interface is not lost. */
	SH("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
	ck_assert_int_eq(plumb_node_sysctls(&err), 0);
	ck_assert_int_eq(value("ipv4/conf/all/rp_filter"), 0);
	ck_assert_int_eq(value("ipv4/conf/n1/rp_filter"), 2);
}
END_TEST

/* Out by one uplink, back by the other, on a host that asked for strict filters. */
START_TEST(asymmetric_paths_pass_and_spoofed_sources_do_not)
{
	struct host h;
	struct pod p;
	int tor[2];

	netns_enter();
	node_addresses();
	SH("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done");
	for (int i = 0; i < 2; i++) {
		tor[i] = netns_make();
		SH("ip link add up%d type veth peer name tor netns /proc/self/fd/%d;"
		   "ip addr add 10.0.%d.1/24 dev up%d; ip link set up%d up",
		   i, tor[i], i + 1, i, i);
		SH_IN(tor[i],
		      "ip link set lo up; ip addr add 10.0.%d.2/24 dev tor;"
		      "ip link set tor up; sysctl -qw net.ipv4.ip_forward=1",
		      i + 1);
	}
	SH_IN(tor[0],
	      "ip link add x type veth peer name x netns /proc/self/fd/%d;"
	      "ip addr add 10.1.0.1/24 dev x; ip link set dev x up;"
	      "ip route add 192.168.7.0/24 via 10.1.0.2",
	      tor[1]);
	SH_IN(tor[1], "ip addr add 10.1.0.2/24 dev x; ip link set dev x up;"
		      "ip addr add 192.168.7.1/32 dev lo;"
		      "ip route add 10.244.0.0/24 via 10.0.2.1");
	SH("ip route add 192.168.7.0/24 via 10.0.1.2");
	host_make(&h);
	pod_make(&p, "a", "10.244.0.1", NULL);
	pod_add(&h, &p);
	int self = netns_self();
	netns_switch(tor[1]);
	int far = udp_in_here(AF_INET);
	bind_to(far, "192.168.7.1");
	netns_switch(self);
	bind_to(p.udp[0], "10.244.0.1");
	/* The ToRs' ARP may take its time; the way back is what matters here. */
	bool passed = false;
	for (unsigned i = 0; i < 5 && !passed; i++)
		passed = arrives(p.udp[0], far, "192.168.7.1");
	ck_assert(passed);
	passed = false;
	for (unsigned i = 0; i < 5 && !passed; i++)
		passed = arrives(far, p.udp[0], "10.244.0.1");
	ck_assert(passed);

	/* A pod that gives itself another's address is not heard. */
	SH_IN(p.ns, "ip addr add 10.244.0.77/32 dev eth0");
	netns_switch(p.ns);
	int liar = udp_in_here(AF_INET);
	netns_switch(self);
	bind_to(liar, "10.244.0.77");
	int u4 = udp_in_here(AF_INET);
	bind_to(u4, "10.0.0.1");
	ck_assert(arrives(p.udp[0], u4, "10.0.0.1"));
	ck_assert(!arrives(liar, u4, "10.0.0.1"));
	host_free(&h);
}
END_TEST

static double ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Printed, not asserted. */
START_TEST(how_long_it_takes)
{
	enum { N = 20 };
	struct pod p[N];
	struct host h;
	struct err err;

	netns_enter();
	host_make(&h);
	for (unsigned i = 0; i < N; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		pod_make(&p[i], name, "10.244.0.1", "fd44::1");
	}
	double t0 = ms();
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(plumb_add(h.nl, &p[i].rq, &p[i].res, &err), 0);
	double t1 = ms();
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(plumb_del(h.nl, p[i].host_ifname, &err), 0);
	printf("plumb_add %.2f ms, plumb_del %.2f ms (means of %d)\n", (t1 - t0) / N,
	       (ms() - t1) / N, N);
	host_free(&h);
}
END_TEST

UNIT_MAIN("plumb_kernel", the_first_packet_passes, many_pods_first_packets,
	  the_hosts_own_netns_is_refused, an_interface_that_exists_in_the_pod_is_an_error,
	  an_older_containers_veth_is_taken_over, a_failure_leaves_nothing, check_says_what_differs,
	  net_admin_alone_is_enough, without_net_admin_the_mend_is_named, node_sysctls_hold,
	  asymmetric_paths_pass_and_spoofed_sources_do_not, how_long_it_takes)
