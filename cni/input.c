#include "config.h"

#include "cni/input.h"

#include <ctype.h>
#include <json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SUPPORTED "this plugin speaks 0.3.1, 0.4.0 and 1.0.0"

enum {
	JSON_DEPTH = 32,
	IFNAME_MAX = 15,
	ID_MAX = 255,
	MTU_MIN = 1280,
	MTU_MAX = 65535,
	POOLS_MAX = 32
};

const char *const cni_versions[CNI_NVERSIONS] = {
	[CNI_0_3_1] = "0.3.1",
	[CNI_0_4_0] = "0.4.0",
	[CNI_1_0_0] = "1.0.0",
};

/* ---- the environment ---- */

static int find_command(struct cni_request *r, const char *text, struct cni_error *e)
{
	static const char *const words[] = {
		[CNI_ADD] = "ADD",
		[CNI_DEL] = "DEL",
		[CNI_CHECK] = "CHECK",
		[CNI_VERSION] = "VERSION",
	};
	for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i])) {
			r->command = (enum cni_command)i;
			return 0;
		}
	}
	if (!text || !*text)
		return cni_fail(e, CNI_E_ENV,
				"CNI_COMMAND is missing from the environment; a container runtime "
				"calls this program");
	return cni_fail(e, CNI_E_ENV,
			"CNI_COMMAND is \"%.32s\"; this plugin serves ADD, DEL, CHECK and VERSION",
			text);
}

/* All that is missing, in one message. */
static int check_present(const struct cni_request *r, const struct cni_env *env,
			 struct cni_error *e)
{
	const struct {
		const char *name, *value;
		bool needed;
	} vars[] = {
		{ "CNI_CONTAINERID", env->container_id, true },
		{ "CNI_NETNS", env->netns, r->command != CNI_DEL },
		{ "CNI_IFNAME", env->ifname, true },
	};
	char missing[128] = "";
	size_t at = 0;
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(vars) / sizeof(vars[0]); i++) {
		if (!vars[i].needed || (vars[i].value && *vars[i].value))
			continue;
		at += (size_t)snprintf(missing + at, sizeof(missing) - at, "%s%s", n++ ? ", " : "",
				       vars[i].name);
	}
	if (!n)
		return 0;
	return cni_fail(e, CNI_E_ENV, "%s %s missing from the environment; %s needs %s", missing,
			n == 1 ? "is" : "are", env->command, n == 1 ? "it" : "them");
}

/* ^[A-Za-z0-9][A-Za-z0-9_.-]*$ */
static bool is_id(const char *s)
{
	if (!isalnum((unsigned char)*s) || strlen(s) > ID_MAX)
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s))
			return false;
	}
	return true;
}

static bool is_ifname(const char *s)
{
	if (!*s || strlen(s) > IFNAME_MAX || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++) {
		if (*s == '/' || *s == ':' || isspace((unsigned char)*s) ||
		    !isprint((unsigned char)*s))
			return false;
	}
	return true;
}

static int check_env(struct cni_request *r, const struct cni_env *env, struct cni_error *e)
{
	if (check_present(r, env, e))
		return -1;
	if (!is_id(env->container_id))
		return cni_fail(e, CNI_E_ENV,
				"CNI_CONTAINERID \"%.64s\" is no id: letters and digits, then also "
				"'_', '.' and '-', at most 255",
				env->container_id);
	if (!is_ifname(env->ifname))
		return cni_fail(e, CNI_E_ENV,
				"CNI_IFNAME \"%.64s\" is no interface name: at most 15 characters, "
				"no '/', ':' or space",
				env->ifname);
	r->add.container_id = arena_strdup(&r->arena, env->container_id);
	r->add.ifname = arena_strdup(&r->arena, env->ifname);
	r->add.netns = arena_strdup(&r->arena, env->netns ? env->netns : "");
	return 0;
}

/* ---- standard input ---- */

