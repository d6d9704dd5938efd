/* Opens the Kubernetes store against an API server for test_store.py, prints a line of JSON for
 * each thing that happens, and does what the lines of its standard input say.
 *
 *   store_probe server=URL ... ca=FILE (token=TEXT | cert=FILE key=FILE) node=NAME [secrets=NS]
 *               [say-pods]
 *
 * Commands, answered with {"cmd": ...}: status · list KIND · pod NS NAME · pods · memory ·
 * get|delete KIND NAME [UID [VERSION]] · create|update KIND JSON · objects|names KIND [SELECTOR] ·
 * patch NS NAME KEY VALUE · patchnode NAME KEY VALUE · getpod NS NAME · token TEXT · quit
 */
#include "config.h"

#include <ev.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/kubeconfig.h"
#include "lib/log.h"
#include "store/ipam_api.h"
#include "store/ipamobj_json.h"
#include "store/store_impl.h"

static struct {
	struct ev_loop *loop;
	struct store *store;
	struct kube_access access;
	const char *servers[KUBE_MAX_SERVERS];
	bool say_pods;
	double turn, longest; /* ms */
	double turn_cpu, longest_cpu;
	struct timespec began;
	unsigned changes;
	uint64_t added, changed, removed;
	char line[1 << 20];
	size_t len;
} probe;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

/* Without what other processes took of the machine. */
static double cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1000 + (double)ts.tv_nsec / 1e6;
}

/* ---- saying ---- */

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

static void add_number(struct json_object *o, const char *key, double v)
{
	json_object_object_add(o, key, json_object_new_double(v));
}

