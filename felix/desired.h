/* From the datastore to what this node is to do: blocks, reservations, what bgpd is told, and every
 * problem with them. Pure: reads the store, returns a value.
 */
#ifndef SELVAGE_FELIX_DESIRED_H
#define SELVAGE_FELIX_DESIRED_H

#include "felix/bgpconf.h"
#include "ipam/ipam.h"
#include "store/store.h"

struct desired {
	struct arena arena; /* owns all but bgp */
	struct ipam_block_conf *blocks;
	unsigned nblocks;
	unsigned nallocate; /* blocks that addresses are given from */
	unsigned npools;    /* pools of the datastore */
	struct prefix *reserved;
	unsigned nreserved;
	unsigned cooldown; /* s */
	uint32_t npolicies;
	struct bgpconf *bgp;
	struct problems problems; /* lines for people */
	bool fatal;		  /* addresses would be wrong: blocks must not be used */
};

/* Never NULL. Borrows nothing from the input. */
struct desired *desired_compute(const struct bgpconf_input *in);
void desired_free(struct desired *d); /* NULL is allowed */

#endif
