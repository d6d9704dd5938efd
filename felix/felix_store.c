#include "config.h"

#include "felix/felix_impl.h"

#include <stdlib.h>
#include <string.h>

#include "felix/bgp_saved.h"
#include "felix/claims.h"
#include "lib/log.h"

/* ---- desired state ---- */

static bool is_among(const struct prefix *p, const struct ipam_block_conf *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (prefix_eq(p, &blocks[i].cidr))
			return true;
	return false;
}

static void set_blackholes(struct felix *f, const struct ipam_block_conf *blocks, unsigned n)
{
	for (unsigned i = 0; i < f->nblackholes; i++)
		if (!is_among(&f->blackholes[i], blocks, n))
			routes_set_block(f->routes, &f->blackholes[i], false);
	f->blackholes = xrealloc(f->blackholes, (n + 1) * sizeof(*f->blackholes));
	for (unsigned i = 0; i < n; i++) {
		f->blackholes[i] = blocks[i].cidr;
		routes_set_block(f->routes, &blocks[i].cidr, true);
	}
	f->nblackholes = n;
	felix_routes_dirty(f);
}

static bool has_line(const struct desired *d, const char *line)
{
	for (unsigned i = 0; d && i < d->problems.n; i++)
		if (strcmp(d->problems.text[i], line) == 0)
			return true;
	return false;
}

static void log_new_problems(const struct desired *was, const struct desired *is)
{
	for (unsigned i = 0; i < is->problems.n; i++)
		if (!has_line(was, is->problems.text[i]))
			log_warn("store", "%s", is->problems.text[i]);
}

static struct desired *compute(const struct felix *f)
{
	const struct bgpconf_input in = {
		.store = f->store,
		.conf = f->child.conf,
		.node = f->child.node,
		.addrs = f->addrs,
		.naddrs = f->naddrs,
		.claims = f->claims ? claims_blocks(f->claims) : NULL,
	};

	return desired_compute(&in);
}

/* For a boot without the API. */
static void save_bgp(struct felix *f)
{
	unsigned left_out;
	struct err err;

	bgpconf_free(f->saved_bgp);
	f->saved_bgp = NULL;
	if (f->naddrs > 0 &&
	    bgp_saved_save(f->child.fds.state_dir, f->desired->bgp, &left_out, &err) < 0)
		log_warn("felix", "after a reboot without the API bgpd has no peers: %s", err.text);
}

void felix_apply_desired(struct felix *f, bool tell_bgp)
{
	const struct desired *d = f->desired;

	if (f->ipam)
		ipam_set_cooldown(f->ipam, d->cooldown);
	/* Contradicting blocks could give one address to two nodes: what held before goes on. */
	if (!d->fatal) {
		if (f->ipam) {
			ipam_set_reservations(f->ipam, d->reserved, d->nreserved);
			ipam_set_blocks(f->ipam, d->blocks, d->nblocks);
		}
		set_blackholes(f, d->blocks, d->nblocks);
	}
	if (f->bgp && tell_bgp)
		bgp_link_config(f->bgp);
	if (tell_bgp && f->claims)
		save_bgp(f);
	felix_tell_ready(f);
}

/* Before the API was read: the blocks of before serve, and bgpd goes on as it was. */
static void apply_claims(struct felix *f)
{
	const struct node_claims *claims = claims_blocks(f->claims);
	struct ipam_block_conf *v = xcalloc(claims->n + 1u, sizeof(*v));

	for (unsigned i = 0; i < claims->n; i++)
		v[i] = (struct ipam_block_conf){ claims->v[i].cidr, claims->v[i].pool,
						 claims->v[i].allocate, claims->v[i].closed };
	ipam_set_blocks(f->ipam, v, claims->n);
	set_blackholes(f, v, claims->n);
	free(v);
}

bool felix_synced(const struct felix *f)
{
	struct store_status st;

	if (!f->store)
		return false;
	store_status(f->store, &st);
	return st.synced;
}

void felix_recompute(struct felix *f)
{
	struct desired *was = f->desired;

	if (!f->store)
		return;
	if (!felix_synced(f)) {
		if (f->claims)
			apply_claims(f);
		return;
	}
	f->desired = compute(f);
	log_new_problems(was, f->desired);
	if (f->desired->fatal && was) {
		/* What is advertised goes with the blocks in use: both stay as they were. */
		struct bgpconf *contradicting = f->desired->bgp;

		f->desired->bgp = was->bgp;
		was->bgp = contradicting;
	}
	bool same = was && bgpconf_same(was->bgp, f->desired->bgp);
	desired_free(was);
	felix_apply_desired(f, !same);
}

