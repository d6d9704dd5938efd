/* RFC 4271 section 8.2.2 as a table: what each state does with each event, then whole lives of a
 * connection over simulated hours.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "bgpd/fsm.h"
#include "bgpd/wire/wire.h"
#include "test/unit/unit.h"

enum { RETRY_MS = 5000, OPEN_WAIT_MS = 240000, HOLD_S = 90 };

static const struct fsm_conf conf = { .hold_s = HOLD_S,
				      .connect_retry_ms = RETRY_MS,
				      .open_wait_ms = OPEN_WAIT_MS };

/* What the RFC wants of one step. Letters of `acts`: C connect, O OPEN, K KEEPALIVE, N
 * NOTIFICATION, X close, U up, D down. */
struct want {
	const char *acts;
	enum fsm_state next;
	uint8_t code, subcode;
};

#define IDLE(acts)                                                                                 \
	{                                                                                          \
		acts, FSM_IDLE, 0, 0                                                               \
	}
#define STAY(s)                                                                                    \
	{                                                                                          \
		"", s, 0, 0                                                                        \
	}
#define ERR(acts, code, sub)                                                                       \
	{                                                                                          \
		acts, FSM_IDLE, code, sub                                                          \
	}
enum { GIVEN = 99 }; /* the code and subcode that the event brought */

struct row {
	enum fsm_event event;
	/* Idle, Connect, Active, OpenSent, OpenConfirm, Established */
	struct want want[FSM_STATES];
};

#define S0     STAY(FSM_IDLE)
#define SC     STAY(FSM_CONNECT)
#define SA     STAY(FSM_ACTIVE)
#define SO     STAY(FSM_OPENSENT)
#define SF     STAY(FSM_OPENCONFIRM)
#define SE     STAY(FSM_ESTABLISHED)
#define FSM_OS ERR("NX", BERR_FSM, 1)
#define FSM_OC ERR("NX", BERR_FSM, 2)
#define FSM_ES ERR("NXD", BERR_FSM, 3)

static const struct row rows[] = {
	{ FSM_EV_START, { { "C", FSM_CONNECT, 0, 0 }, SC, SA, SO, SF, SE } },
	{ FSM_EV_STOP,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", GIVEN, 0), ERR("NX", GIVEN, 0),
	    ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_AUTO_STOP,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", GIVEN, 0), ERR("NX", GIVEN, 0),
	    ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_RETRY_DUE,
	  { S0, { "XC", FSM_CONNECT, 0, 0 }, { "C", FSM_CONNECT, 0, 0 }, FSM_OS, FSM_OC, FSM_ES } },
	{ FSM_EV_HOLD_DUE,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", BERR_HOLD, 0), ERR("NX", BERR_HOLD, 0),
	    ERR("NXD", BERR_HOLD, 0) } },
	{ FSM_EV_KEEPALIVE_DUE,
	  { S0,
	    IDLE("X"),
	    IDLE("X"),
	    FSM_OS,
	    { "K", FSM_OPENCONFIRM, 0, 0 },
	    { "K", FSM_ESTABLISHED, 0, 0 } } },
	{ FSM_EV_IDLE_HOLD_DUE,
	  { { "C", FSM_CONNECT, 0, 0 }, IDLE("X"), IDLE("X"), FSM_OS, FSM_OC, FSM_ES } },
	{ FSM_EV_TCP_ACKED,
	  { IDLE("X"), { "O", FSM_OPENSENT, 0, 0 }, { "O", FSM_OPENSENT, 0, 0 }, SO, SF, SE } },
	{ FSM_EV_TCP_CONFIRMED,
	  { IDLE("X"), { "O", FSM_OPENSENT, 0, 0 }, { "O", FSM_OPENSENT, 0, 0 }, SO, SF, SE } },
	{ FSM_EV_TCP_FAILS,
	  { S0, IDLE("X"), IDLE("X"), { "X", FSM_ACTIVE, 0, 0 }, IDLE("X"), IDLE("XD") } },
	{ FSM_EV_OPEN,
	  { S0, IDLE("X"), IDLE("X"), { "K", FSM_OPENCONFIRM, 0, 0 }, FSM_OC, FSM_ES } },
	{ FSM_EV_HEADER_ERR,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", GIVEN, 0), ERR("NX", GIVEN, 0),
	    ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_OPEN_ERR,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", GIVEN, 0), ERR("NX", GIVEN, 0),
	    ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_COLLISION,
	  { S0, IDLE("X"), IDLE("X"), ERR("NX", GIVEN, 0), ERR("NX", GIVEN, 0),
	    ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_NOTIF_VERSION, { S0, IDLE("X"), IDLE("X"), IDLE("X"), IDLE("X"), IDLE("XD") } },
	/* section 6.4: NOTIFICATION is never answered by one */
	{ FSM_EV_NOTIF, { S0, IDLE("X"), IDLE("X"), IDLE("X"), IDLE("X"), IDLE("XD") } },
	{ FSM_EV_KEEPALIVE,
	  { S0, IDLE("X"), IDLE("X"), FSM_OS, { "U", FSM_ESTABLISHED, 0, 0 }, SE } },
	{ FSM_EV_UPDATE, { S0, IDLE("X"), IDLE("X"), FSM_OS, FSM_OC, SE } },
	{ FSM_EV_UPDATE_ERR, { S0, IDLE("X"), IDLE("X"), FSM_OS, FSM_OC, ERR("NXD", GIVEN, 0) } },
	{ FSM_EV_REFRESH, { S0, IDLE("X"), IDLE("X"), FSM_OS, FSM_OC, SE } },
	{ FSM_EV_SEND_HOLD_DUE,
	  { S0, IDLE("X"), IDLE("X"), FSM_OS, FSM_OC, ERR("NXD", BERR_SEND_HOLD, 0) } },
};

