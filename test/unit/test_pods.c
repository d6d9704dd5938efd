/* Packed pods: what is put comes back, changes are told once, and little memory is used.
 *
 *   test_pods --bench [N]    prints the bytes of N pods (10000)
 */
#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "store/pods.h"
#include "test/unit/unit.h"

/* The story of all changes: "+a/b", "-a/b", "~a/b". */
struct told {
	char text[4096];
};

static void on_pod(void *arg, const struct pod *was, const struct pod *is)
{
	struct told *t = arg;
	const struct pod *p = is ? is : was;
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof(t->text) - n, "%s%c%s/%s", n ? " " : "",
		 !was ? '+'
		 : is ? '~'
		      : '-',
		 p->namespace_, p->name);
}

static void put(struct pods *t, const char *ns, const char *name, const char *uid,
		const char *address, const char *label)
{
	struct pod_label labels[] = { { "z", "last" }, { "app", label } };
	struct pod_port ports[] = { { .name = "http", .port = 80, .protocol = 6 } };
	struct pod_note notes[] = { { "podIP", "x" } };
	struct pod_in in = {
		.namespace_ = ns,
		.name = name,
		.node = "n1",
		.service_account = "default",
		.uid = uid,
		.phase = POD_RUNNING,
		.labels = labels,
		.nlabels = 2,
		.ports = ports,
		.nports = 1,
		.notes = notes,
		.nnotes = 1,
	};

	if (address)
		ck_assert_int_eq(addr_parse(address, &in.addrs[in.naddrs++]), 0);
	pods_put(t, &in);
}

START_TEST(fields)
{
	struct pods *t = pods_new(NULL, NULL);
	char text[ADDR_STRLEN];

	put(t, "a", "x", "u1", "10.0.0.1", "web");
	const struct pod *p = pods_find(t, "a", "x");

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(pods_find(t, "a", "y"));
	ck_assert_str_eq(p->node, "n1");
	ck_assert_str_eq(p->service_account, "default");
	ck_assert_uint_eq(p->naddrs, 1);
	struct addr a = pod_addr(p, 0);

	ck_assert_str_eq(addr_format(&a, text, sizeof(text)), "10.0.0.1");
	ck_assert_str_eq(pod_label_get(p, "app"), "web");
	ck_assert_str_eq(pod_label_get(p, "z"), "last");
	ck_assert_ptr_null(pod_label_get(p, "none"));
	ck_assert_str_eq(pod_note_get(p, "podIP"), "x");
	ck_assert_uint_eq(p->ports->n, 1);
	ck_assert_uint_eq(p->ports->v[0].port, 80);
	put(t, "b", "y", "u2", NULL, "web");
	ck_assert_ptr_eq(pods_find(t, "b", "y")->labels, p->labels);
	ck_assert_ptr_eq(pods_find(t, "b", "y")->ports, p->ports);
	ck_assert_ptr_eq(pods_find(t, "b", "y")->node, p->node);
	pods_free(t);
}
END_TEST

START_TEST(changes)
{
	struct told told = { "" };
	struct pods *t = pods_new(on_pod, &told);

	put(t, "a", "x", "u1", "10.0.0.1", "web");
	put(t, "a", "x", "u1", "10.0.0.1", "web"); /* nothing new */
	put(t, "a", "x", "u1", "10.0.0.2", "web");
	put(t, "a", "x", "u1", "10.0.0.2", "db");
	put(t, "a", "x", "u2", "10.0.0.2", "db"); /* another pod */
	pods_delete(t, "a", "none");
	pods_delete(t, "a", "x");
	pods_delete(t, "a", "x");
	ck_assert_str_eq(told.text, "+a/x ~a/x ~a/x -a/x +a/x -a/x");
	pods_free(t);
}
END_TEST

START_TEST(lists)
{
	struct told told = { "" };
	struct pods *t = pods_new(on_pod, &told);

	put(t, "a", "x", "u1", "10.0.0.1", "web");
	put(t, "a", "y", "u2", "10.0.0.2", "web");
	pods_begin(t);
	put(t, "a", "y", "u2", "10.0.0.2", "web");
	pods_begin(t); /* the first list broke off */
	put(t, "a", "x", "u1", "10.0.0.1", "web");
	put(t, "a", "z", "u3", "10.0.0.3", "web");
	ck_assert_uint_eq(pods_count(t), 3);
	pods_commit(t);
	ck_assert_str_eq(told.text, "+a/x +a/y +a/z -a/y");
	pods_begin(t);
	pods_commit(t);
	ck_assert_uint_eq(pods_count(t), 0);
	pods_free(t);
}
END_TEST