static int parse_json(struct cni_request *r, const char *text, size_t len, struct cni_error *e)
{
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (!len)
		return cni_fail(e, CNI_E_DECODE, "no network configuration on standard input");
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
	if (!tok)
		return cni_fail(e, CNI_E_IO, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	r->conf = json_tokener_parse_ex(tok, text, (int)len);
	enum json_tokener_error bad = json_tokener_get_error(tok);
	size_t end = json_tokener_get_parse_end(tok);
	json_tokener_free(tok);
	if (bad == json_tokener_continue)
		return cni_fail(e, CNI_E_DECODE,
				"the configuration is no JSON object, or ends in the middle");
	if (bad != json_tokener_success || end != len)
		return cni_fail(e, CNI_E_DECODE, "the configuration is no JSON: %s at byte %zu",
				bad == json_tokener_success ? "more text follows"
							    : json_tokener_error_desc(bad),
				end);
	if (!json_object_is_type(r->conf, json_type_object))
		return cni_fail(e, CNI_E_DECODE, "the configuration is no JSON object");
	return 0;
}

/* The value as text; NULL where it is none, or has a zero byte within. */
static const char *text_of(struct json_object *o)
{
	if (!json_object_is_type(o, json_type_string))
		return NULL;
	const char *s = json_object_get_string(o);
	return strlen(s) == (size_t)json_object_get_string_len(o) ? s : NULL;
}

/* *out stays as it is when the key is absent or null. */
static int get_text(struct json_object *map, const char *key, const char *path, const char **out,
		    struct cni_error *e)
{
	struct json_object *o = NULL;
	if (!json_object_object_get_ex(map, key, &o) || !o)
		return 0;
	const char *s = text_of(o);
	if (!s)
		return cni_fail(e, CNI_E_CONFIG, "%s: expected a text", path);
	*out = s;
	return 0;
}

/* 0 with *out NULL: absent or null. */
static int get_typed(struct json_object *map, const char *key, const char *path, json_type type,
		     struct json_object **out, struct cni_error *e)
{
	*out = NULL;
	if (!map || !json_object_object_get_ex(map, key, out) || !*out)
		return 0;
	if (json_object_is_type(*out, type))
		return 0;
	return cni_fail(e, CNI_E_CONFIG, "%s: expected %s", path,
			type == json_type_object  ? "an object"
			: type == json_type_array ? "a list"
						  : "a whole number");
}

static int find_version(struct cni_request *r, struct cni_error *e)
{
	if (get_text(r->conf, "cniVersion", "cniVersion", &r->asked, e))
		return -1;
	for (int i = 0; r->asked && i < CNI_NVERSIONS; i++) {
		if (!strcmp(r->asked, cni_versions[i])) {
			r->version = (enum cni_version)i;
			return 0;
		}
	}
	if (!r->asked)
		return cni_fail(e, CNI_E_VERSION, "cniVersion is missing; " SUPPORTED);
	return cni_fail(e, CNI_E_VERSION, "cniVersion %.32s is not supported; " SUPPORTED,
			r->asked);
}

static int read_mtu(struct cni_request *r, struct cni_error *e)
{
	struct json_object *o;
	if (get_typed(r->conf, "mtu", "mtu", json_type_int, &o, e))
		return -1;
	int64_t mtu = o ? json_object_get_int64(o) : 0;
	if (mtu && (mtu < MTU_MIN || mtu > MTU_MAX))
		return cni_fail(e, CNI_E_CONFIG, "mtu: %lld; expected 0 (the node's) or %d to %d",
				(long long)mtu, MTU_MIN, MTU_MAX);
	r->add.mtu = (uint32_t)mtu;
	return 0;
}

/* What every command needs: a DEL must go through whatever else the configuration has become
 * since the ADD. */
static int read_base(struct cni_request *r, struct cni_error *e)
{
	const char *name = NULL, *type = NULL;

	r->run = "/run/selvage";
	if (get_text(r->conf, "name", "name", &name, e) ||
	    get_text(r->conf, "type", "type", &type, e) ||
	    get_text(r->conf, "run", "run", &r->run, e))
		return -1;
	if (!name || !is_id(name))
		return cni_fail(
			e, CNI_E_CONFIG,
			"name: %s; expected a network name of letters, digits, '_', '.', '-'",
			name ? "malformed" : "missing");
	if (!type || !*type)
		return cni_fail(e, CNI_E_CONFIG, "type: missing; expected \"selvage\"");
	if (r->run[0] != '/')
		return cni_fail(e, CNI_E_CONFIG,
				"run: expected an absolute path, node.yaml's state.run");
	r->add.network = name;
	return 0;
}

/* What felix may give addresses from, as a Calico conflist says it. */
static int read_pools(struct cni_request *r, struct json_object *ipam, const char *key,
		      msg_text_list *out, struct cni_error *e)
{
	char path[32];
	struct json_object *list;

	snprintf(path, sizeof(path), "ipam.%s", key);
	if (get_typed(ipam, key, path, json_type_array, &list, e))
		return -1;
	size_t n = list ? json_object_array_length(list) : 0;
	if (n > POOLS_MAX)
		return cni_fail(e, CNI_E_CONFIG, "%s: %zu pools; expected at most %d", path, n,
				POOLS_MAX);
	out->v = arena_array(&r->arena, n + 1, sizeof(*out->v));
	for (size_t i = 0; i < n; i++) {
		const char *s = text_of(json_object_array_get_idx(list, i));
		if (!s || !*s)
			return cni_fail(e, CNI_E_CONFIG,
					"%s: expected a list of pools' names or CIDRs", path);
		out->v[out->n++].text = arena_strdup(&r->arena, s);
	}
	return 0;
}

/* 1, 0, -1 an error; def where it is absent. Calico's own files have "true" in quotes. */
static int read_switch(struct json_object *ipam, const char *key, int def, struct cni_error *e)
{
	struct json_object *o = NULL;

	if (!json_object_object_get_ex(ipam, key, &o) || !o)
		return def;
	if (json_object_is_type(o, json_type_boolean))
		return json_object_get_boolean(o);
	const char *s = text_of(o);
	if (s && (!strcmp(s, "true") || !strcmp(s, "false")))
		return !strcmp(s, "true");
	return cni_fail(e, CNI_E_CONFIG, "ipam.%s: expected true or false", key);
}

/* Neither key: each family that has pools. One key: the other is as Calico's default, which is IPv4
 * alone. */
static int read_families(struct cni_request *r, struct json_object *ipam, struct cni_error *e)
{
	if (!json_object_object_get_ex(ipam, "assign_ipv4", NULL) &&
	    !json_object_object_get_ex(ipam, "assign_ipv6", NULL))
		return 0;
	int v4 = read_switch(ipam, "assign_ipv4", 1, e), v6 = -1;
	if (v4 >= 0)
		v6 = read_switch(ipam, "assign_ipv6", 0, e);
	if (v6 < 0)
		return -1;
	if (!v4 && !v6)
		return cni_fail(e, CNI_E_CONFIG,
				"ipam.assign_ipv4, ipam.assign_ipv6: both are false; a pod needs "
				"an address");
	r->add.families = (uint8_t)((v4 ? 1u << FAM_V4 : 0) | (v6 ? 1u << FAM_V6 : 0));
	return 0;
}

static int read_own(struct cni_request *r, struct cni_error *e)
{
	const char *ipam_type = NULL;
	struct json_object *ipam;

	if (read_mtu(r, e) || get_typed(r->conf, "ipam", "ipam", json_type_object, &ipam, e) ||
	    get_typed(r->conf, "dns", "dns", json_type_object, &r->dns, e) ||
	    (ipam && get_text(ipam, "type", "ipam.type", &ipam_type, e)))
		return -1;
	if (ipam_type && *ipam_type && strcmp(ipam_type, "selvage-ipam"))
		return cni_fail(
			e, CNI_E_CONFIG,
			"ipam.type: \"%.64s\"; this plugin takes addresses from Selvage's own "
			"IPAM: write \"selvage-ipam\" or leave ipam out",
			ipam_type);
	if (!ipam)
		return 0;
	return read_pools(r, ipam, "ipv4_pools", &r->add.ipv4_pools, e) ||
			       read_pools(r, ipam, "ipv6_pools", &r->add.ipv6_pools, e) ||
			       read_families(r, ipam, e)
		       ? -1
		       : 0;
}

static int read_ips(struct cni_request *r, struct json_object *list, const char *where,
		    struct cni_error *e)
{
	if (!list || !json_object_array_length(list))
		return 0;
	/* What stands here is nearer to the pod than what was read before. */
	r->add.ips.n = 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *s = text_of(json_object_array_get_idx(list, i));
		if (!s)
			return cni_fail(e, CNI_E_CONFIG, "%s: expected a list of texts", where);
		if (cni_add_ip(r, s, CNI_E_CONFIG, where, e))
			return -1;
	}
	return 0;
}