static struct fsm_output step(struct fsm *f, enum fsm_event ev, uint64_t now)
{
	struct fsm_input in = {
		.event = ev, .now = now, .random = 0, .peer_hold = 30, .code = 6, .subcode = 4
	};
	struct fsm_output out;
	fsm_step(f, &in, &out);
	return out;
}

static const char *letters(const struct fsm_output *out)
{
	static const char letter[] = { 0, 'C', 'O', 'K', 'N', 'X', 'U', 'D' };
	static char buf[8];
	for (unsigned k = 0; k < out->n; k++)
		buf[k] = letter[out->act[k]];
	buf[out->n] = '\0';
	return buf;
}

/* By the ordinary way there. */
static void bring_to(struct fsm *f, enum fsm_state state, uint64_t now)
{
	fsm_init(f, &conf);
	if (state >= FSM_CONNECT)
		step(f, FSM_EV_START, now);
	if (state == FSM_ACTIVE) {
		step(f, FSM_EV_TCP_ACKED, now);
		step(f, FSM_EV_TCP_FAILS, now);
	}
	if (state >= FSM_OPENSENT)
		step(f, FSM_EV_TCP_ACKED, now);
	if (state >= FSM_OPENCONFIRM)
		step(f, FSM_EV_OPEN, now);
	if (state >= FSM_ESTABLISHED)
		step(f, FSM_EV_KEEPALIVE, now);
	ck_assert_int_eq(f->state, state);
}

START_TEST(every_state_and_event)
{
	unsigned seen = 0;
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		for (enum fsm_state s = 0; s < FSM_STATES; s++) {
			struct fsm f;
			const struct want *w = &rows[r].want[s];
			bring_to(&f, s, 1000);
			struct fsm_output out = step(&f, rows[r].event, 2000);
			char what[96];
			snprintf(what, sizeof(what), "%s in %s", fsm_event_name(rows[r].event),
				 fsm_state_name(s));
			ck_assert_msg(!strcmp(letters(&out), w->acts), "%s: did \"%s\", not \"%s\"",
				      what, letters(&out), w->acts);
			ck_assert_msg(f.state == w->next, "%s: went to %s, not %s", what,
				      fsm_state_name(f.state), fsm_state_name(w->next));
			ck_assert_msg(out.code == (w->code == GIVEN ? 6 : w->code), "%s: code %u",
				      what, out.code);
			ck_assert_msg(out.subcode == (w->code == GIVEN ? 4 : w->subcode),
				      "%s: subcode %u", what, out.subcode);
			/* Idle leaves no timer behind (section 8.2.2: "sets ... to zero") */
			if (f.state == FSM_IDLE)
				ck_assert_msg(!fsm_next(&f), "%s: a timer still runs", what);
			seen++;
		}
	/* all events have a row: names exist for exactly those */
	unsigned events = 0;
	for (unsigned e = 1; e < FSM_EVENTS; e++)
		events += strcmp(fsm_event_name(e), "?") != 0;
	ck_assert_uint_eq(seen, events * FSM_STATES);
}
END_TEST

