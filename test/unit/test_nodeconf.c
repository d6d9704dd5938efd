#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/msg.h"
#include "lib/nodeconf.h"
#include "test/unit/unit.h"

static struct arena arena;
static struct problems problems;

static struct nodeconf *load(const char *text)
{
	int fd = memfd_create("node.yaml", MFD_CLOEXEC);
	ssize_t n = write(fd, text, strlen(text));

	ck_assert_int_eq(n, (ssize_t)strlen(text));
	problems = (struct problems){ .arena = &arena };
	/* The offset stands at the end, as it does when a child is started again. */
	struct nodeconf *c = nodeconf_load_fd(fd, "n.yaml", &problems);

	close(fd);
	return c;
}

START_TEST(empty_is_all_defaults)
{
	struct nodeconf *c = load("");
	const struct conf_listen *l;

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->warnings.n, 0);
	ck_assert_str_eq(c->node.name, "");
	ck_assert_uint_eq(c->node.address.n, 0);
	ck_assert_int_eq(c->datastore.kind, DATASTORE_DIRECTORY);
	ck_assert_str_eq(c->datastore.path, "/etc/selvage/resources.d");
	ck_assert_uint_eq(c->bgp.asn, 0);
	ck_assert_int_eq(c->bgp.router_id.fam, FAM_NONE);
	ck_assert_uint_eq(c->bgp.listen.n, 2);
	l = c->bgp.listen.v;
	ck_assert_int_eq(l[0].address.fam, FAM_V6);
	ck_assert_uint_eq(l[0].port, 179);
	ck_assert_int_eq(l[1].address.fam, FAM_V4);
	ck_assert_uint_eq(c->bgp.defaults.hold_time, 9000);
	ck_assert_uint_eq(c->bgp.defaults.keepalive, 0);
	ck_assert_uint_eq(c->bgp.defaults.set, 0);
	ck_assert_int_eq(c->bgp.export_mode, EXPORT_POOLS);
	ck_assert(c->bgp.install);
	ck_assert(!c->bgp.require_policy);
	ck_assert_uint_eq(c->bgp.bfd.interval, 100);
	ck_assert_uint_eq(c->dataplane.mtu, 0);
	ck_assert_uint_eq(c->dataplane.route_table, 254);
	ck_assert_str_eq(c->state.dir, "/var/lib/selvage");
	ck_assert_str_eq(c->state.run, "/run/selvage");
	ck_assert_int_eq(c->log_level, LOG_INFO);
	ck_assert_str_eq(c->metrics.listen, "");
	nodeconf_free(c);
}
END_TEST

static const char contract[] =
	"node:\n"
	"  name: n1\n"
	"  address: [10.0.0.1/24, 'fd00::1/64']\n"
	"datastore:\n"
	"  kind: directory\n"
	"  path: /etc/selvage/r\n"
	"bgp:\n"
	"  asn: 64512\n"
	"  routerID: 10.0.0.1\n"
	"  listen: [{address: \"::\", port: 179}, {address: 127.0.0.1, port: 1790}]\n"
	"  defaults: {holdTime: 9s, bfd: false}\n"
	"  export: all\n"
	"  install: false\n"
	"  dynamicNeighbors: [{prefix: 10.0.0.0/24, asn: 65001, max: 100, passwordFile: /etc/k}]\n"
	"  requirePolicy: false\n"
	"  bfd: {interval: 100ms, multiplier: 3}\n"
	"dataplane:\n"
	"  mtu: 9000\n"
	"  routeTable: 100\n"
	"state:\n"
	"  dir: /a\n"
	"  run: /b\n"
	"log: {level: debug}\n"
	"metrics: {listen: 127.0.0.1:9091}\n";

static bool has_warning(const struct nodeconf *c, const char *text)
{
	for (uint32_t i = 0; i < c->warnings.n; i++)
		if (!strcmp(((const char **)c->warnings.v)[i], text))
			return true;
	return false;
}

