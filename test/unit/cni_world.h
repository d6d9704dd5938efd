/* A CNI server in a network namespace of its own, real pods, and plugins that ask through socket
 * pairs. Needs root. Include after config.h.
 */
#ifndef SELVAGE_TEST_CNI_WORLD_H
#define SELVAGE_TEST_CNI_WORLD_H

#include <ev.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "felix/bgp_link.h"
#include "felix/cni_server.h"
#include "felix/links.h"
#include "felix/routes.h"
#include "lib/ipc.h"
#include "lib/nl.h"
#include "unit.h"

enum { PODS = 3 };

struct world {
	struct ev_loop *loop;
	struct nl *nl;
	struct routes *routes;
	struct links *links;
	struct ipam *ipam;
	struct endpoints *endpoints;
	struct cni_server *s;
	struct cni_server_conf conf;
	char dir[64];
	int state, endpoint_dir, spool;
	int netns[PODS], sock[PODS];  /* of each pod */
	int own;		      /* a netlink socket of the host's netns */
	bool closed;		      /* adding is not possible */
	struct cni_server_conf hooks; /* its hooks and its wait are taken over by serve() */
};

static inline bool may_add(void *arg, struct err *err)
{
	const struct world *w = arg;

	if (w->closed)
		err_set(err, "not today");
	return !w->closed;
}

static inline uint32_t mtu(void *arg)
{
	(void)arg;
	return 1400;
}

static inline void failed(void *arg, const struct prefix *p, unsigned n, const char *why)
{
	(void)arg;
	(void)p;
	(void)n;
	ck_abort_msg("%s", why);
}

static const struct routes_ops routes_ops = { .on_failed = failed };

static inline void on_link(void *arg, const struct link *l)
{
	(void)arg;
	(void)l;
}

static inline void on_gone(void *arg, uint32_t ifindex, const char *name)
{
	(void)arg;
	(void)ifindex;
	(void)name;
}

static const struct links_ops links_ops = { .on_link = on_link, .on_gone = on_gone };

static inline int netlink_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline void make_pods(struct world *w)
{
	int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < PODS; i++) {
		ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
		w->netns[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		w->sock[i] = netlink_socket();
		ck_assert_int_eq(setns(host, CLONE_NEWNET), 0);
	}
	close(host);
}