START_TEST(passive_waits)
{
	struct fsm_conf c = conf;
	struct fsm f;
	c.passive = true;
	fsm_init(&f, &c);
	struct fsm_output out = step(&f, FSM_EV_START, 1);
	ck_assert_int_eq(f.state, FSM_ACTIVE);
	ck_assert_uint_eq(out.n, 0);
	ck_assert_uint_eq(fsm_next(&f), 0); /* for ever */
	out = step(&f, FSM_EV_TCP_CONFIRMED, 2);
	ck_assert_str_eq(letters(&out), "O");
	out = step(&f, FSM_EV_TCP_FAILS, 3);
	ck_assert_int_eq(f.state, FSM_ACTIVE);
	ck_assert_uint_eq(fsm_next(&f), 0); /* it does not begin to connect now */
	fsm_init(&f, &c);
	fsm_idle_hold(&f, 10, 500);
	ck_assert_int_eq(fsm_due(&f, 509), 0);
	ck_assert_int_eq(fsm_due(&f, 510), FSM_EV_IDLE_HOLD_DUE);
	out = step(&f, FSM_EV_IDLE_HOLD_DUE, 510);
	ck_assert_int_eq(f.state, FSM_ACTIVE);
	ck_assert_uint_eq(out.n, 0);
}
END_TEST

START_TEST(silent_stop)
{
	struct fsm f;
	struct fsm_input in = { .event = FSM_EV_STOP, .now = 5 };
	struct fsm_output out;
	bring_to(&f, FSM_ESTABLISHED, 1);
	fsm_step(&f, &in, &out);
	ck_assert_str_eq(letters(&out), "XD"); /* RFC 4724: the peer keeps the routes */
}
END_TEST

struct hold_case {
	uint32_t ours, keepalive, theirs; /* s */
	uint32_t hold_ms, keepalive_ms;
};

/* Section 4.2 (the smaller), 4.4 (a third), 10. */
static const struct hold_case holds[] = {
	{ 90, 0, 30, 30000, 10000 },
	{ 90, 0, 240, 90000, 30000 },
	{ 9, 0, 90, 9000, 3000 },
	{ 90, 5, 90, 90000, 5000 },
	{ 90, 60, 90, 90000, 30000 },
	{ 90, 0, 0, 0, 0 },
	{ 0, 0, 90, 0, 0 },
	{ 3, 0, 3, 3000, 1000 },
	{ 65535, 0, 65535, 65535000, 21845000 },
};

START_TEST(hold_time_is_agreed)
{
	for (unsigned k = 0; k < sizeof(holds) / sizeof(holds[0]); k++) {
		const struct hold_case *h = &holds[k];
		struct fsm_conf c = conf;
		struct fsm f;
		c.hold_s = h->ours;
		c.keepalive_s = h->keepalive;
		fsm_init(&f, &c);
		step(&f, FSM_EV_START, 1);
		step(&f, FSM_EV_TCP_ACKED, 1);
		struct fsm_input in = { .event = FSM_EV_OPEN,
					.now = 1000,
					.random = 0xFFFFFFFF,
					.peer_hold = h->theirs };
		struct fsm_output out;
		fsm_step(&f, &in, &out);
		ck_assert_uint_eq(f.hold_ms, h->hold_ms);
		ck_assert_uint_eq(f.keepalive_ms, h->keepalive_ms);
		ck_assert_uint_eq(f.at[FSM_T_HOLD], h->hold_ms ? 1000 + h->hold_ms : 0);
		if (h->keepalive_ms) {
			ck_assert_uint_le(f.at[FSM_T_KEEPALIVE], 1000 + h->keepalive_ms);
			ck_assert_uint_ge(f.at[FSM_T_KEEPALIVE],
					  1000 + h->keepalive_ms - h->keepalive_ms / 4);
		} else {
			ck_assert_uint_eq(f.at[FSM_T_KEEPALIVE], 0);
		}
	}
}
END_TEST

