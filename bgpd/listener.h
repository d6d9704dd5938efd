/* The listening sockets that noded passed: accept, find the peer, hand over.
 */
#ifndef SELVAGE_BGPD_LISTENER_H
#define SELVAGE_BGPD_LISTENER_H

#include "bgpd/bgpd.h"

/* fds are borrowed. Starts accepting with the first configuration: listeners_open(). */
struct listeners *listeners_new(struct bgpd *b, const int *fds, unsigned n);
void listeners_open(struct listeners *l);
/* RFC 2385 key for one peer on every listener of its family; "" takes it away. -1, with the reason
 * logged: a listener does not have the key, and would take connections without it. */
int listeners_password(struct listeners *l, const struct addr *peer, const char *password);
/* A peer of this family wants GTSM: SYN-ACKs must leave with TTL 255. */
void listeners_gtsm(struct listeners *l, unsigned fam);
void listeners_free(struct listeners *l);

#endif
