#include "config.h"

#include "felix/nft_msg.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

/* An attribute's length has 16 bits: a message's list of elements ends well before. */
enum { MESSAGE_FULL = 60000, MESSAGE_ROOM = 72 * 1024, TYPE_BITS = 6, VERDICT_TYPE = -256 };
/* What nft keeps in user data. */
enum { UDATA_RULE_COMMENT = 0, UDATA_ELEM_COMMENT = 0, UDATA_CHAIN_COMMENT = 0 };
enum { UDATA_SET_KEY_ORDER = 0, UDATA_SET_DATA_ORDER = 1, UDATA_SET_COMMENT = 7 };
enum { HOST_ORDER = 1, NET_ORDER = 2, COMMENT_MAX = 128 };

void nb_init(struct nb *b)
{
	*b = (struct nb){ 0 };
}

void nb_free(struct nb *b)
{
	free(b->data);
	free(b->cookies);
	nb_init(b);
}

static void nb_close(struct nb *b)
{
	if (!b->open)
		return;
	if (b->list)
		mnl_attr_nest_end(b->open, b->list);
	b->used += MNL_ALIGN(b->open->nlmsg_len);
	b->open = NULL;
	b->list = NULL;
	b->set[0] = '\0';
}

static struct nlmsghdr *nb_open_raw(struct nb *b, uint16_t type, uint16_t flags, uint8_t family,
				    uint16_t res)
{
	nb_close(b);
	if (b->cap - b->used < MESSAGE_ROOM) {
		b->cap = b->cap * 2 + 2 * MESSAGE_ROOM;
		b->data = xrealloc(b->data, b->cap);
	}
	if (b->n == b->ncookies) {
		b->ncookies = b->ncookies * 2 + 64;
		b->cookies = xrealloc(b->cookies, b->ncookies * sizeof(*b->cookies));
	}
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(b->data + b->used);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags | NLM_F_REQUEST;
	nlh->nlmsg_seq = b->n;
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res);
	b->cookies[b->n++] = b->cookie;
	b->open = nlh;
	return nlh;
}

static struct nlmsghdr *nb_open(struct nb *b, uint16_t type, uint16_t flags, enum family fam)
{
	b->fam = fam;
	return nb_open_raw(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
			   fam == FAM_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6, 0);
}

void nb_begin(struct nb *b)
{
	b->used = 0;
	b->n = 0;
	b->open = NULL;
	b->list = NULL;
	b->set[0] = '\0';
	nb_open_raw(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

bool nb_end(struct nb *b)
{
	if (b->n < 2)
		return false;
	struct nlmsghdr *last = b->open;
	size_t at = (size_t)((uint8_t *)last - b->data);
	nb_open_raw(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	last = (struct nlmsghdr *)(b->data + at); /* the buffer may have moved */
	last->nlmsg_flags |= NLM_F_ACK;
	nb_close(b);
	return true;
}

/* User data is a list of type, length, value, in bytes. */
struct udata {
	uint8_t v[COMMENT_MAX + 32];
	unsigned n;
};

static void udata_u32(struct udata *u, uint8_t type, uint32_t v)
{
	u->v[u->n++] = type;
	u->v[u->n++] = sizeof(v);
	memcpy(u->v + u->n, &v, sizeof(v));
	u->n += sizeof(v);
}

static void udata_text(struct udata *u, uint8_t type, const char *text)
{
	size_t n = strnlen(text, COMMENT_MAX - 1);

	u->v[u->n++] = type;
	u->v[u->n++] = (uint8_t)(n + 1);
	memcpy(u->v + u->n, text, n);
	u->v[u->n + n] = 0;
	u->n += (unsigned)n + 1;
}

static void put_comment(struct nlmsghdr *nlh, uint16_t attr, uint8_t type, const char *text)
{
	struct udata u;

	if (!text)
		return;
	u.n = 0;
	udata_text(&u, type, text);
	mnl_attr_put(nlh, attr, u.n, u.v);
}

static void put_be32(struct nlmsghdr *nlh, uint16_t attr, uint32_t v)
{
	mnl_attr_put_u32(nlh, attr, htonl(v));
}

void nb_table(struct nb *b, enum family fam)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, fam);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_OUR_TABLE);
	put_be32(nlh, NFTA_TABLE_FLAGS, 0);
}

