#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

/* ---- ready or not, and why ---- */

struct reasons {
	struct arena *arena;
	msg_text_list list;
	unsigned cap;
};

static void add_reason(struct reasons *r, const char *who, const char *why)
{
	char *text = arena_printf(r->arena, "%s: %s", who, why);
	struct msg_text *more;

	for (uint32_t i = 0; i < r->list.n; i++)
		if (!strcmp(r->list.v[i].text, text))
			return;
	if (r->list.n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 8;
		more = arena_array(r->arena, r->cap, sizeof(*more));
		if (r->list.n)
			memcpy(more, r->list.v, r->list.n * sizeof(*more));
		r->list.v = more;
	}
	r->list.v[r->list.n++].text = text;
}

static bool is_running(const struct m_ctl_daemon *d)
{
	return !strcmp(d->state, "running");
}

/* noded's own row may only sum up the others: then it speaks where they are silent. */
static void daemon_reasons(struct reasons *list, const struct rows *r)
{
	const struct m_ctl_daemon *noded = NULL;

	for (unsigned i = 0; i < r->daemons.n; i++) {
		const struct m_ctl_daemon *d = r->daemons.v[i];

		if (!strcmp(d->name, "noded"))
			noded = d;
		else if (!is_running(d))
			add_reason(list, d->name, d->state);
		else if (!d->ready && d->reason[0])
			add_reason(list, d->name, d->reason);
		else if (!d->ready)
			add_reason(list, d->name, "is not ready");
	}
	if (r->felix && !r->felix->ready)
		for (uint32_t i = 0; i < r->felix->reasons.n; i++)
			add_reason(list, "felix", r->felix->reasons.v[i].text);
	if (noded && !noded->ready && (!list->list.n || strcmp(noded->reason, CTL_REASON_DAEMON)))
		add_reason(list, "noded", noded->reason[0] ? noded->reason : "is not ready");
}

static bool is_told(const struct reasons *list, const char *who)
{
	size_t n = strlen(who);

	for (uint32_t i = 0; i < list->list.n; i++)
		if (!strncmp(list->list.v[i].text, who, n) && list->list.v[i].text[n] == ':')
			return true;
	return false;
}

msg_text_list status_reasons(const struct rows *r, struct arena *a)
{
	struct reasons list = { .arena = a };

	daemon_reasons(&list, r);
	if (!r->bgp && !is_told(&list, "bgpd"))
		add_reason(&list, "bgpd", r->bgpd_error ? r->bgpd_error : "did not answer");
	if (!r->felix && !is_told(&list, "felix"))
		add_reason(&list, "felix", r->felix_error ? r->felix_error : "did not answer");
	if (r->felix && !r->felix->ready && !is_told(&list, "felix"))
		add_reason(&list, "felix", "is not ready");
	return list.list;
}

bool status_ready(const struct rows *r)
{
	struct arena a = { 0 };
	bool ready = !status_reasons(r, &a).n;

	arena_free(&a);
	return ready;
}

static unsigned established(const struct rows *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->peers.n; i++)
		n += peer_is_established(r->peers.v[i]);
	return n;
}

bool status_fine(const struct rows *r)
{
	return status_ready(r) && established(r) == r->peers.n;
}

/* ---- JSON ---- */

static struct json_object *bgp_to_json(const struct rows *r)
{
	struct json_object *o = json_object_new_object();
	struct addr id = { 0 };

	if (r->bgp && r->bgp->router_id)
		id = addr_v4(r->bgp->router_id);
	j_some(o, "asn", r->bgp ? r->bgp->asn : 0);
	j_addr(o, "routerID", &id);
	json_object_object_add(o, "peers", peers_to_json(r));
	return o;
}

static struct json_object *daemons_to_json(const struct rows *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->daemons.n; i++) {
		const struct m_ctl_daemon *d = r->daemons.v[i];
		struct json_object *o = json_object_new_object();

