/* From rows to JSON and text. The JSON is printed, parsed again, and held against the contract: its
 * field names, their types, and null for what is absent.
 */
#include "config.h"

#include "test/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "nodectl/json.h"
#include "nodectl/rows.h"

enum { NOW = 1767225600 }; /* 2026-01-01T00:00:00Z */

static struct addr A(const char *text) {
	struct addr a;

	ck_assert(!addr_parse(text, &a));
	return a;
}

static struct prefix
P(const char *text) {
	struct prefix p;

	ck_assert(!prefix_parse(text, &p));
	return p;
}

/* ---- a node in good order ---- */

static struct m_ctl_node node = { "n1", "0.1.0" };
static struct m_ctl_bgp bgp = { 64512, 0x0a000001 };
static struct m_ctl_daemon daemons[3];
static struct m_ctl_peer peers[2];
static struct m_ctl_felix felix;
static struct m_ctl_pool pools[2];
static struct m_ctl_block block;
static struct m_ctl_endpoint endpoint;
static struct rows rows;

static void keep(unsigned type, const void *body)
{
	struct msg m = { .type = (uint16_t)type, .body = body };

	rows_keep(&rows, &m);
}

static void good_peers(void)
{
	peers[0] = (struct m_ctl_peer){
		.name = "tor1",
		.interface = "",
		.address = A("10.1.0.1"),
		.local = A("10.1.0.2"),
		.asn = 65001,
		.local_asn = 64512,
		.type = PEER_NODE,
		.state = 5,
		.since = NOW - 3700,
		.received = 10,
		.accepted = 9,
		.advertised = 2,
		.last_error = "",
		.hold_time = 9,
		.keepalive = 3,
		.updates_in = 7,
		.updates_out = 8,
		.messages_in = 100,
		.messages_out = 101,
		.capabilities = "ipv4 ipv6 as4",
	};
	peers[1] = peers[0];
	peers[1].name = "tor2";
	peers[1].address = A("fe80::1");
	peers[1].interface = "eth1";
}

static void good_rows(void)
{
	static struct prefix addresses[2];
	static struct msg_kv labels[2] = { { "app", "web" }, { "tier", "front" } };
	static struct msg_text policies[1] = { { "default/allow" } };
	static const char *const names[] = { "noded", "bgpd", "felix" };

	rows = (struct rows){ 0 };
	good_peers();
	keep(M_CTL_NODE, &node);
	for (int i = 0; i < 3; i++) {
		daemons[i] = (struct m_ctl_daemon){ names[i], "running", 100 + (uint32_t)i,
						    NOW - 10, 0,	 400000,
						    true,     "" };
		keep(M_CTL_DAEMON, &daemons[i]);
	}
	keep(M_CTL_BGP, &bgp);
	keep(M_CTL_PEER, &peers[0]);
	keep(M_CTL_PEER, &peers[1]);
	felix = (struct m_ctl_felix){ .ready = true,
				      .store_kind = "directory",
				      .synced = true,
				      .last_contact = NOW - 3,
				      .endpoints = 2,
				      .endpoints_ready = 2,
				      .policies = 4,
				      .policies_invalid = 1,
				      .policy_applied = NOW - 60,
				      .routes_learned = 12,
				      .routes_local = 4 };
	keep(M_CTL_FELIX, &felix);
	pools[0] = (struct m_ctl_pool){ P("10.244.0.0/16"), "pods-v4", 65536, 2, 0, false };
	pools[1] = (struct m_ctl_pool){ P("2001:db8::/48"), "pods-v6", UINT64_MAX, 2, 0, false };
	keep(M_CTL_POOL, &pools[0]);
	keep(M_CTL_POOL, &pools[1]);
	block = (struct m_ctl_block){ P("10.244.1.0/26"), 64, 2, 61, 1 };
	keep(M_CTL_BLOCK, &block);
	addresses[0] = P("10.244.1.5/32");
	addresses[1] = P("2001:db8::5/128");
	endpoint = (struct m_ctl_endpoint){
		"prod", "web-0",	  "abcdef0123456789", "eth0",	       "cali12345678901",
		"net",	{ 2, addresses }, { 2, labels },      { 1, policies }, true
	};
	keep(M_CTL_ENDPOINT, &endpoint);
}