void nb_table_del(struct nb *b, enum family fam)
{
	mnl_attr_put_strz(nb_open(b, NFT_MSG_DELTABLE, 0, fam), NFTA_TABLE_NAME, NFT_OUR_TABLE);
}

void nb_chain(struct nb *b, enum family fam, const char *name, int hook, const char *comment)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, fam);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, name);
	if (hook >= 0) {
		struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
		put_be32(nlh, NFTA_HOOK_HOOKNUM, (uint32_t)hook);
		put_be32(nlh, NFTA_HOOK_PRIORITY, 0);
		mnl_attr_nest_end(nlh, nest);
		put_be32(nlh, NFTA_CHAIN_POLICY, NF_ACCEPT);
		mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	}
	put_comment(nlh, NFTA_CHAIN_USERDATA, UDATA_CHAIN_COMMENT, comment);
}

void nb_chain_flush(struct nb *b, enum family fam, const char *name)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_DELRULE, 0, fam);

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, name);
}

void nb_chain_del(struct nb *b, enum family fam, const char *name)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_DELCHAIN, 0, fam);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, name);
}

/* --- sets --- */

static unsigned type_len(uint8_t type)
{
	switch (type) {
	case NB_ADDR6:
		return 16;
	case NB_PROTO:
	case NB_ICMP_TYPE:
	case NB_ICMP6_TYPE:
	case NB_ICMP_CODE:
	case NB_ICMP6_CODE:
		return 1;
	case NB_PORT:
		return 2;
	default:
		return 4;
	}
}

unsigned nb_key_len(const struct nb_set *s)
{
	unsigned len = 0;

	if (!s->types[1])
		return type_len(s->types[0]);
	for (unsigned i = 0; i < 4 && s->types[i]; i++)
		len += (type_len(s->types[i]) + 3) & ~3u;
	return len;
}

static void put_fields(struct nlmsghdr *nlh, const struct nb_set *s)
{
	struct nlattr *concat = mnl_attr_nest_start(nlh, NFTA_SET_DESC_CONCAT);

	for (unsigned i = 0; i < 4 && s->types[i]; i++) {
		struct nlattr *field = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
		put_be32(nlh, NFTA_SET_FIELD_LEN, type_len(s->types[i]));
		mnl_attr_nest_end(nlh, field);
	}
	mnl_attr_nest_end(nlh, concat);
}

static void put_expr_counter(struct nlmsghdr *nlh)
{
	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, "counter");
	struct nlattr *data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	mnl_attr_put_u64(nlh, NFTA_COUNTER_BYTES, 0);
	mnl_attr_put_u64(nlh, NFTA_COUNTER_PACKETS, 0);
	mnl_attr_nest_end(nlh, data);
}

void nb_set(struct nb *b, enum family fam, const struct nb_set *s)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_NEWSET, NLM_F_CREATE, fam);
	bool concat = s->types[1] && s->interval;
	uint32_t type = 0;

	for (unsigned i = 0; i < 4 && s->types[i]; i++)
		type = type << TYPE_BITS | s->types[i];
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, s->name);
	/* The batch's number serves as the identifier: unique in the transaction. */
	put_be32(nlh, NFTA_SET_ID, b->n);
	put_be32(nlh, NFTA_SET_FLAGS,
		 (s->interval ? NFT_SET_INTERVAL : 0u) | (s->data ? NFT_SET_MAP : 0u) |
			 (concat ? NFT_SET_CONCAT : 0u));
	put_be32(nlh, NFTA_SET_KEY_TYPE, type);
	put_be32(nlh, NFTA_SET_KEY_LEN, nb_key_len(s));
	if (s->data) {
		bool verdict = s->data == NB_TO_VERDICT;
		put_be32(nlh, NFTA_SET_DATA_TYPE, verdict ? (uint32_t)VERDICT_TYPE : NB_MARK);
		put_be32(nlh, NFTA_SET_DATA_LEN, verdict ? 0 : 4);
	}
	if (concat || s->size) {
		struct nlattr *desc = mnl_attr_nest_start(nlh, NFTA_SET_DESC);
		if (s->size)
			put_be32(nlh, NFTA_SET_DESC_SIZE, s->size);
		if (concat)
			put_fields(nlh, s);
		mnl_attr_nest_end(nlh, desc);
	}
	if (s->counter) {
		struct nlattr *expr = mnl_attr_nest_start(nlh, NFTA_SET_EXPR);
		put_expr_counter(nlh);
		mnl_attr_nest_end(nlh, expr);
	}
	/* So that nft knows how to print what has one part; of more it goes by their types. */
	struct udata u;
	u.n = 0;
	udata_u32(&u, UDATA_SET_KEY_ORDER,
		  s->types[0] == NB_ADDR4 || s->types[0] == NB_ADDR6 ? NET_ORDER : HOST_ORDER);
	if (s->data == NB_TO_MARK)
		udata_u32(&u, UDATA_SET_DATA_ORDER, HOST_ORDER);
	if (s->comment)
		udata_text(&u, UDATA_SET_COMMENT, s->comment);
	mnl_attr_put(nlh, NFTA_SET_USERDATA, u.n, u.v);
}

