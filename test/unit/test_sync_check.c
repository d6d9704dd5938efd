#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ipam/sync_check.h"
#include "ipam/sync_obj.h"
#include "test/unit/unit.h"

/* A cluster in which everything agrees; each case then breaks one thing. */
struct set {
	struct arena a;
	struct sync_check_in in;
	struct sync_pool pool;
	struct sync_lease leases[4];
	const struct ipamobj_block *blocks[4];
	struct ipamobj_block *b[2];
	const struct ipamobj_affinity *affinities[4];
	struct ipamobj_affinity f[3];
	const struct ipamobj_handle *handles[4];
	struct ipamobj_handle h[3];
	struct ipamobj_handle_block hb[3];
	struct sync_check_pod pods[4];
	struct sync_check_link links[4];
	const char *nodes[2];
};

static struct addr addr_of(const char *text)
{
	struct addr a;

	addr_parse(text, &a);
	return a;
}

static struct ipamobj_block *add_block(struct set *s, const char *cidr, const char *node)
{
	struct prefix p;

	prefix_parse(cidr, &p);
	struct ipamobj_block *b = obj_edit_block(&s->a, obj_new_block(&s->a, &p, node, true, 1));
	s->blocks[s->in.nblocks++] = b;
	return b;
}

static void allocate(struct set *s, struct ipamobj_block *b, uint32_t i, const char *handle,
		     const char *pod, const char *node)
{
	struct ipamobj_kv *kv = arena_array(&s->a, 3, sizeof(*kv));
	struct ipamobj_attr at = { handle, 3, kv, "", "" };

	kv[0] = (struct ipamobj_kv){ "pod", pod };
	kv[1] = (struct ipamobj_kv){ "namespace", "ns" };
	kv[2] = (struct ipamobj_kv){ "node", node };
	obj_take_ordinal(b, i, &at);
}

static void add_handle(struct set *s, unsigned i, const char *id, const char *cidr)
{
	prefix_parse(cidr, &s->hb[i].cidr);
	s->hb[i].count = 1;
	s->h[i] = (struct ipamobj_handle){ .meta = { id, "uid-h", "7", "", 0 },
					   .handle_id = id,
					   .nblocks = 1,
					   .blocks = &s->hb[i] };
	s->handles[s->in.nhandles++] = &s->h[i];
}

static void add_affinity(struct set *s, unsigned i, const char *name, const char *node,
			 const char *cidr)
{
	s->f[i] = (struct ipamobj_affinity){
		.meta = { name, "uid-f", "9", "", 0 }, .node = node, .type = "host", .instance = ""
	};
	prefix_parse(cidr, &s->f[i].cidr);
	s->affinities[s->in.naffinities++] = &s->f[i];
}

static void good(struct set *s)
{
	memset(s, 0, sizeof(*s));
	s->in = (struct sync_check_in){ .node = "n1",
					.pools = &s->pool,
					.npools = 1,
					.leases = s->leases,
					.blocks = s->blocks,
					.affinities = s->affinities,
					.handles = s->handles,
					.pods = s->pods,
					.links = s->links,
					.nodes = s->nodes };
	prefix_parse("10.0.0.0/24", &s->pool.cidr);
	s->pool.block_size = 26;
	s->nodes[s->in.nnodes++] = "n1";
	s->nodes[s->in.nnodes++] = "n2";
	s->b[0] = add_block(s, "10.0.0.0/26", "n1");
	s->b[1] = add_block(s, "10.0.0.64/26", "n2");
	add_affinity(s, 0, "n1-10-0-0-0-26", "n1", "10.0.0.0/26");
	add_affinity(s, 1, "n2-10-0-0-64-26", "n2", "10.0.0.64/26");
	allocate(s, s->b[0], 1, "net.a", "a", "n1");
	allocate(s, s->b[1], 1, "net.b", "b", "n2");
	add_handle(s, 0, "net.a", "10.0.0.0/26");
	add_handle(s, 1, "net.b", "10.0.0.64/26");
	s->leases[s->in.nleases++] =
		(struct sync_lease){ addr_of("10.0.0.1"), "net.a", "a", "ns", 1 };
	s->pods[s->in.npods++] =
		(struct sync_check_pod){ "ns", "a", "n1", 1, { addr_of("10.0.0.1") } };
	s->pods[s->in.npods++] =
		(struct sync_check_pod){ "ns", "b", "n2", 1, { addr_of("10.0.0.65") } };
	s->links[s->in.nlinks++] = (struct sync_check_link){ "calia", addr_of("10.0.0.1") };
}

static void nothing(struct set *s)
{
	(void)s;
}

static void broken_lists(struct set *s)
{
	s->b[0]->nunallocated--;
}

static void overlap(struct set *s)
{
	add_block(s, "10.0.0.96/27", "n1");
	add_affinity(s, 2, "n1-10-0-0-96-27", "n1", "10.0.0.96/27");
}

static void outside(struct set *s)
{
	s->b[1]->affinity = "host:n2";
	prefix_parse("10.0.0.0/26", &s->pool.cidr);
}

static void no_affinity(struct set *s)
{
	s->f[1].deleted = true;
}

static void no_block(struct set *s)
{
	add_affinity(s, 2, "n1-10-0-0-128-26", "n1", "10.0.0.128/26");
}