/* ---- reading the JSON ---- */

static struct json_object *parse(struct json_object *made)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	struct json_object *o;

	j_print(f, made);
	fclose(f);
	o = json_tokener_parse(text);
	ck_assert_msg(o != NULL, "no JSON: %s", text);
	ck_assert_int_eq(text[size - 1], '\n');
	free(text);
	return o;
}

/* Exactly these members, in any order. */
static void has_fields(struct json_object *o, const char *fields)
{
	char list[512], *word, *save;
	int n = 0;

	snprintf(list, sizeof(list), "%s", fields);
	for (word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save), n++)
		ck_assert_msg(json_object_object_get_ex(o, word, NULL), "no field %s", word);
	ck_assert_msg(json_object_object_length(o) == n, "other fields than %s: %s", fields,
		      json_object_to_json_string(o));
}

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	ck_assert_msg(json_object_object_get_ex(o, key, &v), "no field %s", key);
	return v;
}

static struct json_object *at(struct json_object *o, const char *key, size_t i)
{
	struct json_object *list = get(o, key);

	ck_assert(json_object_is_type(list, json_type_array));
	ck_assert_uint_lt(i, json_object_array_length(list));
	return json_object_array_get_idx(list, i);
}

static void is_text(struct json_object *o, const char *key, const char *want)
{
	struct json_object *v = get(o, key);

	ck_assert_msg(json_object_is_type(v, json_type_string), "%s is no text", key);
	ck_assert_str_eq(json_object_get_string(v), want);
}

static void is_count(struct json_object *o, const char *key, uint64_t want)
{
	struct json_object *v = get(o, key);

	ck_assert_msg(json_object_is_type(v, json_type_int), "%s is no number", key);
	ck_assert_uint_eq(json_object_get_uint64(v), want);
}

static void is_bool(struct json_object *o, const char *key, bool want)
{
	struct json_object *v = get(o, key);

	ck_assert_msg(json_object_is_type(v, json_type_boolean), "%s is no boolean", key);
	ck_assert_int_eq(json_object_get_boolean(v), want);
}

static void is_null(struct json_object *o, const char *key)
{
	ck_assert_msg(get(o, key) == NULL, "%s is not null", key);
}

/* ---- status ---- */

START_TEST(status_has_the_contracts_fields)
{
	struct json_object *o, *b;

	good_rows();
	o = parse(status_to_json(&rows));
	has_fields(o, "node version ready reasons bgp ipam endpoints policy datastore daemons");
	is_text(o, "node", "n1");
	is_text(o, "version", "0.1.0");
	is_bool(o, "ready", true);
	ck_assert_uint_eq(json_object_array_length(get(o, "reasons")), 0);
	b = get(o, "bgp");
	has_fields(b, "asn routerID peers");
	is_count(b, "asn", 64512);
	is_text(b, "routerID", "10.0.0.1");
	ck_assert_uint_eq(json_object_array_length(get(b, "peers")), 2);
	b = get(o, "ipam");
	has_fields(b, "pools blocks");
	has_fields(at(b, "pools", 0), "cidr size used");
	is_text(at(b, "pools", 0), "cidr", "10.244.0.0/16");
	is_count(at(b, "pools", 0), "size", 65536);
	is_count(at(b, "pools", 1), "size", UINT64_MAX);
	has_fields(at(b, "blocks", 0), "cidr size used free cooling");
	is_count(at(b, "blocks", 0), "free", 61);
	is_count(at(b, "blocks", 0), "cooling", 1);
	has_fields(get(o, "endpoints"), "total ready");
	is_count(get(o, "endpoints"), "total", 2);
	has_fields(get(o, "policy"), "policies invalid lastApplied");
	is_count(get(o, "policy"), "invalid", 1);
	is_text(get(o, "policy"), "lastApplied", "2025-12-31T23:59:00Z");
	b = get(o, "datastore");
	has_fields(b, "kind synced lastContact errors");
	is_text(b, "kind", "directory");
	is_bool(b, "synced", true);
	is_text(b, "lastContact", "2025-12-31T23:59:57Z");
	b = at(o, "daemons", 1);
	has_fields(b, "name pid since restarts pss");
	is_text(b, "name", "bgpd");
	is_count(b, "pid", 101);
	is_text(b, "since", "2025-12-31T23:59:50Z");
	is_count(b, "restarts", 0);
	is_count(b, "pss", 400000);
	ck_assert(status_ready(&rows) && status_fine(&rows));
	json_object_put(o);
	rows_free(&rows);
}
END_TEST