static void add_int(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

static struct json_object *line(const char *key, const char *what)
{
	struct json_object *o = json_object_new_object();

	add_text(o, key, what);
	return o;
}

static void say(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(o);
}

static struct json_object *kvs(const struct field_kvs *v)
{
	struct json_object *o = json_object_new_object();

	for (uint32_t i = 0; i < v->n; i++)
		add_text(o, v->v[i].key, v->v[i].value);
	return o;
}

static struct json_object *pod_json(const struct pod *p)
{
	struct json_object *o = json_object_new_object(), *labels, *list, *notes;
	char text[ADDR_STRLEN];

	add_text(o, "namespace", p->namespace_);
	add_text(o, "name", p->name);
	add_text(o, "node", p->node);
	add_text(o, "serviceAccount", p->service_account);
	add_int(o, "phase", p->phase);
	add_int(o, "uid", p->uid);
	add_bool(o, "terminating", p->terminating);
	add_bool(o, "hostNetwork", p->host_network);
	labels = json_object_new_object();
	for (unsigned i = 0; i < p->labels->n; i++)
		add_text(labels, p->labels->v[i].key, p->labels->v[i].value);
	json_object_object_add(o, "labels", labels);
	list = json_object_new_array();
	for (unsigned i = 0; i < p->naddrs; i++) {
		struct addr a = pod_addr(p, i);

		json_object_array_add(list,
				      json_object_new_string(addr_format(&a, text, sizeof(text))));
	}
	json_object_object_add(o, "addresses", list);
	notes = json_object_new_object();
	for (unsigned i = 0; p->notes && i < p->notes->n; i++)
		add_text(notes, p->notes->v[i].key, p->notes->v[i].value);
	json_object_object_add(o, "notes", notes);
	list = json_object_new_object();
	for (unsigned i = 0; i < p->ports->n; i++)
		add_int(list, p->ports->v[i].name, p->ports->v[i].port);
	json_object_object_add(o, "ports", list);
	return o;
}

/* ---- what the store tells ---- */

static void on_change(void *arg)
{
	struct json_object *o = line("event", "change");
	struct store_status st;

	(void)arg;
	store_status(probe.store, &st);
	add_int(o, "n", ++probe.changes);
	add_bool(o, "synced", st.synced);
	add_bool(o, "podsSynced", store_pods_synced(probe.store));
	add_number(o, "ms",
		   now() - ((double)probe.began.tv_sec * 1000 + (double)probe.began.tv_nsec / 1e6));
	say(o);
}

static void on_unauthorized(void *arg)
{
	(void)arg;
	say(line("event", "unauthorized"));
}

static void on_pod(void *arg, const struct pod *was, const struct pod *is)
{
	struct json_object *o;

	(void)arg;
	if (!was)
		probe.added++;
	else if (!is)
		probe.removed++;
	else
		probe.changed++;
	if (!probe.say_pods)
		return;
	o = line("event", "pod");
	json_object_object_add(o, "was", was ? pod_json(was) : NULL);
	json_object_object_add(o, "is", is ? pod_json(is) : NULL);
	say(o);
}

/* ---- commands ---- */

static void do_status(void)
{
	struct json_object *o = line("cmd", "status"), *list = json_object_new_array();
	struct json_object *kinds = json_object_new_object();
	struct store_status st;

	store_status(probe.store, &st);
	add_text(o, "kind", st.kind);
	add_bool(o, "synced", st.synced);
	add_int(o, "lastContact", st.last_contact);
	for (unsigned i = 0; i < st.nerrors; i++)
		json_object_array_add(list, json_object_new_string(st.errors[i]));
	json_object_object_add(o, "errors", list);
	for (unsigned k = 0; k < KIND_COUNT; k++)
		add_bool(kinds, kind_name((enum kind)k),
			 store_kind_synced(probe.store, (enum kind)k));
	json_object_object_add(o, "kinds", kinds);
	add_bool(o, "podsSynced", store_pods_synced(probe.store));
	say(o);
}

static struct json_object *object_json(const struct object *x)
{
	struct json_object *o = json_object_new_object(), *spec = json_object_new_object();
	char text[PREFIX_STRLEN];

	add_text(o, "kind", x->kind_text);
	add_text(o, "group", x->group);
	add_text(o, "namespace", x->namespace_);
	add_text(o, "name", x->name);
	add_text(o, "origin", x->origin);
	json_object_object_add(o, "labels", kvs(&x->labels));
	json_object_object_add(o, "annotations", kvs(&x->annotations));
	if (x->kind == KIND_IPPOOL) {
		const struct spec_ippool *p = x->spec;

		add_text(spec, "cidr", prefix_format(&p->cidr, text, sizeof(text)));
		add_int(spec, "blockSize", p->block_size);
	} else if (x->kind == KIND_BLOCKAFFINITY) {
		const struct spec_blockaffinity *b = x->spec;

		add_text(spec, "node", b->node);
		add_text(spec, "cidr", prefix_format(&b->cidr, text, sizeof(text)));
	} else if (x->kind == KIND_NODE) {
		const struct spec_node *n = x->spec;

		add_text(spec, "ipv4Address", n->ipv4_address);
		add_int(spec, "asn", n->asn);
	} else if (x->kind == KIND_BGPPEER) {
		add_int(spec, "asn", ((const struct spec_bgppeer *)x->spec)->asn);
	} else if (x->kind == KIND_SECRET) {
		add_int(spec, "items", ((const struct spec_secret *)x->spec)->items.n);
	}
	json_object_object_add(o, "spec", spec);
	return o;
}

static void do_list(const char *kind)
{
	struct json_object *o = line("cmd", "list"), *list = json_object_new_array();
	unsigned k = 0, n = 0;

	while (k < KIND_COUNT && strcmp(kind_name((enum kind)k), kind) != 0)
		k++;
	const struct object *const *v = store_list(probe.store, (enum kind)k, &n);

	for (unsigned i = 0; i < n; i++)
		json_object_array_add(list, object_json(v[i]));
	json_object_object_add(o, "objects", list);
	say(o);
}

static void count_pod(void *arg, const struct pod *p)
{
	(void)p;
	++*(unsigned *)arg;
}

static void do_pods(void)
{
	struct json_object *o = line("cmd", "pods");
	unsigned n = 0;

	store_pods_each(probe.store, count_pod, &n);
	add_int(o, "count", n);
	add_int(o, "bytes", pods_bytes(probe.store->maker->pods(probe.store)));
	add_bool(o, "synced", store_pods_synced(probe.store));
	add_int(o, "added", probe.added);
	add_int(o, "changed", probe.changed);
	add_int(o, "removed", probe.removed);
	say(o);
}

static void do_memory(void)
{
	struct json_object *o = line("cmd", "memory");
	struct mallinfo2 m = mallinfo2();
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long size = 0, rss = 0;

	if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
		rss = 0;
	if (f)
		fclose(f);
	add_int(o, "rss", rss * (unsigned long)sysconf(_SC_PAGESIZE));
	add_int(o, "heap", m.uordblks + m.hblkhd);
	add_number(o, "longestTurnMs", probe.longest);
	add_number(o, "longestTurnCpuMs", probe.longest_cpu);
	probe.longest = probe.longest_cpu = 0;
	say(o);
}

static const char *result_name(enum ipamobj_result r)
{
	static const char *const words[] = { "OK",	"EXISTS", "CONFLICT", "NOT_FOUND",
					     "UNKNOWN", "AWAY",	  "BUSY",     "REFUSED" };

	return words[r];
}

static struct json_object *ipam_json(enum ipamobj_kind kind, const void *x, bool names)
{
	const struct ipamobj_meta *m = x;
	struct json_object *o = json_object_new_object();

	add_text(o, "name", m->name);
	add_text(o, "uid", m->uid);
	add_text(o, "version", m->resource_version);
	if (names)
		return o;
	if (kind == IPAMOBJ_BLOCK) {
		const struct ipamobj_block *b = x;

		add_text(o, "affinity", b->affinity);
		add_int(o, "size", b->size);
		add_int(o, "free", b->nunallocated);
		add_int(o, "sequence", b->sequence);
		add_bool(o, "deleted", b->deleted);
	} else if (kind == IPAMOBJ_AFFINITY) {
		const struct ipamobj_affinity *a = x;

		add_text(o, "node", a->node);
		add_int(o, "state", (uint64_t)a->state);
		add_bool(o, "deleted", a->deleted);
	}
	return o;
}

struct asked {
	enum ipamobj_kind kind;
	bool names;
	char what[16];
};

static void on_reply(void *arg, const struct ipamobj_reply *r)
{
	struct asked *asked = arg;
	struct json_object *o = line("cmd", asked->what), *list = json_object_new_array();

	add_text(o, "result", result_name(r->result));
	add_text(o, "why", r->why);
	add_int(o, "retryAfter", r->retry_after);
	for (uint32_t i = 0; i < r->n; i++)
		json_object_array_add(list, ipam_json(asked->kind, r->objects[i], asked->names));
	json_object_object_add(o, "objects", list);
	say(o);
	free(asked);
}

static void do_ipam(char *verb, char *rest)
{
	static const char *const verbs[] = {
		"get", "objects", "names", "create", "update", "delete"
	};
	static const char *const kinds[] = { "block", "affinity", "handle" };
	struct ipamobj_request req = { 0 };
	struct asked *asked = xcalloc(1, sizeof(*asked));
	struct arena arena = { 0 };
	char *kind = strsep(&rest, " ");
	struct err err;

	snprintf(asked->what, sizeof(asked->what), "%s", verb);
	while (strcmp(verbs[req.verb], verb) != 0)
		req.verb++;
	while (req.kind < IPAMOBJ_HANDLE && strcmp(kinds[req.kind], kind) != 0)
		req.kind++;
	asked->kind = req.kind;
	asked->names = req.verb == IPAMOBJ_NAMES;
	rest = rest ? rest : kind + strlen(kind);
	if (req.verb == IPAMOBJ_CREATE || req.verb == IPAMOBJ_UPDATE) {
		req.object = ipamobj_decode(req.kind, rest, strlen(rest), &arena, &err);
		if (!req.object) {
			struct json_object *o = line("cmd", verb);

			add_text(o, "result", "NONE");
			add_text(o, "why", err.text);
			say(o);
			free(asked);
			arena_free(&arena);
			return;
		}
	} else if (req.verb == IPAMOBJ_LIST || req.verb == IPAMOBJ_NAMES) {
		req.label_selector = rest;
	} else {
		req.name = strsep(&rest, " ");
		req.uid = rest ? strsep(&rest, " ") : "";
		req.resource_version = rest ? rest : "";
	}
	store_ipam_request(probe.store, &req, on_reply, asked);
	arena_free(&arena);
}

static char patch_word[] = "patch", patchnode_word[] = "patchnode";

static void on_patched(void *arg, enum ipamobj_result result, const char *why)
{
	struct json_object *o = line("cmd", arg);

	add_text(o, "result", result_name(result));
	add_text(o, "why", why);
	say(o);
}

static void on_one_pod(void *arg, enum ipamobj_result result, const struct pod *p, const char *why)
{
	struct json_object *o = line("cmd", "getpod");

	(void)arg;
	add_text(o, "result", result_name(result));
	add_text(o, "why", why);
	json_object_object_add(o, "pod", p ? pod_json(p) : NULL);
	say(o);
}

static void do_token(const char *text)
{
	struct json_object *o = line("cmd", "token");
	struct err err = { .text = "" };

	probe.access.token = xstrdup(text);
	if (store_kube_access(probe.store, &probe.access, &err))
		add_text(o, "error", err.text);
	say(o);
}

static void obey(char *text)
{
	char *verb = strsep(&text, " "), *a, *b, *key;

	text = text ? text : verb + strlen(verb);
	if (!strcmp(verb, "status")) {
		do_status();
	} else if (!strcmp(verb, "list")) {
		do_list(text);
	} else if (!strcmp(verb, "pods")) {
		do_pods();
	} else if (!strcmp(verb, "memory")) {
		do_memory();
	} else if (!strcmp(verb, "token")) {
		do_token(text);
	} else if (!strcmp(verb, "quit")) {
		ev_break(probe.loop, EVBREAK_ALL);
	} else if (!strcmp(verb, "pod") || !strcmp(verb, "getpod")) {
		struct json_object *o;

		a = strsep(&text, " ");
		b = text ? text : a;
		if (*verb == 'g') {
			store_get_pod(probe.store, a, b, on_one_pod, NULL);
			return;
		}
		o = line("cmd", "pod");
		const struct pod *p = store_pod_find(probe.store, a, b);

		json_object_object_add(o, "pod", p ? pod_json(p) : NULL);
		say(o);
	} else if (!strncmp(verb, "patch", 5)) {
		bool node = !strcmp(verb, "patchnode");

		a = node ? NULL : strsep(&text, " ");
		b = strsep(&text, " ");
		key = strsep(&text, " ");
		const struct store_annotation note = { key, text };

		store_patch(probe.store, node ? STORE_PATCH_NODE : STORE_PATCH_POD_STATUS, a, b, "",
			    &note, 1, on_patched, node ? patchnode_word : patch_word);
	} else {
		do_ipam(verb, text);
	}
}

static void on_input(struct ev_loop *loop, ev_io *io, int events)
{
	ssize_t n = read(0, probe.line + probe.len, sizeof(probe.line) - 1 - probe.len);
	char *nl;

	(void)events;
	if (n <= 0) {
		ev_io_stop(loop, io);
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	probe.len += (size_t)n;
	while ((nl = memchr(probe.line, '\n', probe.len)) != NULL) {
		char *text = xstrdup("");
		size_t len = (size_t)(nl - probe.line);

		text = xrealloc(text, len + 1);
		memcpy(text, probe.line, len);
		text[len] = 0;
		probe.len -= len + 1;
		memmove(probe.line, nl + 1, probe.len);
		if (len)
			obey(text);
		free(text);
	}
}

/* ---- the loop's turns ---- */

static void on_check(struct ev_loop *loop, ev_check *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	probe.turn = now();
	probe.turn_cpu = cpu();
}

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	double took = now() - probe.turn, took_cpu = cpu() - probe.turn_cpu;

	(void)loop;
	(void)w;
	(void)events;
	if (probe.turn > 0 && took > probe.longest)
		probe.longest = took;
	if (probe.turn > 0 && took_cpu > probe.longest_cpu)
		probe.longest_cpu = took_cpu;
}

/* ---- arguments ---- */

static const char *slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = xcalloc(1, 65536);

	if (fd < 0 || read(fd, text, 65535) < 0) {
		fprintf(stderr, "%s cannot be read\n", path);
		exit(2);
	}
	close(fd);
	return text;
}

