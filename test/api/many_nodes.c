/* Many nodes in one process for test_scale.py: of each the Kubernetes store's client and the block
 * engine, joined as felix joins them, all starting at once. Ends when every node has its blocks and
 * nothing is under way; one line of JSON says how it went.
 *
 *   many_nodes server=URL ca=FILE nodes=FILE pool=CIDR/BLOCKSIZE... [rank=no] [timeout=S]
 *              [for=S]
 *
 * nodes: a line "NAME TOKEN" for each. rank=no: no node knows the others, so the walk over a pool
 * begins at its name's hash. for: runs that long, and what is missing then is no failure.
 */
#include "config.h"

#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ipam/sync.h"
#include "lib/kubeconfig.h"
#include "lib/log.h"
#include "store/ipam_api.h"

enum { MAX_POOLS = 128, MAX_FILE = 16 << 20 };

struct sim_node {
	const char *name, *token;
	char instance[33];
	struct store *store;
	struct sync *sync;
	ev_timer tick, sign;
	unsigned rank;
	unsigned calls; /* under way */
	bool started, ready;
	double ready_ms;
	unsigned nblocks;
};

struct sim_call {
	struct sim_node *node;
	uint64_t id;
};

/* A block that a node may give addresses from. */
struct holding {
	struct prefix cidr;
	const struct sim_node *node;
};

static struct {
	struct ev_loop *loop;
	const char *server, *ca, *names;
	struct sync_pool pools[MAX_POOLS];
	unsigned npools;
	bool ranks;
	double timeout, only_for;
	struct sim_node *nodes;
	unsigned n, nready, families;
	struct holding *held;
	unsigned nheld, doubles, problems, refused;
	double began;
} sim = { .ranks = true, .timeout = 120 };

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

static struct sync_now sim_now(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct sync_now){
		.ms = (uint64_t)now_ms(),
		.unix_ns = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec,
	};
}

/* ---- one node ---- */

static void drive(struct sim_node *node)
{
	uint64_t at = sync_next(node->sync), now = sim_now().ms;

	ev_timer_stop(sim.loop, &node->tick);
	if (at == UINT64_MAX)
		return;
	ev_now_update(sim.loop);
	ev_timer_set(&node->tick, at > now ? (double)(at - now) / 1000. : 0., 0.);
	ev_timer_start(sim.loop, &node->tick);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sim_node *node = w->data;

	(void)loop;
	(void)events;
	sync_tick(node->sync, sim_now());
	drive(node);
}

static void on_reply(void *arg, const struct ipamobj_reply *r)
{
	struct sim_call *call = arg;
	struct sim_node *node = call->node;

	node->calls--;
	sync_reply(node->sync, call->id, r, sim_now());
	free(call);
	drive(node);
}

static void on_request(void *arg, uint64_t id, const struct ipamobj_request *r)
{
	struct sim_node *node = arg;
	struct sim_call *call = xcalloc(1, sizeof(*call));

	*call = (struct sim_call){ node, id };
	node->calls++;
	store_ipam_request(node->store, r, on_reply, call);
}

static void let_go(const struct sim_node *node)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < sim.nheld; i++)
		if (sim.held[i].node != node)
			sim.held[kept++] = sim.held[i];
	sim.nheld = kept;
}

/* Two nodes that may both give addresses from one block: the one thing that must never be. */
static void hold(const struct sim_node *node, const struct prefix *cidr)
{
	char text[PREFIX_STRLEN];

	for (unsigned i = 0; i < sim.nheld; i++) {
		if (!prefix_overlaps(&sim.held[i].cidr, cidr))
			continue;
		sim.doubles++;
		fprintf(stderr, "%s and %s both have %s\n", sim.held[i].node->name, node->name,
			prefix_format(cidr, text, sizeof(text)));
	}
	sim.held = xrealloc(sim.held, (sim.nheld + 1) * sizeof(*sim.held));
	sim.held[sim.nheld++] = (struct holding){ *cidr, node };
}

static void on_blocks(void *arg)
{
	struct sim_node *node = arg;
	unsigned families = 0;

	node->nblocks = sync_block_count(node->sync);
	let_go(node);
	for (unsigned i = 0; i < node->nblocks; i++) {
		struct sync_block b;

		sync_block_at(node->sync, i, &b);
		if (!b.allocate)
			continue;
		hold(node, &b.cidr);
		families |= 1u << b.cidr.addr.fam;
	}
	if (node->ready || families != sim.families)
		return;
	node->ready = true;
	node->ready_ms = now_ms() - sim.began;
	sim.nready++;
}

static void on_foreign(void *arg, const struct prefix *block, const struct addr *a, bool held)
{
	(void)arg;
	(void)block;
	(void)a;
	(void)held;
}

