/* The policy dataplane: tables `ip selvage` and `ip6 selvage` of nf_tables, by netlink.
 *
 * Takes what the calc graph says (felix/policy/calc.h, struct calc_ops: nft_ops() gives them) and
 * the interfaces of endpoints; keeps what is wanted; nft_commit() brings the kernel there.
 *
 * The layout. Chain `forward`: known flows pass; what comes from an interface of ours goes through
 * `egress`, what goes to one of ours then through `ingress`. Each writes the other end's identity
 * into the conntrack mark (map `ipid`, then `atoms`) and leads by interface index (`from-pod`,
 * `to-pod`) to the class's chain, "c<class>-out-<generation>" or "c<class>-in-<generation>". That
 * one looks the packet up in maps of its own, first with its identity, then with identity 0. An
 * interface of ours that is not in the maps drops. `input` and `output` let a node and its own pods
 * speak.
 *
 * The identity of another program's conntrack marks is lost for flows of pods.
 *
 * A class's chain changes in place where one map tells the whole change; else a new chain and new
 * maps are built, its endpoints re-pointed, and the old ones deleted in a later transaction.
 */
#ifndef SELVAGE_FELIX_NFT_H
#define SELVAGE_FELIX_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "felix/policy/calc.h"
#include "lib/err.h"

struct nft;

struct nft_config {
	const char *prefix; /* 4 bytes: how our interfaces' names begin, "cali" */
	/* What a listing says of a rule number, and of a class; NULL: the numbers alone. Writes a
	 * terminated text. */
	void (*rule_text)(void *arg, uint32_t rule, char *buf, size_t size);
	void (*class_text)(void *arg, uint32_t class_, char *buf, size_t size);
	void *arg;
};

/* Opens the sockets; touches no rule. What an earlier felix left stays until the first commit. NULL
 * and err where the kernel refuses. config is copied, prefix not. */
struct nft *nft_open(const struct nft_config *config, struct err *err);
void nft_close(struct nft *n); /* the kernel's rules stay */

/* --- wanted state; nothing reaches the kernel before nft_commit() --- */

/* For calc_new(); the argument there is the struct nft. */
const struct calc_ops *nft_ops(void);
/* The interface of an endpoint; 0: it has none (now). In any order with the ops. */
void nft_iface(struct nft *n, uint64_t endpoint, uint32_t ifindex);
/* The endpoint is gone, its interface too. */
void nft_iface_del(struct nft *n, uint64_t endpoint);

/* The addresses that an endpoint may send from: its own and what else it is allowed. Others are
 * dropped in prerouting, before conntrack; IPv6 link-local ones pass for neighbour discovery alone.
 * Replaces what was said before; forgotten by nft_iface_del(). */
void nft_sources(struct nft *n, uint64_t endpoint, const struct prefix *v, size_t nv);
/* Packets from `from` (pools with natOutgoing) to an address outside `pools` (all pools) leave with
 * the node's address. Both families; replaces what was said before. */
void nft_masquerade(struct nft *n, const struct prefix *from, size_t nfrom,
		    const struct prefix *pools, size_t npools);

enum nft_object {
	NFT_OBJ_NONE,
	NFT_OBJ_BASE,	   /* the tables themselves, or the socket */
	NFT_OBJ_CLASS,	   /* id: the class */
	NFT_OBJ_ENDPOINT,  /* id: the endpoint */
	NFT_OBJ_ADDRESSES, /* the map of addresses */
	NFT_OBJ_ATOMS,
};
struct nft_failure {
	enum nft_object object;
	uint64_t id;
	struct err err;
};
struct nft_result {
	unsigned failures; /* objects that failed, the first ones in `failed` */
	struct nft_failure failed[8];
	unsigned transactions, messages;
	size_t bytes;
	unsigned flips; /* chains that were built anew */
	bool reloaded;	/* everything was written, in one transaction */
};

/* Brings the kernel to what is wanted. 0; or -1 where anything failed: a class or endpoint that
 * fails is left out (its previous rules stay; where it has none, its endpoints' packets drop) and
 * the rest is applied; where that cannot be, the previous rules stay whole. What failed is tried
 * again, whole, by the next commit. Blocks: microseconds for a few elements; about 1 ms where
 * something has to be deleted that packets under way may still look at. */
int nft_commit(struct nft *n, struct nft_result *result);

/* Becomes readable when some program's transaction touches our tables; -1: there is no such socket,
 * nft_changed() has to be asked from time to time. */
int nft_events_fd(const struct nft *n);
/* Reads what has come; true: another program changed our tables (or events were lost), to be
 * confirmed by nft_changed(). Our own transactions do not count. */
bool nft_events_read(struct nft *n);

/* Are there wishes that were not committed? */
bool nft_pending(const struct nft *n);
/* Has somebody else changed our tables since the last commit? Costs one small question while no
 * program changes any table; else our tables are listed and compared. -1 error, 0 no, 1 yes. */
int nft_changed(struct nft *n, struct err *err);
/* The next commit writes everything, in one transaction. */
void nft_resync(struct nft *n);

/* Packets and bytes that a rule number (struct calc_row) decided, those of chains and elements that
 * went included. One call a rule. 0 or -1. */
typedef void (*nft_counter_fn)(void *arg, uint32_t rule, uint64_t packets, uint64_t bytes);
int nft_counters(struct nft *n, nft_counter_fn cb, void *arg, struct err *err);

#endif