static void other_block(struct set *s)
{
	add_affinity(s, 2, "n1-10-0-0-64-26", "n1", "10.0.0.64/26");
}

static void node_gone(struct set *s)
{
	s->in.nnodes = 1;
}

static void twice(struct set *s)
{
	s->pods[s->in.npods++] =
		(struct sync_check_pod){ "ns", "c", "n2", 1, { addr_of("10.0.0.65") } };
}

static void leaked(struct set *s)
{
	allocate(s, s->b[1], 7, "net.c", "c", "n2");
	add_handle(s, 2, "net.c", "10.0.0.64/26");
}

static void tunnel(struct set *s)
{
	allocate(s, s->b[1], 7, "net.c", "c", "n2");
	add_handle(s, 2, "net.c", "10.0.0.64/26");
	s->b[1]->attrs[1].secondary[0] = (struct ipamobj_kv){ "type", "ipipTunnelAddress" };
}

static void other_handle(struct set *s)
{
	s->leases[0].handle_id = "net.z";
}

static void not_written(struct set *s)
{
	s->leases[s->in.nleases++] =
		(struct sync_lease){ addr_of("10.0.0.9"), "net.n", "a", "ns", 1 };
}

static void no_pod(struct set *s)
{
	s->leases[s->in.nleases++] =
		(struct sync_lease){ addr_of("10.0.0.9"), "net.n", "gone", "ns", 1 };
	allocate(s, s->b[0], 9, "net.n", "gone", "n1");
	add_handle(s, 2, "net.n", "10.0.0.0/26");
}

static void no_lease(struct set *s)
{
	s->links[s->in.nlinks++] = (struct sync_check_link){ "calib", addr_of("10.0.0.12") };
}

static void not_allocated(struct set *s)
{
	s->pods[s->in.npods++] =
		(struct sync_check_pod){ "ns", "c", "n2", 1, { addr_of("10.0.0.70") } };
}

static void host_network(struct set *s)
{
	s->pods[s->in.npods++] =
		(struct sync_check_pod){ "ns", "c", "n2", 1, { addr_of("192.0.2.7") } };
}

static void unreferenced(struct set *s)
{
	add_handle(s, 2, "net.c", "10.0.0.64/26");
}

static void missing(struct set *s)
{
	s->in.nhandles = 1;
}

static void miscounted(struct set *s)
{
	s->hb[0].count = 2;
}

static const struct {
	const char *name;
	void (*change)(struct set *s);
	const char *expect; /* "kind mend object" */
} cases[] = {
	{ "good", nothing, "" },
	{ "broken", broken_lists, "block-broken none 10.0.0.0/26" },
	{ "overlap", overlap, "block-overlap none 10.0.0.64/26" },
	{ "outside", outside, "block-outside-pools none 10.0.0.64/26" },
	{ "no affinity", no_affinity, "block-without-affinity none 10.0.0.64/26" },
	{ "no block", no_block, "affinity-without-block wait n1-10-0-0-128-26" },
	{ "other block", other_block, "affinity-of-another-block delete-affinity n1-10-0-0-64-26" },
	{ "node gone", node_gone, "node-gone wait 10.0.0.64/26" },
	{ "twice", twice, "address-twice none 10.0.0.65" },
	{ "leaked", leaked, "address-leaked free-address 10.0.0.71" },
	{ "tunnel", tunnel, "" },
	{ "other handle", other_handle, "address-of-another none 10.0.0.1" },
	{ "not written", not_written, "lease-not-in-block wait 10.0.0.9" },
	{ "no pod", no_pod, "lease-without-pod release-lease 10.0.0.9" },
	{ "no lease", no_lease, "link-without-lease none 10.0.0.12" },
	{ "not allocated", not_allocated, "pod-without-allocation none 10.0.0.70" },
	{ "host network", host_network, "" },
	{ "unreferenced", unreferenced, "handle-unreferenced delete-handle net.c" },
	{ "missing", missing, "handle-missing none net.b" },
	{ "count", miscounted, "handle-count none net.a" },
};

START_TEST(one_thing_at_a_time)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct set *s = calloc(1, sizeof(*s));
		struct sync_finding *f;
		char got[400] = "";

		good(s);
		cases[i].change(s);
		unsigned n = sync_check(&s->in, &s->a, &f);
		for (unsigned k = 0; k < n; k++) {
			size_t at = strlen(got);

			snprintf(got + at, sizeof(got) - at, "%s%s %s %s", k ? "; " : "",
				 sync_check_kind_name(f[k].kind), sync_check_mend_name(f[k].mend),
				 f[k].object);
			ck_assert(strstr(f[k].what, f[k].object));
			if (f[k].mend == MEND_DELETE_HANDLE || f[k].mend == MEND_DELETE_AFFINITY)
				ck_assert(f[k].uid[0] && f[k].resource_version[0]);
			if (f[k].mend == MEND_FREE_ADDRESS)
				ck_assert_str_eq(f[k].handle_id, "net.c");
		}
		ck_assert_msg(strcmp(got, cases[i].expect) == 0, "%s: got \"%s\"", cases[i].name,
			      got);
		arena_free(&s->a);
		free(s);
	}
}
END_TEST

UNIT_MAIN("sync_check", one_thing_at_a_time)