START_TEST(every_key_of_the_contract)
{
	struct nodeconf *c = load(contract);
	const struct prefix *a;
	const struct conf_dynamic *d;

	ck_assert_msg(c != NULL, "%s", problems.n ? problems.text[0] : "?");
	a = c->node.address.v;
	ck_assert_str_eq(c->node.name, "n1");
	ck_assert_uint_eq(c->node.address.n, 2);
	ck_assert_uint_eq(a[0].addr.b[3], 1);
	ck_assert_uint_eq(a[1].len, 64);
	ck_assert_uint_eq(c->bgp.asn, 64512);
	ck_assert_uint_eq(addr_to_u32(&c->bgp.router_id), 0x0a000001);
	ck_assert_uint_eq(((struct conf_listen *)c->bgp.listen.v)[1].port, 1790);
	ck_assert_int_eq(c->bgp.export_mode, EXPORT_ALL);
	ck_assert(!c->bgp.install);
	d = c->bgp.dynamic.v;
	ck_assert_uint_eq(d->asn, 65001);
	ck_assert_str_eq(d->password_file, "/etc/k");
	ck_assert_uint_eq(c->dataplane.mtu, 9000);
	ck_assert_uint_eq(c->dataplane.route_table, 100);
	ck_assert_int_eq(c->log_level, LOG_DEBUG);
	/* What a later version brings is taken and said; what is off is not worth a word. */
	ck_assert_uint_eq(c->warnings.n, 2);
	ck_assert(has_warning(c, "bgp.bfd: taken, but this version has no BFD yet"));
	ck_assert(has_warning(
		c, "bgp.dynamicNeighbors: taken, but this version has no dynamic neighbours yet"));
	ck_assert(!has_warning(c, "metrics.listen"));
	nodeconf_free(c);
}
END_TEST

START_TEST(later_features_warn)
{
	struct nodeconf *c =
		load("bgp: {requirePolicy: true, defaults: {bfd: true, role: peer, addPath: both, "
		     "longLivedGracefulRestart: 1h, maxPrefixes: 5, passive: true}}\n");

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->warnings.n, 5);
	ck_assert(has_warning(c, "bgp.defaults.bfd: taken, but this version has no BFD yet"));
	ck_assert(
		has_warning(c, "bgp.defaults.role: taken, but this version has no BGP roles yet"));
	ck_assert(has_warning(c,
			      "bgp.defaults.addPath: taken, but this version has no add-path yet"));
	nodeconf_free(c);
}
END_TEST

