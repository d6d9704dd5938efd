#include "config.h"

#include <netinet/in.h> /* before the kernel's own, which then gives way */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "felix/nft_impl.h"

enum { IPID_SIZE = 1 << 20, ND_FIRST = 133, ND_LAST = 137 };

static const char *const kind_names[K_KINDS] = { "port", "range", "icmp", "proto", "all" };
static const char *const dir_names[DIRS] = { "in", "out" };

static uint64_t cookie(enum nft_object object, uint64_t id)
{
	return (uint64_t)object << 56 | (id & (UINT64_MAX >> 8));
}

enum family n_family(unsigned f)
{
	return f ? FAM_V6 : FAM_V4;
}

static bool has_ports(unsigned proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_DCCP || proto == IPPROTO_UDPLITE;
}

enum nft_kind n_kind(enum family fam, const struct n_row *row)
{
	const struct n_row_key *k = &row->k;

	if (k->proto == CALC_ALL_PROTOCOLS)
		return K_ALL;
	if (k->proto == IPPROTO_ICMP || k->proto == IPPROTO_ICMPV6) {
		if (k->lo == 0 && k->hi >= 255 && k->slo == 0 && k->shi >= 255)
			return K_PROTO;
		return k->proto == (fam == FAM_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) ? K_ICMP
										   : K_KINDS;
	}
	bool any_source = k->slo == 0 && k->shi == 65535;
	if (!has_ports(k->proto) || (any_source && k->lo == 0 && k->hi == 65535))
		return K_PROTO;
	return any_source && k->lo == k->hi ? K_PORT : K_RANGE;
}

static void chain_name(const struct n_chain *c, char buf[64])
{
	snprintf(buf, 64, "c%u-%s-%u", c->class_, dir_names[c->dir], c->gen);
}

void n_set_name(const struct n_chain *c, enum nft_kind kind, char buf[64])
{
	snprintf(buf, 64, "c%u-%s-%u-%s", c->class_, dir_names[c->dir], c->gen, kind_names[kind]);
}

/* --- the chains that always are there --- */

static void if_ours(struct nft *n, enum family fam, const char *chain, uint32_t key, int verdict,
		    const char *to)
{
	nb_rule(&n->b, fam, chain);
	nb_x_meta(&n->b, key, 0);
	nb_x_cmp(&n->b, n->config.prefix, 4);
	if (!to)
		nb_x_counter(&n->b);
	nb_x_verdict(&n->b, verdict, to);
	nb_rule_end(&n->b, NULL);
}

static void drop_rest(struct nft *n, enum family fam, const char *chain, const char *comment)
{
	nb_rule(&n->b, fam, chain);
	nb_x_counter(&n->b);
	nb_x_verdict(&n->b, NF_DROP, NULL);
	nb_rule_end(&n->b, comment);
}

static void base_sets(struct nft *n, enum family fam)
{
	uint8_t a = fam == FAM_V4 ? NB_ADDR4 : NB_ADDR6;
	const struct nb_set sets[] = {
		{ "known", { NB_CT_STATE }, NB_TO_VERDICT, false, false, 0, NULL },
		{ "ipid", { a }, NB_TO_MARK, false, false, IPID_SIZE, "pod address: identity" },
		{ "atoms", { a }, NB_TO_MARK, true, false, 0, "other addresses: identity" },
		{ "pods", { NB_IFINDEX }, NB_SET, false, false, 0, "interfaces of pods" },
		{ "self", { NB_IFINDEX, NB_IFINDEX }, NB_SET, false, false, 0, "a pod to itself" },
		{ "from-pod", { NB_IFINDEX }, NB_TO_VERDICT, false, false, 0, NULL },
		{ "to-pod", { NB_IFINDEX }, NB_TO_VERDICT, false, false, 0, NULL },
	};
	static const struct {
		unsigned state;
		int verdict;
		const char *chain;
	} known[] = {
		{ 1u << IP_CT_ESTABLISHED << 1, NF_ACCEPT, NULL },
		{ 1u << IP_CT_RELATED << 1, NF_ACCEPT, NULL },
		{ 1, NFT_JUMP, "invalid" },
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		nb_set(&n->b, fam, &sets[i]);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct nb_elem e = { .len = 4,
				     .data = NB_TO_VERDICT,
				     .verdict = known[i].verdict,
				     .chain = known[i].chain };
		nb_key_host32(e.key, 0, known[i].state);
		nb_elem_add(&n->b, fam, "known", &e);
	}
}

