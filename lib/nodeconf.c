/* node.yaml: the file, and what its values must be together. The table is in nodeconf_fields.c. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/kubeconfig.h"
#include "lib/nodeconf.h"

enum { FILE_MAX = 1 << 20, WARNINGS_MAX = 32, HOLD_MIN_MS = 3000, MAX_LISTEN = 16 };

struct check {
	struct nodeconf *conf;
	const struct node *root;
	const char *file;
	struct arena *arena;
	struct problems *problems;
};

/* The node at "bgp.listen", or the nearest one above it that was written. */
static const struct node *node_at(const struct node *root, const char *path)
{
	const struct node *at = root;

	while (*path) {
		size_t n = strcspn(path, ".");
		const struct node *child = at ? at->child : NULL;

		while (child &&
		       (!child->key || strlen(child->key) != n || memcmp(child->key, path, n)))
			child = child->next;
		if (!child)
			return at;
		at = child;
		path += n + (path[n] == '.');
	}
	return at;
}

static const struct node *item_at(const struct node *list, uint32_t i)
{
	const struct node *n = list ? list->child : NULL;

	while (n && i--)
		n = n->next;
	return n ? n : list;
}

#define WRONG(c, path, ...)                                                                        \
	problem_add((c)->problems, (c)->file, node_at((c)->root, path), __VA_ARGS__)

static bool was_written(const struct check *c, const char *map, const char *key)
{
	const struct node *m = *map ? node_get(c->root, map) : c->root;
	const struct node *n = node_get(m, key);

	return n && n->kind != NODE_NULL;
}

static void warn(struct check *c, const char *text)
{
	struct field_list *w = &c->conf->warnings;

	if (!w->v)
		w->v = arena_array(c->arena, WARNINGS_MAX, sizeof(const char *));
	if (w->n < WARNINGS_MAX)
		((const char **)w->v)[w->n++] = text;
}

/* ---- names and paths ---- */

