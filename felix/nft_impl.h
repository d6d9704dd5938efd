/* Shared by felix/nft*.c alone. */
#ifndef SELVAGE_FELIX_NFT_IMPL_H
#define SELVAGE_FELIX_NFT_IMPL_H

#include "felix/nft.h"
#include "felix/nft_msg.h"
#include "felix/nft_sock.h"

/* A hash map of entries that begin with their key; no padding in keys. Entries move when others
 * come or go. */
struct kmap {
	uint8_t *v;
	uint32_t slots, n;
	uint32_t key, entry; /* bytes */
};
void kmap_init(struct kmap *m, uint32_t key, uint32_t entry);
void kmap_free(struct kmap *m);
void *kmap_get(const struct kmap *m, const void *key);
void *kmap_put(struct kmap *m, const void *key); /* a new one is zero behind its key */
bool kmap_del(struct kmap *m, const void *key);
/* From *i = 0; NULL at the end. */
void *kmap_next(const struct kmap *m, uint32_t *i);
#define KMAP_EACH(m, type, e)                                                                      \
	for (uint32_t e##_i = 0, e##_once = 1; e##_once; e##_once = 0)                             \
		for (type * e; (e = kmap_next((m), &e##_i));)

enum { FAMS = 2, DIRS = POLICY_DIRECTIONS };
enum nft_kind { K_PORT, K_RANGE, K_ICMP, K_PROTO, K_ALL, K_KINDS };

struct n_addr {
	struct addr a;
	uint32_t ident, k_ident; /* k_: what the kernel has */
	bool has_k, del;
};

struct n_row_key {
	uint32_t ident;
	uint16_t proto, lo, hi, slo, shi, zero;
};
struct n_row {
	struct n_row_key k;
	uint32_t rule;
	bool allow;
};

enum n_phase { PHASE_ADD, PHASE_CHANGE, PHASE_DEL, PHASES };
struct n_pend {
	enum n_phase phase;
	bool del;
	struct n_row row;
};

/* A chain and its maps. kinds: bits of enum nft_kind that it has, [1] for identity 0. */
struct n_chain {
	uint32_t class_, gen; /* gen 0: there is none */
	uint8_t fam, dir, kinds[2];
};

struct n_tab {
	struct kmap rows; /* struct n_row: what is wanted, without what PHASE_DEL takes */
	struct n_pend *pend;
	size_t npend, cap;
	struct n_chain k, next; /* next.gen != 0: built by this commit */
	bool stale;		/* a change failed: build it anew */
};

struct n_class {
	uint32_t id;
	uint32_t last_gen;
	bool touched, gone, failed;
	struct n_tab tab[FAMS][DIRS];
};
struct n_class_ref {
	uint32_t id;
	struct n_class *c;
};

struct n_ep {
	uint64_t id;
	uint32_t ifindex, class_;
	bool has_class, gone, failed;
	uint32_t k_ifindex;		    /* 0: nothing in the kernel */
	struct n_chain k_chain[FAMS][DIRS]; /* gen 0: no element */
};

struct n_total {
	uint32_t rule, zero;
	uint64_t packets, bytes;
};

struct nft {
	struct nft_config config;
	struct nft_sock *sock;
	struct nb b;
	struct kmap addrs, classes, eps;
	struct kmap totals, leaving; /* struct n_total; leaving: of what this commit takes away */
	struct calc_atom *atoms[FAMS];
	size_t natoms[FAMS];
	bool atoms_touched[FAMS];
	struct addr *pend_addrs;
	size_t npend_addrs, cap_addrs;
	struct n_chain *garbage;
	size_t ngarbage, cap_garbage;
	bool pending, loaded, reload, foreign;
	uint32_t gen;
	struct nft_result *res;
};

enum family n_family(unsigned f); /* of an index below FAMS */

/* --- nft_layout.c: what the kernel is told --- */
enum nft_kind n_kind(enum family fam, const struct n_row *row); /* K_KINDS: never matches */
void n_base(struct nft *n, enum family fam);
void n_chain_build(struct nft *n, const struct n_chain *c);
void n_chain_drop(struct nft *n, const struct n_chain *c);
/* Its rows, those that leave in the last phase too. */
void n_chain_fill(struct nft *n, const struct n_chain *c, const struct n_tab *t);
void n_chain_row(struct nft *n, const struct n_chain *c, const struct n_row *row, bool del);
uint8_t n_kinds_of(const struct n_tab *t, enum family fam, bool zero);
void n_address(struct nft *n, const struct addr *a, uint32_t ident, bool del);
void n_atoms(struct nft *n, enum family fam);
/* The endpoint's elements: the old ones go, those of chains[][] come. */
void n_endpoint(struct nft *n, const struct n_ep *e, uint32_t ifindex,
		const struct n_chain chains[FAMS][DIRS]);
/* An element's key alone. */
void n_row_key(enum nft_kind kind, const struct n_row_key *k, struct nb_elem *e);
void n_set_name(const struct n_chain *c, enum nft_kind kind, char buf[64]);

void n_class_free(struct n_class *c);

/* --- nft_read.c --- */
/* Keeps what the chain's or the element's counters have, until n_retired() says whether they went.
 */
void n_retire(struct nft *n, const struct n_chain *c);
void n_retire_row(struct nft *n, const struct n_chain *c, const struct n_row *row);
void n_retired(struct nft *n, bool gone);

/* Writes all that the kernel should have; fresh: as new chains, else as it has them now. */
void n_write_all(struct nft *n, bool fresh);

#endif
