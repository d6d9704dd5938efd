/* A configured peer: its connections, what it is told by configuration, how it fares.
 */
#ifndef SELVAGE_BGPD_PEER_H
#define SELVAGE_BGPD_PEER_H

#include "bgpd/bgpd.h"
#include "bgpd/fsm.h"

struct peer {
	struct peer *next;
	struct bgpd *b;
	struct m_bgp_peer conf; /* strings are the peer's own */
	struct conn *session;	/* Established */
	struct conn *out, *in;	/* on their way there */
	struct fsm_backoff backoff;
	bool running, keep;	/* keep: config's mark */
	bool unkeyed;		/* a listener lacks its password: nothing is accepted */
	uint64_t refuse_until;	/* ms; after an error its connections are not taken */
	uint64_t telling_until; /* ms; last_error says more than a connection that fails now */
	uint64_t up_at;		/* ms; of the present session */
	uint64_t since;		/* epoch; when it last went up or down */
	family_set eor;		/* End-of-RIBs of the present session */
	bool was_up;
	char last_error[256];
	uint64_t messages_in, messages_out, updates_in, updates_reset;
	struct rate bad_updates;
	struct addr local4, local6; /* as the RIB was told */
	uint32_t ifindex;	    /* the session's link; 0: not on one of ours */
	bool connected;
};

/* Adds it to b->peers; copies conf. Not started. */
struct peer *peer_new(struct bgpd *b, const struct m_bgp_peer *conf);
/* Takes another configuration over; where the difference needs it, a running session is closed with
 * Cease/Other Configuration Change and started again. force: whatever the difference. */
void peer_set_conf(struct peer *p, const struct m_bgp_peer *conf, bool force);
/* Does a session have to be started again to get from a to b? */
bool peer_conf_needs_reset(const struct m_bgp_peer *a, const struct m_bgp_peer *b);
void peer_start(struct peer *p);
/* Ends everything; code 0: without NOTIFICATION. */
void peer_stop(struct peer *p, uint8_t code, uint8_t subcode, const char *why);
/* After peer_stop(): removes it from b->peers. */
void peer_free(struct peer *p);

struct peer *peer_by_name(const struct bgpd *b, const char *name);
/* By address, and by interface where it is link-local. NULL: nobody's. */
struct peer *peer_by_address(const struct bgpd *b, const struct addr *a, uint32_t ifindex);

enum fsm_state peer_state(const struct peer *p);
uint32_t peer_local_asn(const struct peer *p);
uint32_t peer_asn(const struct peer *p); /* the OPEN's where configuration leaves it open */
bool peer_ebgp(const struct peer *p);
/* eBGP to an address on one of our links. */
bool peer_single_hop(const struct peer *p);
/* ifindex of conf.interface; 0 where it has none or it is not there. */
uint32_t peer_scope(const struct peer *p);
/* Keeps the text for nodectl and logs it; the same text again only at debug level. */
void peer_error(struct peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with why a connection ended; a protocol error is not covered up for a while by the
 * closed connections that follow from it. */
void peer_conn_failed(struct peer *p, const struct conn *c);
/* Has it sent all it knows? RFC 4724's End-of-RIB where it sends one, else three seconds. */
bool peer_synced(const struct peer *p, uint64_t now);

/* An accepted connection; takes fd. */
void peer_accept(struct peer *p, int fd, const struct addr *remote, uint32_t scope);
/* felix told of a changed interface: fast external failover, a changed address of ours, a try at
 * once where the link has come back. */
void peer_iface_changed(struct peer *p, uint32_t ifindex);

/* From session.c. */
void peer_conn_open(struct conn *c); /* a good OPEN came: collisions */
void peer_conn_up(struct conn *c);   /* established */
void peer_conn_down(struct conn *c); /* was established */
void peer_conn_idle(struct conn *c); /* ended */

#endif