bool name_is_valid(const char *text)
{
	size_t n = strlen(text);
	char last = '.';

	if (!n || n > 253)
		return false;
	for (; *text; text++) {
		bool alnum = (*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9');

		if (!alnum && *text != '-' && *text != '.')
			return false;
		/* Each label begins and ends with a letter or digit. */
		if (!alnum && (last == '.' || (*text == '.' && last == '-')))
			return false;
		last = *text;
	}
	return last != '.' && last != '-';
}

static void check_path(struct check *c, const char *key, const char *path)
{
	if (*path && *path != '/')
		WRONG(c, key, "%s: \"%s\" is not an absolute path; begin it with /", key, path);
}

static void check_state(struct check *c)
{
	const struct nodeconf *conf = c->conf;
	const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/cni.sock");

	check_path(c, "state.dir", conf->state.dir);
	check_path(c, "state.run", conf->state.run);
	check_path(c, "datastore.path", conf->datastore.path);
	check_path(c, "datastore.kubeconfig", conf->datastore.kubeconfig);
	if (!*conf->state.dir)
		WRONG(c, "state.dir", "state.dir: is empty; name the folder of the journal");
	if (!*conf->state.run)
		WRONG(c, "state.run", "state.run: is empty; name the folder of the sockets");
	if (strlen(conf->state.run) > room)
		WRONG(c, "state.run",
		      "state.run: is too long for a socket's path; at most %zu characters", room);
	if (*conf->state.dir && !strcmp(conf->state.dir, conf->state.run))
		WRONG(c, "state.run",
		      "state.run: must not be state.dir; one survives a reboot, the other does "
		      "not");
	if (conf->datastore.kind == DATASTORE_DIRECTORY && !*conf->datastore.path)
		WRONG(c, "datastore.path",
		      "datastore.path: is empty; name the folder of resources");
}

static void check_servers(struct check *c)
{
	const char *const *servers = c->conf->datastore.servers.v;
	uint32_t n = c->conf->datastore.servers.n;
	const struct node *list = node_at(c->root, "datastore.servers");

	if (n > KUBE_MAX_SERVERS)
		WRONG(c, "datastore.servers", "datastore.servers: %u servers; at most %d are taken",
		      n, KUBE_MAX_SERVERS);
	for (uint32_t i = 0; i < n; i++) {
		const char *wrong = kube_server_problem(servers[i]);

		if (wrong) /* what stands before an @ is a password */
			problem_add(c->problems, c->file, item_at(list, i),
				    "datastore.servers: %s %s",
				    strchr(servers[i], '@') ? "a URL" : servers[i], wrong);
	}
}

static void check_datastore(struct check *c)
{
	static const char *const kube_keys[] = { "kubeconfig", "context", "servers" };
	struct nodeconf *conf = c->conf;

	conf->datastore.kubeconfig_written = was_written(c, "datastore", "kubeconfig");
	check_servers(c);
	if (conf->datastore.kind == DATASTORE_KUBERNETES) {
		if (!*conf->datastore.kubeconfig)
			WRONG(c, "datastore.kubeconfig",
			      "datastore.kubeconfig: is empty; name the file");
		if (was_written(c, "datastore", "path"))
			warn(c, "datastore.path: not used with kind kubernetes");
		return;
	}
	for (size_t i = 0; i < sizeof(kube_keys) / sizeof(kube_keys[0]); i++)
		if (was_written(c, "datastore", kube_keys[i]))
			warn(c, arena_printf(c->arena, "datastore.%s: not used with kind directory",
					     kube_keys[i]));
}

/* ---- addresses ---- */

static void check_node_address(struct check *c, const struct prefix *p, const struct node *at)
{
	char text[PREFIX_STRLEN];
	struct prefix net = prefix_mask(p);

	prefix_format(p, text, sizeof(text));
	if (addr_is_martian(&p->addr) || addr_is_linklocal(&p->addr))
		problem_add(
			c->problems, c->file, at,
			"node.address: %s cannot be a node's address; give one that other nodes "
			"reach",
			text);
	else if (p->len + 2u <= family_bits(p->addr.fam) && p->addr.fam == FAM_V4 &&
		 prefix_eq(p, &net))
		problem_add(
			c->problems, c->file, at,
			"node.address: %s is the network itself; give the node's own address in it",
			text);
}

static void check_node(struct check *c)
{
	const struct nodeconf *conf = c->conf;
	const struct prefix *addrs = conf->node.address.v;
	const struct node *list = node_at(c->root, "node.address");
	unsigned seen[3] = { 0 };

	if (*conf->node.name && !name_is_valid(conf->node.name))
		WRONG(c, "node.name",
		      "node.name: \"%s\" is not a valid name; use lower-case letters, digits, - "
		      "and .",
		      conf->node.name);
	for (uint32_t i = 0; i < conf->node.address.n; i++) {
		const struct node *at = item_at(list, i);

		check_node_address(c, &addrs[i], at);
		if (seen[addrs[i].addr.fam % 3]++)
			problem_add(c->problems, c->file, at,
				    "node.address: more than one IPv%d address; give one a family",
				    addrs[i].addr.fam == FAM_V4 ? 4 : 6);
	}
	int from = !!*conf->node.address_from.interface +
		   (conf->node.address_from.cidr.addr.fam != FAM_NONE) +
		   (conf->node.address_from.reach.fam != FAM_NONE);

	if (from > 1)
		WRONG(c, "node.addressFrom",
		      "node.addressFrom: set one of interface, cidr and reach, not several");
	if (from && conf->node.address.n)
		WRONG(c, "node.addressFrom",
		      "node.addressFrom: node.address is set too; remove one of them");
}

static void check_listen(struct check *c)
{
	const struct conf_listen *l = c->conf->bgp.listen.v;
	uint32_t n = c->conf->bgp.listen.n;
	const struct node *list = node_at(c->root, "bgp.listen");
	char text[ADDR_STRLEN];

	if (n > MAX_LISTEN)
		WRONG(c, "bgp.listen", "bgp.listen: %u addresses; at most %d are taken", n,
		      MAX_LISTEN);
	for (uint32_t i = 0; i < n; i++) {
		static const struct addr none = { 0 };
		struct addr any = none;
		const struct node *at = item_at(list, i);
		const struct addr *a = &l[i].address;

		any.fam = a->fam;
		addr_format(a, text, sizeof(text));
		/* Loopback is martian as a next hop but fine to listen on. */
		bool loopback = a->fam == FAM_V4 ? a->b[0] == 127
						 : !memcmp(a->b, any.b, 15) && a->b[15] == 1;

		if (addr_is_linklocal(a) || (addr_is_martian(a) && !loopback && !addr_eq(a, &any)))
			problem_add(c->problems, c->file, at,
				    "bgp.listen: %s cannot be listened on; give an address of the "
				    "node, "
				    "0.0.0.0 or \"::\"",
				    text);
		for (uint32_t j = 0; j < i; j++)
			if (addr_eq(a, &l[j].address) && l[i].port == l[j].port)
				problem_add(c->problems, c->file, at,
					    "bgp.listen: %s port %u is there twice; remove one",
					    text, l[i].port);
	}
}

static void check_dynamic(struct check *c)
{
	const struct conf_dynamic *d = c->conf->bgp.dynamic.v;
	const struct node *list = node_at(c->root, "bgp.dynamicNeighbors");

	for (uint32_t i = 0; i < c->conf->bgp.dynamic.n; i++)
		if (*d[i].password_file && *d[i].password_file != '/')
			problem_add(
				c->problems, c->file, item_at(list, i),
				"bgp.dynamicNeighbors[%u].passwordFile: \"%s\" is not an absolute "
				"path; begin it with /",
				i, d[i].password_file);
}

/* ---- BGP ---- */

static void check_asn(struct check *c)
{
	uint32_t asn = c->conf->bgp.asn;

	/* RFC 6793 section 9, RFC 7300. */
	if (asn == 23456 || asn == 65535 || asn == UINT32_MAX)
		WRONG(c, "bgp.asn",
		      "bgp.asn: %u is reserved; use an AS of your own or a private one "
		      "(64512 to 65534, 4200000000 to 4294967294)",
		      asn);
}

static void check_router_id(struct check *c)
{
	const struct addr *id = &c->conf->bgp.router_id;

	if (id->fam == FAM_NONE)
		return;
	if (id->fam != FAM_V4 || addr_to_u32(id) == 0)
		WRONG(c, "bgp.routerID",
		      "bgp.routerID: must be an IPv4 address other than 0.0.0.0, like 10.0.0.1");
}

static void later(void *arg, const char *key, const char *what)
{
	struct check *c = arg;

	warn(c, arena_printf(c->arena, "bgp.defaults.%s: taken, but this version has no %s yet",
			     key, what));
}

static void check_bgp(struct check *c)
{
	struct nodeconf *conf = c->conf;
	const char *wrong;

	check_asn(c);
	check_router_id(c);
	check_listen(c);
	check_dynamic(c);
	conf_bgp_extra_mark(&conf->bgp.defaults, node_get(node_get(c->root, "bgp"), "defaults"));
	wrong = conf_bgp_extra_problem(&conf->bgp.defaults);
	if (wrong)
		WRONG(c, "bgp.defaults", "bgp.defaults: %s", wrong);
	conf_bgp_extra_later(&conf->bgp.defaults, later, c);
	if (was_written(c, "bgp", "bfd"))
		warn(c, "bgp.bfd: taken, but this version has no BFD yet");
	if (conf->bgp.dynamic.n)
		warn(c,
		     "bgp.dynamicNeighbors: taken, but this version has no dynamic neighbours yet");
	if (conf->bgp.require_policy)
		warn(c, "bgp.requirePolicy: taken, but this version has no RFC 8212 refusal yet");
}

static void check_dataplane(struct check *c)
{
	uint32_t mtu = c->conf->dataplane.mtu;

	/* IPv6 needs 1280 on every link (RFC 8200 section 5). */
	if (mtu && mtu < 1280)
		WRONG(c, "dataplane.mtu",
		      "dataplane.mtu: %u is less than IPv6 needs; use auto or a "
		      "number from 1280 to 65535",
		      mtu);
	if (c->conf->dataplane.route_table == 255)
		WRONG(c, "dataplane.routeTable",
		      "dataplane.routeTable: 255 is the kernel's own table; use main or another "
		      "number");
}

/* "127.0.0.1:9091" or "[::1]:9091". */
static bool addr_port_ok(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_STRLEN + 2];
	struct addr a;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	size_t n = (size_t)(colon - text);

	memcpy(host, text, n);
	host[n] = 0;
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = 0;
		if (addr_parse(host + 1, &a) || a.fam != FAM_V6)
			return false;
	} else if (addr_parse(host, &a) || a.fam != FAM_V4) {
		return false;
	}
	char *end;
	unsigned long port = strtoul(colon + 1, &end, 10);

	return colon[1] >= '0' && colon[1] <= '9' && !*end && port > 0 && port < 65536;
}

