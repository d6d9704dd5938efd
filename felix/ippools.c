#include "config.h"

#include "felix/ippools.h"

#include <stdio.h>
#include <string.h>

#include "felix/blocks.h"
#include "felix/cni_server.h"
#include "lib/node.h"
#include "lib/selector.h"

#define NOTE_PREFIX "cni.projectcalico.org/"

enum { LIST_MAX = 32, VALUE_MAX = 4096 };

static const enum family fams[2] = { FAM_V4, FAM_V6 };

struct job {
	const struct ippools_in *in;
	const struct object *ns; /* NULL: no document of the pod's namespace */
	struct arena *arena;
	struct ippools_out *out;
	struct err *err;
};

/* A value and where it stands, for messages. text NULL: nowhere. */
struct source {
	const char *text, *where;
};

static unsigned bit(enum family fam)
{
	return 1u << fam;
}

static const char *family_name(enum family fam)
{
	return fam == FAM_V4 ? "IPv4" : "IPv6";
}

static int refuse(struct job *j, uint32_t code)
{
	j->out->code = code;
	return -1;
}

/* ---- annotations ---- */

static const char *kv_get(const struct field_kvs *l, const char *key)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].key, key))
			return l->v[i].value;
	return NULL;
}

/* The pod's object has the annotations by what follows the prefix. */
static const char *pod_value(const struct job *j, const char *key)
{
	const struct pod_notes *notes = j->in->pod ? j->in->pod->notes : NULL;
	const msg_kv_list *given = &j->in->add->annotations;

	for (unsigned i = 0; notes && i < notes->n; i++)
		if (!strcmp(notes->v[i].key, key + strlen(NOTE_PREFIX)))
			return notes->v[i].value;
	for (uint32_t i = 0; i < given->n && !j->in->pod; i++)
		if (!strcmp(given->v[i].key, key))
			return given->v[i].value;
	return NULL;
}

/* An empty value is as none. */
static struct source of_pod(const struct job *j, const char *name)
{
	const struct m_cni_add *a = j->in->add;
	const char *key = arena_printf(j->arena, NOTE_PREFIX "%s", name);
	const char *text = pod_value(j, key);

	if (!text || !*text)
		return (struct source){ 0 };
	return (struct source){ text, arena_printf(j->arena, "pod %s/%s: annotation %s: %.100s",
						   a->namespace_, a->pod, key, text) };
}

static struct source of_pod_or_namespace(const struct job *j, const char *name)
{
	const char *key = arena_printf(j->arena, NOTE_PREFIX "%s", name);
	struct source s = of_pod(j, name);

	if (s.text || !j->ns)
		return s;
	s.text = kv_get(&j->ns->annotations, key);
	if (!s.text || !*s.text)
		return (struct source){ 0 };
	s.where = arena_printf(j->arena, "namespace %s: annotation %s: %.100s", j->ns->name, key,
			       s.text);
	return s;
}

/* JSON is YAML; what is YAML alone is refused by its kinds: every item is a text in quotes. */
static int read_list(struct job *j, const struct source *s, msg_text_list *out)
{
	struct doc *docs = NULL;
	struct err why;
	size_t len = strlen(s->text);

	*out = (msg_text_list){ 0 };
	if (len > VALUE_MAX || yaml_parse(s->text, len, "", j->arena, &docs, &why) < 0 || !docs ||
	    docs->next || docs->root->kind != NODE_LIST || docs->root->nchildren > LIST_MAX ||
	    s->text[strspn(s->text, " \t\r\n")] != '[')
		goto bad;
	out->v = arena_array(j->arena, docs->root->nchildren + 1, sizeof(*out->v));
	for (const struct node *n = docs->root->child; n; n = n->next) {
		if (n->kind != NODE_SCALAR || !n->quoted)
			goto bad;
		out->v[out->n++].text = n->text;
	}
	return 0;
bad:
	err_set(j->err, "%s: expected a JSON list of texts, such as [\"first\", \"second\"]",
		s->where);
	return refuse(j, CNI_CODE_CONFIG);
}

/* ---- pools ---- */

static const struct spec_ippool *spec(const struct object *pool)
{
	return pool->spec;
}

static bool for_workloads(const struct spec_ippool *p)
{
	const char *const *use = p->allowed_uses.v;

	for (uint32_t i = 0; i < p->allowed_uses.n; i++)
		if (!strcmp(use[i], "Workload"))
			return true;
	return !p->allowed_uses.n;
}

