/* Messages of nf_tables, packed one behind the other into one transaction. Pure: bytes only.
 *
 * Every message carries its number in the batch as its sequence number and a cookie of the caller,
 * so that an error of the kernel leads back to the object.
 */
#ifndef SELVAGE_FELIX_NFT_MSG_H
#define SELVAGE_FELIX_NFT_MSG_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/prefix.h"

#define NFT_OUR_TABLE "selvage"

struct nb {
	uint8_t *data;
	size_t used, cap;  /* bytes */
	uint64_t *cookies; /* of each message */
	uint32_t n, ncookies;
	uint64_t cookie; /* what the messages that follow get */
	/* The message being filled. */
	struct nlmsghdr *open;
	struct nlattr *list;
	enum family fam;
	char set[64]; /* "": no list of elements */
	bool set_del;
};

void nb_init(struct nb *b);
void nb_free(struct nb *b);
/* Empties it and begins a transaction. */
void nb_begin(struct nb *b);
/* Ends the transaction; its last message but the end asks for an acknowledgement. False where
 * there is nothing in it. */
bool nb_end(struct nb *b);

void nb_table(struct nb *b, enum family fam);
void nb_table_del(struct nb *b, enum family fam);
/* A chain; hook: NF_INET_* for a base chain of type filter, priority 0, policy accept, or -1.
 * comment may be NULL everywhere. */
void nb_chain(struct nb *b, enum family fam, const char *name, int hook, const char *comment);
void nb_chain_flush(struct nb *b, enum family fam, const char *name); /* its rules go */
void nb_chain_del(struct nb *b, enum family fam, const char *name);

/* Types of a key's parts, as nft numbers them. */
enum nb_type {
	NB_ADDR4 = 7,
	NB_ADDR6 = 8,
	NB_PROTO = 12,
	NB_PORT = 13,
	NB_ICMP_TYPE = 14,
	NB_MARK = 19,
	NB_IFINDEX = 20,
	NB_CT_STATE = 26,
	NB_ICMP6_TYPE = 29,
	NB_ICMP_CODE = 32,
	NB_ICMP6_CODE = 33,
};
enum nb_data { NB_SET, NB_TO_MARK, NB_TO_VERDICT };
enum { NB_MAX_KEY = 32 };

struct nb_set {
	const char *name;
	uint8_t types[4]; /* enum nb_type, ended by 0 */
	enum nb_data data;
	bool interval; /* of one part: pairs of start and end; of more: ranges with a closing key */
	bool counter;  /* every element counts */
	uint32_t size; /* 0: grows */
	const char *comment;
};
void nb_set(struct nb *b, enum family fam, const struct nb_set *s);
void nb_set_del(struct nb *b, enum family fam, const char *name);
void nb_set_flush(struct nb *b, enum family fam, const char *name); /* its elements go */
unsigned nb_key_len(const struct nb_set *s);

/* An element: of key bytes in the registers' layout (each part from a multiple of 4). */
struct nb_elem {
	uint8_t key[NB_MAX_KEY], end[NB_MAX_KEY];
	uint8_t len;
	bool has_end;	   /* a range: both ends included */
	bool interval_end; /* of an interval map of one part: here it is over */
	enum nb_data data;
	uint32_t mark;
	int verdict;	   /* NF_ACCEPT, NFT_GOTO, ... */
	const char *chain; /* of jump and goto */
	const char *comment;
};
/* Consecutive elements of one set go into one message as far as it holds them. */
void nb_elem_add(struct nb *b, enum family fam, const char *set, const struct nb_elem *e);
void nb_elem_del(struct nb *b, enum family fam, const char *set, const struct nb_elem *e);

/* Parts of keys: at part i. */
static inline void nb_key_host32(uint8_t *key, unsigned i, uint32_t v)
{
	__builtin_memcpy(key + 4 * i, &v, 4);
}
static inline void nb_key_be32(uint8_t *key, unsigned i, uint32_t v)
{
	nb_key_host32(key, i, __builtin_bswap32(v));
}
static inline void nb_key_be16(uint8_t *key, unsigned i, uint16_t v)
{
	key[4 * i] = (uint8_t)(v >> 8);
	key[4 * i + 1] = (uint8_t)v;
}
static inline void nb_key_u8(uint8_t *key, unsigned i, uint8_t v)
{
	key[4 * i] = v;
}

/* A rule: begin, expressions, end. Registers: part i of a key. */
void nb_rule(struct nb *b, enum family fam, const char *chain);
void nb_rule_end(struct nb *b, const char *comment);
void nb_x_meta(struct nb *b, uint32_t key, unsigned part);
void nb_x_ct(struct nb *b, uint32_t key, unsigned part);
void nb_x_ct_mark_set(struct nb *b); /* from part 0 */
void nb_x_load(struct nb *b, uint32_t base, uint32_t offset, uint32_t len, unsigned part);
void nb_x_cmp(struct nb *b, const void *value, unsigned len); /* part 0 equals */
void nb_x_u32(struct nb *b, uint32_t value);		      /* into part 0 */
void nb_x_hton(struct nb *b, unsigned part);		      /* of 32 bits */
/* What part 0 on is found in: NB_SET goes on with the rule when it is in it, NB_TO_MARK has the
 * mark in part 0, NB_TO_VERDICT does it. */
void nb_x_lookup(struct nb *b, const char *set, enum nb_data data);
void nb_x_counter(struct nb *b);
void nb_x_verdict(struct nb *b, int verdict, const char *chain);

#endif