		j_text(o, "name", d->name);
		j_some(o, "pid", d->pid);
		j_time(o, "since", d->since);
		j_count(o, "restarts", d->restarts);
		j_some(o, "pss", d->pss);
		json_object_array_add(list, o);
	}
	return list;
}

/* A member that is a count where felix answered, else null. */
static void felix_count(struct json_object *o, const char *key, const struct m_ctl_felix *f,
			uint32_t n)
{
	if (f)
		j_count(o, key, n);
	else
		j_null(o, key);
}

static void felix_to_json(struct json_object *status, const struct m_ctl_felix *f)
{
	struct json_object *endpoints = json_object_new_object();
	struct json_object *policy = json_object_new_object();
	struct json_object *store = json_object_new_object();
	static const struct m_ctl_felix none;
	const struct m_ctl_felix *v = f ? f : &none;

	felix_count(endpoints, "total", f, v->endpoints);
	felix_count(endpoints, "ready", f, v->endpoints_ready);
	felix_count(policy, "policies", f, v->policies);
	felix_count(policy, "invalid", f, v->policies_invalid);
	j_time(policy, "lastApplied", v->policy_applied);
	j_text(store, "kind", f ? f->store_kind : "");
	if (f)
		j_bool(store, "synced", f->synced);
	else
		j_null(store, "synced");
	j_time(store, "lastContact", v->last_contact);
	j_texts(store, "errors", &v->store_errors);
	json_object_object_add(status, "endpoints", endpoints);
	json_object_object_add(status, "policy", policy);
	json_object_object_add(status, "datastore", store);
}

struct json_object *status_to_json(const struct rows *r)
{
	struct json_object *o = json_object_new_object();
	struct arena a = { 0 };
	msg_text_list reasons = status_reasons(r, &a);

	j_text(o, "node", r->node ? r->node->node : "");
	j_text(o, "version", r->node ? r->node->version : "");
	j_bool(o, "ready", !reasons.n);
	j_texts(o, "reasons", &reasons);
	json_object_object_add(o, "bgp", bgp_to_json(r));
	json_object_object_add(o, "ipam", ipam_to_json(r));
	felix_to_json(o, r->felix);
	json_object_object_add(o, "daemons", daemons_to_json(r));
	arena_free(&a);
	return o;
}

/* ---- text ---- */

static void head_to_text(const struct out *to, const struct rows *r)
{
	struct arena a = { 0 };
	msg_text_list reasons = status_reasons(r, &a);

	say(to, BOLD, "%s", r->node ? r->node->node : "this node");
	say(to, PLAIN, " is ");
	if (reasons.n)
		say(to, BAD, "NOT READY");
	else
		say(to, GOOD, "ready");
	say(to, DIM, "  selvage %s\n", r->node ? r->node->version : "?");
	for (uint32_t i = 0; i < reasons.n; i++)
		say(to, BAD, "  ! %s\n", reasons.v[i].text);
	arena_free(&a);
}

static void daemons_to_text(const struct out *to, const struct rows *r, time_t now)
{
	static const struct column columns[] = {
		{ "DAEMON", false },  { "STATE", false }, { "PID", true }, { "FOR", true },
		{ "RESTARTS", true }, { "MEMORY", true }, { NULL, false },
	};
	struct table *t = table_new(to, columns, 2);
	char buf[WORD];

	say(to, BOLD, "\nDaemons\n");
	for (unsigned i = 0; i < r->daemons.n; i++) {
		const struct m_ctl_daemon *d = r->daemons.v[i];

		cell(t, PLAIN, "%s", d->name);
		cell(t, !is_running(d) ? BAD : d->ready ? GOOD : WARN, "%s", d->state);
		if (d->pid)
			cell(t, PLAIN, "%u", d->pid);
		else
			cell(t, PLAIN, "-");
		cell(t, PLAIN, "%s", age(buf, now, d->since));
		cell(t, d->restarts ? WARN : PLAIN, "%u", d->restarts);
		cell(t, PLAIN, "%s", bytes_text(buf, d->pss));
	}
	table_end(t);
}

