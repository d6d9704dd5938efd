#include "config.h"

#include "test/unit/calc_bench.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "felix/policy/calc.h"
#include "lib/arena.h"

enum { NAMESPACES = 100, APPS = 20, REPLICAS = 50, POLICIES = 100, LOCAL = 2, ROUNDS = 1000 };

struct counted {
	size_t rows, addresses, idents, classes, dels;
};

static void on_class(void *arg, uint32_t class_)
{
	(void)class_;
	((struct counted *)arg)->classes++;
}

static void on_ident(void *arg, uint32_t ident, enum family fam)
{
	(void)ident;
	(void)fam;
	((struct counted *)arg)->idents++;
}

static void on_rows(void *arg, const struct calc_change *ch)
{
	((struct counted *)arg)->rows += ch->nadd;
	((struct counted *)arg)->dels += ch->ndel;
}

static void on_address(void *arg, const struct addr *a, uint32_t ident)
{
	(void)a;
	(void)ident;
	((struct counted *)arg)->addresses++;
}

static const struct calc_ops ops = { .class_add = on_class,
				     .ident_add = on_ident,
				     .rows_add = on_rows,
				     .rows_change = on_rows,
				     .rows_del = on_rows,
				     .address = on_address };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* ---- the cluster ---- */

static void put_pod(struct calc *c, unsigned ns, unsigned app, unsigned i, bool marked)
{
	struct pod_labels *labels = xcalloc(1, sizeof(*labels) + 4 * sizeof(*labels->v));
	static struct pod_ports ports;
	char namespace_[16], name[32], value[16], account[16];
	struct addr a = addr_v4(0x0a000000 + (ns * APPS + app) * 256 + i);
	struct pod p = { .namespace_ = namespace_,
			 .name = name,
			 .node = "",
			 .naddrs = 1,
			 .service_account = account,
			 .labels = labels,
			 .ports = &ports,
			 .phase = POD_RUNNING };

	snprintf(namespace_, sizeof(namespace_), "ns%u", ns);
	snprintf(name, sizeof(name), "app%u-%u", app, i);
	snprintf(value, sizeof(value), "app%u", app);
	snprintf(account, sizeof(account), "sa%u", app % 4);
	labels->v[0] = (struct pod_label){ "app", value };
	labels->v[1] = (struct pod_label){ "app.kubernetes.io/managed-by", "Helm" };
	labels->v[2] = (struct pod_label){ "pod-template-hash", value };
	labels->v[3] = (struct pod_label){ "special", "yes" };
	labels->n = marked ? 4 : 3;
	p.fam[0] = a.fam;
	memcpy(p.addr[0], a.b, 16);
	calc_pod(c, &p);
	free(labels);
}

static void put_namespace(struct calc *c, unsigned ns, const char *team)
{
	char name[16];
	struct field_kv v[] = { { "kubernetes.io/metadata.name", name }, { "team", team } };
	struct field_kvs kvs = { 2, v };

	snprintf(name, sizeof(name), "ns%u", ns);
	calc_namespace(c, name, &kvs);
}

static void put_endpoint(struct calc *c, unsigned ns, unsigned app)
{
	char namespace_[16], name[32];
	struct addr a = addr_v4(0x0a000000 + (ns * APPS + app) * 256);
	struct calc_endpoint e = { .id = ns * APPS + app + 1,
				   .namespace_ = namespace_,
				   .name = name,
				   .addrs = &a,
				   .naddrs = 1 };

	snprintf(namespace_, sizeof(namespace_), "ns%u", ns);
	snprintf(name, sizeof(name), "app%u-0", app);
	calc_endpoint(c, &e);
}

static void selector(struct policy *p, struct policy_selector *s, const char *text)
{
	struct err err;

	s->text = arena_strdup(&p->arena, text);
	s->sel = selector_parse(text, &p->arena, &err);
}

static struct policy *make_policy(const char *namespace_, const char *name, const char *subject,
				  const char *from, const char *team)
{
	struct policy *p = xcalloc(1, sizeof(*p));
	struct policy_port *port = arena_array(&p->arena, 2, sizeof(*port));

	p->refs = 1;
	p->kind = namespace_[0] ? POLICY_KUBERNETES : POLICY_GLOBAL;
	p->kind_text = namespace_[0] ? "NetworkPolicy" : "GlobalNetworkPolicy";
	p->group = "";
	p->namespace_ = arena_strdup(&p->arena, namespace_);
	p->name = p->display = p->sort_name = arena_printf(&p->arena, "%s/%s", namespace_, name);
	p->tier = POLICY_TIER_DEFAULT;
	p->order = 1000;
	p->pods = true;
	p->subject.pods_only = true;
	if (namespace_[0])
		p->subject.namespace_ = p->namespace_;
	selector(p, &p->subject.labels, subject);
	port[0] = (struct policy_port){ NULL, 80, 80 };
	port[1] = (struct policy_port){ NULL, 8000, 8099 };
	for (unsigned dir = 0; dir < POLICY_DIRECTIONS; dir++) {
		struct rule *v = xcalloc(2, sizeof(*v));

		for (unsigned i = 0; i < 2; i++) {
			struct entity *e = dir == POLICY_INGRESS ? &v[i].source : &v[i].destination;

			v[i].protocol = (struct policy_protocol){ true, 6 };
			v[i].name = "rule";
			v[i].index = i;
			v[i].destination.ports = (struct policy_ports){ 1, &port[i] };
			e->selected = true;
			e->match.pods_only = true;
			if (i)
				selector(p, &e->match.ns, team);
			else if (namespace_[0])
				e->match.namespace_ = p->namespace_;
			selector(p, &e->match.labels, from);
		}
		p->types[dir] = true;
		p->rules[dir] = (struct policy_rules){ 2, v };
	}
	return p;
}

