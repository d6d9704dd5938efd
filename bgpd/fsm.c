#include "config.h"

#include "bgpd/fsm.h"

#include <string.h>

#include "bgpd/wire/wire.h"

typedef void step_fn(struct fsm *f, const struct fsm_input *in, struct fsm_output *out);

/* RFC 9687 section 4.2: the greater of eight minutes and twice the hold time. */
enum { SEND_HOLD_MS = 480000 };

/* A second connection that comes sooner than this after the session was established belongs to the
 * same simultaneous start, not to a restarted peer. */
enum { YOUNG_SESSION_MS = 2000 };

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_ERROR_MAX_MS = 60000, BACKOFF_FORGET_MS = 60000 };

void fsm_init(struct fsm *f, const struct fsm_conf *conf)
{
	memset(f, 0, sizeof(*f));
	f->conf = *conf;
}

/* RFC 4271 section 10: times are multiplied by 0.75 to 1.0. */
static uint32_t jitter(uint32_t ms, uint32_t random)
{
	return (uint32_t)((uint64_t)ms * 3 / 4 + (uint64_t)ms * (random & 0xFFFF) / (4 * 0x10000));
}

static void act(struct fsm_output *out, enum fsm_action a)
{
	out->act[out->n++] = (uint8_t)a;
}

static void notify(struct fsm_output *out, uint8_t code, uint8_t subcode)
{
	act(out, FSM_ACT_NOTIFY);
	out->code = code;
	out->subcode = subcode;
}

static void arm_retry(struct fsm *f, const struct fsm_input *in)
{
	f->at[FSM_T_RETRY] = in->now + jitter(f->conf.connect_retry_ms, in->random);
}

static void arm_hold(struct fsm *f, const struct fsm_input *in)
{
	f->at[FSM_T_HOLD] = f->hold_ms ? in->now + f->hold_ms : 0;
}

static void arm_keepalive(struct fsm *f, const struct fsm_input *in)
{
	f->at[FSM_T_KEEPALIVE] =
		f->keepalive_ms ? in->now + jitter(f->keepalive_ms, in->random) : 0;
}

static void to_idle(struct fsm *f, struct fsm_output *out)
{
	act(out, FSM_ACT_CLOSE);
	if (f->state == FSM_ESTABLISHED)
		act(out, FSM_ACT_DOWN);
	f->state = FSM_IDLE;
	memset(f->at, 0, sizeof(f->at));
}

static void on_start(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	f->at[FSM_T_IDLE_HOLD] = 0;
	if (f->conf.passive) {
		f->state = FSM_ACTIVE;
		return;
	}
	f->state = FSM_CONNECT;
	arm_retry(f, in);
	act(out, FSM_ACT_CONNECT);
}

static void on_stop_idle(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)in, (void)out;
	memset(f->at, 0, sizeof(f->at));
}

/* Idle takes no connection (section 8.2.2). */
static void on_refuse(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)f, (void)in;
	act(out, FSM_ACT_CLOSE);
}

static void on_close(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)in;
	to_idle(f, out);
}

/* The event says which NOTIFICATION goes first. */
static void on_error(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	if (in->code)
		notify(out, in->code, in->subcode);
	to_idle(f, out);
}

static void on_retry_connect(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	act(out, FSM_ACT_CLOSE);
	act(out, FSM_ACT_CONNECT);
	arm_retry(f, in);
}

static void on_retry_active(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	f->state = FSM_CONNECT;
	arm_retry(f, in);
	act(out, FSM_ACT_CONNECT);
}

static void on_tcp_up(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	f->at[FSM_T_RETRY] = 0;
	f->at[FSM_T_HOLD] = in->now + f->conf.open_wait_ms;
	f->state = FSM_OPENSENT;
	act(out, FSM_ACT_OPEN);
}

/* OpenSent goes on listening and tries again when ConnectRetryTimer ends. */
static void on_lost_opensent(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	act(out, FSM_ACT_CLOSE);
	memset(f->at, 0, sizeof(f->at));
	f->state = FSM_ACTIVE;
	if (!f->conf.passive)
		arm_retry(f, in);
}

static void on_open(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	uint32_t hold = in->peer_hold < f->conf.hold_s ? in->peer_hold : f->conf.hold_s;
	f->hold_ms = hold * 1000;
	f->keepalive_ms = f->hold_ms / 3;
	if (f->conf.keepalive_s && f->conf.keepalive_s * 1000 < f->keepalive_ms)
		f->keepalive_ms = f->conf.keepalive_s * 1000;
	f->at[FSM_T_RETRY] = 0;
	f->state = FSM_OPENCONFIRM;
	arm_hold(f, in);
	arm_keepalive(f, in);
	act(out, FSM_ACT_KEEPALIVE);
}