static void bgp_to_text(const struct out *to, const struct rows *r, time_t now)
{
	struct addr id;
	char buf[WORD];

	say(to, BOLD, "\nBGP");
	if (!r->bgp) {
		say(to, BAD, "  unknown: bgpd did not answer\n");
		return;
	}
	id = addr_v4(r->bgp->router_id);
	say(to, PLAIN, "  AS %u, router ID %s, ", r->bgp->asn, addr_text(buf, &id));
	say(to, established(r) == r->peers.n ? GOOD : BAD, "%u of %u peers established\n",
	    established(r), r->peers.n);
	if (r->peers.n)
		peers_to_text(to, r, now, 2);
}

static void store_to_text(const struct out *to, const struct m_ctl_felix *f, time_t now)
{
	char buf[WORD];

	say(to, BOLD, "Datastore");
	say(to, PLAIN, "  %s, ", or_dash(f->store_kind));
	say(to, f->synced ? GOOD : BAD, "%s", f->synced ? "synced" : "not synced");
	if (f->last_contact)
		say(to, PLAIN, ", last contact %s ago", age(buf, now, f->last_contact));
	say(to, f->store_errors.n ? BAD : PLAIN, ", %u error%s\n", f->store_errors.n,
	    f->store_errors.n == 1 ? "" : "s");
	for (uint32_t i = 0; i < f->store_errors.n; i++)
		say(to, BAD, "  ! %s\n", f->store_errors.v[i].text);
}

static void felix_to_text(const struct out *to, const struct rows *r, time_t now)
{
	const struct m_ctl_felix *f = r->felix;

	say(to, BOLD, "\nAddresses");
	if (!f) {
		say(to, BAD, "  unknown: felix did not answer\n");
		return;
	}
	say(to, PLAIN, "\n");
	ipam_to_text(to, r, 2);
	say(to, BOLD, "\nEndpoints");
	say(to, f->endpoints_ready < f->endpoints ? WARN : GOOD, "  %u of %u ready\n",
	    f->endpoints_ready, f->endpoints);
	say(to, BOLD, "Routes");
	say(to, PLAIN, "     %u learned, %u of endpoints\n", f->routes_learned, f->routes_local);
	say(to, BOLD, "Policy");
	say(to, f->policies_invalid ? BAD : PLAIN, "     %u policies, %u invalid\n", f->policies,
	    f->policies_invalid);
	store_to_text(to, f, now);
}

void status_to_text(const struct out *to, const struct rows *r, time_t now)
{
	head_to_text(to, r);
	daemons_to_text(to, r, now);
	bgp_to_text(to, r, now);
	felix_to_text(to, r, now);
}

/* ---- the command ---- */

static const char *ask(struct call *c, enum ctl_target target, struct arena *arena, struct rows *r)
{
	struct m_ctl_query q = { .what = CTL_STATUS, .name = "" };
	struct err err;

	if (ctl_ask(c->rundir, target, &q, arena, rows_keep, r, &err) == ANSWER_OK)
		return NULL;
	return arena_strdup(arena, err.text);
}

int cmd_status(struct call *c)
{
	struct arena arena = { 0 };
	struct rows r = { 0 };
	struct err err;
	int status;

	if (ctl_ask(c->rundir, CTL_NODED, NULL, &arena, rows_keep, &r, &err) != ANSWER_OK) {
		status = complain(EXIT_UNREACHABLE, "%s", err.text);
	} else {
		r.bgpd_error = ask(c, CTL_BGPD, &arena, &r);
		r.felix_error = ask(c, CTL_FELIX, &arena, &r);
		if (c->json)
			j_print(c->to.f, status_to_json(&r));
		else
			status_to_text(&c->to, &r, c->now);
		status = status_fine(&r) ? EXIT_FINE : EXIT_WRONG;
	}
	rows_free(&r);
	arena_free(&arena);
	return status;
}