static void check_metrics(struct check *c)
{
	const char *listen = c->conf->metrics.listen;

	if (!*listen)
		return;
	if (!addr_port_ok(listen))
		WRONG(c, "metrics.listen",
		      "metrics.listen: \"%s\" is not an address with a port, like 127.0.0.1:9091",
		      listen);
}

/* ---- the file ---- */

/* By position where the file has one: descriptors that share an offset are read again at each
 * start of a child. Returns the length, or -1. */
static ssize_t read_all(int fd, char **out, struct err *err)
{
	char *buf = xmalloc(FILE_MAX + 1);
	size_t len = 0;
	bool seekable = true;

	for (;;) {
		ssize_t n = seekable ? pread(fd, buf + len, FILE_MAX + 1 - len, (off_t)len)
				     : read(fd, buf + len, FILE_MAX + 1 - len);

		if (n < 0 && errno == ESPIPE && seekable) {
			seekable = false;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(err, errno, "cannot be read");
			break;
		}
		if (!n) {
			*out = buf;
			return (ssize_t)len;
		}
		len += (size_t)n;
		if (len > FILE_MAX) {
			err_set(err, "is longer than 1 MiB; this is no node.yaml");
			break;
		}
	}
	free(buf);
	return -1;
}

static struct nodeconf *read_conf(const struct node *root, const char *file, struct arena arena,
				  struct problems *problems)
{
	struct nodeconf *conf = xcalloc(1, sizeof(*conf));
	unsigned before = problems->n;
	struct check c = { conf, root, file, &arena, problems };