static void argument(char *text, struct store_kube_conf *conf)
{
	char *value = strchr(text, '=');

	if (!strcmp(text, "say-pods")) {
		probe.say_pods = true;
		return;
	}
	if (!value) {
		fprintf(stderr, "usage: store_probe server=URL ca=FILE token=TEXT node=NAME\n");
		exit(2);
	}
	*value++ = 0;
	if (!strcmp(text, "server"))
		probe.servers[probe.access.nservers++] = value;
	else if (!strcmp(text, "ca"))
		probe.access.ca_pem = slurp(value);
	else if (!strcmp(text, "cert"))
		probe.access.cert_pem = slurp(value);
	else if (!strcmp(text, "key"))
		probe.access.key_pem = slurp(value);
	else if (!strcmp(text, "token"))
		probe.access.token = value;
	else if (!strcmp(text, "node"))
		conf->node = value;
	else if (!strcmp(text, "secrets"))
		conf->secrets_namespace = value;
}

int main(int argc, char **argv)
{
	static const struct store_ops ops = { on_change, on_unauthorized, on_pod };
	struct store_kube_conf conf = { .node = "n1" };
	ev_io input;
	ev_check check;
	ev_prepare prepare;
	struct err err;

	log_init("probe", LOG_INFO);
	probe.access = (struct kube_access){
		.servers = probe.servers,
		.ca_pem = "",
		.cert_pem = "",
		.key_pem = "",
		.token = "",
		.tls_server_name = "",
		.proxy = "",
		.namespace_ = "",
		.context = "",
		.user = "",
	};
	for (int i = 1; i < argc; i++)
		argument(argv[i], &conf);
	conf.access = &probe.access;
	probe.loop = ev_default_loop(0);
	clock_gettime(CLOCK_MONOTONIC, &probe.began);
	probe.store = store_kube_open(probe.loop, &conf, &ops, NULL, &err);
	if (!probe.store) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	ev_io_init(&input, on_input, 0, EV_READ);
	ev_io_start(probe.loop, &input);
	ev_check_init(&check, on_check);
	ev_set_priority(&check, EV_MAXPRI);
	ev_check_start(probe.loop, &check);
	ev_prepare_init(&prepare, on_prepare);
	ev_prepare_start(probe.loop, &prepare);
	ev_run(probe.loop, 0);
	store_close(probe.store);
	ev_loop_destroy(probe.loop);
	return 0;
}