START_TEST(a_peer_has_the_contracts_fields)
{
	static const char *const states[] = { "Idle",	  "Connect",	 "Active",
					      "OpenSent", "OpenConfirm", "Established" };
	static const char *const types[] = { "mesh", "node", "global", "dynamic", "local" };
	struct json_object *o;

	good_peers();
	o = parse(peer_to_json(&peers[0]));
	has_fields(o, "name address interface asn type state since received accepted advertised "
		      "bfd lastError");
	is_text(o, "name", "tor1");
	is_text(o, "address", "10.1.0.1");
	is_null(o, "interface");
	is_count(o, "asn", 65001);
	is_text(o, "type", "node");
	is_text(o, "state", "Established");
	is_text(o, "since", "2025-12-31T22:58:20Z");
	is_count(o, "received", 10);
	is_count(o, "accepted", 9);
	is_count(o, "advertised", 2);
	is_null(o, "bfd");
	is_null(o, "lastError");
	json_object_put(o);
	for (uint8_t i = 0; i < 6; i++)
		ck_assert_str_eq(peer_state_name(i), states[i]);
	for (uint8_t i = 0; i < 5; i++)
		ck_assert_str_eq(peer_type_name(i), types[i]);
	peers[1].since = 0;
	peers[1].state = 2;
	peers[1].last_error = "hold timer expired";
	peers[1].address = (struct addr){ 0 };
	o = parse(peer_to_json(&peers[1]));
	is_null(o, "address");
	is_text(o, "interface", "eth1");
	is_null(o, "since");
	is_text(o, "lastError", "hold timer expired");
	json_object_put(o);
}
END_TEST

static void one_reason(const char *want)
{
	struct json_object *o = parse(status_to_json(&rows));

	is_bool(o, "ready", false);
	ck_assert_msg(json_object_array_length(get(o, "reasons")) == 1, "%s: %s", want,
		      json_object_to_json_string(get(o, "reasons")));
	ck_assert_str_eq(json_object_get_string(at(o, "reasons", 0)), want);
	ck_assert(!status_ready(&rows) && !status_fine(&rows));
	json_object_put(o);
	rows_free(&rows);
}

START_TEST(each_cause_is_named_once)
{
	struct msg_text why[] = { { "10.244.0.0/16: overlaps 10.244.128.0/17" } };

	good_rows();
	daemons[0].ready = false;
	daemons[0].reason = "a daemon is not ready";
	daemons[1].ready = false;
	daemons[1].pid = 0;
	daemons[1].state = "waiting 2 s after signal 11";
	rows.bgp = NULL;
	rows.bgpd_error = "bgpd is not running: waiting 2 s after signal 11";
	one_reason("bgpd: waiting 2 s after signal 11");

	good_rows();
	rows.bgp = NULL;
	rows.bgpd_error = "bgpd does not answer within 5 s";
	one_reason("bgpd: bgpd does not answer within 5 s");

	good_rows();
	daemons[2].ready = false;
	daemons[2].reason = "10.244.0.0/16: overlaps 10.244.128.0/17";
	felix.ready = false;
	felix.reasons.n = 1;
	felix.reasons.v = why;
	one_reason("felix: 10.244.0.0/16: overlaps 10.244.128.0/17");

	good_rows();
	felix.ready = false;
	one_reason("felix: is not ready");

	good_rows();
	daemons[0].ready = false;
	daemons[0].reason = "stopping";
	one_reason("noded: stopping");
}
END_TEST

