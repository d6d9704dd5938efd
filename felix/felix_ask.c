#include "config.h"

#include "felix/felix_impl.h"

#include <stdlib.h>

enum { STATUS_LINES = 100 };

/* ---- what the CNI server asks ---- */

static bool may_add(void *arg, struct err *err)
{
	struct felix *f = arg;

	if (!f->ipam)
		return err_set(err, "%s", f->journal_why) == 0;
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
	row->policies = f->desired ? f->desired->npolicies : 0;
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
	};
	const struct ctl_conf ctl = {
		.loop = f->child.loop,
		.store = ctl_store,
		.ipam = ctl_ipam,
		.routes = f->routes,
		.endpoints = f->endpoints,
		.status = ctl_status,
		.arg = f,
	};

	f->cni = cni_server_new(&cni, f->child.fds.cni);
	f->ctl = ctl_new(&ctl);
}