static inline void open_state(struct world *w)
{
	struct err err = { 0 };
	struct ipam_block_conf blocks[2] = { { .allocate = true }, { .allocate = true } };

	prefix_parse("10.1.0.0/28", &blocks[0].cidr);
	prefix_parse("10.1.0.0/16", &blocks[0].pool);
	prefix_parse("fd00:1::/124", &blocks[1].cidr);
	prefix_parse("fd00:1::/48", &blocks[1].pool);
	strcpy(w->dir, "/tmp/selvage-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w->dir));
	w->state = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(w->state, "spool", 0700);
	w->spool = openat(w->state, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->endpoint_dir = endpoint_files_open(w->state, &err);
	w->ipam = ipam_open(w->state, "boot", (uint64_t)time(NULL), &err);
	ck_assert_msg(w->ipam != NULL, "%s", err.text);
	ipam_set_blocks(w->ipam, blocks, 2);
}

static inline void serve(struct world *w)
{
	w->conf = (struct cni_server_conf){
		.loop = w->loop,
		.nl = w->nl,
		.routes = w->routes,
		.ipam = w->ipam,
		.endpoints = w->endpoints,
		.endpoint_dir = w->endpoint_dir,
		.spool_dir = w->spool,
		.may_add = may_add,
		.mtu = mtu,
		.arg = w,
		.admit = w->hooks.admit,
		.claim = w->hooks.claim,
		.settle = w->hooks.settle,
		.leases_changed = w->hooks.leases_changed,
		.wait = w->hooks.wait,
	};
	w->s = cni_server_new(&w->conf, -1);
}

static inline void begin(struct world *w)
{
	struct err err = { 0 };

	memset(w, 0, sizeof(*w));
	ck_assert_msg(unshare(CLONE_NEWNET) == 0, "this test needs root");
	make_pods(w);
	w->own = netlink_socket();
	w->loop = ev_loop_new(EVFLAG_AUTO);
	w->nl = nl_open(NETLINK_ROUTE, &err);
	ck_assert_msg(w->nl != NULL, "%s", err.text);
	w->links = links_new(w->nl, &links_ops, w, &err);
	w->routes = routes_new(w->nl, 254, &routes_ops, w, &err);
	ck_assert_msg(w->routes != NULL, "%s", err.text);
	w->endpoints = endpoints_new();
	open_state(w);
	serve(w);
}

static inline void end(struct world *w)
{
	char cmd[128];

	cni_server_free(w->s);
	routes_free(w->routes);
	links_free(w->links);
	ipam_close(w->ipam);
	endpoints_free(w->endpoints);
	nl_close(w->nl);
	ev_loop_destroy(w->loop);
	snprintf(cmd, sizeof(cmd), "rm -r %s", w->dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* ---- a plugin ---- */

static inline int plugin(struct world *w)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	cni_server_client(w->s, sv[0]);
	return sv[1];
}

static inline void ask(int fd, enum msg_type type, const void *body, int sock)
{
	struct err err = { 0 };

	ck_assert_msg(ipc_sync_send(fd, type, body, &sock, sock >= 0, &err) == 0, "%s", err.text);
}

static inline struct msg hear(struct world *w, int fd, struct arena *arena)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct err err = { 0 };
	struct msg m;

	for (int i = 0; i < 1000 && poll(&p, 1, 1) == 0; i++)
		ev_run(w->loop, EVRUN_NOWAIT);
	ck_assert_msg(ipc_sync_recv(fd, arena, &m, 100, &err) == 1, "%s", err.text);
	return m;
}

static inline struct m_cni_add request(const char *id, const char *pod)
{
	static struct msg_kv kv[1] = { { "app", "web" } };
	struct m_cni_add a = { .container_id = id,
			       .ifname = "eth0",
			       .network = "net",
			       .netns = "/run/netns/x",
			       .namespace_ = "default",
			       .pod = pod };

	a.labels.n = 1;
	a.labels.v = kv;
	return a;
}

static inline struct m_cni_del deletion(const char *id)
{
	return (struct m_cni_del){ .container_id = id, .ifname = "eth0", .network = "net" };
}

struct reply {
	struct arena arena;
	unsigned code; /* 0: success */
	const struct m_cni_result *result;
	const char *text;
};

static inline struct reply exchange(struct world *w, enum msg_type type, const void *body, int sock)
{
	struct reply r = { 0 };
	int fd = plugin(w);

	ask(fd, type, body, sock);
	struct msg m = hear(w, fd, &r.arena);
	close(fd);
	if (m.type == M_CNI_ERROR) {
		r.code = ((const struct m_cni_error *)m.body)->code;
		r.text = ((const struct m_cni_error *)m.body)->text;
		ck_assert_uint_ne(r.code, 0);
	} else {
		ck_assert_int_eq(m.type, type == M_CNI_ADD ? M_CNI_RESULT : M_CNI_OK);
		r.result = m.body;
	}
	return r;
}

static inline struct reply add(struct world *w, const char *id, const char *pod, int sock)
{
	struct m_cni_add a = request(id, pod);

	return exchange(w, M_CNI_ADD, &a, sock);
}

static inline unsigned del(struct world *w, const char *id)
{
	struct m_cni_del d = deletion(id);
	struct reply r = exchange(w, M_CNI_DEL, &d, -1);
	unsigned code = r.code;

	arena_free(&r.arena);
	return code;
}

static inline bool has_route(struct world *w, const struct addr *a)
{
	uint32_t metric;

	return bgp_link_lookup(w->nl, a, &metric);
}

static inline unsigned held(struct world *w)
{
	struct ipam_block_use use;

	ipam_block_use(w->ipam, 0, (uint64_t)time(NULL), &use);
	return (unsigned)use.used;
}

static inline bool lease_of(struct world *w, const char *id, struct ipam_lease *l)
{
	struct ipam_owner o = { "net", id, "eth0", "", "" };

	return ipam_find(w->ipam, &o, l);
}

#endif