START_TEST(a_session_down_is_wrong_but_the_node_is_ready)
{
	good_rows();
	peers[1].state = 0;
	ck_assert(status_ready(&rows));
	ck_assert(!status_fine(&rows));
	rows_free(&rows);
}
END_TEST

START_TEST(what_did_not_answer_is_null)
{
	struct json_object *o;

	rows = (struct rows){ 0 };
	keep(M_CTL_NODE, &node);
	daemons[1] = (struct m_ctl_daemon){ "bgpd", "starting", 0, 0, 3, 0, false, "" };
	keep(M_CTL_DAEMON, &daemons[1]);
	o = parse(status_to_json(&rows));
	is_bool(o, "ready", false);
	has_fields(get(o, "bgp"), "asn routerID peers");
	is_null(get(o, "bgp"), "asn");
	is_null(get(o, "bgp"), "routerID");
	has_fields(get(o, "endpoints"), "total ready");
	is_null(get(o, "endpoints"), "total");
	is_null(get(o, "policy"), "policies");
	is_null(get(o, "policy"), "lastApplied");
	is_null(get(o, "datastore"), "kind");
	is_null(get(o, "datastore"), "synced");
	is_null(get(o, "datastore"), "lastContact");
	is_null(at(o, "daemons", 0), "pid");
	is_null(at(o, "daemons", 0), "since");
	is_null(at(o, "daemons", 0), "pss");
	is_count(at(o, "daemons", 0), "restarts", 3);
	json_object_put(o);
	rows_free(&rows);
}
END_TEST

/* ---- the other commands ---- */

static struct m_ctl_route some_route(void)
{
	static struct msg_u32 as[2] = { { 65001 }, { 4200000001 } };
	static struct msg_text communities[1] = { { "65001:100" } };
	static struct msg_text to[2] = { { "tor1" }, { "tor2" } };
	static struct m_ctl_path paths[2];

	paths[0] = (struct m_ctl_path){
		.peer = "tor1",
		.nexthop = A("10.1.0.1"),
		.as_path = { 2, as },
		.as_path_text = "65001 4200000001",
		.local_pref = 100,
		.med = 0,
		.has_med = true,
		.origin = 0,
		.communities = { 1, communities },
		.best = true,
		.multipath = true,
		.reason = "",
	};
	paths[1] = (struct m_ctl_path){
		.peer = "",
		.nexthop = { 0 },
		.as_path_text = "",
		.local_pref = 50,
		.origin = 2,
		.stale = true,
		.reason = "lower local preference",
	};
	return (struct m_ctl_route){ P("10.2.0.0/24"), true, { 2, paths }, { 2, to } };
}