	if (!schema_read(root, nodeconf_fields, conf, sizeof(*conf), file, "", &arena, problems)) {
		check_node(&c);
		check_datastore(&c);
		check_state(&c);
		check_bgp(&c);
		check_dataplane(&c);
		check_metrics(&c);
	}
	conf->file = arena_strdup(&arena, file);
	conf->arena = arena;
	if (problems->n == before)
		return conf;
	nodeconf_free(conf);
	return NULL;
}

struct nodeconf *nodeconf_parse(const char *text, size_t len, const char *file,
				struct problems *problems)
{
	static const struct node empty = { .kind = NODE_MAP, .line = 1, .col = 1 };
	struct arena arena = { 0 };
	struct doc *docs;
	struct err err;

	if (yaml_parse(text, len, file, &arena, &docs, &err)) {
		problem_line(problems, err.text);
		arena_free(&arena);
		return NULL;
	}
	if (docs && docs->next) {
		problem_add(problems, file, docs->next->root,
			    "a second document begins; node.yaml is one document (remove the ---)");
		arena_free(&arena);
		return NULL;
	}
	return read_conf(docs ? docs->root : &empty, file, arena, problems);
}

struct nodeconf *nodeconf_load_fd(int fd, const char *file, struct problems *problems)
{
	struct err err;
	char *text;
	ssize_t len = read_all(fd, &text, &err);

	if (len < 0) {
		problem_add(problems, file, NULL, "%s", err.text);
		return NULL;
	}
	struct nodeconf *conf = nodeconf_parse(text, (size_t)len, file, problems);

	free(text);
	return conf;
}

struct nodeconf *nodeconf_load(const char *file, struct problems *problems)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		problem_add(problems, file, NULL, "cannot be opened: %s%s", strerror(errno),
			    errno == ENOENT ? "; name the file with -c FILE" : "");
		return NULL;
	}
	struct nodeconf *conf = nodeconf_load_fd(fd, file, problems);

	close(fd);
	return conf;
}

void nodeconf_free(struct nodeconf *conf)
{
	if (!conf)
		return;
	arena_free(&conf->arena);
	free(conf);
}
