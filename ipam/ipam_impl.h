/* Shared by ipam/ipam.c (the journal, blocks) and ipam/assign.c (leases) alone.
 */
#ifndef SELVAGE_IPAM_IPAM_IMPL_H
#define SELVAGE_IPAM_IPAM_IMPL_H

#include "ipam/block.h"
#include "ipam/ipam.h"
#include "ipam/journal.h"
#include "ipam/lease.h"

struct own_block {
	struct ipam_block_conf conf;
	bool ours; /* false: taken away; kept while addresses in it are held or cool down */
	struct block *b;
};

struct ipam {
	struct journal *journal;
	int lock_fd;
	char boot_id[BOOT_ID_LEN];
	uint64_t created;
	struct leases leases;
	struct leases voided; /* by the reboot before this start */
	struct own_block *blocks;
	unsigned nblocks;
	struct prefix *reserved;
	unsigned nreserved;
	struct addr *foreign; /* also those that lie in no block of ours yet */
	unsigned nforeign;
	unsigned cooldown;
	bool deferred;
};

/* Key of a record from an owner; the record of a whole lease. */
void ipam_rec_key(struct jrec *r, const struct ipam_owner *o);
struct jrec ipam_rec_of_lease(const struct ipam_lease *l);

/* Writes what is buffered; sync: and waits for the disk. */
int ipam_commit(struct ipam *ipam, bool sync, struct err *err);
/* The same with sync, but left to ipam_sync_commit() where that is in force. */
enum ipam_result ipam_commit_now(struct ipam *ipam, struct err *err);

/* In every block that contains them, the lease's addresses are held, or free from now on. */
void ipam_hold(struct ipam *ipam, const struct ipam_lease *l);
void ipam_give_back(struct ipam *ipam, const struct ipam_lease *l, uint64_t now);
/* Empty blocks that are no longer ours go. Addresses of theirs that were just freed need no
 * cool-down here: whoever owns the block now decides. */
void ipam_drop_lost_blocks(struct ipam *ipam);

#endif