START_TEST(a_route_has_the_contracts_fields)
{
	struct m_ctl_route r = some_route();
	struct json_object *o = parse(route_to_json(&r)), *p;

	has_fields(o, "prefix paths installed advertisedTo");
	is_text(o, "prefix", "10.2.0.0/24");
	is_bool(o, "installed", true);
	ck_assert_str_eq(json_object_get_string(at(o, "advertisedTo", 1)), "tor2");
	p = at(o, "paths", 0);
	has_fields(p, "peer nextHop asPath localPref med origin communities best multipath reason "
		      "stale");
	is_text(p, "peer", "tor1");
	is_text(p, "nextHop", "10.1.0.1");
	ck_assert(json_object_is_type(at(p, "asPath", 1), json_type_int));
	ck_assert_uint_eq(json_object_get_uint64(at(p, "asPath", 1)), 4200000001);
	is_count(p, "localPref", 100);
	is_count(p, "med", 0);
	is_text(p, "origin", "igp");
	ck_assert_str_eq(json_object_get_string(at(p, "communities", 0)), "65001:100");
	is_bool(p, "best", true);
	is_bool(p, "multipath", true);
	is_null(p, "reason");
	is_bool(p, "stale", false);
	p = at(o, "paths", 1);
	is_null(p, "peer");
	is_null(p, "nextHop");
	is_null(p, "med");
	is_text(p, "origin", "incomplete");
	is_text(p, "reason", "lower local preference");
	is_bool(p, "stale", true);
	ck_assert_uint_eq(json_object_array_length(get(p, "asPath")), 0);
	json_object_put(o);
}
END_TEST

START_TEST(an_endpoint_has_the_contracts_fields)
{
	struct json_object *list, *o;

	good_rows();
	list = parse(endpoints_to_json(&rows));
	ck_assert_uint_eq(json_object_array_length(list), 1);
	o = json_object_array_get_idx(list, 0);
	has_fields(o, "namespace name containerID ifname host addresses labels policies ready");
	is_text(o, "namespace", "prod");
	is_text(o, "name", "web-0");
	is_text(o, "containerID", "abcdef0123456789");
	is_text(o, "ifname", "eth0");
	is_text(o, "host", "cali12345678901");
	ck_assert_str_eq(json_object_get_string(at(o, "addresses", 0)), "10.244.1.5");
	ck_assert_str_eq(json_object_get_string(at(o, "addresses", 1)), "2001:db8::5");
	has_fields(get(o, "labels"), "app tier");
	is_text(get(o, "labels"), "tier", "front");
	ck_assert_str_eq(json_object_get_string(at(o, "policies", 0)), "default/allow");
	is_bool(o, "ready", true);
	json_object_put(list);
	endpoint.namespace_ = endpoint.name = "";
	list = parse(endpoints_to_json(&rows));
	is_null(json_object_array_get_idx(list, 0), "namespace");
	is_null(json_object_array_get_idx(list, 0), "name");
	json_object_put(list);
	rows_free(&rows);
}
END_TEST

START_TEST(text_from_outside_stays_json)
{
	struct json_object *o;

	good_peers();
	peers[0].last_error = "shut \"down\"\n\x1b[31m \xff caf\xc3\xa9";
	o = parse(peer_to_json(&peers[0]));
	is_text(o, "lastError", "shut \"down\"\n\x1b[31m \xef\xbf\xbd caf\xc3\xa9");
	json_object_put(o);
}
END_TEST

/* ---- text ---- */

static char *text;

/* What fn prints, without colours. */
#define PRINTED(colours, call)                                                                     \
	do {                                                                                       \
		size_t size;                                                                       \
		struct out to = { open_memstream(&text, &size), colours };                         \
		call;                                                                              \
		fclose(to.f);                                                                      \
	} while (0)

static void says(const char *want)
{
	ck_assert_msg(strstr(text, want) != NULL, "\"%s\" is not in:\n%s", want, text);
}

START_TEST(status_text_of_a_good_node)
{
	good_rows();
	PRINTED(false, status_to_text(&to, &rows, NOW));
	says("n1 is ready  selvage 0.1.0\n");
	says("AS 64512, router ID 10.0.0.1, 2 of 2 peers established\n");
	says("  DAEMON  STATE    PID  FOR  RESTARTS   MEMORY\n");
	says("  bgpd    running  101  10s         0  391 KiB\n");
	says("fe80::1%eth1");
	says("1h01m");
	says("2^80");
	says("2 of 2 ready");
	says("directory, synced, last contact 3s ago, 0 errors");
	ck_assert_ptr_null(strchr(text, '\x1b'));
	ck_assert_ptr_null(strstr(text, " \n"));
	free(text);
	rows_free(&rows);
}
END_TEST