static int read_labels(struct cni_request *r, struct json_object *list, struct cni_error *e)
{
	size_t n = list ? json_object_array_length(list) : 0;
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		const char *key = NULL, *value = "";
		if (!json_object_is_type(item, json_type_object))
			return cni_fail(e, CNI_E_CONFIG,
					"args.cni.labels: expected a list of {key, value}");
		if (get_text(item, "key", "args.cni.labels.key", &key, e) ||
		    get_text(item, "value", "args.cni.labels.value", &value, e))
			return -1;
		if (!key || !*key)
			return cni_fail(e, CNI_E_CONFIG, "args.cni.labels: an item without a key");
		cni_add_kv(r, &r->add.labels, key, value);
	}
	return 0;
}

static int read_args(struct cni_request *r, struct cni_error *e)
{
	struct json_object *args, *cni, *labels, *ips;
	if (get_typed(r->conf, "args", "args", json_type_object, &args, e) ||
	    get_typed(args, "cni", "args.cni", json_type_object, &cni, e) ||
	    get_typed(cni, "labels", "args.cni.labels", json_type_array, &labels, e) ||
	    get_typed(cni, "ips", "args.cni.ips", json_type_array, &ips, e))
		return -1;
	return read_labels(r, labels, e) || read_ips(r, ips, "args.cni.ips", e) ? -1 : 0;
}