static void on_fsm_error(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)in;
	notify(out, BERR_FSM, (uint8_t)(f->state - FSM_OPENSENT + 1)); /* RFC 6608 */
	to_idle(f, out);
}

static void on_hold_due(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)in;
	notify(out, BERR_HOLD, 0);
	to_idle(f, out);
}

static void on_send_hold_due(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)in;
	notify(out, BERR_SEND_HOLD, 0);
	to_idle(f, out);
}

static void on_keepalive_due(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	arm_keepalive(f, in);
	act(out, FSM_ACT_KEEPALIVE);
}

static void on_establish(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	f->state = FSM_ESTABLISHED;
	arm_hold(f, in);
	fsm_sent(f, in->now);
	act(out, FSM_ACT_UP);
}

static void on_alive(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	(void)out;
	arm_hold(f, in);
}

/* What a state does with an event; an empty place: nothing. */
static step_fn *const steps[FSM_STATES][FSM_EVENTS] = {
	[FSM_IDLE] = {
		[FSM_EV_START] = on_start,
		[FSM_EV_STOP] = on_stop_idle,
		[FSM_EV_AUTO_STOP] = on_stop_idle,
		[FSM_EV_IDLE_HOLD_DUE] = on_start,
		[FSM_EV_TCP_ACKED] = on_refuse,
		[FSM_EV_TCP_CONFIRMED] = on_refuse,
	},
	[FSM_CONNECT] = {
		[FSM_EV_STOP] = on_close,
		[FSM_EV_AUTO_STOP] = on_close,
		[FSM_EV_RETRY_DUE] = on_retry_connect,
		[FSM_EV_HOLD_DUE] = on_close,
		[FSM_EV_KEEPALIVE_DUE] = on_close,
		[FSM_EV_IDLE_HOLD_DUE] = on_close,
		[FSM_EV_TCP_ACKED] = on_tcp_up,
		[FSM_EV_TCP_CONFIRMED] = on_tcp_up,
		[FSM_EV_TCP_FAILS] = on_close,
		[FSM_EV_OPEN] = on_close,
		[FSM_EV_HEADER_ERR] = on_close,
		[FSM_EV_OPEN_ERR] = on_close,
		[FSM_EV_COLLISION] = on_close,
		[FSM_EV_NOTIF_VERSION] = on_close,
		[FSM_EV_NOTIF] = on_close,
		[FSM_EV_KEEPALIVE] = on_close,
		[FSM_EV_UPDATE] = on_close,
		[FSM_EV_UPDATE_ERR] = on_close,
		[FSM_EV_REFRESH] = on_close,
		[FSM_EV_SEND_HOLD_DUE] = on_close,
	},
	[FSM_ACTIVE] = {
		[FSM_EV_STOP] = on_close,
		[FSM_EV_AUTO_STOP] = on_close,
		[FSM_EV_RETRY_DUE] = on_retry_active,
		[FSM_EV_HOLD_DUE] = on_close,
		[FSM_EV_KEEPALIVE_DUE] = on_close,
		[FSM_EV_IDLE_HOLD_DUE] = on_close,
		[FSM_EV_TCP_ACKED] = on_tcp_up,
		[FSM_EV_TCP_CONFIRMED] = on_tcp_up,
		[FSM_EV_TCP_FAILS] = on_close,
		[FSM_EV_OPEN] = on_close,
		[FSM_EV_HEADER_ERR] = on_close,
		[FSM_EV_OPEN_ERR] = on_close,
		[FSM_EV_COLLISION] = on_close,
		[FSM_EV_NOTIF_VERSION] = on_close,
		[FSM_EV_NOTIF] = on_close,
		[FSM_EV_KEEPALIVE] = on_close,
		[FSM_EV_UPDATE] = on_close,
		[FSM_EV_UPDATE_ERR] = on_close,
		[FSM_EV_REFRESH] = on_close,
		[FSM_EV_SEND_HOLD_DUE] = on_close,
	},
	/* NOTIFICATION is answered by silence (section 6.4), also where 8.2.2 counts event 25 among
	 * "any other event". */
	[FSM_OPENSENT] = {
		[FSM_EV_STOP] = on_error,
		[FSM_EV_AUTO_STOP] = on_error,
		[FSM_EV_RETRY_DUE] = on_fsm_error,
		[FSM_EV_HOLD_DUE] = on_hold_due,
		[FSM_EV_KEEPALIVE_DUE] = on_fsm_error,
		[FSM_EV_IDLE_HOLD_DUE] = on_fsm_error,
		[FSM_EV_TCP_FAILS] = on_lost_opensent,
		[FSM_EV_OPEN] = on_open,
		[FSM_EV_HEADER_ERR] = on_error,
		[FSM_EV_OPEN_ERR] = on_error,
		[FSM_EV_COLLISION] = on_error,
		[FSM_EV_NOTIF_VERSION] = on_close,
		[FSM_EV_NOTIF] = on_close,
		[FSM_EV_KEEPALIVE] = on_fsm_error,
		[FSM_EV_UPDATE] = on_fsm_error,
		[FSM_EV_UPDATE_ERR] = on_fsm_error,
		[FSM_EV_REFRESH] = on_fsm_error,
		[FSM_EV_SEND_HOLD_DUE] = on_fsm_error,
	},
	[FSM_OPENCONFIRM] = {
		[FSM_EV_STOP] = on_error,
		[FSM_EV_AUTO_STOP] = on_error,
		[FSM_EV_RETRY_DUE] = on_fsm_error,
		[FSM_EV_HOLD_DUE] = on_hold_due,
		[FSM_EV_KEEPALIVE_DUE] = on_keepalive_due,
		[FSM_EV_IDLE_HOLD_DUE] = on_fsm_error,
		[FSM_EV_TCP_FAILS] = on_close,
		[FSM_EV_OPEN] = on_fsm_error,
		[FSM_EV_HEADER_ERR] = on_error,
		[FSM_EV_OPEN_ERR] = on_error,
		[FSM_EV_COLLISION] = on_error,
		[FSM_EV_NOTIF_VERSION] = on_close,
		[FSM_EV_NOTIF] = on_close,
		[FSM_EV_KEEPALIVE] = on_establish,
		[FSM_EV_UPDATE] = on_fsm_error,
		[FSM_EV_UPDATE_ERR] = on_fsm_error,
		[FSM_EV_REFRESH] = on_fsm_error,
		[FSM_EV_SEND_HOLD_DUE] = on_fsm_error,
	},
	[FSM_ESTABLISHED] = {
		[FSM_EV_STOP] = on_error,
		[FSM_EV_AUTO_STOP] = on_error,
		[FSM_EV_RETRY_DUE] = on_fsm_error,
		[FSM_EV_HOLD_DUE] = on_hold_due,
		[FSM_EV_KEEPALIVE_DUE] = on_keepalive_due,
		[FSM_EV_IDLE_HOLD_DUE] = on_fsm_error,
		[FSM_EV_TCP_FAILS] = on_close,
		[FSM_EV_OPEN] = on_fsm_error,
		[FSM_EV_HEADER_ERR] = on_error,
		[FSM_EV_OPEN_ERR] = on_error,
		[FSM_EV_COLLISION] = on_error,
		[FSM_EV_NOTIF_VERSION] = on_close,
		[FSM_EV_NOTIF] = on_close,
		[FSM_EV_KEEPALIVE] = on_alive,
		[FSM_EV_UPDATE] = on_alive,
		[FSM_EV_UPDATE_ERR] = on_error,
		[FSM_EV_REFRESH] = on_alive,
		[FSM_EV_SEND_HOLD_DUE] = on_send_hold_due,
	},
};