/* The other end's identity into the mark: a pod's, else an atom's, else 0. */
static void mark_rules(struct nft *n, enum family fam, const char *chain, bool source)
{
	uint32_t len = family_bytes(fam);
	uint32_t at = fam == FAM_V4 ? (source ? 12 : 16) : (source ? 8 : 24);
	const uint32_t zero = 0;

	nb_rule(&n->b, fam, chain);
	nb_x_u32(&n->b, 0);
	nb_x_ct_mark_set(&n->b);
	nb_rule_end(&n->b, NULL);
	nb_rule(&n->b, fam, chain);
	nb_x_load(&n->b, NFT_PAYLOAD_NETWORK_HEADER, at, len, 0);
	nb_x_lookup(&n->b, "ipid", NB_TO_MARK);
	nb_x_ct_mark_set(&n->b);
	nb_rule_end(&n->b, NULL);
	nb_rule(&n->b, fam, chain);
	nb_x_ct(&n->b, NFT_CT_MARK, 0);
	nb_x_cmp(&n->b, &zero, 4);
	nb_x_load(&n->b, NFT_PAYLOAD_NETWORK_HEADER, at, len, 0);
	nb_x_lookup(&n->b, "atoms", NB_TO_MARK);
	nb_x_ct_mark_set(&n->b);
	nb_rule_end(&n->b, NULL);
}

static void dispatch_rule(struct nft *n, enum family fam, const char *chain, uint32_t key,
			  const char *map)
{
	nb_rule(&n->b, fam, chain);
	nb_x_meta(&n->b, key, 0);
	nb_x_lookup(&n->b, map, NB_TO_VERDICT);
	nb_rule_end(&n->b, NULL);
	drop_rest(n, fam, chain, "a pod without policy yet");
}

static void own_rules(struct nft *n, enum family fam, const char *chain, uint32_t key)
{
	nb_rule(&n->b, fam, chain);
	nb_x_meta(&n->b, key, 0);
	nb_x_lookup(&n->b, "pods", NB_SET);
	nb_x_verdict(&n->b, NF_ACCEPT, NULL);
	nb_rule_end(&n->b, "a node and its own pods");
	for (uint8_t type = ND_FIRST; fam == FAM_V6 && type <= ND_LAST; type++) {
		const uint8_t proto = IPPROTO_ICMPV6;

		nb_rule(&n->b, fam, chain);
		nb_x_meta(&n->b, NFT_META_L4PROTO, 0);
		nb_x_cmp(&n->b, &proto, 1);
		nb_x_load(&n->b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0);
		nb_x_cmp(&n->b, &type, 1);
		nb_x_verdict(&n->b, NF_ACCEPT, NULL);
		nb_rule_end(&n->b, NULL);
	}
	drop_rest(n, fam, chain, "an interface that is no pod's yet");
}

