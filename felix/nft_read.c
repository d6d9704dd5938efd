/* What the kernel has: counters, and whether it is still ours. */
#include "config.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "felix/nft_impl.h"
#include "lib/arena.h"

/* --- counters --- */

/* Of an element: "r12 ..." in its user data, and what it counted. */
struct counted {
	bool has_rule;
	uint32_t rule;
	uint64_t packets, bytes;
};

static uint64_t be64(const struct nlattr *attr)
{
	const uint8_t *p = mnl_attr_get_payload(attr);
	uint64_t v = 0;

	for (unsigned i = 0; i < 8 && mnl_attr_get_payload_len(attr) == 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void read_counter(const struct nlattr *expr, struct counted *out)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, expr)
	{
		if (mnl_attr_get_type(a) != NFTA_EXPR_DATA)
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_type(b) == NFTA_COUNTER_PACKETS)
				out->packets = be64(b);
			else if (mnl_attr_get_type(b) == NFTA_COUNTER_BYTES)
				out->bytes = be64(b);
		}
	}
}

static void read_elem(const struct nlattr *elem, struct counted *out)
{
	const struct nlattr *a, *x;

	*out = (struct counted){ 0 };
	mnl_attr_for_each_nested(a, elem)
	{
		unsigned len = mnl_attr_get_payload_len(a);
		const char *u = mnl_attr_get_payload(a);

		switch (mnl_attr_get_type(a)) {
		case NFTA_SET_ELEM_EXPR:
			read_counter(a, out);
			break;
		case NFTA_SET_ELEM_EXPRESSIONS:
			mnl_attr_for_each_nested(x, a) read_counter(x, out);
			break;
		case NFTA_SET_ELEM_USERDATA:
			if (len < 5 || u[len - 1] || u[2] != 'r')
				break;
			out->has_rule = true;
			out->rule = (uint32_t)strtoul(u + 3, NULL, 10);
			break;
		}
	}
}

static void total_add(struct kmap *totals, const struct counted *c)
{
	struct n_total *t = kmap_put(totals, &c->rule);

	t->packets += c->packets;
	t->bytes += c->bytes;
}

static int counters_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a, *e;
	struct counted c;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(e, a)
		{
			read_elem(e, &c);
			if (c.has_rule)
				total_add(arg, &c);
		}
	}
	return MNL_CB_OK;
}

static void counters_restart(void *arg)
{
	kmap_free(arg);
}

/* Adds the chain's counters to `into`. */
static int count_chain(struct nft *n, const struct n_chain *c, struct kmap *into, struct err *err)
{
	char name[64];

	for (unsigned k = 0; c->gen && k < K_KINDS; k++) {
		struct kmap m;

		if (!((c->kinds[0] | c->kinds[1]) & 1u << k))
			continue;
		kmap_init(&m, sizeof(uint32_t), sizeof(struct n_total));
		n_set_name(c, k, name);
		int rc = nft_sock_dump(n->sock, NFT_MSG_GETSETELEM, c->fam, name, counters_cb,
				       counters_restart, &m, err);
		KMAP_EACH(&m, struct n_total, t)
		total_add(into, &(struct counted){ true, t->rule, t->packets, t->bytes });
		kmap_free(&m);
		if (rc < 0)
			return -1;
	}
	return 0;
}

void n_retire(struct nft *n, const struct n_chain *c)
{
	struct err err; /* counters are not worth a failed commit */

	count_chain(n, c, &n->leaving, &err);
}

void n_retire_row(struct nft *n, const struct n_chain *c, const struct n_row *row)
{
	enum nft_kind kind = n_kind((enum family)c->fam, row);
	struct nb_elem e = { 0 };
	struct err err;
	char name[64];

	if (kind == K_KINDS || !c->gen)
		return;
	n_set_name(c, kind, name);
	n_row_key(kind, &row->k, &e);
	nft_sock_elem(n->sock, (enum family)c->fam, name, &e, counters_cb, &n->leaving, &err);
}

void n_retired(struct nft *n, bool gone)
{
	if (gone)
		KMAP_EACH(&n->leaving, struct n_total, t)
	total_add(&n->totals, &(struct counted){ true, t->rule, t->packets, t->bytes });
	kmap_free(&n->leaving);
}

int nft_counters(struct nft *n, nft_counter_fn cb, void *arg, struct err *err)
{
	struct kmap all;
	int rc = 0;

	kmap_init(&all, sizeof(uint32_t), sizeof(struct n_total));
	KMAP_EACH(&n->totals, struct n_total, t)
	total_add(&all, &(struct counted){ true, t->rule, t->packets, t->bytes });
	KMAP_EACH(&n->classes, struct n_class_ref, r)
	for (unsigned i = 0; i < FAMS * DIRS && rc == 0; i++)
		rc = count_chain(n, &r->c->tab[i / DIRS][i % DIRS].k, &all, err);
	for (size_t i = 0; i < n->ngarbage && rc == 0; i++)
		rc = count_chain(n, &n->garbage[i], &all, err);
	if (rc == 0)
		KMAP_EACH(&all, struct n_total, t)
	cb(arg, t->rule, t->packets, t->bytes);
	kmap_free(&all);
	return rc;
}

/* --- a digest of tables: the same of what we would write and of what the kernel lists --- */

struct digest {
	uint64_t sum;
	size_t sets, cap;
	char (*names)[64]; /* of the sets seen */
};

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
	for (const uint8_t *p = data; n--; p++)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t final(uint64_t h)
{
	h ^= h >> 31;
	h *= UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 29;
}

