/* Clients of nodectl: status, peers, and routes streamed in slices.
 */
#ifndef SELVAGE_BGPD_CTL_H
#define SELVAGE_BGPD_CTL_H

#include "bgpd/bgpd.h"

struct ctl *ctl_new(struct bgpd *b);
void ctl_add(struct ctl *ctl, int fd); /* takes fd */
/* Goes on with route lists; true: more is left and some client can take it. */
bool ctl_run(struct ctl *ctl, unsigned budget);
/* The peer's session ends: lists of its routes end with an error. */
void ctl_peer_down(struct ctl *ctl, const struct rib_peer *peer);
void ctl_free(struct ctl *ctl);

#endif
