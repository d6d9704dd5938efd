/* Two pod-like namespaces behind a router namespace, packets between them, and the calc graph's
 * words by hand. Pods 0 and 1: 10.1.N.1 and fd00:N::1 behind "cali-podN". */
#ifndef SELVAGE_TEST_NFT_LAB_H
#define SELVAGE_TEST_NFT_LAB_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "felix/nft.h"
#include "test/unit/netns.h"

enum { PODS = 2, WAIT_MS = 80 };

struct lab {
	struct nft *n;
	int self, pod[PODS];
	unsigned ifindex[PODS];
	uint16_t sport; /* each probe is a new flow */
};

static inline void lab_rule_text(void *arg, uint32_t rule, char *buf, size_t size)
{
	(void)arg;
	snprintf(buf, size, "NetworkPolicy default/web ingress[%u]", rule);
}

static inline void lab_class_text(void *arg, uint32_t class_, char *buf, size_t size)
{
	(void)arg;
	snprintf(buf, size, "default/web and %u more", class_);
}

static inline struct nft *lab_nft(void)
{
	const struct nft_config config = { "cali", lab_rule_text, lab_class_text, NULL };
	struct err err = { 0 };
	struct nft *n = nft_open(&config, &err);

	ck_assert_msg(n != NULL, "%s", err.text);
	return n;
}

static inline void lab_open(struct lab *l)
{
	*l = (struct lab){ .sport = 20000 };
	netns_enter();
	l->self = netns_self();
	SH("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	   "net.ipv6.conf.default.accept_dad=0");
	for (int i = 0; i < PODS; i++) {
		l->pod[i] = netns_make();
		SH("ip link add cali-pod%d type veth peer name eth0 netns /proc/self/fd/%d && "
		   "ip addr add 10.1.%d.254/24 dev cali-pod%d && "
		   "ip addr add fd00:%d::ff/64 dev cali-pod%d nodad && "
		   "ip link set cali-pod%d up",
		   i, l->pod[i], i, i, i, i, i);
		SH_IN(l->pod[i],
		      "ip link set lo up; ip link set eth0 up; ip addr add 10.1.%d.1/24 dev eth0;"
		      "ip addr add fd00:%d::1/64 dev eth0 nodad; ip route add default via "
		      "10.1.%d.254; ip -6 route add default via fd00:%d::ff",
		      i, i, i, i);
		char name[16];
		snprintf(name, sizeof(name), "cali-pod%d", i);
		l->ifindex[i] = if_nametoindex(name);
		ck_assert_uint_ne(l->ifindex[i], 0);
	}
	l->n = lab_nft();
}

static inline void lab_close(struct lab *l)
{
	nft_close(l->n);
	for (int i = 0; i < PODS; i++)
		close(l->pod[i]);
	close(l->self);
}

/* --- packets --- */

static inline socklen_t lab_addr(struct sockaddr_storage *ss, enum family fam, int pod,
				 unsigned port)
{
	struct addr a;
	char text[32];

	snprintf(text, sizeof(text), fam == FAM_V4 ? "10.1.%d.1" : "fd00:%d::1", pod);
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return addr_to_sockaddr(&a, (uint16_t)port, 0, ss);
}

static inline int lab_socket(struct lab *l, int where, enum family fam, int type, int proto,
			     int pod, unsigned port)
{
	struct sockaddr_storage ss;
	int on = 1;

	netns_switch(where < 0 ? l->self : l->pod[where]);
	int fd = socket(fam == FAM_V4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK,
			proto);
	netns_switch(l->self);
	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (pod >= 0) {
		socklen_t len = lab_addr(&ss, fam, pod, port);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&ss, len), 0);
	}
	return fd;
}

static inline bool lab_ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, WAIT_MS) > 0;
}

/* A new UDP flow from pod to pod, its answer too. */
static inline bool lab_udp_from(struct lab *l, enum family fam, int from, int to, unsigned port,
				unsigned sport)
{
	struct sockaddr_storage ss, peer;
	socklen_t peerlen = sizeof(peer);
	char c;
	int rx = lab_socket(l, to, fam, SOCK_DGRAM, 0, to, port);
	int tx = lab_socket(l, from, fam, SOCK_DGRAM, 0, from, sport);
	socklen_t len = lab_addr(&ss, fam, to, port);

	ck_assert_int_eq(sendto(tx, "x", 1, 0, (struct sockaddr *)&ss, len), 1);
	bool got = lab_ready(rx, POLLIN);
	if (got) {
		ck_assert_int_eq(recvfrom(rx, &c, 1, 0, (struct sockaddr *)&peer, &peerlen), 1);
		ck_assert_int_eq(sendto(rx, "y", 1, 0, (struct sockaddr *)&peer, peerlen), 1);
		ck_assert_msg(lab_ready(tx, POLLIN), "the answer is lost");
	}
	close(rx);
	close(tx);
	return got;
}

static inline bool lab_udp(struct lab *l, enum family fam, int from, int to, unsigned port)
{
	return lab_udp_from(l, fam, from, to, port, l->sport++);
}