START_TEST(status_text_says_what_is_wrong)
{
	struct msg_text errors[] = { { "pools.yaml:3:7: spec.cidr: \"x\" is no prefix" } };

	good_rows();
	daemons[1].state = "waiting 2 s after signal 11";
	daemons[1].ready = false;
	rows.bgp = NULL;
	felix.store_errors.n = 1;
	felix.store_errors.v = errors;
	PRINTED(true, status_to_text(&to, &rows, NOW));
	says("\x1b[31mNOT READY\x1b[0m");
	says("! bgpd: waiting 2 s after signal 11");
	says("bgpd did not answer");
	says("! pools.yaml:3:7: spec.cidr");
	free(text);
	rows_free(&rows);
	rows = (struct rows){ 0 };
	keep(M_CTL_NODE, &node);
	PRINTED(false, status_to_text(&to, &rows, NOW));
	says("felix did not answer");
	free(text);
	rows_free(&rows);
}
END_TEST

START_TEST(peers_text)
{
	good_rows();
	peers[0].last_error = "evil \x1b]0;title\a\nsecond line";
	PRINTED(false, peers_to_text(&to, &rows, NOW, 0));
	says("PEER  ADDRESS");
	says("evil ?]0;title??second line\n");
	free(text);
	PRINTED(false, peer_to_text(&to, &peers[0], NOW));
	says("tor1  Established for 1h01m\n");
	says("hold 9 s, keepalive 3 s");
	says("ipv4 ipv6 as4");
	free(text);
	rows_free(&rows);
}
END_TEST

START_TEST(routes_text)
{
	struct m_ctl_route r = some_route();

	PRINTED(false, {
		struct table *t = routes_table(&to);
		route_to_table(t, &r);
		r.paths.n = 0;
		route_to_table(t, &r);
		table_end(t);
	});
	says("*>  10.2.0.0/24  10.1.0.1  tor1    100    0  65001 4200000001  igp         to "
	     "tor1,tor2\n");
	says("local");
	says("stale lower local preference");
	free(text);
}
END_TEST

/* More rows than a table holds: all come out, the head once. */
START_TEST(long_tables)
{
	static const struct column columns[] = { { "N", true }, { "X", false }, { NULL, false } };
	unsigned lines = 0;

	PRINTED(false, {
		struct table *t = table_new(&to, columns, 0);
		for (int i = 0; i < 3 * TABLE_ROWS + 1; i++) {
			cell(t, PLAIN, "%d", i);
			cell(t, PLAIN, "x");
		}
		table_end(t);
	});
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines, 3 * TABLE_ROWS + 2);
	says("1500  x\n");
	free(text);
}
END_TEST

