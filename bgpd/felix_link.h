/* The channel to felix: configuration and the kernel's state come in, next-hop groups and routes go
 * out. When felix is away the sessions go on; a new channel gets everything again.
 */
#ifndef SELVAGE_BGPD_FELIX_LINK_H
#define SELVAGE_BGPD_FELIX_LINK_H

#include "bgpd/bgpd.h"

struct felix_link *felix_link_new(struct bgpd *b);
/* Takes fd. */
void felix_link_channel(struct felix_link *f, int fd);
/* This daemon stops: what follows from its sessions' end is not felix's business, the kernel's
 * routes stay. */
void felix_link_hang_up(struct felix_link *f);
void felix_link_free(struct felix_link *f);

/* What the RIB asks for (struct rib_ops); arg is the struct bgpd. */
void felix_link_track(void *arg, const struct addr *nh, uint32_t ifindex, bool on);
void felix_link_group_set(void *arg, uint32_t id, const struct rib_nexthop *nh, unsigned n);
void felix_link_group_del(void *arg, uint32_t id);
void felix_link_routes(void *arg, uint32_t group, const struct prefix *p, unsigned n);
bool felix_link_may_install(void *arg);

/* Before the RIB works: answers about next hops on our own links. */
void felix_link_answer(struct felix_link *f);
/* After it worked: sends what is gathered; `idle`: the RIB has nothing left, so M_ROUTES_END can go
 * if every peer has told its routes. True: the RIB waits for felix to read. */
bool felix_link_turn(struct felix_link *f, bool idle);

#endif