void n_base(struct nft *n, enum family fam)
{
	n->b.cookie = cookie(NFT_OBJ_BASE, 0);
	nb_table(&n->b, fam);
	nb_chain(&n->b, fam, "invalid", -1, NULL);
	nb_chain(&n->b, fam, "egress", -1, "what a pod sends");
	nb_chain(&n->b, fam, "ingress", -1, "what a pod gets");
	nb_chain(&n->b, fam, "pod-to-node", -1, NULL);
	nb_chain(&n->b, fam, "node-to-pod", -1, NULL);
	nb_chain(&n->b, fam, "forward", NF_INET_FORWARD, NULL);
	nb_chain(&n->b, fam, "input", NF_INET_LOCAL_IN, NULL);
	nb_chain(&n->b, fam, "output", NF_INET_LOCAL_OUT, NULL);
	base_sets(n, fam);
	if_ours(n, fam, "invalid", NFT_META_IIFNAME, NF_DROP, NULL);
	if_ours(n, fam, "invalid", NFT_META_OIFNAME, NF_DROP, NULL);
	nb_rule(&n->b, fam, "egress");
	nb_x_meta(&n->b, NFT_META_IIF, 0);
	nb_x_meta(&n->b, NFT_META_OIF, 1);
	nb_x_lookup(&n->b, "self", NB_SET);
	nb_x_verdict(&n->b, NF_ACCEPT, NULL);
	nb_rule_end(&n->b, NULL);
	mark_rules(n, fam, "egress", false);
	dispatch_rule(n, fam, "egress", NFT_META_IIF, "from-pod");
	mark_rules(n, fam, "ingress", true);
	dispatch_rule(n, fam, "ingress", NFT_META_OIF, "to-pod");
	own_rules(n, fam, "pod-to-node", NFT_META_IIF);
	own_rules(n, fam, "node-to-pod", NFT_META_OIF);
	nb_rule(&n->b, fam, "forward");
	nb_x_ct(&n->b, NFT_CT_STATE, 0);
	nb_x_lookup(&n->b, "known", NB_TO_VERDICT);
	nb_rule_end(&n->b, NULL);
	if_ours(n, fam, "forward", NFT_META_IIFNAME, NFT_JUMP, "egress");
	if_ours(n, fam, "forward", NFT_META_OIFNAME, NFT_GOTO, "ingress");
	if_ours(n, fam, "input", NFT_META_IIFNAME, NFT_GOTO, "pod-to-node");
	if_ours(n, fam, "output", NFT_META_OIFNAME, NFT_GOTO, "node-to-pod");
}

/* --- a class's chain --- */

static void class_set(struct nft *n, const struct n_chain *c, enum nft_kind kind)
{
	bool v4 = c->fam == FAM_V4;
	const struct nb_set shapes[K_KINDS] = {
		[K_PORT] = { .types = { NB_MARK, NB_PROTO, NB_PORT } },
		[K_RANGE] = { .types = { NB_MARK, NB_PROTO, NB_PORT, NB_PORT }, .interval = true },
		[K_ICMP] = { .types = { NB_MARK, v4 ? NB_ICMP_TYPE : NB_ICMP6_TYPE,
					v4 ? NB_ICMP_CODE : NB_ICMP6_CODE },
			     .interval = true },
		[K_PROTO] = { .types = { NB_MARK, NB_PROTO } },
		[K_ALL] = { .types = { NB_MARK } },
	};
	struct nb_set s = shapes[kind];
	char name[64];

	n_set_name(c, kind, name);
	s.name = name;
	s.data = NB_TO_VERDICT;
	s.counter = true;
	nb_set(&n->b, c->fam, &s);
}

static void class_rule(struct nft *n, const struct n_chain *c, enum nft_kind kind)
{
	const uint8_t icmp = c->fam == FAM_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	struct nb *b = &n->b;
	char name[64], set[64];

	chain_name(c, name);
	n_set_name(c, kind, set);
	nb_rule(b, c->fam, name);
	if (kind == K_ICMP) {
		nb_x_meta(b, NFT_META_L4PROTO, 0);
		nb_x_cmp(b, &icmp, 1);
	}
	nb_x_ct(b, NFT_CT_MARK, 0);
	if (kind == K_RANGE || kind == K_ICMP)
		nb_x_hton(b, 0); /* ranges compare from the first byte on */
	if (kind == K_ICMP) {
		nb_x_load(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 1);
		nb_x_load(b, NFT_PAYLOAD_TRANSPORT_HEADER, 1, 1, 2);
	} else if (kind != K_ALL) {
		nb_x_meta(b, NFT_META_L4PROTO, 1);
	}
	if (kind == K_PORT || kind == K_RANGE)
		nb_x_load(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 2);
	if (kind == K_RANGE)
		nb_x_load(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, 3);
	nb_x_lookup(b, set, NB_TO_VERDICT);
	nb_rule_end(b, NULL);
}