void nb_set_del(struct nb *b, enum family fam, const char *name)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_DELSET, 0, fam);

	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, name);
}

void nb_set_flush(struct nb *b, enum family fam, const char *name)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_DELSETELEM, 0, fam);

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
}

static void put_verdict(struct nlmsghdr *nlh, int verdict, const char *chain)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);

	put_be32(nlh, NFTA_VERDICT_CODE, (uint32_t)verdict);
	if (chain)
		mnl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(nlh, nest);
}

static void put_value(struct nlmsghdr *nlh, uint16_t attr, const void *v, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, attr);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, v);
	mnl_attr_nest_end(nlh, nest);
}

static void put_elem(struct nb *b, const struct nb_elem *e, bool del)
{
	struct nlmsghdr *nlh = b->open;
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	put_value(nlh, NFTA_SET_ELEM_KEY, e->key, e->len);
	if (e->has_end)
		put_value(nlh, NFTA_SET_ELEM_KEY_END, e->end, e->len);
	if (e->interval_end)
		put_be32(nlh, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	if (!del && !e->interval_end && e->data == NB_TO_MARK)
		put_value(nlh, NFTA_SET_ELEM_DATA, &e->mark, sizeof(e->mark));
	if (!del && !e->interval_end && e->data == NB_TO_VERDICT) {
		struct nlattr *data = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_DATA);
		put_verdict(nlh, e->verdict, e->chain);
		mnl_attr_nest_end(nlh, data);
	}
	if (!del)
		put_comment(nlh, NFTA_SET_ELEM_USERDATA, UDATA_ELEM_COMMENT, e->comment);
	mnl_attr_nest_end(nlh, nest);
}

static void elem(struct nb *b, enum family fam, const char *set, const struct nb_elem *e, bool del)
{
	/* The same list only for the same object: its cookie must tell the truth. */
	if (!b->open || b->fam != fam || b->set_del != del || strcmp(b->set, set) ||
	    b->cookies[b->n - 1] != b->cookie || b->open->nlmsg_len > MESSAGE_FULL) {
		nb_open(b, del ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, del ? 0 : NLM_F_CREATE,
			fam);
		snprintf(b->set, sizeof(b->set), "%s", set);
		b->set_del = del;
		mnl_attr_put_strz(b->open, NFTA_SET_ELEM_LIST_TABLE, NFT_OUR_TABLE);
		mnl_attr_put_strz(b->open, NFTA_SET_ELEM_LIST_SET, set);
		b->list = mnl_attr_nest_start(b->open, NFTA_SET_ELEM_LIST_ELEMENTS);
	}
	put_elem(b, e, del);
}

void nb_elem_add(struct nb *b, enum family fam, const char *set, const struct nb_elem *e)
{
	elem(b, fam, set, e, false);
}

void nb_elem_del(struct nb *b, enum family fam, const char *set, const struct nb_elem *e)
{
	elem(b, fam, set, e, true);
}

/* --- rules --- */

static uint32_t reg(unsigned part)
{
	/* nft's own way: the first part in the old name of the register. */
	return part ? NFT_REG32_00 + part : (uint32_t)NFT_REG_1;
}

void nb_rule(struct nb *b, enum family fam, const char *chain)
{
	struct nlmsghdr *nlh = nb_open(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, fam);

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	b->list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
}

void nb_rule_end(struct nb *b, const char *comment)
{
	mnl_attr_nest_end(b->open, b->list);
	b->list = NULL;
	put_comment(b->open, NFTA_RULE_USERDATA, UDATA_RULE_COMMENT, comment);
}

struct expr {
	struct nlattr *elem, *data;
};

