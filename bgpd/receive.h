/* What comes in on a connection: whole messages out of the byte stream, each checked and given to
 * the state machine and the RIB.
 */
#ifndef SELVAGE_BGPD_RECEIVE_H
#define SELVAGE_BGPD_RECEIVE_H

#include "bgpd/session.h"

/* The socket is readable: one read, then every whole message of it. */
void rx_readable(struct conn *c);

#endif
