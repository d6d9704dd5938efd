/* CNI_ARGS and the values that it shares with the configuration. */
#include "config.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cni/input.h"

enum { IPS_MAX = 2 };

void cni_add_kv(struct cni_request *r, msg_kv_list *list, const char *key, const char *value)
{
	/* Lists are short; the arena forgets the old array at its end. */
	struct msg_kv *v = arena_array(&r->arena, list->n + 1, sizeof(*v));
	if (list->n)
		memcpy(v, list->v, list->n * sizeof(*v));
	v[list->n].key = arena_strdup(&r->arena, key);
	v[list->n].value = arena_strdup(&r->arena, value);
	list->v = v;
	list->n++;
}

int cni_add_ip(struct cni_request *r, const char *text, unsigned code, const char *where,
	       struct cni_error *e)
{
	msg_addr_list *ips = &r->add.ips;
	struct prefix p;

	if (prefix_parse(text, &p))
		return cni_fail(e, code, "%s: \"%.64s\" is no IP address", where, text);
	if (addr_is_martian(&p.addr) || addr_is_linklocal(&p.addr))
		return cni_fail(e, code, "%s: %.64s cannot be a pod's address", where, text);
	for (uint32_t i = 0; i < ips->n; i++) {
		if (ips->v[i].fam == p.addr.fam)
			return cni_fail(e, code, "%s: more than one address of one family", where);
	}
	if (!ips->v)
		ips->v = arena_array(&r->arena, IPS_MAX, sizeof(*ips->v));
	ips->v[ips->n++] = p.addr;
	return 0;
}

int cni_set_mac(struct cni_request *r, const char *text, unsigned code, const char *where,
		struct cni_error *e)
{
	unsigned b[6];
	int used = 0;

	if (strlen(text) != 17 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &used) != 6 ||
	    used != 17)
		return cni_fail(e, code, "%s: \"%.32s\" is no MAC address", where, text);
	if (b[0] & 1 || !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return cni_fail(e, code, "%s: %s is no address of one interface", where, text);
	r->add.mac = arena_strdup(&r->arena, text);
	return 0;
}

/* Letters, digits, '.', '_' and '-': what Kubernetes and Nomad name things with. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);
	if (!n || n > 253)
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return false;
	}
	return true;
}

static int arg_ips(struct cni_request *r, char *value, struct cni_error *e)
{
	char *save = NULL;
	for (char *p = strtok_r(value, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (cni_add_ip(r, p, CNI_E_ENV, "CNI_ARGS: IP", e))
			return -1;
	}
	return 0;
}

struct orchestrator {
	const char *ns, *pod, *uid; /* what Kubernetes says */
	const char *nomad_ns, *nomad_alloc;
};

/* 1: a key that this plugin does not know. */
static int one_arg(struct cni_request *r, const char *key, char *value, struct orchestrator *o,
		   struct cni_error *e)
{
	const char **place = NULL;

	if (!strcmp(key, "IP"))
		return arg_ips(r, value, e);
	if (!strcmp(key, "MAC"))
		return cni_set_mac(r, value, CNI_E_ENV, "CNI_ARGS: MAC", e);
	if (!strcmp(key, "K8S_POD_INFRA_CONTAINER_ID") || !strcmp(key, "IgnoreUnknown"))
		return 0;
	if (!strcmp(key, "K8S_POD_NAMESPACE"))
		place = &o->ns;
	else if (!strcmp(key, "K8S_POD_NAME"))
		place = &o->pod;
	else if (!strcmp(key, "K8S_POD_UID"))
		place = &o->uid;
	else if (!strcmp(key, "NOMAD_NAMESPACE"))
		place = &o->nomad_ns;
	else if (!strcmp(key, "NOMAD_ALLOC_ID"))
		place = &o->nomad_alloc;
	if (place && *value && !is_name(value))
		return cni_fail(e, CNI_E_ENV, "CNI_ARGS: %s: \"%.64s\" is no name", key, value);
	if (place)
		*place = value;
	if (!strncmp(key, "NOMAD_", 6)) {
		cni_add_kv(r, &r->add.labels, key, value);
		return 0;
	}
	return place ? 0 : 1;
}

/* Its place in the list does not matter, so it is looked for first. */
static int find_ignore(const char *args, bool *ignore, struct cni_error *e)
{
	static const char key[] = "IgnoreUnknown=";
	*ignore = false;

	for (const char *p = args; p; p = strchr(p, ';')) {
		p += *p == ';';
		if (strncmp(p, key, sizeof(key) - 1))
			continue;
		const char *v = p + sizeof(key) - 1;
		size_t n = strcspn(v, ";");
		if ((n == 1 && *v == '1') || (n == 4 && !strncasecmp(v, "true", 4)))
			*ignore = true;
		else if (!(n == 1 && *v == '0') && !(n == 5 && !strncasecmp(v, "false", 5)))
			return cni_fail(e, CNI_E_ENV,
					"CNI_ARGS: IgnoreUnknown is neither true nor false");
	}
	return 0;
}

int cni_args(struct cni_request *r, const char *args, struct cni_error *e)
{
	struct orchestrator o = { 0 };
	bool ignore;
	char *save = NULL;

	if (!args || !*args)
		return 0;
	if (find_ignore(args, &ignore, e))
		return -1;
	char *copy = arena_strdup(&r->arena, args);
	for (char *p = strtok_r(copy, ";", &save); p; p = strtok_r(NULL, ";", &save)) {
		char *eq = strchr(p, '=');
		if (!eq || eq == p)
			return cni_fail(e, CNI_E_ENV, "CNI_ARGS: \"%.64s\" is not KEY=VALUE", p);
		*eq = '\0';
		int got = one_arg(r, p, eq + 1, &o, e);
		if (got < 0)
			return -1;
		if (got > 0 && !ignore)
			return cni_fail(e, CNI_E_ENV,
					"CNI_ARGS: the key %.64s is unknown; remove it or add "
					"IgnoreUnknown=1",
					p);
	}
	r->add.namespace_ = o.ns ? o.ns : o.nomad_ns ? o.nomad_ns : "";
	r->add.uid = o.uid ? o.uid : "";
	r->add.pod = o.pod ? o.pod : o.nomad_alloc ? o.nomad_alloc : "";
	return 0;
}