/* A value or a verdict. The kernel does not mark nested attributes as such. */
static uint64_t mix_data(uint64_t h, const struct nlattr *data)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, data)
	{
		if (mnl_attr_get_type(a) == NFTA_DATA_VALUE)
			h = mix(h, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		else if (mnl_attr_get_type(a) == NFTA_DATA_VERDICT)
			mnl_attr_for_each_nested(b, a) h =
				mix(h, mnl_attr_get_payload(b), mnl_attr_get_payload_len(b));
	}
	return h;
}

static uint64_t digest_elem(uint64_t h, const struct nlattr *e)
{
	static const uint16_t parts[] = { NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END,
					  NFTA_SET_ELEM_DATA };
	const struct nlattr *a;
	uint32_t flags = 0;

	mnl_attr_for_each_nested(a, e) if (mnl_attr_get_type(a) == NFTA_SET_ELEM_FLAGS &&
					   mnl_attr_validate(a, MNL_TYPE_U32) >= 0) flags =
		ntohl(mnl_attr_get_u32(a)) & NFT_SET_ELEM_INTERVAL_END;
	h = mix(h, &flags, sizeof(flags));
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		mnl_attr_for_each_nested(a, e) if (mnl_attr_get_type(a) == parts[i]) h =
			mix_data(mix(h, &parts[i], sizeof(parts[i])), a);
	return h;
}

static uint64_t digest_rule(uint64_t h, const struct nlattr *list)
{
	const struct nlattr *x, *a, *b;

	mnl_attr_for_each_nested(x, list) mnl_attr_for_each_nested(a, x)
	{
		if (mnl_attr_get_type(a) == NFTA_EXPR_NAME)
			h = mix(h, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		if (mnl_attr_get_type(a) != NFTA_EXPR_DATA)
			continue;
		/* Attribute 1: a register, the name of a set, or 64 bits that were counted. */
		mnl_attr_for_each_nested(b, a) if (mnl_attr_get_type(b) == 1 &&
						   mnl_attr_get_payload_len(b) != 8) h =
			mix(h, mnl_attr_get_payload(b), mnl_attr_get_payload_len(b));
	}
	return h;
}

static int digest_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct digest *d = arg;
	unsigned type = nlh->nlmsg_type & 0xff;
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *e;
	uint64_t h = mix(UINT64_C(0xcbf29ce484222325) + type, &g->nfgen_family, 1);

	if (type != NFT_MSG_NEWCHAIN && type != NFT_MSG_NEWRULE && type != NFT_MSG_NEWSET &&
	    type != NFT_MSG_NEWSETELEM)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*g))
	{
		unsigned t = mnl_attr_get_type(a);

		if (t == 1 && strcmp(mnl_attr_get_str(a), NFT_OUR_TABLE) != 0)
			return MNL_CB_OK; /* chains come of all tables */
		bool name = type == NFT_MSG_NEWCHAIN ? t == NFTA_CHAIN_NAME : t == 2;
		if (name)
			h = mix(h, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		if (name && type == NFT_MSG_NEWSET && d->names && d->sets < d->cap)
			strncpy(d->names[d->sets++], mnl_attr_get_str(a), 63);
		if (type == NFT_MSG_NEWRULE && t == NFTA_RULE_EXPRESSIONS)
			h = digest_rule(h, a);
		if (type == NFT_MSG_NEWSETELEM && t == NFTA_SET_ELEM_LIST_ELEMENTS)
			mnl_attr_for_each_nested(e, a) d->sum += final(digest_elem(h, e));
	}
	if (type != NFT_MSG_NEWSETELEM)
		d->sum += final(h);
	return MNL_CB_OK;
}

static uint64_t digest_wanted(struct nft *n)
{
	struct digest d = { 0 };
	int left;

	nb_begin(&n->b);
	n_write_all(n, false);
	nb_end(&n->b);
	left = (int)n->b.used;
	for (const struct nlmsghdr *m = (const struct nlmsghdr *)n->b.data; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left))
		if (m->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)
			digest_cb(m, &d);
	return d.sum;
}

/* Sums do not care for the order; a list that changed meanwhile is an error and asked again. */
static int digest_kernel(struct nft *n, uint64_t *sum, struct err *err)
{
	enum { SETS_MAX = 65536 };
	struct digest d = { .cap = SETS_MAX };
	int rc = 0;

	d.names = xcalloc(SETS_MAX, sizeof(*d.names));
	for (unsigned f = 0; f < FAMS && rc == 0; f++) {
		const uint16_t types[] = { NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET };

		d.sets = 0;
		for (unsigned i = 0; i < 3 && rc == 0; i++)
			rc = nft_sock_dump(n->sock, types[i], n_family(f), NULL, digest_cb, NULL,
					   &d, err);
		for (size_t i = 0; i < d.sets && rc == 0; i++)
			rc = nft_sock_dump(n->sock, NFT_MSG_GETSETELEM, n_family(f), d.names[i],
					   digest_cb, NULL, &d, err);
	}
	free(d.names);
	*sum = d.sum;
	return rc;
}

int nft_changed(struct nft *n, struct err *err)
{
	uint32_t before, after;
	uint64_t sum;

	if (nft_sock_generation(n->sock, &before, err) < 0)
		return -1;
	if (before == n->gen && !n->foreign)
		return 0;
	/* What is pending would look like a change: the next commit is followed by this question.
	 */
	if (!n->loaded || n->pending)
		return 0;
	for (unsigned try = 0; try < 3; try++) {
		if (digest_kernel(n, &sum, err) < 0 ||
		    nft_sock_generation(n->sock, &after, err) < 0)
			return -1;
		if (after == before) {
			bool same = sum == digest_wanted(n);

			n->gen = after;
			n->foreign = !same;
			return !same;
		}
		before = after;
	}
	return err_set(err, "nftables' rules change faster than they can be listed");
}
