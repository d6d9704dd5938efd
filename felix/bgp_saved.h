/* What bgpd was told last, kept in state.dir: a node that boots while the Kubernetes API is away
 * peers and advertises as before. Peers with a password are left out, for a secret is not written
 * to a disk; they come when the API answers.
 */
#ifndef SELVAGE_FELIX_BGP_SAVED_H
#define SELVAGE_FELIX_BGP_SAVED_H

#include "felix/bgpconf.h"

/* Durable on return. left_out: how many peers have a password. */
int bgp_saved_save(int dirfd, const struct bgpconf *c, unsigned *left_out, struct err *err);
/* NULL: there is none (err->code ENOENT), or it is torn or of another version. To be freed with
 * bgpconf_free(). */
struct bgpconf *bgp_saved_load(int dirfd, struct err *err);

/* The bytes of the file, for tests and fuzzing: pure. encode gives malloc()ed memory. */
uint8_t *bgp_saved_encode(const struct bgpconf *c, size_t *len, unsigned *left_out);
struct bgpconf *bgp_saved_decode(const void *data, size_t len, struct err *err);

#endif
