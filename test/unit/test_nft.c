/* felix/nft_msg, nft_layout and nft_map: what is packed, and where rows go; no kernel. */
#include "config.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "felix/nft_impl.h"
#include "test/unit/unit.h"

/* Walks a closed batch: the numbers run, messages fill the buffer, and ends are as they should. */
static unsigned walk(const struct nb *b)
{
	int left = (int)b->used;
	unsigned n = 0;

	for (const struct nlmsghdr *m = (const struct nlmsghdr *)b->data; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left), n++) {
		bool first = n == 0, last = n == b->n - 1;

		ck_assert_uint_eq(m->nlmsg_seq, n);
		ck_assert_int_eq(m->nlmsg_type == NFNL_MSG_BATCH_BEGIN, first);
		ck_assert_int_eq(m->nlmsg_type == NFNL_MSG_BATCH_END, last);
		ck_assert_int_eq(!!(m->nlmsg_flags & NLM_F_ACK), n == b->n - 2);
		if (!first && !last)
			ck_assert_uint_eq(m->nlmsg_type >> 8, NFNL_SUBSYS_NFTABLES);
	}
	ck_assert_int_eq(left, 0);
	ck_assert_uint_eq(n, b->n);
	return n;
}

START_TEST(batch)
{
	struct nb b;

	nb_init(&b);
	nb_begin(&b);
	ck_assert(!nb_end(&b));
	nb_begin(&b);
	nb_table(&b, FAM_V4);
	nb_chain(&b, FAM_V6, "c", -1, "why");
	nb_rule(&b, FAM_V6, "c");
	nb_x_counter(&b);
	nb_x_verdict(&b, NF_DROP, NULL);
	nb_rule_end(&b, "because");
	ck_assert(nb_end(&b));
	ck_assert_uint_eq(walk(&b), 5);
	nb_free(&b);
}
END_TEST

/* Elements share messages; none grows beyond what 16 bits of length can say; an object of its own
 * has a message of its own. */
START_TEST(elements)
{
	enum { MANY = 20000 };
	struct nb b;
	unsigned seen = 0;

	nb_init(&b);
	nb_begin(&b);
	b.cookie = 7;
	for (uint32_t i = 0; i < MANY; i++) {
		struct nb_elem e = { .len = 4, .data = NB_TO_MARK, .mark = i };

		nb_key_be32(e.key, 0, i);
		if (i == MANY - 1)
			b.cookie = 8;
		nb_elem_add(&b, FAM_V4, "ipid", &e);
	}
	ck_assert(nb_end(&b));
	unsigned n = walk(&b);
	ck_assert_uint_ge(n, 10);
	ck_assert_uint_le(n, 20);
	ck_assert_uint_eq(b.cookies[1], 7);
	ck_assert_uint_eq(b.cookies[n - 2], 8);
	int left = (int)b.used;
	for (const struct nlmsghdr *m = (const struct nlmsghdr *)b.data; mnl_nlmsg_ok(m, left);
	     m = mnl_nlmsg_next(m, &left)) {
		const struct nlattr *a, *e;

		if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
			continue;
		ck_assert_uint_lt(m->nlmsg_len, 65536);
		mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
		{
			if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
				continue;
			mnl_attr_for_each_nested(e, a)
			{
				const struct nlattr *key = mnl_attr_get_payload(e);
				const struct nlattr *value = mnl_attr_get_payload(key);
				uint32_t be;

				ck_assert_uint_eq(mnl_attr_get_payload_len(value), 4);
				memcpy(&be, mnl_attr_get_payload(value), 4);
				ck_assert_uint_eq(ntohl(be), seen);
				seen++;
			}
		}
	}
	ck_assert_uint_eq(seen, MANY);
	nb_free(&b);
}
END_TEST

START_TEST(key_lengths)
{
	static const struct {
		struct nb_set s;
		unsigned len;
	} cases[] = {
		{ { .types = { NB_ADDR4 } }, 4 },
		{ { .types = { NB_ADDR6 } }, 16 },
		{ { .types = { NB_MARK, NB_PROTO } }, 8 },
		{ { .types = { NB_MARK, NB_PROTO, NB_PORT } }, 12 },
		{ { .types = { NB_MARK, NB_PROTO, NB_PORT, NB_PORT } }, 16 },
		{ { .types = { NB_IFINDEX, NB_IFINDEX } }, 8 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_uint_eq(nb_key_len(&cases[i].s), cases[i].len);
}
END_TEST

START_TEST(kinds)
{
	static const struct {
		enum family fam;
		uint16_t proto, lo, hi, slo, shi;
		enum nft_kind kind;
	} cases[] = {
		{ FAM_V4, CALC_ALL_PROTOCOLS, 0, 65535, 0, 65535, K_ALL },
		{ FAM_V4, 6, 80, 80, 0, 65535, K_PORT },
		{ FAM_V4, 6, 80, 81, 0, 65535, K_RANGE },
		{ FAM_V4, 6, 80, 80, 1, 65535, K_RANGE },
		{ FAM_V4, 6, 0, 65535, 0, 65534, K_RANGE },
		{ FAM_V4, 17, 0, 65535, 0, 65535, K_PROTO },
		{ FAM_V6, 132, 0, 0, 0, 65535, K_PORT },
		{ FAM_V4, 47, 0, 65535, 0, 65535, K_PROTO },
		{ FAM_V4, 1, 0, 255, 0, 255, K_PROTO },
		{ FAM_V4, 1, 8, 8, 0, 255, K_ICMP },
		{ FAM_V4, 1, 0, 255, 1, 1, K_ICMP },
		{ FAM_V6, 58, 128, 128, 0, 255, K_ICMP },
		{ FAM_V6, 1, 8, 8, 0, 255, K_KINDS }, /* the other family's has no such field */
		{ FAM_V6, 1, 0, 255, 0, 255, K_PROTO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct n_row row = { .k = { 5, cases[i].proto, cases[i].lo, cases[i].hi,
						  cases[i].slo, cases[i].shi, 0 } };

		ck_assert_msg(n_kind(cases[i].fam, &row) == cases[i].kind, "case %zu", i);
	}
}
END_TEST

/* A map against an array, puts and deletes in a fixed disorder. */
START_TEST(map)
{
	enum { KEYS = 512 };
	struct entry {
		uint32_t key, value;
	};
	uint32_t want[KEYS] = { 0 }, seed = 1, n = 0;
	struct kmap m;

	kmap_init(&m, sizeof(uint32_t), sizeof(struct entry));
	for (uint32_t i = 1; i < 20000; i++) {
		seed = seed * 1664525 + 1013904223;
		uint32_t key = (seed >> 8) % KEYS;

		if (seed >> 31) {
			struct entry *e = kmap_put(&m, &key);
			ck_assert_uint_eq(e->value, want[key]);
			n += !want[key];
			e->value = want[key] = i;
		} else {
			ck_assert_int_eq(kmap_del(&m, &key), want[key] != 0);
			n -= want[key] != 0;
			want[key] = 0;
		}
		ck_assert_uint_eq(m.n, n);
	}
	for (uint32_t key = 0; key < KEYS; key++) {
		const struct entry *e = kmap_get(&m, &key);
		ck_assert_uint_eq(e ? e->value : 0, want[key]);
	}
	KMAP_EACH(&m, struct entry, e)
	{
		ck_assert_uint_eq(want[e->key], e->value);
		n--;
	}
	ck_assert_uint_eq(n, 0);
	kmap_free(&m);
}
END_TEST

UNIT_MAIN("nft", batch, elements, key_lengths, kinds, map)