/* Against a table of what must be there, over many random puts and deletes; at the end nothing is
 * left in memory. */
START_TEST(random_walk)
{
	enum { NAMES = 400, STEPS = 60000 };
	static unsigned char is[NAMES];
	struct pods *t = pods_new(NULL, NULL);
	size_t empty = pods_bytes(t), after;
	unsigned long seed = 1;
	unsigned there = 0;

	for (unsigned i = 0; i < STEPS; i++) {
		char name[16], label[16];

		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		unsigned k = (unsigned)(seed >> 33) % NAMES, how = (unsigned)(seed >> 60);

		snprintf(name, sizeof(name), "p%u", k);
		snprintf(label, sizeof(label), "l%u", (unsigned)(seed >> 40) % 7);
		ck_assert_int_eq(pods_find(t, "ns", name) != NULL, is[k]);
		if (how < 7 - i * 3 / STEPS) {
			put(t, "ns", name, "u", "10.0.0.1", label);
			there += !is[k];
			is[k] = 1;
		} else {
			pods_delete(t, "ns", name);
			there -= is[k];
			is[k] = 0;
		}
		ck_assert_uint_eq(pods_count(t), there);
	}
	pods_begin(t);
	pods_commit(t);
	after = pods_bytes(t);
	/* The pods' own slabs stay for the next ones. */
	ck_assert_uint_le(after, empty + (NAMES + 128) * sizeof(struct pod) + 4096);
	ck_assert_uint_eq(pods_count(t), 0);
	memset(is, 0, sizeof(is));
	pods_free(t);
}
END_TEST

/* Each pod with names and a label of its own, as the pods of many Deployments have. */
static size_t fill(struct pods *t, unsigned count)
{
	size_t before = mallinfo2().uordblks;

	for (unsigned i = 0; i < count; i++) {
		char name[64], hash[16], node[16], ns[16], app[16], address[32];
		struct pod_label labels[] = { { "app", app },
					      { "pod-template-hash", hash },
					      { "tier", "front" },
					      { "version", "v1" } };
		struct pod_port ports[] = { { .name = "http", .port = 8080, .protocol = 6 },
					    { .name = "metrics", .port = 9090, .protocol = 6 } };
		struct pod_in in = {
			.namespace_ = ns,
			.name = name,
			.node = node,
			.service_account = app,
			.uid = hash,
			.phase = POD_RUNNING,
			.labels = labels,
			.nlabels = 4,
			.ports = ports,
			.nports = 2,
			.naddrs = 1,
		};

		snprintf(app, sizeof(app), "app-%u", i % 50);
		snprintf(hash, sizeof(hash), "%09x", i * 2654435761u);
		snprintf(name, sizeof(name), "pod-%s-%s-%u", app, hash, i);
		snprintf(node, sizeof(node), "node-%u", i % 100);
		snprintf(ns, sizeof(ns), "ns-%u", i % 20);
		snprintf(address, sizeof(address), "10.%u.%u.%u", 128 + (i >> 16), i >> 8 & 255,
			 i & 255);
		addr_parse(address, &in.addrs[0]);
		pods_put(t, &in);
	}
	return mallinfo2().uordblks - before;
}

START_TEST(memory)
{
	struct pods *t = pods_new(NULL, NULL);

	fill(t, 10000);
	ck_assert_uint_le(pods_bytes(t), 3 << 20);
	pods_free(t);
}
END_TEST

static int bench(unsigned count)
{
	struct pods *t = pods_new(NULL, NULL);
	size_t heap = fill(t, count);

	printf("%u pods: %.2f MiB asked for, %.2f MiB of heap, %.0f bytes a pod\n", count,
	       (double)pods_bytes(t) / (1 << 20), (double)heap / (1 << 20), (double)heap / count);
	pods_free(t);
	return 0;
}

static int tests(void)
{
	const TTest *const all[] = { fields, changes, lists, random_walk, memory };
	Suite *s = suite_create("pods");
	TCase *tc = tcase_create("pods");

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		tcase_add_test(tc, all[i]);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--bench"))
		return bench(argc > 2 ? (unsigned)atoi(argv[2]) : 10000);
	return tests();
}