void fsm_step(struct fsm *f, const struct fsm_input *in, struct fsm_output *out)
{
	memset(out, 0, sizeof(*out));
	step_fn *step = steps[f->state][in->event];
	if (step)
		step(f, in, out);
}

void fsm_idle_hold(struct fsm *f, uint64_t now, uint32_t delay_ms)
{
	if (f->state == FSM_IDLE)
		f->at[FSM_T_IDLE_HOLD] = now + delay_ms;
}

void fsm_sent(struct fsm *f, uint64_t now)
{
	uint64_t ms = (uint64_t)f->hold_ms * 2;
	if (f->state == FSM_ESTABLISHED && f->hold_ms)
		f->at[FSM_T_SEND_HOLD] = now + (ms > SEND_HOLD_MS ? ms : SEND_HOLD_MS);
}

static int first_timer(const struct fsm *f)
{
	int first = -1;
	for (int t = 0; t < FSM_TIMERS; t++)
		if (f->at[t] && (first < 0 || f->at[t] < f->at[first]))
			first = t;
	return first;
}

enum fsm_event fsm_due(const struct fsm *f, uint64_t now)
{
	static const enum fsm_event event[FSM_TIMERS] = {
		[FSM_T_RETRY] = FSM_EV_RETRY_DUE,	  [FSM_T_HOLD] = FSM_EV_HOLD_DUE,
		[FSM_T_KEEPALIVE] = FSM_EV_KEEPALIVE_DUE, [FSM_T_IDLE_HOLD] = FSM_EV_IDLE_HOLD_DUE,
		[FSM_T_SEND_HOLD] = FSM_EV_SEND_HOLD_DUE,
	};
	int t = first_timer(f);
	return t >= 0 && f->at[t] <= now ? event[t] : 0;
}

