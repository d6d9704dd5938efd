/* One TCP connection of a peer with its state machine: connect or accept, framing, OPEN, and what
 * goes out between the RIB's messages.
 */
#ifndef SELVAGE_BGPD_SESSION_H
#define SELVAGE_BGPD_SESSION_H

#include <ev.h>

#include "bgpd/bgpd.h"
#include "bgpd/fsm.h"

struct conn {
	struct peer *peer;
	struct conn *next_retired, *next_output;
	struct fsm fsm;
	enum fsm_failure failure; /* why it went to Idle */
	bool initiated;		  /* we connect */
	bool retired, in_output, connect_failed, tx_broken;
	bool dumped; /* it lost a collision: no failure to be damped */
	int fd;	     /* -1: none */
	ev_io io;
	ev_timer timer;
	double armed; /* when the libev timer ends, ms; 0: off */
	struct addr local, remote;
	uint32_t scope; /* ifindex of a link-local peer */

	uint8_t *part; /* the beginning of a message */
	size_t part_len;
	uint8_t own[512]; /* our messages but UPDATEs */
	size_t own_off, own_len;
	size_t tx_left; /* bytes of the RIB's message that is on the wire */

	struct bgp_open open; /* the peer's, valid from OpenConfirm */
	struct bgp_session_ctx rx, tx;
	bool gr;		/* both sides announced graceful restart */
	bool notified;		/* a NOTIFICATION went out whole */
	struct rib_peer *rib;	/* Established */
	struct bgp_error error; /* what the next NOTIFICATION says */
	char why[256];		/* what ended it, for people */
};

/* Idle, nothing started. Freed with conn_retire(). */
struct conn *conn_new(struct peer *peer, bool initiated);
/* Takes fd, an accepted connection. */
void conn_accept(struct conn *c, int fd, const struct addr *remote, uint32_t scope);
/* Feeds the machine and does what it says; may end in peer_conn_idle(). code is the NOTIFICATION's
 * for events that send one. */
void conn_event(struct conn *c, enum fsm_event event, uint8_t code, uint8_t subcode);
/* The same with the text that the log and nodectl get. */
void conn_end(struct conn *c, enum fsm_event event, uint8_t code, uint8_t subcode, const char *fmt,
	      ...) __attribute__((format(printf, 5, 6)));
/* In Idle: tries after delay_ms. */
void conn_idle_hold(struct conn *c, uint32_t delay_ms);
/* Waiting to connect (Idle, Connect, Active): does so now. */
void conn_kick(struct conn *c);
/* Waits for the socket: reading always, writing as said. */
void conn_watch(struct conn *c, bool write);
/* Closes whatever is open; the memory goes at the end of the loop's turn. */
void conn_retire(struct conn *c);
void conn_free_retired(struct bgpd *b);

#endif
