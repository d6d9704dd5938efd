#include "config.h"

#include "felix/felix_impl.h"

#include <stdlib.h>

#include "felix/claims.h"

enum { STATUS_LINES = 100 };

/* ---- what the CNI server asks ---- */

static bool may_add(void *arg, struct err *err)
{
	struct felix *f = arg;

	if (!f->ipam)
		return err_set(err, "%s", f->journal_why) == 0;
	/* A node without a block claims one. */
	if (f->claims)
		return true;
	if (ipam_block_count(f->ipam) == 0)
		return err_set(err, "%s",
			       *f->store_why ? f->store_why
					     : "this node has no block of any pool to "
					       "give addresses from: is there an IPPool in "
					       "the datastore?") == 0;
	return true;
}

static uint32_t pod_mtu(void *arg)
{
	struct felix *f = arg;

	return f->child.conf->dataplane.mtu ? f->child.conf->dataplane.mtu
					    : links_auto_mtu(f->links);
}

/* ---- control ---- */

static struct store *ctl_store(void *arg)
{
	return ((struct felix *)arg)->store;
}

static struct ipam *ctl_ipam(void *arg)
{
	return ((struct felix *)arg)->ipam;
}

static void add_text(msg_text_list *l, const char *text)
{
	if (l->n < STATUS_LINES)
		l->v[l->n++].text = text;
}

static void ctl_status(void *arg, struct m_ctl_felix *row, struct arena *arena)
{
	struct felix *f = arg;
	struct store_status st = { .kind = "directory" };
	const char *list[FELIX_REASONS];
	unsigned n = felix_reasons(f, list);

	row->ready = n == 0;
	row->reasons.v = arena_array(arena, STATUS_LINES, sizeof(*row->reasons.v));
	for (unsigned i = 0; i < n; i++)
		add_text(&row->reasons, list[i]);
	if (f->store)
		store_status(f->store, &st);
	row->store_kind = st.kind;
	row->synced = st.synced;
	row->last_contact = st.last_contact;
	row->store_errors.v = arena_array(arena, STATUS_LINES, sizeof(*row->store_errors.v));
	for (unsigned i = 0; i < st.nerrors; i++)
		add_text(&row->store_errors, st.errors[i]);
	for (unsigned i = 0; f->desired && i < f->desired->problems.n; i++)
		add_text(&row->store_errors, f->desired->problems.text[i]);
	const char *const *lines;
	unsigned nlines = f->claims ? claims_problems(f->claims, &lines) : 0;
	for (unsigned i = 0; i < nlines; i++)
		add_text(&row->store_errors, lines[i]);
	row->policies = f->desired ? f->desired->npolicies : 0;
}

static int ctl_release(void *arg, const struct addr *a, struct err *err)
{
	return felix_release(arg, a, err);
}

static bool ctl_report(void *arg, struct ipam_report_conf *out, struct err *err)
{
	struct felix *f = arg;

	if (!felix_synced(f) || !f->ipam)
		return err_set(err, "%s",
			       !f->ipam ? f->journal_why : "the datastore has not been read yet") ==
		       0;
	*out = (struct ipam_report_conf){
		.loop = f->child.loop,
		.store = f->store,
		.ipam = f->ipam,
		.endpoints = f->endpoints,
		.links = f->links,
		.claims = f->claims,
		.node = f->child.node,
		.release = ctl_release,
		.arg = f,
	};
	return true;
}

void felix_start_servers(struct felix *f)
{
	const struct cni_server_conf cni = {
		.loop = f->child.loop,
		.nl = f->nl,
		.routes = f->routes,
		.ipam = f->ipam,
		.endpoints = f->endpoints,
		.endpoint_dir = f->endpoint_dir,
		.spool_dir = f->child.fds.spool_dir,
		.may_add = may_add,
		.mtu = pod_mtu,
		.arg = f,
		.admit = felix_admit,
		.claim = felix_claim,
		.settle = felix_settle,
		.leases_changed = felix_leases_changed,
	};
	const struct ctl_conf ctl = {
		.loop = f->child.loop,
		.store = ctl_store,
		.ipam = ctl_ipam,
		.routes = f->routes,
		.endpoints = f->endpoints,
		.status = ctl_status,
		.report = ctl_report,
		.arg = f,
	};

	f->cni = cni_server_new(&cni, f->child.fds.cni);
	f->ctl = ctl_new(&ctl);
	felix_start_metrics(f);
}