static bool takes(const char *selector, const struct field_kvs *labels)
{
	struct arena scratch = { 0 };
	struct err err;

	if (!*selector || !strcmp(selector, "all()"))
		return true;
	const struct selector *s = selector_parse(selector, &scratch, &err);
	bool yes = s && selector_matches(s, labels);
	arena_free(&scratch);
	return yes;
}

/* Kubernetes gives every namespace a label with its name; a folder's documents may lack it. */
static struct field_kvs namespace_labels(const struct job *j)
{
	static const char key[] = "kubernetes.io/metadata.name";
	const struct field_kvs none = { 0 };
	const struct field_kvs *own = j->ns ? &j->ns->labels : &none;

	if (!*j->in->add->namespace_ || kv_get(own, key))
		return *own;
	struct field_kvs l = { own->n + 1, arena_array(j->arena, own->n + 1, sizeof(*l.v)) };
	if (own->n)
		memcpy(l.v, own->v, own->n * sizeof(*l.v));
	l.v[own->n] = (struct field_kv){ key, j->in->add->namespace_ };
	return l;
}

/* NULL: it may serve this pod by itself. */
static const char *why_not(const struct job *j, const struct object *pool,
			   const struct field_kvs *ns_labels)
{
	const struct spec_ippool *p = spec(pool);

	if (p->disabled)
		return "is disabled";
	if (p->assignment_mode != 0)
		return "has assignmentMode Manual";
	if (!for_workloads(p))
		return "is not for workloads (allowedUses)";
	if (!takes(p->node_selector, node_labels(j->in->store, j->in->node)))
		return "does not take this node (nodeSelector)";
	if (!takes(p->namespace_selector, ns_labels))
		return "does not take the pod's namespace (namespaceSelector)";
	return NULL;
}

static struct ipam_pools *place(struct job *j, enum family fam)
{
	return fam == FAM_V4 ? &j->out->want.v4 : &j->out->want.v6;
}

static struct ipam_pools room_for(const struct job *j, unsigned n)
{
	return (struct ipam_pools){ .only = true,
				    .v = arena_array(j->arena, n + 1, sizeof(struct prefix)) };
}

static void put(struct ipam_pools *p, const struct prefix *cidr)
{
	((struct prefix *)p->v)[p->n++] = *cidr;
}

/* All pools of the family that may serve the pod by themselves. */
static void choose_pools(struct job *j, enum family fam)
{
	unsigned n;
	const struct object *const *pools = store_list(j->in->store, KIND_IPPOOL, &n);
	const struct field_kvs labels = namespace_labels(j);
	struct ipam_pools p = room_for(j, n);

	for (unsigned i = 0; i < n; i++)
		if (spec(pools[i])->cidr.addr.fam == fam && !why_not(j, pools[i], &labels))
			put(&p, &spec(pools[i])->cidr);
	*place(j, fam) = p;
}

static const struct object *find_pool(const struct job *j, const char *text)
{
	unsigned n;
	const struct object *const *pools = store_list(j->in->store, KIND_IPPOOL, &n);
	struct prefix cidr;
	bool is_cidr = strchr(text, '/') && prefix_parse(text, &cidr) == 0;

	for (unsigned i = 0; i < n; i++)
		if (is_cidr ? prefix_eq(&spec(pools[i])->cidr, &cidr)
			    : !strcmp(pools[i]->name, text))
			return pools[i];
	return NULL;
}

static int take_pool(struct job *j, enum family fam, const char *text, const char *where,
		     struct ipam_pools *p)
{
	const struct object *pool = find_pool(j, text);
	const char *what = NULL;

	if (!pool)
		what = "there is no such IPPool";
	else if (spec(pool)->cidr.addr.fam != fam)
		what = fam == FAM_V4 ? "it is no IPv4 pool" : "it is no IPv6 pool";
	else if (spec(pool)->disabled)
		what = "it is disabled";
	else if (!for_workloads(spec(pool)))
		what = "its allowedUses has no Workload";
	if (what) {
		err_set(j->err, "%s: pool \"%.100s\": %s", where, text, what);
		return refuse(j, CNI_CODE_CONFIG);
	}
	put(p, &spec(pool)->cidr);
	return 0;
}

