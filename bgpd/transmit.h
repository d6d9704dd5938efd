/* What goes out on a connection: our own messages, kept whole between the RIB's.
 */
#ifndef SELVAGE_BGPD_TRANSMIT_H
#define SELVAGE_BGPD_TRANSMIT_H

#include "bgpd/session.h"

/* Queue one message; where the queue is full (the peer has read nothing for long) it is left out.
 */
void tx_open(struct conn *c);
void tx_keepalive(struct conn *c);
void tx_notification(struct conn *c, uint8_t code, uint8_t subcode, const void *data, size_t len);
/* Writes what the socket takes, up to a slice; waits for the socket where more is left. */
void tx_flush(struct conn *c);
/* The RIB has output for it: written at the end of the loop's turn by tx_flush_all(). */
void tx_mark(struct conn *c);
void tx_unmark(struct conn *c);
void tx_flush_all(struct bgpd *b);

#endif
