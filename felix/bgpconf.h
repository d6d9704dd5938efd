/* What bgpd is told: the store, node.yaml and the node's addresses compiled into messages. Pure.
 *
 * Peers come as Calico makes them: BGPPeer resources (global, by node, by nodeSelector; a
 * peerSelector takes Node documents, and those peer back unless reversePeering is Manual), then the
 * full mesh over Node documents. An explicit peer wins over the mesh, a global one over a node's. A
 * pair of nodes has one session, over IPv4 where both have it: it carries both families.
 */
#ifndef SELVAGE_FELIX_BGPCONF_H
#define SELVAGE_FELIX_BGPCONF_H

#include "lib/msg.h"
#include "lib/nodeconf.h"
#include "store/store.h"

struct node_claims; /* felix/blocks.h */

struct bgpconf_input {
	const struct store *store;
	const struct nodeconf *conf;
	const char *node;
	const struct prefix *addrs; /* the node's own, at most one a family, with lengths */
	unsigned naddrs;
	const struct node_claims *claims; /* NULL: blocks come from the store's documents */
};

struct bgpconf {
	struct arena arena; /* owns all of it */
	struct m_bgp_begin begin;
	struct m_bgp_peer *peers;
	unsigned npeers;
	struct m_bgp_origin *origins; /* each of at most IPC_BATCH prefixes */
	unsigned norigins;
	struct m_bgp_pools *pools; /* each of at most IPC_BATCH pools */
	unsigned npools;
	struct problems problems; /* what was left out or is not served, and why */
};

/* Never NULL. Borrows nothing from the input. Send begin, peers, origins, pools, then M_BGP_END. */
struct bgpconf *bgpconf_compile(const struct bgpconf_input *in);
void bgpconf_free(struct bgpconf *c);
/* Would bgpd be told the same? Then nothing need be sent. */
bool bgpconf_same(const struct bgpconf *a, const struct bgpconf *b);

#endif
