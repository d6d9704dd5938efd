#include "config.h"

#include "felix/felix_impl.h"

#include <string.h>
#include <time.h>

#include "felix/claims.h"
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

/* Of all nodes, so that one alert before exhaustion serves the cluster. */
static void pools(FILE *to, const struct claims *claims)
{
	unsigned n;
	const struct claims_pool *v = claims_pool_use(claims, &n);
	char cidr[PREFIX_STRLEN];

	metrics_family(to, "selvage_ipam_pool_addresses", "gauge", "Addresses of a pool.");
	for (unsigned i = 0; i < n; i++)
		metrics_sample(to, "selvage_ipam_pool_addresses", "pool", v[i].name, "cidr",
			       prefix_format(&v[i].cidr, cidr, sizeof(cidr)), (double)v[i].size);
	metrics_family(to, "selvage_ipam_pool_claimed", "gauge",
		       "Addresses of a pool that lie in blocks of any node.");
	for (unsigned i = 0; i < n; i++)
		metrics_sample(to, "selvage_ipam_pool_claimed", "pool", v[i].name, "cidr",
			       prefix_format(&v[i].cidr, cidr, sizeof(cidr)), (double)v[i].claimed);
}

static void api(FILE *to, const struct claims *claims)
{
	struct sync_status st;

	claims_status(claims, &st);
	metrics_family(to, "selvage_ipam_api_requests_total", "counter",
		       "Requests for blocks, affinities and handles.");
	metrics_sample(to, "selvage_ipam_api_requests_total", NULL, NULL, NULL, NULL,
		       (double)st.requests);
	metrics_family(to, "selvage_ipam_api_conflicts_total", "counter",
		       "Writes that lost a compare-and-swap.");
	metrics_sample(to, "selvage_ipam_api_conflicts_total", NULL, NULL, NULL, NULL,
		       (double)st.conflicts_seen);
	one(to, "selvage_ipam_behind", "Leases that the API does not show yet.", st.behind);
	one(to, "selvage_ipam_blocks_taken", "Blocks of this node that another owner has.",
	    st.taken);
	one(to, "selvage_ipam_address_conflicts",
	    "Addresses given here that another holds in the API.", st.conflicts);
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
	if (f->claims) {
		pools(to, f->claims);
		api(to, f->claims);
	}
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