/* 1: pools are named for this family; 0: none; -1. */
static int named_pools(struct job *j, enum family fam)
{
	const struct m_cni_add *a = j->in->add;
	msg_text_list list = fam == FAM_V4 ? a->ipv4_pools : a->ipv6_pools;
	struct source s = of_pod_or_namespace(j, fam == FAM_V4 ? "ipv4pools" : "ipv6pools");

	if (!s.text)
		s.where = fam == FAM_V4 ? "CNI configuration: ipam.ipv4_pools"
					: "CNI configuration: ipam.ipv6_pools";
	else if (read_list(j, &s, &list) < 0)
		return -1;
	if (!list.n)
		return 0;
	struct ipam_pools p = room_for(j, list.n);
	for (uint32_t i = 0; i < list.n; i++)
		if (take_pool(j, fam, list.v[i].text, s.where, &p) < 0)
			return -1;
	*place(j, fam) = p;
	return 1;
}

/* ---- families ---- */

static unsigned family_bit(const char *text)
{
	return !strcmp(text, "IPv4") ? bit(FAM_V4) : !strcmp(text, "IPv6") ? bit(FAM_V6) : 0;
}

/* Bits; 0: nothing is said; -1. */
static int asked_families(struct job *j, const char **where)
{
	struct source s = of_pod_or_namespace(j, "ipFamilies");
	msg_text_list list;
	unsigned bits = 0, known = 0;

	*where = "CNI configuration: assign_ipv4 and assign_ipv6";
	if (!s.text)
		return j->in->add->families & (bit(FAM_V4) | bit(FAM_V6));
	*where = s.where;
	if (read_list(j, &s, &list) < 0)
		return -1;
	for (uint32_t i = 0; i < list.n; i++) {
		unsigned one = family_bit(list.v[i].text);

		bits |= one;
		known += one != 0;
	}
	if (bits && known == list.n)
		return (int)bits;
	err_set(j->err, "%s: expected [\"IPv4\"], [\"IPv6\"] or both", s.where);
	return refuse(j, CNI_CODE_CONFIG);
}

enum { LISTED = 4 };

static int no_pool(struct job *j, unsigned families, const char *where)
{
	const struct m_cni_add *a = j->in->add;
	const struct field_kvs labels = namespace_labels(j);
	unsigned n, found = 0;
	const struct object *const *pools = store_list(j->in->store, KIND_IPPOOL, &n);
	const char *list = "";

	for (unsigned i = 0; i < n; i++) {
		const char *why = why_not(j, pools[i], &labels);

		if (!why || !(families & bit((enum family)spec(pools[i])->cidr.addr.fam)))
			continue;
		if (found++ < LISTED)
			list = arena_printf(j->arena, "%s%s\"%s\" %s", list, found > 1 ? "; " : "",
					    pools[i]->name, why);
	}
	if (found > LISTED)
		list = arena_printf(j->arena, "%s; and %u more", list, found - LISTED);
	err_set(j->err, "%s%sno %sIPPool may serve pod %s/%s on node %s%s%s", where ? where : "",
		where ? ": " : "",
		families == bit(FAM_V4)	  ? "IPv4 "
		: families == bit(FAM_V6) ? "IPv6 "
					  : "",
		a->namespace_, a->pod, j->in->node, *list ? ": " : "", list);
	return refuse(j, CNI_CODE_EXHAUSTED);
}

static int choose(struct job *j)
{
	struct ipam_want *w = &j->out->want;
	const char *where;
	int asked = asked_families(j, &where);

	if (asked < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		enum family fam = fams[i];
		int named;

		if (asked && !((unsigned)asked & bit(fam)))
			continue;
		if ((named = named_pools(j, fam)) < 0)
			return -1;
		if (!named)
			choose_pools(j, fam);
		if (asked || named || (j->in->claims && place(j, fam)->n))
			w->families |= bit(fam);
		else if (place(j, fam)->n)
			w->if_any |= bit(fam);
		if (asked && !place(j, fam)->n)
			return no_pool(j, bit(fam), where);
	}
	if (w->families | w->if_any)
		return 0;
	return no_pool(j, bit(FAM_V4) | bit(FAM_V6), NULL);
}

/* ---- exact addresses ---- */

