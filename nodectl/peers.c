#include "config.h"

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

const char *peer_state_name(unsigned state)
{
	static const char *const names[] = { "Idle",	 "Connect",	"Active",
					     "OpenSent", "OpenConfirm", "Established" };

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

const char *peer_type_name(unsigned type)
{
	static const char *const names[] = {
		[PEER_MESH] = "mesh",	    [PEER_NODE] = "node",   [PEER_GLOBAL] = "global",
		[PEER_DYNAMIC] = "dynamic", [PEER_LOCAL] = "local",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "?";
}

bool peer_is_established(const struct m_ctl_peer *p)
{
	return p->state == 5;
}

struct json_object *peer_to_json(const struct m_ctl_peer *p)
{
	struct json_object *o = json_object_new_object();

	j_text(o, "name", p->name);
	j_addr(o, "address", &p->address);
	j_text(o, "interface", p->interface);
	j_some(o, "asn", p->asn);
	j_text(o, "type", peer_type_name(p->type));
	j_text(o, "state", peer_state_name(p->state));
	j_time(o, "since", p->since);
	j_count(o, "received", p->received);
	j_count(o, "accepted", p->accepted);
	j_count(o, "advertised", p->advertised);
	j_null(o, "bfd");
	j_text(o, "lastError", p->last_error);
	return o;
}

struct json_object *peers_to_json(const struct rows *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->peers.n; i++)
		json_object_array_add(list, peer_to_json(r->peers.v[i]));
	return list;
}

/* Where the peer is: its address, its interface, or both. */
static const char *place(char buf[WORD * 2], const struct m_ctl_peer *p)
{
	char addr[WORD];

	addr_text(addr, &p->address);
	if (!p->interface[0])
		snprintf(buf, WORD * 2, "%s", addr);
	else if (p->address.fam == FAM_NONE)
		snprintf(buf, WORD * 2, "%.60s", p->interface);
	else
		snprintf(buf, WORD * 2, "%s%%%.60s", addr, p->interface);
	return buf;
}

void peers_to_text(const struct out *to, const struct rows *r, time_t now, unsigned indent)
{
	static const struct column columns[] = {
		{ "PEER", false },	 { "ADDRESS", false }, { "AS", true },
		{ "TYPE", false },	 { "STATE", false },   { "FOR", true },
		{ "RECEIVED", true },	 { "ACCEPTED", true }, { "ADVERTISED", true },
		{ "LAST ERROR", false }, { NULL, false },
	};
	struct table *t = table_new(to, columns, indent);
	char buf[WORD * 2];

	for (unsigned i = 0; i < r->peers.n; i++) {
		const struct m_ctl_peer *p = r->peers.v[i];
		bool up = peer_is_established(p);

		cell(t, PLAIN, "%s", p->name);
		cell(t, PLAIN, "%s", place(buf, p));
		if (p->asn)
			cell(t, PLAIN, "%u", p->asn);
		else
			cell(t, PLAIN, "any");
		cell(t, PLAIN, "%s", peer_type_name(p->type));
		cell(t, up ? GOOD : BAD, "%s", peer_state_name(p->state));
		cell(t, PLAIN, "%s", age(buf, now, p->since));
		cell(t, PLAIN, "%u", p->received);
		cell(t, p->accepted < p->received ? WARN : PLAIN, "%u", p->accepted);
		cell(t, PLAIN, "%u", p->advertised);
		cell(t, up ? DIM : WARN, "%s", or_dash(p->last_error));
	}
	table_end(t);
}

void peer_to_text(const struct out *to, const struct m_ctl_peer *p, time_t now)
{
	char buf[WORD * 2];
	bool up = peer_is_established(p);

	say(to, BOLD, "%s", p->name);
	say(to, up ? GOOD : BAD, "  %s", peer_state_name(p->state));
	say(to, PLAIN, " for %s\n", age(buf, now, p->since));
	say(to, PLAIN, "  address       %s\n", place(buf, p));
	say(to, PLAIN, "  local address %s\n", addr_text(buf, &p->local));
	say(to, PLAIN, "  AS            %u, ours %u (%s)\n", p->asn, p->local_asn,
	    peer_type_name(p->type));
	say(to, PLAIN, "  timers        hold %u s, keepalive %u s\n", p->hold_time, p->keepalive);
	say(to, PLAIN, "  prefixes      %u received, %u accepted, %u advertised\n", p->received,
	    p->accepted, p->advertised);
	say(to, PLAIN, "  updates       %llu in, %llu out\n", (unsigned long long)p->updates_in,
	    (unsigned long long)p->updates_out);
	say(to, PLAIN, "  messages      %llu in, %llu out\n", (unsigned long long)p->messages_in,
	    (unsigned long long)p->messages_out);
	say(to, PLAIN, "  capabilities  %s\n", or_dash(p->capabilities));
	say(to, up ? PLAIN : WARN, "  last error    %s\n", or_dash(p->last_error));
}

static void print(struct call *c, const struct rows *r)
{
	if (c->json)
		j_print(c->to.f, peers_to_json(r));
	else if (c->nargs && r->peers.n == 1)
		peer_to_text(&c->to, r->peers.v[0], c->now);
	else if (r->peers.n)
		peers_to_text(&c->to, r, c->now, 0);
	else
		say(&c->to, PLAIN, "no BGP peers are configured\n");
}

int cmd_peers(struct call *c)
{
	struct m_ctl_query q = { .what = CTL_PEERS, .name = c->nargs ? c->args[0] : "" };
	struct arena arena = { 0 };
	struct rows r = { 0 };
	int status = EXIT_FINE;
	struct err err;
	enum answer a = ctl_ask(c->rundir, CTL_BGPD, &q, &arena, rows_keep, &r, &err);

	if (a != ANSWER_OK)
		status = complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				  err.text);
	else if (c->nargs && !r.peers.n)
		status = complain(EXIT_WRONG,
				  "no BGP peer has the name \"%s\"; nodectl peers "
				  "lists them",
				  c->args[0]);
	else
		print(c, &r);
	rows_free(&r);
	arena_free(&arena);
	return status;
}