static void put_policies(struct calc *c)
{
	for (unsigned ns = 0; ns < NAMESPACES; ns++)
		for (unsigned i = 0; i < POLICIES; i++) {
			char namespace_[16], name[16], subject[32], from[32], team[48];

			snprintf(namespace_, sizeof(namespace_), "ns%u", ns);
			snprintf(name, sizeof(name), "p%u", i);
			snprintf(subject, sizeof(subject), "app == \"app%u\"", i % APPS);
			snprintf(from, sizeof(from), "app == \"app%u\"", (i * 7 + 1) % APPS);
			snprintf(team, sizeof(team), "team == \"team%u\"", (ns + i) % 10);
			struct policy *p = make_policy(namespace_, name, subject, from, team);

			calc_policy(c, p);
			policy_unref(p);
		}
}

static void put_cluster(struct calc *c)
{
	for (unsigned ns = 0; ns < NAMESPACES; ns++) {
		char team[16];

		snprintf(team, sizeof(team), "team%u", ns % 10);
		put_namespace(c, ns, team);
		for (unsigned app = 0; app < APPS; app++)
			for (unsigned i = 0; i < REPLICAS; i++)
				put_pod(c, ns, app, i, ns < 10 && app < LOCAL && !i);
		for (unsigned app = 0; app < LOCAL; app++)
			put_endpoint(c, ns, app);
	}
}

/* ---- measures ---- */

static void show_state(const struct calc *c)
{
	struct calc_stats s = calc_stats(c);

	printf("  %zu pods, %zu identities, %zu policies (%zu active), %zu endpoints, %zu classes, "
	       "%zu rows, %zu profiles, %zu peers\n",
	       s.pods, s.identities, s.policies, s.active, s.endpoints, s.classes, s.rows,
	       s.profiles, s.peers);
}

static void bench_remote_pods(struct calc *c)
{
	double start = now();

	for (unsigned i = 0; i < ROUNDS; i++) {
		put_pod(c, i % NAMESPACES, i % APPS, REPLICAS + i / NAMESPACES, false);
		calc_flush(c);
	}
	printf("a remote pod with known labels: %.2f us\n", (now() - start) / ROUNDS);
}

static void bench_new_labels(struct calc *c, struct counted *n)
{
	double start = now();

	n->rows = 0;
	for (unsigned i = 0; i < 10; i++) {
		put_pod(c, 50 + i, 5, 200, true);
		calc_flush(c);
	}
	printf("a remote pod with new labels: %.1f us, %zu rows\n", (now() - start) / 10,
	       n->rows / 10);
}

static void bench_policy(struct calc *c, struct counted *n)
{
	double start, took = 0;

	n->rows = 0;
	for (unsigned i = 0; i < 20; i++) {
		struct policy *p = make_policy("", "new",
					       "special == \"yes\" && app == \"app0\" || "
					       "special == \"yes\" && app == \"app1\"",
					       "has(app)", "team == \"team1\"");

		start = now();
		calc_policy(c, p);
		calc_flush(c);
		took += now() - start;
		policy_unref(p);
		calc_policy_del(c, POLICY_GLOBAL, "GlobalNetworkPolicy", "", "/new");
		calc_flush(c);
	}
	printf("a new policy that selects 20 local pods: %.3f ms, %zu rows\n", took / 20e3,
	       n->rows / 40);
}

static void bench_namespace(struct calc *c, struct counted *n)
{
	double start = now();

	n->addresses = n->rows = 0;
	for (unsigned i = 0; i < 20; i++) {
		char team[16];

		snprintf(team, sizeof(team), "team%u", i % 2 ? 3 : 7);
		put_namespace(c, 3, team);
		calc_flush(c);
	}
	printf("a namespace's label that moves 1,000 pods: %.3f ms, %zu addresses, %zu rows\n",
	       (now() - start) / 20e3, n->addresses / 20, n->rows / 20);
}

void calc_bench(void)
{
	struct counted n = { 0 };
	size_t before = heap(), policies, after;
	struct calc *c = calc_new(&ops, &n);
	double start = now(), told;

	put_policies(c);
	policies = heap();
	told = now();
	put_cluster(c);
	double flush = now();

	calc_flush(c);
	double end = now();

	after = heap();
	printf("initial: %.3f s (policies made and told %.3f, objects told %.3f, computed %.3f), "
	       "%.1f MiB, %.1f of them the policies themselves\n",
	       (end - start) / 1e6, (told - start) / 1e6, (flush - told) / 1e6, (end - flush) / 1e6,
	       (double)(after - before) / (1 << 20), (double)(policies - before) / (1 << 20));
	show_state(c);
	bench_remote_pods(c);
	bench_new_labels(c, &n);
	bench_policy(c, &n);
	bench_namespace(c, &n);
	calc_free(c);
}