START_TEST(words_for_values)
{
	static const struct {
		uint64_t ago;
		const char *want;
	} ages[] = {
		{ 0, "0s" },	   { 59, "59s" },	{ 60, "1m00s" },    { 3599, "59m59s" },
		{ 3600, "1h00m" }, { 86399, "23h59m" }, { 86400, "1d00h" }, { 8640000, "100d00h" },
	};
	struct prefix net = P("10.0.0.0/8"), six = P("2001:db8::/64"), host = P("10.0.0.1/32");
	char buf[WORD];

	for (size_t i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
		ck_assert_str_eq(age(buf, NOW, NOW - ages[i].ago), ages[i].want);
	ck_assert_str_eq(age(buf, NOW, 0), "-");
	ck_assert_str_eq(age(buf, NOW, NOW + 5), "0s");
	ck_assert_str_eq(bytes_text(buf, 0), "-");
	ck_assert_str_eq(bytes_text(buf, 1536 * 1024), "1.5 MiB");
	ck_assert_str_eq(size_text(buf, &net, 1 << 24), "16777216");
	ck_assert_str_eq(size_text(buf, &six, UINT64_MAX), "2^64");
	ck_assert_str_eq(host_text(buf, &host), "10.0.0.1");
	ck_assert_str_eq(host_text(buf, &net), "10.0.0.0/8");
}
END_TEST

/* ---- ipam of the whole cluster ---- */

static char *text_of(void (*print)(const struct out *to, const struct rows *r))
{
	char *made = NULL;
	size_t len;
	struct out to = { open_memstream(&made, &len), false };

	print(&to, &rows);
	fclose(to.f);
	return made;
}

static void print_issues(const struct out *to, const struct rows *r)
{
	issues_to_text(to, r, false);
}

static void add_row(enum msg_type type, const void *body)
{
	struct msg m = { .type = (uint16_t)type, .body = body };

	rows_keep(&rows, &m);
}

START_TEST(pool_that_ends_soon)
{
	struct m_ctl_pool small = {
		.name = "small", .size = 100, .used = 10, .claimed = 90, .whole = true
	};
	struct m_ctl_pool half = {
		.name = "half", .size = 100, .used = 10, .claimed = 89, .whole = true
	};
	struct m_ctl_node_use n1 = { "n1", 2, 128, 10 };
	struct json_object *o;

	memset(&rows, 0, sizeof(rows));
	ck_assert_int_eq(prefix_parse("10.0.0.0/24", &small.cidr), 0);
	ck_assert_int_eq(prefix_parse("10.1.0.0/24", &half.cidr), 0);
	add_row(M_CTL_POOL, &small);
	add_row(M_CTL_POOL, &half);
	add_row(M_CTL_NODE_USE, &n1);
	o = parse(ipam_all_to_json(&rows));
	has_fields(o, "pools blocks nodes");
	has_fields(at(o, "pools", 0), "cidr size used name claimed endsSoon");
	is_bool(at(o, "pools", 0), "endsSoon", true);
	is_bool(at(o, "pools", 1), "endsSoon", false);
	is_text(at(o, "nodes", 0), "node", "n1");
	is_count(at(o, "nodes", 0), "blocks", 2);
	char *made = text_of(ipam_all_to_text);
	ck_assert_ptr_nonnull(strstr(made, "pool small: 90 of 100"));
	ck_assert_ptr_null(strstr(made, "pool half:"));
	free(made);
	rows_free(&rows);
}
END_TEST

START_TEST(issues_as_text_and_json)
{
	struct m_ctl_issue leak = { "alloc-leaked", "10.0.0.7", "nobody has it", "free it", false };
	struct m_ctl_issue gone = { "handle-unreferenced", "h", "no block", "delete it", true };
	struct json_object *o;

	memset(&rows, 0, sizeof(rows));
	ck_assert_uint_eq(issues_open(&rows), 0);
	add_row(M_CTL_ISSUE, &leak);
	add_row(M_CTL_ISSUE, &gone);
	ck_assert_uint_eq(issues_open(&rows), 1);
	o = parse(issues_to_json(&rows));
	ck_assert_uint_eq(json_object_array_length(o), 2);
	has_fields(json_object_array_get_idx(o, 0), "kind object text mend mended");
	is_bool(json_object_array_get_idx(o, 1), "mended", true);
	char *made = text_of(print_issues);
	ck_assert_ptr_nonnull(strstr(made, "10.0.0.7: nobody has it"));
	ck_assert_ptr_nonnull(strstr(made, "mend: free it"));
	free(made);
	rows_free(&rows);
}
END_TEST

UNIT_MAIN("nodectl", pool_that_ends_soon, issues_as_text_and_json, status_has_the_contracts_fields,
	  a_peer_has_the_contracts_fields, each_cause_is_named_once,
	  a_session_down_is_wrong_but_the_node_is_ready, what_did_not_answer_is_null,
	  a_route_has_the_contracts_fields, an_endpoint_has_the_contracts_fields,
	  text_from_outside_stays_json, status_text_of_a_good_node, status_text_says_what_is_wrong,
	  peers_text, routes_text, long_tables, words_for_values)