static int take_address(struct job *j, const struct addr *a, const char *where)
{
	struct ipam_want *w = &j->out->want;
	unsigned n;
	const struct object *const *pools = store_list(j->in->store, KIND_IPPOOL, &n);
	char text[ADDR_STRLEN];

	addr_format(a, text, sizeof(text));
	for (unsigned i = 0; i < w->naddrs; i++) {
		if (w->addrs[i].fam != a->fam)
			continue;
		err_set(j->err, "%s: at most one %s address can be asked for", where,
			family_name((enum family)a->fam));
		return refuse(j, CNI_CODE_CONFIG);
	}
	for (unsigned i = 0; i < n; i++) {
		const struct spec_ippool *p = spec(pools[i]);

		if (!prefix_contains(&p->cidr, a))
			continue;
		if (!p->disabled && for_workloads(p)) {
			w->addrs[w->naddrs++] = *a;
			return 0;
		}
		err_set(j->err, "%s: %s lies in pool \"%s\", which %s", where, text, pools[i]->name,
			p->disabled ? "is disabled" : "is not for workloads (allowedUses)");
		return refuse(j, CNI_CODE_OUTSIDE);
	}
	err_set(j->err, "%s: %s lies in no IPPool", where, text);
	return refuse(j, CNI_CODE_OUTSIDE);
}

static int asked_addresses(struct job *j)
{
	const msg_addr_list *ips = &j->in->add->ips;
	struct source s = of_pod(j, "ipAddrs"), bare = of_pod(j, "ipAddrsNoIpam");
	msg_text_list list;
	struct addr a;

	if (bare.text) {
		err_set(j->err,
			"%s: an address that IPAM does not know could be given to another pod too, "
			"so it is not taken; ask by " NOTE_PREFIX "ipAddrs for one of an IPPool",
			bare.where);
		return refuse(j, CNI_CODE_CONFIG);
	}
	if (!s.text) {
		for (uint32_t i = 0; i < ips->n; i++)
			if (take_address(j, &ips->v[i], "the address asked for by the runtime") < 0)
				return -1;
		return 0;
	}
	if (read_list(j, &s, &list) < 0)
		return -1;
	for (uint32_t i = 0; i < list.n; i++) {
		if (addr_parse(list.v[i].text, &a) < 0 || addr_is_martian(&a) ||
		    addr_is_linklocal(&a)) {
			err_set(j->err, "%s: \"%.64s\" is no address that a pod can have", s.where,
				list.v[i].text);
			return refuse(j, CNI_CODE_CONFIG);
		}
		if (take_address(j, &a, s.where) < 0)
			return -1;
	}
	return 0;
}

/* ---- the rest ---- */

static bool is_unicast_mac(const char *text)
{
	unsigned b[6];
	int used = 0;

	return strlen(text) == 17 &&
	       sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		      &used) == 6 &&
	       used == 17 && !(b[0] & 1) && (b[0] | b[1] | b[2] | b[3] | b[4] | b[5]);
}

static int asked_mac(struct job *j)
{
	struct source s = of_pod(j, "hwAddr");

	j->out->mac = s.text ? s.text : j->in->add->mac;
	if (!s.text || is_unicast_mac(s.text))
		return 0;
	err_set(j->err, "%s: expected one interface's MAC address, such as 02:00:00:00:00:01",
		s.where);
	return refuse(j, CNI_CODE_CONFIG);
}

static void note_what_is_not_done(struct job *j)
{
	static const char *const keys[IPPOOLS_NOTES] = { "floatingIPs", "allowedSourcePrefixes" };

	for (unsigned i = 0; i < IPPOOLS_NOTES; i++) {
		struct source s = of_pod(j, keys[i]);

		if (s.text)
			j->out->notes[j->out->nnotes++] = arena_printf(
				j->arena, "%s: accepted, but this version does not act on it",
				s.where);
	}
}

int ippools_want(const struct ippools_in *in, struct arena *arena, struct ippools_out *out,
		 struct err *err)
{
	struct job j = { .in = in, .arena = arena, .out = out, .err = err };

	*out = (struct ippools_out){ .mac = in->add->mac };
	if (*in->add->namespace_)
		j.ns = store_find(in->store, KIND_NAMESPACE, "", in->add->namespace_);
	note_what_is_not_done(&j);
	if (asked_mac(&j) < 0 || asked_addresses(&j) < 0)
		return -1;
	return out->want.naddrs ? 0 : choose(&j);
}