void n_chain_build(struct nft *n, const struct n_chain *c)
{
	char name[64], text[128] = "";

	n->b.cookie = cookie(NFT_OBJ_CLASS, c->class_);
	chain_name(c, name);
	if (n->config.class_text)
		n->config.class_text(n->config.arg, c->class_, text, sizeof(text));
	nb_chain(&n->b, c->fam, name, -1, text[0] ? text : NULL);
	for (unsigned k = 0; k < K_KINDS; k++)
		if ((c->kinds[0] | c->kinds[1]) & 1u << k)
			class_set(n, c, k);
	for (unsigned k = 0; k < K_KINDS; k++)
		if (c->kinds[0] & 1u << k)
			class_rule(n, c, k);
	if (c->kinds[1]) {
		nb_rule(&n->b, c->fam, name);
		nb_x_u32(&n->b, 0);
		nb_x_ct_mark_set(&n->b);
		nb_rule_end(&n->b, "as any other");
	}
	for (unsigned k = 0; k < K_KINDS; k++)
		if (c->kinds[1] & 1u << k)
			class_rule(n, c, k);
	drop_rest(n, c->fam, name, NULL);
}

void n_chain_drop(struct nft *n, const struct n_chain *c)
{
	char name[64];

	n->b.cookie = cookie(NFT_OBJ_CLASS, c->class_);
	chain_name(c, name);
	nb_chain_flush(&n->b, c->fam, name);
	nb_chain_del(&n->b, c->fam, name);
	for (unsigned k = 0; k < K_KINDS; k++) {
		if (!((c->kinds[0] | c->kinds[1]) & 1u << k))
			continue;
		n_set_name(c, k, name);
		nb_set_del(&n->b, c->fam, name);
	}
}

void n_row_key(enum nft_kind kind, const struct n_row_key *k, struct nb_elem *e)
{
	e->has_end = kind == K_RANGE || kind == K_ICMP;
	if (!e->has_end) {
		nb_key_host32(e->key, 0, k->ident);
		if (kind != K_ALL)
			nb_key_u8(e->key, 1, (uint8_t)k->proto);
		if (kind == K_PORT)
			nb_key_be16(e->key, 2, k->lo);
		e->len = kind == K_ALL ? 4 : kind == K_PROTO ? 8 : 12;
		return;
	}
	nb_key_be32(e->key, 0, k->ident);
	nb_key_be32(e->end, 0, k->ident);
	if (kind == K_ICMP) {
		nb_key_u8(e->key, 1, (uint8_t)k->lo);
		nb_key_u8(e->end, 1, (uint8_t)(k->hi > 255 ? 255 : k->hi));
		nb_key_u8(e->key, 2, (uint8_t)k->slo);
		nb_key_u8(e->end, 2, (uint8_t)(k->shi > 255 ? 255 : k->shi));
		e->len = 12;
		return;
	}
	nb_key_u8(e->key, 1, (uint8_t)k->proto);
	nb_key_u8(e->end, 1, (uint8_t)k->proto);
	nb_key_be16(e->key, 2, k->lo);
	nb_key_be16(e->end, 2, k->hi);
	nb_key_be16(e->key, 3, k->slo);
	nb_key_be16(e->end, 3, k->shi);
	e->len = 16;
}

void n_chain_row(struct nft *n, const struct n_chain *c, const struct n_row *row, bool del)
{
	enum nft_kind kind = n_kind(c->fam, row);
	int allow = c->dir == POLICY_INGRESS ? NF_ACCEPT : NFT_RETURN;
	struct nb_elem e = { .data = NB_TO_VERDICT, .verdict = row->allow ? allow : NF_DROP };
	char set[64], text[128];

	if (kind == K_KINDS)
		return;
	n->b.cookie = cookie(NFT_OBJ_CLASS, c->class_);
	n_set_name(c, kind, set);
	n_row_key(kind, &row->k, &e);
	if (!del) {
		int at = snprintf(text, sizeof(text), "r%u", row->rule);
		if (n->config.rule_text) {
			text[at++] = ' ';
			text[at] = '\0';
			n->config.rule_text(n->config.arg, row->rule, text + at,
					    sizeof(text) - (size_t)at);
		}
		e.comment = text;
		nb_elem_add(&n->b, c->fam, set, &e);
	} else {
		nb_elem_del(&n->b, c->fam, set, &e);
	}
}

void n_chain_fill(struct nft *n, const struct n_chain *c, const struct n_tab *t)
{
	/* One map after the other: elements of one map share messages. */
	for (unsigned k = 0; k < K_KINDS; k++) {
		KMAP_EACH(&t->rows, struct n_row, r)
		if (n_kind(c->fam, r) == k)
			n_chain_row(n, c, r, false);
		for (size_t i = 0; i < t->npend; i++)
			if (t->pend[i].phase == PHASE_DEL && n_kind(c->fam, &t->pend[i].row) == k)
				n_chain_row(n, c, &t->pend[i].row, false);
	}
}