/* Annotations can be larger than a message, and nearly all are other programs': felix is given
 * those that a node's network may act on. */
static bool is_ours_to_read(const char *key)
{
	static const char *const prefixes[] = { "selvage.io/", "cni.projectcalico.org/",
						"projectcalico.org/",
						"kubernetes.io/ingress-bandwidth",
						"kubernetes.io/egress-bandwidth" };
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!strncmp(key, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

static int read_runtime(struct cni_request *r, struct cni_error *e)
{
	static const char notes_key[] = "io.kubernetes.cri.pod-annotations";
	struct json_object *rc, *ips, *notes;
	const char *mac = NULL;

	if (get_typed(r->conf, "runtimeConfig", "runtimeConfig", json_type_object, &rc, e) ||
	    get_typed(rc, "ips", "runtimeConfig.ips", json_type_array, &ips, e) ||
	    get_typed(rc, notes_key, notes_key, json_type_object, &notes, e) ||
	    (rc && get_text(rc, "mac", "runtimeConfig.mac", &mac, e)) ||
	    read_ips(r, ips, "runtimeConfig.ips", e))
		return -1;
	if (mac && *mac && cni_set_mac(r, mac, CNI_E_CONFIG, "runtimeConfig.mac", e))
		return -1;
	if (!notes)
		return 0;
	json_object_object_foreach(notes, key, value)
	{
		const char *s = text_of(value);
		if (!s)
			return cni_fail(e, CNI_E_CONFIG, "%s: expected texts", notes_key);
		if (is_ours_to_read(key))
			cni_add_kv(r, &r->add.annotations, key, s);
	}
	return 0;
}

/* ---- CHECK's prevResult ---- */

/* Does this ips entry belong to the pod's interface? Plugins behind us may add entries of their
 * own; one that names no interface is taken for ours. */
static bool is_ours(const struct cni_request *r, struct json_object *ip,
		    struct json_object *interfaces)
{
	struct json_object *o = NULL, *name = NULL, *box = NULL;
	if (!json_object_object_get_ex(ip, "interface", &o) || !o)
		return true;
	int64_t i = json_object_get_int64(o);
	if (!interfaces || i < 0 || (size_t)i >= json_object_array_length(interfaces))
		return false;
	struct json_object *iface = json_object_array_get_idx(interfaces, (size_t)i);
	if (!json_object_is_type(iface, json_type_object))
		return false;
	json_object_object_get_ex(iface, "name", &name);
	json_object_object_get_ex(iface, "sandbox", &box);
	const char *n = name ? text_of(name) : NULL, *b = box ? text_of(box) : NULL;
	return n && b && *b && !strcmp(n, r->add.ifname);
}

static int read_prev(struct cni_request *r, struct json_object *prev, struct cni_error *e)
{
	struct json_object *ips, *interfaces;
	if (get_typed(prev, "ips", "prevResult.ips", json_type_array, &ips, e) ||
	    get_typed(prev, "interfaces", "prevResult.interfaces", json_type_array, &interfaces, e))
		return -1;
	size_t n = ips ? json_object_array_length(ips) : 0;
	r->add.expect.v = arena_array(&r->arena, n ? n : 1, sizeof(struct prefix));
	for (size_t i = 0; i < n; i++) {
		struct json_object *ip = json_object_array_get_idx(ips, i);
		const char *address = NULL;
		struct prefix p;
		if (!json_object_is_type(ip, json_type_object) ||
		    get_text(ip, "address", "prevResult.ips.address", &address, e) || !address ||
		    prefix_parse(address, &p))
			return cni_fail(e, CNI_E_CONFIG,
					"prevResult.ips: an item without an address");
		if (is_ours(r, ip, interfaces))
			r->add.expect.v[r->add.expect.n++] = p;
	}
	return 0;
}

static int check_prev(struct cni_request *r, struct cni_error *e)
{
	struct json_object *prev;
	if (get_typed(r->conf, "prevResult", "prevResult", json_type_object, &prev, e))
		return -1;
	if (r->command == CNI_ADD && prev)
		return cni_fail(
			e, CNI_E_CONFIG,
			"prevResult is given: another plugin came before; selvage makes the "
			"pod's interface, so it must stand first in the list");
	if (r->command != CNI_CHECK)
		return 0;
	if (!prev)
		return cni_fail(e, CNI_E_CONFIG, "CHECK needs prevResult, the answer to ADD");
	return read_prev(r, prev, e);
}

static int version_input(struct cni_request *r, const char *text, size_t len, struct cni_error *e)
{
	/* Runtimes older than 0.4.0 send nothing along. */
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (!len)
		return 0;
	if (parse_json(r, text, len, e))
		return -1;
	return get_text(r->conf, "cniVersion", "cniVersion", &r->asked, e);
}

int cni_input(struct cni_request *r, const struct cni_env *env, const char *text, size_t len,
	      struct cni_error *e)
{
	*r = (struct cni_request){ .version = CNI_1_0_0 };
	r->add = (struct m_cni_add){ .namespace_ = "", .pod = "", .uid = "", .mac = "" };
	if (find_command(r, env->command, e))
		return -1;
	if (len > CNI_STDIN_MAX)
		return cni_fail(e, CNI_E_DECODE, "the configuration is larger than 1 MiB");
	if (r->command == CNI_VERSION)
		return version_input(r, text, len, e);
	if (check_env(r, env, e) || parse_json(r, text, len, e) || find_version(r, e))
		return -1;
	if (r->command == CNI_CHECK && r->version < CNI_0_4_0)
		return cni_fail(e, CNI_E_VERSION, "cniVersion 0.3.1 has no CHECK");
	if (read_base(r, e))
		return -1;
	if (r->command == CNI_DEL)
		return 0;
	if (read_own(r, e) || cni_args(r, env->args, e) || read_args(r, e) || read_runtime(r, e))
		return -1;
	return check_prev(r, e);
}

void cni_request_free(struct cni_request *r)
{
	arena_free(&r->arena);
	json_object_put(r->conf);
}