/* Section 10: 0.75 to 1.0 of the time, whatever the random number. */
START_TEST(jitter_has_bounds)
{
	uint64_t least = UINT64_MAX, most = 0;
	for (uint32_t r = 0; r < 0x20000; r += 37) {
		struct fsm f;
		struct fsm_input in = { .event = FSM_EV_START, .now = 1, .random = r };
		struct fsm_output out;
		fsm_init(&f, &conf);
		fsm_step(&f, &in, &out);
		uint64_t ms = f.at[FSM_T_RETRY] - 1;
		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	ck_assert_uint_ge(least, RETRY_MS * 3 / 4);
	ck_assert_uint_lt(least, RETRY_MS * 3 / 4 + 50);
	ck_assert_uint_le(most, RETRY_MS);
	ck_assert_uint_gt(most, RETRY_MS - 50);
}
END_TEST

/* A peer that answers nothing: a new attempt at each retry time, for six hours, none sooner. */
START_TEST(six_hours_without_an_answer)
{
	struct fsm f;
	uint64_t now = 1, end = 6 * 3600 * 1000, last = 1;
	unsigned attempts = 0;
	fsm_init(&f, &conf);
	struct fsm_output out = step(&f, FSM_EV_START, now);
	while ((now = fsm_next(&f)) != 0 && now < end) {
		enum fsm_event ev = fsm_due(&f, now);
		ck_assert_int_eq(ev, FSM_EV_RETRY_DUE);
		out = step(&f, ev, now);
		ck_assert_str_eq(letters(&out), "XC");
		ck_assert_uint_ge(now - last, RETRY_MS * 3 / 4);
		ck_assert_uint_le(now - last, RETRY_MS);
		last = now;
		attempts++;
	}
	ck_assert_uint_ge(attempts, 6 * 3600 / 5);
	ck_assert_uint_le(attempts, 6 * 3600 / 3);
}
END_TEST

/* A quiet session stays up for a day while keepalives go both ways, and ends one hold time after
 * the peer falls silent. */
START_TEST(a_day_then_silence)
{
	struct fsm f;
	uint64_t now = 1000, day = 24 * 3600 * 1000, next_in = 11000, last_in = 1000;
	unsigned sent = 0;
	bring_to(&f, FSM_ESTABLISHED, now); /* hold 30 s, keepalive 10 s */
	while (f.state == FSM_ESTABLISHED) {
		uint64_t timer = fsm_next(&f);
		if (next_in <= day && next_in <= timer) {
			now = last_in = next_in;
			next_in += 10000;
			step(&f, FSM_EV_KEEPALIVE, now);
			continue;
		}
		now = timer;
		enum fsm_event due = fsm_due(&f, now);
		struct fsm_output out = step(&f, due, now);
		if (due == FSM_EV_KEEPALIVE_DUE) {
			sent++;
			fsm_sent(&f, now);
		} else {
			ck_assert_int_eq(due, FSM_EV_HOLD_DUE);
			ck_assert_str_eq(letters(&out), "NXD");
		}
	}
	ck_assert_uint_eq(now, last_in + 30000);
	ck_assert_uint_gt(last_in, day - 10001);
	ck_assert_uint_ge(sent, 24 * 3600 / 10);
	ck_assert_uint_le(sent, 24 * 3600 / 7);
}
END_TEST

/* RFC 9687: a peer that talks but does not read is dropped after eight minutes (or twice the hold
 * time). */
START_TEST(send_hold)
{
	struct fsm f;
	uint64_t now = 1000;
	bring_to(&f, FSM_ESTABLISHED, now);
	fsm_sent(&f, now = 2000);
	for (uint64_t t = now + 5000;; t += 5000) {
		ck_assert_uint_lt(t, 10000000);
		step(&f, FSM_EV_KEEPALIVE, t); /* it talks */
		enum fsm_event due;
		while ((due = fsm_due(&f, t)) == FSM_EV_KEEPALIVE_DUE)
			step(&f, due, t); /* but nothing of ours gets out */
		if (!due)
			continue;
		ck_assert_int_eq(due, FSM_EV_SEND_HOLD_DUE);
		ck_assert_uint_ge(t, now + 480000);
		ck_assert_uint_lt(t, now + 490000);
		break;
	}
	f.hold_ms = 400000;
	fsm_sent(&f, 5000);
	ck_assert_uint_eq(f.at[FSM_T_SEND_HOLD], 5000 + 800000);
	bring_to(&f, FSM_OPENCONFIRM, 1);
	fsm_sent(&f, 5000);
	ck_assert_uint_eq(f.at[FSM_T_SEND_HOLD], 0);
}
END_TEST

START_TEST(open_that_never_comes)
{
	struct fsm f;
	bring_to(&f, FSM_OPENSENT, 1000);
	ck_assert_uint_eq(fsm_next(&f), 1000 + OPEN_WAIT_MS);
	struct fsm_output out = step(&f, fsm_due(&f, 1000 + OPEN_WAIT_MS), 1000 + OPEN_WAIT_MS);
	ck_assert_str_eq(letters(&out), "NX");
	ck_assert_uint_eq(out.code, BERR_HOLD);
}
END_TEST

START_TEST(first_timer_wins)
{
	struct fsm f;
	bring_to(&f, FSM_ESTABLISHED, 1000);
	f.at[FSM_T_HOLD] = 3000;
	f.at[FSM_T_KEEPALIVE] = 2000;
	ck_assert_uint_eq(fsm_next(&f), 2000);
	ck_assert_int_eq(fsm_due(&f, 1999), 0);
	ck_assert_int_eq(fsm_due(&f, 9000), FSM_EV_KEEPALIVE_DUE);
	fsm_idle_hold(&f, 1, 1); /* only in Idle */
	ck_assert_uint_eq(f.at[FSM_T_IDLE_HOLD], 0);
}
END_TEST

START_TEST(backoff_doubles_and_forgets)
{
	static const uint32_t want[] = { 1000, 2000, 4000, 5000, 5000, 5000 };
	struct fsm_backoff b = { 0 };
	for (unsigned k = 0; k < 6; k++) {
		uint32_t ms = fsm_backoff_next(&b, FSM_FAIL_CONNECT, 0, RETRY_MS, 0xFFFF);
		ck_assert_uint_le(ms, want[k]);
		ck_assert_uint_ge(ms, want[k] - 1);
		ck_assert_uint_eq(fsm_backoff_next(&(struct fsm_backoff){ k }, FSM_FAIL_CONNECT, 0,
						   RETRY_MS, 0),
				  want[k] * 3 / 4);
	}
	/* a protocol error is damped up to a minute */
	uint32_t ms = 0;
	for (unsigned k = 0; k < 40; k++)
		ms = fsm_backoff_next(&b, FSM_FAIL_ERROR, 0, RETRY_MS, 0);
	ck_assert_uint_eq(ms, 45000);
	/* a session that lasted starts it over */
	ck_assert_uint_eq(fsm_backoff_next(&b, FSM_FAIL_CLOSED, 60000, RETRY_MS, 0), 750);
	/* but one that fell at once does not */
	b.failures = 2;
	ck_assert_uint_eq(fsm_backoff_next(&b, FSM_FAIL_CLOSED, 59999, RETRY_MS, 0), 3000);
}
END_TEST

START_TEST(no_random_event_breaks_it)
{
	struct fsm f;
	uint64_t now = 1;
	uint32_t seed = 12345;
	bool up = false;
	fsm_init(&f, &conf);
	for (unsigned k = 0; k < 300000; k++) {
		seed = seed * 1664525 + 1013904223;
		struct fsm_output out =
			step(&f, seed >> 16 & 31 ? (seed >> 16) % FSM_EVENTS : FSM_EV_OPEN,
			     now += seed >> 28);
		/* up and down alternate; Established exactly while up */
		for (unsigned a = 0; a < out.n; a++) {
			if (out.act[a] == FSM_ACT_UP) {
				ck_assert(!up);
				up = true;
			} else if (out.act[a] == FSM_ACT_DOWN) {
				ck_assert(up);
				up = false;
			}
		}
		ck_assert_int_eq(up, f.state == FSM_ESTABLISHED);
		ck_assert_uint_le(out.n, 4);
	}
}
END_TEST

UNIT_MAIN("fsm", every_state_and_event, passive_waits, silent_stop, hold_time_is_agreed,
	  jitter_has_bounds, six_hours_without_an_answer, a_day_then_silence, send_hold,
	  open_that_never_comes, first_timer_wins, backoff_doubles_and_forgets,
	  no_random_event_breaks_it)
