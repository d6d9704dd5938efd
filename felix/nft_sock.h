/* Transactions with nf_tables, and questions to it. */
#ifndef SELVAGE_FELIX_NFT_SOCK_H
#define SELVAGE_FELIX_NFT_SOCK_H

#include "felix/nft_msg.h"
#include "lib/err.h"

struct nft_sock;

struct nft_sock *nft_sock_open(struct err *err);
void nft_sock_close(struct nft_sock *s);

/* Sends a batch that nb_end() closed. 0: all of it holds; -1: none of it does, *cookie is that of
 * the first message that failed (that of the first message, where the whole failed). */
int nft_sock_commit(struct nft_sock *s, const struct nb *b, uint64_t *cookie, struct err *err);

/* The number of the ruleset's generation: one more with each transaction of anybody. */
int nft_sock_generation(struct nft_sock *s, uint32_t *gen, struct err *err);

/* What there is of our table: type NFT_MSG_GETCHAIN, _GETRULE, _GETSET, or _GETSETELEM of the named
 * set. A table or set that is not there has nothing. restart as nl_dump()'s. */
int nft_sock_dump(struct nft_sock *s, uint16_t type, enum family fam, const char *set,
		  int (*cb)(const struct nlmsghdr *, void *), void (*restart)(void *), void *arg,
		  struct err *err);

/* One element of a set, by its key. cb gets it; -1 where there is none. */
int nft_sock_elem(struct nft_sock *s, enum family fam, const char *set, const struct nb_elem *e,
		  int (*cb)(const struct nlmsghdr *, void *), void *arg, struct err *err);

#endif