uint64_t fsm_next(const struct fsm *f)
{
	int t = first_timer(f);
	return t < 0 ? 0 : f->at[t];
}

const char *fsm_state_name(enum fsm_state state)
{
	static const char *const name[FSM_STATES] = { "Idle",	  "Connect",	 "Active",
						      "OpenSent", "OpenConfirm", "Established" };
	return (unsigned)state < FSM_STATES ? name[state] : "?";
}

const char *fsm_event_name(enum fsm_event event)
{
	static const char *const name[FSM_EVENTS] = {
		[FSM_EV_START] = "ManualStart",
		[FSM_EV_STOP] = "ManualStop",
		[FSM_EV_AUTO_STOP] = "AutomaticStop",
		[FSM_EV_RETRY_DUE] = "ConnectRetryTimer_Expires",
		[FSM_EV_HOLD_DUE] = "HoldTimer_Expires",
		[FSM_EV_KEEPALIVE_DUE] = "KeepaliveTimer_Expires",
		[FSM_EV_IDLE_HOLD_DUE] = "IdleHoldTimer_Expires",
		[FSM_EV_TCP_ACKED] = "Tcp_CR_Acked",
		[FSM_EV_TCP_CONFIRMED] = "TcpConnectionConfirmed",
		[FSM_EV_TCP_FAILS] = "TcpConnectionFails",
		[FSM_EV_OPEN] = "BGPOpen",
		[FSM_EV_HEADER_ERR] = "BGPHeaderErr",
		[FSM_EV_OPEN_ERR] = "BGPOpenMsgErr",
		[FSM_EV_COLLISION] = "OpenCollisionDump",
		[FSM_EV_NOTIF_VERSION] = "NotifMsgVerErr",
		[FSM_EV_NOTIF] = "NotifMsg",
		[FSM_EV_KEEPALIVE] = "KeepAliveMsg",
		[FSM_EV_UPDATE] = "UpdateMsg",
		[FSM_EV_UPDATE_ERR] = "UpdateMsgErr",
		[FSM_EV_REFRESH] = "RouteRefreshMsg",
		[FSM_EV_SEND_HOLD_DUE] = "SendHoldTimer_Expires",
	};
	return (unsigned)event < FSM_EVENTS && name[event] ? name[event] : "?";
}

uint32_t fsm_backoff_next(struct fsm_backoff *b, enum fsm_failure kind, uint64_t lived_ms,
			  uint32_t connect_retry_ms, uint32_t random)
{
	if (lived_ms >= BACKOFF_FORGET_MS)
		b->failures = 0;
	uint32_t max = connect_retry_ms;
	if (kind == FSM_FAIL_ERROR && max < BACKOFF_ERROR_MAX_MS)
		max = BACKOFF_ERROR_MAX_MS;
	uint64_t ms = (uint64_t)BACKOFF_FIRST_MS << (b->failures < 16 ? b->failures : 16);
	if (ms < max)
		b->failures++;
	else
		ms = max;
	return jitter((uint32_t)ms, random);
}

/* Does the connection that we opened stay? The one of the higher identifier's owner does; with
 * equal identifiers the higher AS number decides. */
static bool ours_stays(const struct fsm_ends *e)
{
	return e->local_id != e->peer_id ? e->local_id > e->peer_id : e->local_as > e->peer_as;
}

enum fsm_verdict fsm_collide(const struct fsm_side *fresh, const struct fsm_side *other,
			     const struct fsm_ends *ends)
{
	if (other->state == FSM_ESTABLISHED) {
		if (other->gr && !fresh->initiated && other->age_ms >= YOUNG_SESSION_MS)
			return FSM_DROP_OLD_SILENT;
		return FSM_DROP_NEW;
	}
	if (other->state != FSM_OPENCONFIRM)
		return FSM_KEEP_BOTH;
	if (fresh->initiated == other->initiated) /* its owner gave the older one up */
		return FSM_DROP_OLD;
	return ours_stays(ends) == fresh->initiated ? FSM_DROP_OLD : FSM_DROP_NEW;
}
