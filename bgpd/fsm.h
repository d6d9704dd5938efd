/* The BGP state machine of one connection (RFC 4271 section 8), pure: time is an argument in
 * milliseconds, chance is an argument, and what is to be done comes back as a list of actions.
 *
 * A peer may have several connections at once, each with a machine of its own: the one we open, one
 * that the peer opened, and the established session. fsm_collide() says which of two stays.
 * DelayOpen is not used. Peer oscillation damping is IdleHoldTimer with fsm_backoff_next(). RFC
 * 6608 gives the subcodes of FSM errors, RFC 9687 the send hold timer.
 */
#ifndef SELVAGE_BGPD_FSM_H
#define SELVAGE_BGPD_FSM_H

#include <stdbool.h>
#include <stdint.h>

enum fsm_state {
	FSM_IDLE,
	FSM_CONNECT,
	FSM_ACTIVE,
	FSM_OPENSENT,
	FSM_OPENCONFIRM,
	FSM_ESTABLISHED,
	FSM_STATES
};

/* The numbers of RFC 4271 section 8.1; those above 28 are ours. */
enum fsm_event {
	FSM_EV_START = 1,     /* active or passive, as fsm_conf says */
	FSM_EV_STOP = 2,      /* the operator's stop: code, subcode; code 0: in silence */
	FSM_EV_AUTO_STOP = 8, /* our own: too many prefixes ...: code, subcode */
	FSM_EV_RETRY_DUE = 9,
	FSM_EV_HOLD_DUE = 10,
	FSM_EV_KEEPALIVE_DUE = 11,
	FSM_EV_IDLE_HOLD_DUE = 13,
	FSM_EV_TCP_ACKED = 16,	   /* our connect() succeeded */
	FSM_EV_TCP_CONFIRMED = 17, /* the peer's connection was accepted */
	FSM_EV_TCP_FAILS = 18,
	FSM_EV_OPEN = 19,	/* a good OPEN: peer_hold */
	FSM_EV_HEADER_ERR = 21, /* code, subcode */
	FSM_EV_OPEN_ERR = 22,	/* code, subcode */
	FSM_EV_COLLISION = 23,	/* this one goes: code, subcode; code 0: in silence (RFC 4724) */
	FSM_EV_NOTIF_VERSION = 24,
	FSM_EV_NOTIF = 25,
	FSM_EV_KEEPALIVE = 26,
	FSM_EV_UPDATE = 27,
	FSM_EV_UPDATE_ERR = 28,	   /* code, subcode */
	FSM_EV_REFRESH = 29,	   /* ROUTE-REFRESH (RFC 2918) */
	FSM_EV_SEND_HOLD_DUE = 30, /* RFC 9687 */
	FSM_EVENTS
};

enum fsm_timer {
	FSM_T_RETRY,
	FSM_T_HOLD,
	FSM_T_KEEPALIVE,
	FSM_T_IDLE_HOLD,
	FSM_T_SEND_HOLD,
	FSM_TIMERS
};

enum fsm_action {
	FSM_ACT_CONNECT = 1, /* open a TCP connection; the answer is TCP_ACKED or TCP_FAILS */
	FSM_ACT_OPEN,	     /* send OPEN */
	FSM_ACT_KEEPALIVE,   /* send KEEPALIVE */
	FSM_ACT_NOTIFY,	     /* send NOTIFICATION code, subcode */
	FSM_ACT_CLOSE,	     /* close the TCP connection */
	FSM_ACT_UP,	     /* the session is established */
	FSM_ACT_DOWN,	     /* the established session is over */
};

struct fsm_conf {
	uint32_t hold_s;      /* offered; 0: no keepalives */
	uint32_t keepalive_s; /* 0: a third of the agreed hold time */
	uint32_t connect_retry_ms;
	uint32_t open_wait_ms; /* how long an OPEN may take (section 8.2.2: 4 minutes) */
	bool passive;	       /* never connects */
};

struct fsm {
	enum fsm_state state;
	struct fsm_conf conf;
	uint32_t hold_ms, keepalive_ms; /* agreed; valid from OpenConfirm */
	uint64_t at[FSM_TIMERS];	/* when each timer ends, 0: it does not run */
};

struct fsm_input {
	enum fsm_event event;
	uint64_t now;	    /* ms, monotonic, never 0 */
	uint32_t random;    /* for jitter (section 10): any 32 bits */
	uint32_t peer_hold; /* FSM_EV_OPEN: s */
	uint8_t code, subcode;
};

struct fsm_output {
	uint8_t n;
	uint8_t act[4];	       /* enum fsm_action, to be done in this order */
	uint8_t code, subcode; /* of FSM_ACT_NOTIFY */
};

/* Idle, no timer. */
void fsm_init(struct fsm *f, const struct fsm_conf *conf);

/* One event. `out` is filled anew. */
void fsm_step(struct fsm *f, const struct fsm_input *in, struct fsm_output *out);

/* In Idle: FSM_EV_IDLE_HOLD_DUE comes after delay_ms. */
void fsm_idle_hold(struct fsm *f, uint64_t now, uint32_t delay_ms);

/* Bytes went out: the send hold timer starts again (RFC 9687 section 4.2). */
void fsm_sent(struct fsm *f, uint64_t now);

/* The event of the timer that has ended first, or 0. The timer runs until its event is stepped. */
enum fsm_event fsm_due(const struct fsm *f, uint64_t now);
/* When the next timer ends; 0: none runs. */
uint64_t fsm_next(const struct fsm *f);

const char *fsm_state_name(enum fsm_state state); /* "OpenSent" */
const char *fsm_event_name(enum fsm_event event); /* "ConnectRetryTimer_Expires" */

/* ---- damping ---- */

enum fsm_failure { FSM_FAIL_CONNECT, FSM_FAIL_CLOSED, FSM_FAIL_ERROR };

struct fsm_backoff {
	unsigned failures;
};

/* How long Idle lasts after a failure, ms: doubles from a second up to the retry time (up to a
 * minute after a protocol error), with jitter; a session that lasted a minute starts it over. */
uint32_t fsm_backoff_next(struct fsm_backoff *b, enum fsm_failure kind, uint64_t lived_ms,
			  uint32_t connect_retry_ms, uint32_t random);

/* ---- collision (RFC 4271 section 6.8, RFC 6286 section 2.3, RFC 4724 section 5) ---- */

struct fsm_ends {
	uint32_t local_id, local_as, peer_id, peer_as;
};

struct fsm_side {
	enum fsm_state state;
	bool initiated;	 /* we opened it */
	bool gr;	 /* Established: the peer sent the graceful restart capability */
	uint64_t age_ms; /* Established: since when */
};

enum fsm_verdict { FSM_KEEP_BOTH, FSM_DROP_NEW, FSM_DROP_OLD, FSM_DROP_OLD_SILENT };

/* `fresh` has just received a good OPEN; `other` is another connection of the same peer. */
enum fsm_verdict fsm_collide(const struct fsm_side *fresh, const struct fsm_side *other,
			     const struct fsm_ends *ends);

#endif