START_TEST(errors)
{
	static const struct {
		const char *text, *expect;
	} rows[] = {
		{ "datastore: {kind: kubernetes, kubeconfig: ''}",
		  "n.yaml:1:43: datastore.kubeconfig: is empty" },
		{ "datastore: {kind: kubernetes, kubeconfig: k}",
		  "n.yaml:1:43: datastore.kubeconfig: \"k\" is not an absolute path" },
		{ "datastore: {kind: kubernetes, servers: ['https://a', 'http://b:6443']}",
		  "n.yaml:1:54: datastore.servers: http://b:6443 is not encrypted" },
		{ "datastore: {servers: ['https://x:y@a']}",
		  "n.yaml:1:23: datastore.servers: a URL has characters" },
		{ "datastore: {path: r.d}",
		  "n.yaml:1:19: datastore.path: \"r.d\" is not an absolute" },
		{ "datastore: {path: ''}", "n.yaml:1:19: datastore.path: is empty" },
		{ "state: {dir: x}", "n.yaml:1:14: state.dir: \"x\" is not an absolute path" },
		{ "state: {run: ./x}", "n.yaml:1:14: state.run: \"./x\" is not an absolute path" },
		{ "state: {run: /a, dir: /a}", "n.yaml:1:14: state.run: must not be state.dir" },
		{ "node: {name: Node1}", "n.yaml:1:14: node.name: \"Node1\" is not a valid name" },
		{ "node: {name: a_b}", "n.yaml:1:14: node.name: " },
		{ "node: {name: -a}", "n.yaml:1:14: node.name: " },
		{ "node: {name: a..b}", "n.yaml:1:14: node.name: " },
		{ "node: {address: [10.0.0.1]}", "n.yaml:1:18: node.address[0]: " },
		{ "node: {address: [10.0.0.1/24, 10.0.1.1/24]}",
		  "n.yaml:1:31: node.address: more than "
		  "one IPv4 address" },
		{ "node: {address: [127.0.0.1/8]}",
		  "n.yaml:1:18: node.address: 127.0.0.1/8 cannot" },
		{ "node: {address: ['fe80::1/64']}",
		  "n.yaml:1:18: node.address: fe80::1/64 cannot" },
		{ "node: {address: [10.0.0.0/24]}", "n.yaml:1:18: node.address: 10.0.0.0/24 is the "
						    "network itself" },
		{ "node: {addressFrom: {interface: e, reach: 1.1.1.1}}",
		  "n.yaml:1:21: node.addressFrom: "
		  "set one of" },
		{ "node: {address: [10.0.0.1/24], addressFrom: {interface: e}}",
		  "n.yaml:1:45: node.addressFrom: node.address is set too" },
		{ "bgp: {asn: 23456}", "n.yaml:1:12: bgp.asn: 23456 is reserved" },
		{ "bgp: {routerID: '::1'}", "n.yaml:1:17: bgp.routerID: must be an IPv4 address" },
		{ "bgp: {routerID: 0.0.0.0}",
		  "n.yaml:1:17: bgp.routerID: must be an IPv4 address" },
		{ "bgp: {listen: [{address: 224.0.0.1}]}",
		  "n.yaml:1:16: bgp.listen: 224.0.0.1 cannot" },
		{ "bgp: {listen: [{address: 'fe80::1'}]}",
		  "n.yaml:1:16: bgp.listen: fe80::1 cannot" },
		{ "bgp: {listen: [{port: 179}]}",
		  "n.yaml:1:16: bgp.listen[0].address: is missing" },
		{ "bgp: {listen: [{address: '::'}, {address: '::', port: 179}]}",
		  "n.yaml:1:33: bgp.listen: :: port 179 is there twice" },
		{ "bgp: {defaults: {holdTime: 2s}}",
		  "n.yaml:1:17: bgp.defaults: holdTime must be 0" },
		{ "bgp: {defaults: {holdTime: 3500ms}}",
		  "n.yaml:1:17: bgp.defaults: holdTime must be "
		  "whole" },
		{ "bgp: {defaults: {keepaliveTime: 9s}}",
		  "n.yaml:1:17: bgp.defaults: keepaliveTime must "
		  "be shorter" },
		{ "bgp: {defaults: {hold: 9s}}",
		  "n.yaml:1:18: unknown key \"hold\" in bgp.defaults; did "
		  "you mean \"holdTime\"?" },
		{ "bgp: {export: some}",
		  "n.yaml:1:15: bgp.export: \"some\" is not allowed here; expected "
		  "one of: node, pools, all" },
		{ "bgp: {dynamicNeighbors: [{prefix: 10.0.0.0/8, passwordFile: k}]}",
		  "n.yaml:1:26: bgp.dynamicNeighbors[0].passwordFile: \"k\" is not an absolute "
		  "path" },
		{ "dataplane: {mtu: 1200}",
		  "n.yaml:1:18: dataplane.mtu: 1200 is less than IPv6 needs" },
		{ "dataplane: {mtu: big}",
		  "n.yaml:1:18: dataplane.mtu: \"big\" is not allowed here; "
		  "expected auto or a whole number" },
		{ "dataplane: {routeTable: 255}", "n.yaml:1:25: dataplane.routeTable: 255 is" },
		{ "metrics: {listen: 9091}",
		  "n.yaml:1:19: metrics.listen: \"9091\" is not an address" },
		{ "metrics: {listen: '::1:9091'}", "n.yaml:1:19: metrics.listen: " },
		{ "metrics: {listen: '127.0.0.1:0'}", "n.yaml:1:19: metrics.listen: " },
		{ "log: {level: loud}", "n.yaml:1:14: log.level: \"loud\" is not allowed here" },
		{ "nod: {}", "n.yaml:1:1: unknown key \"nod\"; did you mean \"node\"?" },
		{ "a: [1\nb: 2", "n.yaml:2:2: not valid YAML" },
		{ "log: {}\n---\nnode: {}\n", "n.yaml:3:1: a second document begins" },
		{ "- a", "n.yaml:1:1: expected a mapping (key: value), got a list" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nodeconf *c = load(rows[i].text);

		ck_assert_msg(!c, "%s was taken", rows[i].text);
		ck_assert_msg(problems.n == 1, "%s: %u problems", rows[i].text, problems.n);
		ck_assert_msg(!strncmp(problems.text[0], rows[i].expect, strlen(rows[i].expect)),
			      "%s: %s", rows[i].text, problems.text[0]);
	}
}
END_TEST

START_TEST(fine_values)
{
	static const char *const rows[] = {
		"bgp: {defaults: {holdTime: 0}}",
		"bgp: {defaults: {holdTime: 0, keepaliveTime: 5s}}",
		"bgp: {defaults: {holdTime: 3s}}",
		"bgp: {listen: []}",
		"bgp: {listen: [{address: '::1'}, {address: '::'}, {address: 0.0.0.0}]}",
		"bgp: {asn: 1.10}",
		"node: {address: [10.0.0.0/31]}",
		"node: {address: [10.0.0.0/32]}",
		"node: {addressFrom: {cidr: 10.0.0.0/8}}",
		"node: {name: n1.example.org}",
		"dataplane: {mtu: auto, routeTable: main}",
		"metrics: {listen: '[::1]:9091'}",
		"# nothing\n",
		"node:\nbgp:\n",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nodeconf *c = load(rows[i]);

		ck_assert_msg(c != NULL, "%s: %s", rows[i], problems.n ? problems.text[0] : "?");
		nodeconf_free(c);
	}
}
END_TEST

/* bind() takes 107 characters; the longest socket there is cni.sock. */
START_TEST(kubernetes)
{
	struct nodeconf *c = load("datastore: {kind: kubernetes, context: prod, servers: "
				  "['https://10.0.0.1:6443', 'https://[::1]']}");

	ck_assert_msg(c != NULL, "%s", problems.n ? problems.text[0] : "?");
	ck_assert_int_eq(c->datastore.kind, DATASTORE_KUBERNETES);
	ck_assert_str_eq(c->datastore.kubeconfig, "/etc/selvage/kubeconfig");
	ck_assert(!c->datastore.kubeconfig_written);
	ck_assert_str_eq(c->datastore.context, "prod");
	ck_assert_uint_eq(c->datastore.servers.n, 2);
	ck_assert_str_eq(((const char **)c->datastore.servers.v)[1], "https://[::1]");
	ck_assert_uint_eq(c->warnings.n, 0);
	nodeconf_free(c);

	/* The default, written, is no default. */
	c = load("datastore: {kind: kubernetes, kubeconfig: /etc/selvage/kubeconfig, path: /r}");
	ck_assert_msg(c != NULL, "%s", problems.n ? problems.text[0] : "?");
	ck_assert(c->datastore.kubeconfig_written);
	ck_assert(has_warning(c, "datastore.path: not used with kind kubernetes"));
	nodeconf_free(c);

	c = load("datastore: {kubeconfig: /k, context: a, servers: ['https://a']}");
	ck_assert_msg(c != NULL, "%s", problems.n ? problems.text[0] : "?");
	ck_assert(has_warning(c, "datastore.kubeconfig: not used with kind directory"));
	ck_assert(has_warning(c, "datastore.context: not used with kind directory"));
	ck_assert(has_warning(c, "datastore.servers: not used with kind directory"));
	nodeconf_free(c);
}
END_TEST

START_TEST(a_socket_path_fits)
{
	char text[256], dir[128];

	memset(dir, 'a', sizeof(dir));
	dir[0] = '/';
	snprintf(text, sizeof(text), "state: {run: %.98s}", dir);
	struct nodeconf *c = load(text);

	ck_assert_ptr_nonnull(c);
	nodeconf_free(c);
	snprintf(text, sizeof(text), "state: {run: %.99s}", dir);
	ck_assert_ptr_null(load(text));
	ck_assert_ptr_nonnull(strstr(problems.text[0], "at most 98 characters"));
}
END_TEST

START_TEST(files)
{
	problems = (struct problems){ .arena = &arena };
	ck_assert_ptr_null(nodeconf_load("/nonexistent/n.yaml", &problems));
	ck_assert_uint_eq(problems.n, 1);
	ck_assert_ptr_nonnull(strstr(problems.text[0], "/nonexistent/n.yaml: cannot be opened"));
	ck_assert_ptr_null(nodeconf_load("/", &problems));
	ck_assert_uint_eq(problems.n, 2);
	char *big = xmalloc((2 << 20) + 1);

	memset(big, '#', 2 << 20);
	big[2 << 20] = 0;
	ck_assert_ptr_null(load(big));
	ck_assert_ptr_nonnull(strstr(problems.text[0], "longer than 1 MiB"));
	free(big);
}
END_TEST

START_TEST(extra_merge)
{
	struct conf_bgp_extra base = { .hold_time = 9000, .interface = "", .max_prefixes = 3 };
	struct conf_bgp_extra over = {
		.hold_time = 0, .keepalive = 5000, .interface = "eth0", .passive = true
	};
	struct doc *docs;
	struct err err;

	ck_assert(!yaml_parse("{holdTime: 0, interface: eth0, passive: true, role: ~}", 54, "f",
			      &arena, &docs, &err));
	conf_bgp_extra_mark(&over, docs->root);
	conf_bgp_extra_merge(&base, &over);
	/* A zero that was written counts; a value that was not, does not. */
	ck_assert_uint_eq(base.hold_time, 0);
	ck_assert_uint_eq(base.keepalive, 0);
	ck_assert_str_eq(base.interface, "eth0");
	ck_assert(base.passive);
	ck_assert_uint_eq(base.max_prefixes, 3);
}
END_TEST

/* ---- the man page says what the table says ---- */

static char *page;

static void read_page(void)
{
	FILE *f = fopen(MANDIR "/selvage-node.yaml.5", "r");

	ck_assert_ptr_nonnull(f);
	page = arena_alloc(&arena, 1 << 18);
	size_t n = fread(page, 1, (1 << 18) - 1, f);

	fclose(f);
	ck_assert_uint_gt(n, 1000);
}

/* The entry of a key: from its .It to the next. */
static const char *entry(const char *key)
{
	const char *start = strstr(page, arena_printf(&arena, "\n.It Sy %s\n", key));

	ck_assert_msg(start != NULL, "%s is not in the man page", key);
	const char *end = strstr(start + 1, "\n.It ");

	if (!end)
		end = strstr(start + 1, "\n.El");
	return arena_strndup(&arena, start, (size_t)(end - start));
}

static void check_page(const struct field *f, const char *path)
{
	for (; f->key; f++) {
		const char *key = arena_printf(&arena, "%s%s%s", path, *path ? "." : "", f->key);
		const char *text = entry(key);

		/* The first letter is a capital there. */
		ck_assert_msg(f->help && strstr(text, f->help + 1), "%s: no \"%s\" in: %s", key,
			      f->help, text);
		if (f->type != F_MAP && !f->required) {
			const char *def = f->def ? (*f->def ? f->def : "empty") : "none";

			ck_assert_msg(strstr(text, arena_printf(&arena, "\nDefault: %s.\n", def)) !=
					      NULL,
				      "%s: no default %s in: %s", key, def, text);
		}
		for (int i = 0; f->type == F_ENUM && f->words[i]; i++)
			ck_assert_msg(strstr(text, f->words[i]) != NULL, "%s: no %s", key,
				      f->words[i]);
		if (f->sub)
			check_page(f->sub,
				   f->type == F_LIST ? arena_printf(&arena, "%s[]", key) : key);
	}
}

START_TEST(man_page)
{
	read_page();
	check_page(nodeconf_fields, "");
}
END_TEST

/* A key that no table has must not be in the page either. */
START_TEST(man_page_has_no_more)
{
	unsigned n = 0;

	read_page();
	for (const char *p = page; (p = strstr(p, "\n.It Sy ")) != NULL; p++) {
		const struct field *f = nodeconf_fields;
		const char *q = p + 8;

		for (;;) {
			size_t len = strcspn(q, ".[\n");

			while (f->key && (strlen(f->key) != len || memcmp(f->key, q, len) != 0))
				f++;
			ck_assert_msg(f->key != NULL, "no such key: %.40s", p + 8);
			q += len;
			if (*q == '\n')
				break;
			q += *q == '[' ? 3 : 1;
			f = f->sub;
		}
		n++;
	}
	ck_assert_uint_gt(n, 40);
}
END_TEST

UNIT_MAIN("nodeconf", empty_is_all_defaults, every_key_of_the_contract, later_features_warn, errors,
	  fine_values, kubernetes, a_socket_path_fits, files, extra_merge, man_page,
	  man_page_has_no_more)