static struct expr expr_begin(struct nb *b, const char *name)
{
	struct expr x = { .elem = mnl_attr_nest_start(b->open, NFTA_LIST_ELEM) };

	mnl_attr_put_strz(b->open, NFTA_EXPR_NAME, name);
	x.data = mnl_attr_nest_start(b->open, NFTA_EXPR_DATA);
	return x;
}

static void expr_end(struct nb *b, struct expr x)
{
	mnl_attr_nest_end(b->open, x.data);
	mnl_attr_nest_end(b->open, x.elem);
}

void nb_x_meta(struct nb *b, uint32_t key, unsigned part)
{
	struct expr x = expr_begin(b, "meta");

	put_be32(b->open, NFTA_META_DREG, reg(part));
	put_be32(b->open, NFTA_META_KEY, key);
	expr_end(b, x);
}

void nb_x_ct(struct nb *b, uint32_t key, unsigned part)
{
	struct expr x = expr_begin(b, "ct");

	put_be32(b->open, NFTA_CT_DREG, reg(part));
	put_be32(b->open, NFTA_CT_KEY, key);
	expr_end(b, x);
}

void nb_x_ct_mark_set(struct nb *b)
{
	struct expr x = expr_begin(b, "ct");

	put_be32(b->open, NFTA_CT_SREG, reg(0));
	put_be32(b->open, NFTA_CT_KEY, NFT_CT_MARK);
	expr_end(b, x);
}

void nb_x_load(struct nb *b, uint32_t base, uint32_t offset, uint32_t len, unsigned part)
{
	struct expr x = expr_begin(b, "payload");

	put_be32(b->open, NFTA_PAYLOAD_DREG, reg(part));
	put_be32(b->open, NFTA_PAYLOAD_BASE, base);
	put_be32(b->open, NFTA_PAYLOAD_OFFSET, offset);
	put_be32(b->open, NFTA_PAYLOAD_LEN, len);
	expr_end(b, x);
}

void nb_x_cmp(struct nb *b, const void *value, unsigned len)
{
	struct expr x = expr_begin(b, "cmp");

	put_be32(b->open, NFTA_CMP_SREG, reg(0));
	put_be32(b->open, NFTA_CMP_OP, NFT_CMP_EQ);
	put_value(b->open, NFTA_CMP_DATA, value, len);
	expr_end(b, x);
}

void nb_x_u32(struct nb *b, uint32_t value)
{
	struct expr x = expr_begin(b, "immediate");

	put_be32(b->open, NFTA_IMMEDIATE_DREG, reg(0));
	put_value(b->open, NFTA_IMMEDIATE_DATA, &value, sizeof(value));
	expr_end(b, x);
}

void nb_x_hton(struct nb *b, unsigned part)
{
	struct expr x = expr_begin(b, "byteorder");

	put_be32(b->open, NFTA_BYTEORDER_SREG, reg(part));
	put_be32(b->open, NFTA_BYTEORDER_DREG, reg(part));
	put_be32(b->open, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put_be32(b->open, NFTA_BYTEORDER_LEN, 4);
	put_be32(b->open, NFTA_BYTEORDER_SIZE, 4);
	expr_end(b, x);
}

void nb_x_lookup(struct nb *b, const char *set, enum nb_data data)
{
	struct expr x = expr_begin(b, "lookup");

	mnl_attr_put_strz(b->open, NFTA_LOOKUP_SET, set);
	put_be32(b->open, NFTA_LOOKUP_SREG, reg(0));
	if (data != NB_SET)
		put_be32(b->open, NFTA_LOOKUP_DREG,
			 data == NB_TO_VERDICT ? (uint32_t)NFT_REG_VERDICT : reg(0));
	expr_end(b, x);
}

void nb_x_counter(struct nb *b)
{
	struct nlattr *nest = mnl_attr_nest_start(b->open, NFTA_LIST_ELEM);

	put_expr_counter(b->open);
	mnl_attr_nest_end(b->open, nest);
}

void nb_x_verdict(struct nb *b, int verdict, const char *chain)
{
	struct expr x = expr_begin(b, "immediate");
	struct nlattr *data;

	put_be32(b->open, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = mnl_attr_nest_start(b->open, NFTA_IMMEDIATE_DATA);
	put_verdict(b->open, verdict, chain);
	mnl_attr_nest_end(b->open, data);
	expr_end(b, x);
}
