#include "config.h"

#include "felix/felix_impl.h"

#include <string.h>
#include <time.h>

#include "felix/metrics.h"
#include "lib/log.h"

struct block_column {
	const char *name, *help;
	uint64_t (*value)(const struct ipam_block_use *u);
};

static uint64_t block_size(const struct ipam_block_use *u)
{
	return u->size;
}

static uint64_t block_used(const struct ipam_block_use *u)
{
	return u->used;
}

static uint64_t block_free_(const struct ipam_block_use *u)
{
	return u->free;
}

static uint64_t block_cooling(const struct ipam_block_use *u)
{
	return u->cooling;
}

static const struct block_column block_columns[] = {
	{ "selvage_ipam_block_addresses", "Addresses of a block of this node.", block_size },
	{ "selvage_ipam_block_used", "Addresses that pods hold.", block_used },
	{ "selvage_ipam_block_free", "Addresses that can be given now.", block_free_ },
	{ "selvage_ipam_block_cooling", "Addresses given back a moment ago, not given yet.",
	  block_cooling },
};

static void blocks(FILE *to, const struct ipam *ipam)
{
	char cidr[PREFIX_STRLEN], pool[PREFIX_STRLEN];
	struct ipam_block_use u;

	for (size_t i = 0; i < sizeof(block_columns) / sizeof(*block_columns); i++) {
		const struct block_column *c = &block_columns[i];

		metrics_family(to, c->name, "gauge", c->help);
		for (unsigned k = 0; k < ipam_block_count(ipam); k++) {
			ipam_block_use(ipam, k, (uint64_t)time(NULL), &u);
			metrics_sample(to, c->name, "cidr",
				       prefix_format(&u.cidr, cidr, sizeof(cidr)), "pool",
				       prefix_format(&u.pool, pool, sizeof(pool)),
				       (double)c->value(&u));
		}
	}
}

static void one(FILE *to, const char *name, const char *help, double value)
{
	metrics_family(to, name, "gauge", help);
	metrics_sample(to, name, NULL, NULL, NULL, NULL, value);
}

static void datastore(FILE *to, const struct felix *f)
{
	struct store_status st;

	if (!f->store)
		return;
	store_status(f->store, &st);
	metrics_family(to, "selvage_datastore_synced", "gauge",
		       "1 when everything needed was read once.");
	metrics_sample(to, "selvage_datastore_synced", "kind", st.kind, NULL, NULL, st.synced);
	one(to, "selvage_datastore_last_contact_seconds",
	    "When the datastore last answered, seconds since the epoch.", (double)st.last_contact);
	one(to, "selvage_datastore_errors", "Resources that are broken or contradict others.",
	    st.nerrors + (f->desired ? (double)f->desired->problems.n : 0));
}

static void page(void *arg, FILE *to)
{
	const struct felix *f = arg;
	const char *list[FELIX_REASONS];
	struct routes_stats routes;
	uint32_t endpoints, ready;

	metrics_family(to, "selvage_build_info", "gauge", "The version that runs.");
	metrics_sample(to, "selvage_build_info", "version", PACKAGE_VERSION, "node", f->child.node,
		       1);
	one(to, "selvage_ready", "1 when pods can be added and routes are in force.",
	    felix_reasons(f, list) == 0);
	endpoints_count(f->endpoints, &endpoints, &ready);
	one(to, "selvage_endpoints", "Interfaces of pods on this node.", endpoints);
	one(to, "selvage_endpoints_ready", "Those that are in service.", ready);
	routes_stats(f->routes, &routes);
	one(to, "selvage_routes_learned", "Routes of bgpd in the kernel.", routes.learned);
	one(to, "selvage_routes_local", "Routes of pods and blocks in the kernel.", routes.local);
	one(to, "selvage_routes_failed", "Routes that the kernel refused.", routes.failed);
	one(to, "selvage_policies", "Policies in the datastore.",
	    f->desired ? f->desired->npolicies : 0);
	datastore(to, f);
	if (f->ipam)
		blocks(to, f->ipam);
}

static bool ready(void *arg, FILE *why)
{
	const char *list[FELIX_REASONS];
	unsigned n = felix_reasons(arg, list);

	for (unsigned i = 0; i < n; i++)
		fprintf(why, "%s\n", list[i]);
	return n == 0;
}

static const struct metrics_ops ops = { .page = page, .ready = ready };

void felix_start_metrics(struct felix *f)
{
	const char *text = f->child.conf->metrics.listen;
	struct addr addr;
	uint16_t port;
	struct err err;

	if (!*text || peer_ip_parse(text, &addr, &port) < 0)
		return;
	f->metrics = metrics_open(f->child.loop, &addr, port, &ops, f, &err);
	/* A node without metrics forwards; one that does not start does not. */
	if (!f->metrics)
		log_error("metrics", "%s; the node goes on without its metrics page", err.text);
}