static void on_claimed(void *arg, enum family fam, const struct prefix *pool,
		       enum sync_claim result, const char *why)
{
	const struct sim_node *node = arg;

	(void)fam;
	(void)pool;
	(void)result;
	fprintf(stderr, "%s: a claim that nobody waits for: %s\n", node->name, why);
	sim.problems++;
}

static void on_settled(void *arg, const struct addr *a, enum sync_settle result)
{
	(void)arg;
	(void)a;
	(void)result;
}

static void on_problem(void *arg, enum sync_problem kind, const char *object, const char *text)
{
	const struct sim_node *node = arg;

	(void)kind;
	fprintf(stderr, "%s: %s: %s\n", node->name, object, text);
	sim.problems++;
}

static bool on_alive(void *arg, const struct sync_alloc *a)
{
	(void)arg;
	(void)a;
	return true;
}

static const struct sync_ops sync_ops = {
	.request = on_request,
	.blocks = on_blocks,
	.foreign = on_foreign,
	.claimed = on_claimed,
	.settled = on_settled,
	.problem = on_problem,
	.alive = on_alive,
};

/* ---- its Node, as felix signs it ---- */

static void on_signed(void *arg, enum ipamobj_result result, const char *why)
{
	struct sim_node *node = arg;

	(void)why;
	node->calls--;
	if (result == IPAMOBJ_OK) {
		sync_set_node(node->sync, true, node->instance, sim_now());
		drive(node);
	} else {
		ev_timer_set(&node->sign, 10., 0.);
		ev_timer_start(sim.loop, &node->sign);
	}
}

static void sign(struct sim_node *node)
{
	const struct store_annotation notes[] = { { "selvage.io/instance", node->instance } };

	node->calls++;
	store_patch(node->store, STORE_PATCH_NODE, "", node->name, "", notes, 1, on_signed, node);
}

static void on_sign(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	sign(w->data);
}

/* The store's first word: it knows which API serves the blocks. */
static void on_change(void *arg)
{
	struct sim_node *node = arg;
	struct sync_settings st = {
		.strict_affinity = true,
		.auto_allocate_blocks = true,
		.rank = node->rank,
		.nodes = sim.ranks ? sim.n : 0,
	};

	if (node->started)
		return;
	node->started = true;
	sync_set_pools(node->sync, sim.pools, sim.npools, sim_now());
	sync_set_settings(node->sync, &st, sim_now());
	sync_set_node(node->sync, true, "", sim_now());
	sign(node);
	sync_start(node->sync, sim_now());
	drive(node);
}

static void open_node(struct sim_node *node, const char *ca_pem)
{
	static const struct store_ops ops = { .on_change = on_change };
	const char *servers[] = { sim.server };
	const struct kube_access access = {
		.nservers = 1,
		.servers = servers,
		.ca_pem = ca_pem,
		.cert_pem = "",
		.key_pem = "",
		.token = node->token,
		.tls_server_name = "",
		.proxy = "",
		.namespace_ = "",
		.context = "",
		.user = "",
	};
	const struct store_kube_conf conf = { .node = node->name,
					      .access = &access,
					      .requests_only = true };
	struct err err;

	/* The same at each run, as the state folder keeps it. */
	snprintf(node->instance, sizeof(node->instance), "%08x%024x", ipamobj_host_hash(node->name),
		 node->rank);
	const struct sync_conf sync = { .node = node->name,
					.instance = node->instance,
					.seed = ipamobj_host_hash(node->instance) };

	node->sync = sync_new(&sync, &sync_ops, node);
	ev_init(&node->tick, on_tick);
	ev_init(&node->sign, on_sign);
	node->tick.data = node->sign.data = node;
	node->store = store_kube_open(sim.loop, &conf, &ops, node, &err);
	if (!node->store) {
		fprintf(stderr, "%s: %s\n", node->name, err.text);
		exit(1);
	}
}

/* ---- all of them ---- */