uint8_t n_kinds_of(const struct n_tab *t, enum family fam, bool zero)
{
	unsigned kinds = 0;

	KMAP_EACH(&t->rows, struct n_row, r)
	if ((r->k.ident == 0) == zero)
		kinds |= 1u << n_kind(fam, r);
	for (size_t i = 0; i < t->npend; i++)
		if (t->pend[i].phase == PHASE_DEL && (t->pend[i].row.k.ident == 0) == zero)
			kinds |= 1u << n_kind(fam, &t->pend[i].row);
	return (uint8_t)(kinds & ((1u << K_KINDS) - 1));
}

/* --- addresses and endpoints --- */

void n_address(struct nft *n, const struct addr *a, uint32_t ident, bool del)
{
	struct nb_elem e = { .data = NB_TO_MARK, .mark = ident };

	e.len = (uint8_t)family_bytes(a->fam);
	memcpy(e.key, a->b, e.len);
	n->b.cookie = cookie(NFT_OBJ_ADDRESSES, 0);
	(del ? nb_elem_del : nb_elem_add)(&n->b, a->fam, "ipid", &e);
}

void n_atoms(struct nft *n, enum family fam)
{
	const struct calc_atom *v = n->atoms[fam == FAM_V6];
	size_t count = n->natoms[fam == FAM_V6];

	n->b.cookie = cookie(NFT_OBJ_ATOMS, 0);
	for (size_t i = 0; i < count; i++) {
		struct nb_elem e = { .data = NB_TO_MARK, .mark = v[i].ident };
		struct addr zero = { .fam = (uint8_t)fam }, next = addr_add(&v[i].last, 1);

		e.len = (uint8_t)family_bytes(fam);
		memcpy(e.key, v[i].first.b, e.len);
		nb_elem_add(&n->b, fam, "atoms", &e);
		if (addr_eq(&next, &zero)) /* up to the last address there is */
			continue;
		memcpy(e.key, next.b, e.len);
		e.interval_end = true;
		nb_elem_add(&n->b, fam, "atoms", &e);
	}
}

static void ifindex_elem(struct nft *n, enum family fam, const char *set, uint32_t ifindex,
			 const struct n_chain *chain, bool del)
{
	struct nb_elem e = { .len = 4 };
	char name[64];

	nb_key_host32(e.key, 0, ifindex);
	if (strcmp(set, "self") == 0) {
		nb_key_host32(e.key, 1, ifindex);
		e.len = 8;
	}
	if (chain) {
		chain_name(chain, name);
		e.data = NB_TO_VERDICT;
		e.verdict = NFT_GOTO;
		e.chain = name;
	}
	(del ? nb_elem_del : nb_elem_add)(&n->b, fam, set, &e);
}

void n_endpoint(struct nft *n, const struct n_ep *e, uint32_t ifindex,
		const struct n_chain chains[FAMS][DIRS])
{
	static const char *const maps[DIRS] = { "to-pod", "from-pod" };

	n->b.cookie = cookie(NFT_OBJ_ENDPOINT, (uint64_t)(uintptr_t)e);
	for (unsigned f = 0; f < FAMS; f++) {
		enum family fam = n_family(f);
		if (e->k_ifindex != ifindex) {
			for (unsigned i = 0; i < 2; i++) {
				const char *set = i ? "self" : "pods";
				if (e->k_ifindex)
					ifindex_elem(n, fam, set, e->k_ifindex, NULL, true);
				if (ifindex)
					ifindex_elem(n, fam, set, ifindex, NULL, false);
			}
		}
		for (unsigned d = 0; d < DIRS; d++) {
			const struct n_chain *old = &e->k_chain[f][d], *new = &chains[f][d];
			bool same = e->k_ifindex == ifindex && old->gen == new->gen &&
				    old->class_ == new->class_;
			if (old->gen && !same)
				ifindex_elem(n, fam, maps[d], e->k_ifindex, old, true);
			if (new->gen && ifindex && !same)
				ifindex_elem(n, fam, maps[d], ifindex, new, false);
		}
	}
}
