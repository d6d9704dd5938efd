/* The interfaces that felix tells of: which next hops and peers are on a link, and our own
 * addresses there. Pure.
 */
#ifndef SELVAGE_BGPD_IFACES_H
#define SELVAGE_BGPD_IFACES_H

#include <stdbool.h>

#include "lib/msg.h"

struct iface {
	uint32_t ifindex;
	char *name;
	bool up;
	bool fresh; /* told on the present channel */
	unsigned n;
	struct prefix *addresses; /* with host bits */
};

struct ifaces {
	struct iface *v;
	unsigned n;
};

/* Adds or replaces one (copies m); it counts as fresh. */
void ifaces_set(struct ifaces *t, const struct m_iface *m);
void ifaces_del(struct ifaces *t, uint32_t ifindex);
/* A new channel: nothing is fresh. Then, at M_IFACE_SYNC, what is still not fresh goes; returns
 * the number dropped. */
void ifaces_stale(struct ifaces *t);
unsigned ifaces_sweep(struct ifaces *t);
void ifaces_free(struct ifaces *t);

/* NULL where there is none. Pointers hold until the table changes. */
const struct iface *ifaces_by_name(const struct ifaces *t, const char *name);
const struct iface *ifaces_by_index(const struct ifaces *t, uint32_t ifindex);
/* The interface that has this address as its own, up or not. */
const struct iface *ifaces_owner(const struct ifaces *t, const struct addr *own);
/* The interface that is up and on whose link a lies: within the network of one of its addresses,
 * and not an address of ours; a link-local address needs its ifindex. */
const struct iface *ifaces_link_of(const struct ifaces *t, const struct addr *a, uint32_t ifindex);
/* Our address of this family there: a global one, else a link-local one, else FAM_NONE. */
struct addr iface_address(const struct iface *i, enum family fam);

#endif