static bool at_rest(void)
{
	if (sim.nready < sim.n)
		return false;
	for (unsigned i = 0; i < sim.n; i++)
		if (sim.nodes[i].calls)
			return false;
	return true;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(void)
{
	double *ms = xcalloc(sim.n + 1, sizeof(*ms));
	uint64_t requests = 0, writes = 0, conflicts = 0;
	unsigned n = 0, most = 0;
	struct rusage use;

	for (unsigned i = 0; i < sim.n; i++) {
		struct sync_status st;

		sync_status(sim.nodes[i].sync, &st);
		requests += st.requests;
		writes += st.writes;
		conflicts += st.conflicts_seen;
		if (st.writes > most)
			most = (unsigned)st.writes;
		if (sim.nodes[i].ready)
			ms[n++] = sim.nodes[i].ready_ms;
		else if (sim.only_for <= 0)
			fprintf(stderr, "%s has %u blocks, %u requests under way\n",
				sim.nodes[i].name, sim.nodes[i].nblocks, sim.nodes[i].calls);
	}
	qsort(ms, n, sizeof(*ms), by_number);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"nodes\": %u, \"ready\": %u, \"doubles\": %u, \"problems\": %u, "
	       "\"requests\": %llu, \"writes\": %llu, \"mostWrites\": %u, \"conflicts\": %llu, "
	       "\"p50\": %.0f, \"p99\": %.0f, \"max\": %.0f, \"cpu\": %.2f, \"kib\": %ld}\n",
	       sim.n, sim.nready, sim.doubles, sim.problems, (unsigned long long)requests,
	       (unsigned long long)writes, most, (unsigned long long)conflicts, n ? ms[n / 2] : 0,
	       n ? ms[n * 99 / 100] : 0, n ? ms[n - 1] : 0,
	       (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
		       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
	       use.ru_maxrss);
	free(ms);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
	double now = (now_ms() - sim.began) / 1000;

	(void)w;
	(void)events;
	if (sim.only_for > 0 ? now > sim.only_for : at_rest() || now > sim.timeout)
		ev_break(loop, EVBREAK_ALL);
}

/* ---- arguments ---- */

static char *slurp(const char *path)
{
	char *text = xcalloc(1, MAX_FILE);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, MAX_FILE - 1);

	if (n < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		exit(2);
	}
	close(fd);
	return text;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sim_node *)a)->name, ((const struct sim_node *)b)->name);
}

static void read_nodes(char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *token = strchr(line, ' ');

		if (!token)
			continue;
		*token++ = 0;
		sim.nodes = xrealloc(sim.nodes, (sim.n + 1) * sizeof(*sim.nodes));
		sim.nodes[sim.n++] = (struct sim_node){ .name = line, .token = token };
	}
	qsort(sim.nodes, sim.n, sizeof(*sim.nodes), by_name);
	for (unsigned i = 0; i < sim.n; i++)
		sim.nodes[i].rank = i;
}

/* "10.0.0.0/16/26" */
static void add_pool(char *value)
{
	struct sync_pool *p = &sim.pools[sim.npools];
	char *size = strrchr(value, '/');

	if (sim.npools == MAX_POOLS || !size) {
		fprintf(stderr, "pool=%s: CIDR/BLOCKSIZE, at most %d\n", value, MAX_POOLS);
		exit(2);
	}
	*size++ = 0;
	if (prefix_parse(value, &p->cidr)) {
		fprintf(stderr, "pool=%s is no CIDR\n", value);
		exit(2);
	}
	p->block_size = (unsigned)atoi(size);
	p->use = SYNC_POOL_AUTO;
	sim.families |= 1u << p->cidr.addr.fam;
	sim.npools++;
}

static void argument(char *text)
{
	char *value = strchr(text, '=');

	if (!value) {
		fprintf(stderr, "usage: many_nodes server=URL ca=FILE nodes=FILE pool=CIDR/SIZE\n");
		exit(2);
	}
	*value++ = 0;
	if (!strcmp(text, "server"))
		sim.server = value;
	else if (!strcmp(text, "ca"))
		sim.ca = value;
	else if (!strcmp(text, "nodes"))
		sim.names = value;
	else if (!strcmp(text, "pool"))
		add_pool(value);
	else if (!strcmp(text, "rank"))
		sim.ranks = strcmp(value, "no") != 0;
	else if (!strcmp(text, "timeout"))
		sim.timeout = atof(value);
	else if (!strcmp(text, "for"))
		sim.only_for = atof(value);
}

int main(int argc, char **argv)
{
	struct rlimit files;
	ev_timer look;

	log_init("many", LOG_ERROR);
	for (int i = 1; i < argc; i++)
		argument(argv[i]);
	if (!sim.server || !sim.ca || !sim.names || !sim.npools) {
		fprintf(stderr, "server, ca, nodes and a pool must be given\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	char *names = slurp(sim.names), *ca = slurp(sim.ca);

	read_nodes(names);
	sim.loop = ev_default_loop(0);
	sim.began = now_ms();
	for (unsigned i = 0; i < sim.n; i++)
		open_node(&sim.nodes[i], ca);
	ev_timer_init(&look, on_look, 0.1, 0.1);
	ev_timer_start(sim.loop, &look);
	ev_run(sim.loop, 0);
	report();
	for (unsigned i = 0; i < sim.n; i++) {
		store_close(sim.nodes[i].store);
		sync_free(sim.nodes[i].sync);
	}
	free(sim.nodes);
	free(sim.held);
	free(names);
	free(ca);
	ev_loop_destroy(sim.loop);
	return sim.doubles || (sim.only_for <= 0 && sim.nready < sim.n);
}