static void on_store_change(void *arg)
{
	struct felix *f = arg;

	if (f->claims)
		claims_update(f->claims, f->addrs, f->naddrs);
	felix_recompute(f);
	if (f->cni)
		cni_server_retry(f->cni);
}

static const struct store_ops store_ops = {
	.on_change = on_store_change,
	.on_unauthorized = felix_kube_unauthorized,
};

/* ---- what bgpd is told ---- */

bool felix_send_config(void *arg, struct ipc *ipc)
{
	struct felix *f = arg;
	const struct bgpconf *c = f->desired ? f->desired->bgp : f->saved_bgp;

	/* Without an address of its own the node has nothing to say in BGP. */
	if (!c || f->naddrs == 0)
		return false;
	ipc_send(ipc, M_BGP_BEGIN, &c->begin);
	for (unsigned i = 0; i < c->npeers; i++)
		ipc_send(ipc, M_BGP_PEER, &c->peers[i]);
	for (unsigned i = 0; i < c->norigins; i++)
		ipc_send(ipc, M_BGP_ORIGIN, &c->origins[i]);
	for (unsigned i = 0; i < c->npools; i++)
		ipc_send(ipc, M_BGP_POOLS, &c->pools[i]);
	ipc_send(ipc, M_BGP_END, NULL);
	return true;
}

/* ---- start ---- */

int felix_open_store(struct felix *f, struct ev_loop *loop, struct err *err)
{
	const struct nodeconf *conf = f->child.conf;

	if (conf->datastore.kind == DATASTORE_KUBERNETES)
		return felix_open_kube(f, loop, &store_ops, err);
	if (f->child.fds.store_dir < 0)
		return err_set(err, "%s: datastore: noded passed no folder", conf->file);
	f->store = store_directory_open(loop, f->child.fds.store_dir, conf->datastore.path,
					&store_ops, f, err);
	f->child.fds.store_dir = -1;
	return f->store ? 0 : -1;
}

/* All lines in one text, as child_fatal() takes them; in the arena. */
static const char *all_problems(const struct felix *f, const struct desired *d, struct arena *arena)
{
	struct store_status st;
	const char *text = "";

	store_status(f->store, &st);
	for (unsigned i = 0; i < st.nerrors; i++)
		text = arena_printf(arena, "%s%s\n", text, st.errors[i]);
	for (unsigned i = 0; i < d->problems.n; i++)
		text = arena_printf(arena, "%s%s\n", text, d->problems.text[i]);
	return text;
}

/* `noded -n`: what is wrong or not served is named; wrong is what was not taken or contradicts. */
int felix_check_only(struct felix *f)
{
	struct arena arena = { 0 };
	struct store_status st;
	struct err err;

	/* noded has looked at the way to the API; what lies there is not this file's. */
	if (f->child.conf->datastore.kind == DATASTORE_KUBERNETES) {
		child_ready(&f->child, true, "");
		ipc_flush(f->child.noded);
		return 0;
	}
	if (felix_open_store(f, NULL, &err) < 0)
		child_fatal(&f->child, err.text);
	f->desired = compute(f);
	store_status(f->store, &st);
	const char *text = all_problems(f, f->desired, &arena);
	if (st.nerrors > 0 || f->desired->fatal)
		child_fatal(&f->child, text);
	log_new_problems(NULL, f->desired);
	child_ready(&f->child, true, "");
	ipc_flush(f->child.noded);
	arena_free(&arena);
	return 0;
}

void felix_start_store(struct felix *f)
{
	bool directory = f->child.conf->datastore.kind == DATASTORE_DIRECTORY;
	struct arena arena = { 0 };
	struct err err;

	if (felix_open_store(f, f->child.loop, &err) < 0) {
		if (f->child.restarts == 0 && directory)
			child_fatal(&f->child, err.text);
		felix_set_why(f, f->store_why, err.text);
		return;
	}
	felix_set_why(f, f->store_why, "");
	/* An API is read while the rest starts. */
	if (!felix_synced(f))
		return;
	f->desired = compute(f);
	if (f->desired->fatal && f->child.restarts == 0)
		child_fatal(&f->child, all_problems(f, f->desired, &arena));
	log_new_problems(NULL, f->desired);
	arena_free(&arena);
}