static inline bool lab_tcp(struct lab *l, enum family fam, int from, int to, unsigned port)
{
	struct sockaddr_storage ss;
	int error = 0;
	socklen_t elen = sizeof(error);
	int rx = lab_socket(l, to, fam, SOCK_STREAM, 0, to, port);
	int tx = lab_socket(l, from, fam, SOCK_STREAM, 0, from, l->sport++);
	socklen_t len = lab_addr(&ss, fam, to, port);

	ck_assert_int_eq(listen(rx, 4), 0);
	connect(tx, (struct sockaddr *)&ss, len);
	bool got = lab_ready(tx, POLLOUT);
	if (got) {
		getsockopt(tx, SOL_SOCKET, SO_ERROR, &error, &elen);
		ck_assert_int_eq(error, 0);
	}
	close(rx);
	close(tx);
	return got;
}

/* An echo and its answer; from -1 is the node. */
static inline bool lab_ping(struct lab *l, enum family fam, int from, int to)
{
	struct sockaddr_storage ss;
	uint8_t echo[16] = { fam == FAM_V4 ? 8 : 128, 0 }, in[256];
	int tx = lab_socket(l, from, fam, SOCK_RAW,
			    fam == FAM_V4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6, -1, 0);
	socklen_t len = lab_addr(&ss, fam, to, 0);
	bool got = false;

	l->sport++;
	echo[4] = (uint8_t)(l->sport >> 8);
	echo[5] = (uint8_t)l->sport;
	if (fam == FAM_V4) { /* IPv6's checksum the kernel makes */
		unsigned sum = (8u << 8) + l->sport;
		sum = (sum & 0xffff) + (sum >> 16);
		echo[2] = (uint8_t)(~sum >> 8);
		echo[3] = (uint8_t)~sum;
	}
	/* What the node's own output drops is refused at once. */
	ck_assert(sendto(tx, echo, sizeof(echo), 0, (struct sockaddr *)&ss, len) > 0 ||
		  errno == EPERM);
	while (!got && lab_ready(tx, POLLIN)) {
		ssize_t n = recv(tx, in, sizeof(in), 0);
		size_t at = fam == FAM_V4 ? 20 : 0;

		got = n >= (ssize_t)(at + 8) && in[at] == (fam == FAM_V4 ? 0 : 129) &&
		      memcmp(in + at + 4, echo + 4, 2) == 0;
	}
	close(tx);
	return got;
}

/* --- the calc graph by hand --- */

#define OPS nft_ops()
enum { ANY = CALC_ALL_PROTOCOLS };

static inline struct calc_row lab_row(unsigned proto, unsigned lo, unsigned hi, bool allow,
				      uint32_t rule)
{
	unsigned max = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? 255 : 65535;

	return (struct calc_row){ .proto = (uint16_t)proto,
				  .lo = (uint16_t)lo,
				  .hi = (uint16_t)hi,
				  .shi = (uint16_t)max,
				  .allow = allow,
				  .rule = rule };
}

typedef void (*lab_rows_op)(void *, const struct calc_change *);

static inline void lab_rows(struct lab *l, lab_rows_op op, uint32_t class_, enum family fam,
			    int dir, uint32_t ident, const struct calc_row *del, size_t ndel,
			    const struct calc_row *add, size_t nadd)
{
	const struct calc_change c = { .table = { class_, (uint8_t)fam, (uint8_t)dir, false },
				       .ident = ident,
				       .del = del,
				       .add = add,
				       .ndel = ndel,
				       .nadd = nadd };

	op(l->n, &c);
}

#define ADD(l, class_, fam, dir, ident, ...)                                                       \
	do {                                                                                       \
		const struct calc_row v_[] = { __VA_ARGS__ };                                      \
		lab_rows((l), OPS->rows_add, (class_), (fam), (dir), (ident), NULL, 0, v_,         \
			 sizeof(v_) / sizeof(v_[0]));                                              \
	} while (0)

static inline void lab_address(struct lab *l, const char *text, uint32_t ident)
{
	struct addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	if (ident)
		OPS->address(l->n, &a, ident);
	else
		OPS->address_del(l->n, &a);
}

static inline struct nft_result lab_commit(struct lab *l)
{
	struct nft_result r;
	int rc = nft_commit(l->n, &r);

	ck_assert_msg(rc == 0, "object %d %llu: %s", r.failed[0].object,
		      (unsigned long long)r.failed[0].id, r.failed[0].err.text);
	return r;
}

/* A class that lets all or nothing through. */
static inline void lab_class(struct lab *l, uint32_t class_, bool in, bool out)
{
	OPS->class_add(l->n, class_);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		ADD(l, class_, fam, POLICY_INGRESS, 0, lab_row(ANY, 0, 65535, in, 1000));
		ADD(l, class_, fam, POLICY_EGRESS, 0, lab_row(ANY, 0, 65535, out, 1001));
	}
}

/* Pod 0 of class 1 may all; pod 1 of class 2 gets nothing yet. Identities 10+pod, 20+pod. */
static inline void lab_pods(struct lab *l)
{
	lab_class(l, 1, true, true);
	lab_class(l, 2, false, true);
	lab_address(l, "10.1.0.1", 10);
	lab_address(l, "10.1.1.1", 11);
	lab_address(l, "fd00:0::1", 20);
	lab_address(l, "fd00:1::1", 21);
	for (int i = 0; i < PODS; i++) {
		nft_iface(l->n, 100 + (unsigned)i, l->ifindex[i]);
		OPS->endpoint(l->n, 100 + (unsigned)i, 1 + (uint32_t)i);
	}
}

#endif
