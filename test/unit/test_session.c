/* One bgpd core against a peer that the test plays byte by byte: what goes over the wire, and what
 * bad input leads to.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgpd/session.h"
#include "test/unit/bgpd_lab.h"
#include "test/unit/unit.h"

static struct ev_loop *loop;
static struct lab_node n;

/* The peer: node 2. */
struct raw {
	int fd;
	uint8_t in[1 << 17];
	size_t have;
	uint8_t msg[BGP_MAX_EXTENDED]; /* the message that read_msg() took */
	size_t len;
	uint8_t type;
	bool closed;
};
static struct raw one, two;

static void start(unsigned restart_time, unsigned hold)
{
	loop = lab_enter();
	lab_start(&n, loop, 1, false);
	struct m_bgp_peer *p = lab_peer(&n, 2);
	p->passive = true;
	p->restart_time = restart_time;
	p->hold_time = hold;
	lab_iface(&n, true);
	ipc_send(n.felix, M_IFACE_SYNC, NULL);
	lab_configure(&n);
	lab_run(loop, 50);
}

static void dial_from(struct raw *r, unsigned from)
{
	struct sockaddr_storage ss;
	struct addr src = lab_addr(FAM_V4, from), dst = lab_addr(FAM_V4, 1);
	*r = (struct raw){ 0 };
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = addr_to_sockaddr(&src, 0, 0, &ss);
	ck_assert_int_eq(bind(r->fd, (struct sockaddr *)&ss, len), 0);
	len = addr_to_sockaddr(&dst, LAB_PORT, 0, &ss);
	ck_assert_int_eq(connect(r->fd, (struct sockaddr *)&ss, len), 0);
}

static void dial(struct raw *r)
{
	dial_from(r, 2);
}

static void say(struct raw *r, const void *bytes, size_t len)
{
	ck_assert_int_eq(send(r->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static bool whole(struct raw *r)
{
	size_t len = r->have >= BGP_HEADER ? (size_t)r->in[16] << 8 | r->in[17] : BGP_MAX_EXTENDED;
	ssize_t got = 0;
	if (r->have < len && sizeof(r->in) > r->have)
		got = recv(r->fd, r->in + r->have, sizeof(r->in) - r->have, MSG_DONTWAIT);
	if (got > 0)
		r->have += (size_t)got;
	else if (got == 0 && r->have < len)
		r->closed = true;
	else if (got < 0 && errno != EAGAIN)
		r->closed = true;
	len = r->have >= BGP_HEADER ? (size_t)r->in[16] << 8 | r->in[17] : BGP_MAX_EXTENDED;
	return r->have >= len;
}

static bool whole_or_closed(void *arg)
{
	struct raw *r = arg;
	return whole(r) || r->closed;
}

/* The next message; its type, or 0 when the connection is closed. */
static uint8_t read_msg(struct raw *r, unsigned ms)
{
	struct bgp_error e = { 0 };
	ck_assert_msg(lab_until(loop, whole_or_closed, r, ms), "nothing came");
	if (!whole(r))
		return 0;
	int len = bgp_header_check(r->in, r->have, BGP_MAX_EXTENDED, &r->type, &e);
	ck_assert_msg(len > 0, "%s", e.text);
	r->len = (size_t)len;
	memcpy(r->msg, r->in, r->len);
	r->have -= r->len;
	memmove(r->in, r->in + r->len, r->have);
	return r->type;
}

static struct bgp_open our_open(void)
{
	const family_set both = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	return (struct bgp_open){ .asn = 65002,
				  .hold_time = 90,
				  .id = 0x0A090002,
				  .caps = { .mp = both, .route_refresh = true, .as4 = true } };
}

static void say_open(struct raw *r, const struct bgp_open *o)
{
	uint8_t buf[512];
	struct wr w = wr_over(buf, sizeof(buf));
	bgp_open_encode(&w, o);
	say(r, buf, w.len);
}

static void say_keepalive(struct raw *r)
{
	uint8_t buf[BGP_HEADER];
	struct wr w = wr_over(buf, sizeof(buf));
	bgp_keepalive_encode(&w);
	say(r, buf, w.len);
}

static void establish(struct raw *r, const struct bgp_open *o)
{
	ck_assert_uint_eq(read_msg(r, 2000), BGP_OPEN);
	say_open(r, o);
	ck_assert_uint_eq(read_msg(r, 2000), BGP_KEEPALIVE);
	say_keepalive(r);
	ck_assert(lab_until(loop, lab_established, &n, 2000));
}

/* A NOTIFICATION and then the end. Returns its data. */
static struct bgp_notification expect_notification(struct raw *r, uint8_t code, uint8_t subcode)
{
	struct bgp_notification got;
	struct bgp_error e = { 0 };
	uint8_t type;
	while ((type = read_msg(r, 6000)) != BGP_NOTIFICATION)
		ck_assert_msg(type, "closed without a NOTIFICATION; bgpd says: %s",
			      n.b->peers->last_error);
	ck_assert_int_eq(bgp_notification_decode(r->msg, r->len, &got, &e), 0);
	ck_assert_msg(got.code == code && got.subcode == subcode, "%u/%u, not %u/%u: %s", got.code,
		      got.subcode, code, subcode, n.b->peers->last_error);
	ck_assert_uint_eq(read_msg(r, 2000), 0);
	return got;
}

START_TEST(our_open_says_all)
{
	struct bgp_open o;
	struct bgp_error e = { 0 };
	const family_set both = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	start(120, 9);
	dial(&one);
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_OPEN);
	ck_assert_int_eq(bgp_open_decode(one.msg, one.len, &o, &e), 0);
	ck_assert_uint_eq(o.asn, 65001);
	ck_assert_uint_eq(o.hold_time, 9);
	ck_assert_uint_eq(o.id, 0x0A090001);
	ck_assert_uint_eq(o.caps.mp, both);
	ck_assert(o.caps.as4 && o.caps.route_refresh && o.caps.extended_messages);
	ck_assert(!o.caps.enhanced_refresh);
	ck_assert(o.caps.gr && !o.caps.gr_restarting);
	ck_assert_uint_eq(o.caps.gr_time, 120);
	ck_assert_uint_eq(o.caps.gr_forwarding, both);
}
END_TEST

/* Each a message instead of our OPEN, and what it must be answered with (RFC 4271
 * section 6.1, 6.2). */
struct bad {
	const char *what;
	uint8_t at, byte; /* this byte of a good OPEN is changed */
	uint8_t code, subcode;
};

static const struct bad bads[] = {
	{ "marker", 3, 0x7F, BERR_HEADER, HEADER_SYNC },
	{ "length too small", 17, 5, BERR_HEADER, HEADER_LENGTH },
	{ "unknown type", 18, 9, BERR_HEADER, HEADER_TYPE },
	{ "version", 19, 3, BERR_OPEN, OPEN_VERSION },
	{ "hold time 1", 23, 1, BERR_OPEN, OPEN_HOLD },
	{ "hold time 2", 23, 2, BERR_OPEN, OPEN_HOLD },
};

START_TEST(malformed_open)
{
	const struct bad *x = &bads[_i];
	uint8_t buf[512];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	bgp_open_encode(&w, &o);
	buf[x->at] = x->byte;
	say(&one, buf, w.len);
	struct bgp_notification got = expect_notification(&one, x->code, x->subcode);
	if (x->subcode == OPEN_VERSION && x->code == BERR_OPEN)
		ck_assert(got.data_len == 2 && got.data[1] == 4); /* what we speak */
	ck_assert(strstr(n.b->peers->last_error, "sent "));
	/* an error is damped: the next connection is not taken at once */
	dial(&two);
	ck_assert_uint_eq(read_msg(&two, 2000), 0);
}
END_TEST

struct wrong {
	const char *what;
	uint32_t asn, id;
	family_set mp;
	uint8_t subcode;
	const char *text;
};

static const struct wrong wrongs[] = {
	{ "AS", 65099, 1, FAMILY_BIT(FAM_V4), OPEN_PEER_AS, "AS 65099" },
	{ "AS 0", 0, 1, FAMILY_BIT(FAM_V4), OPEN_PEER_AS, "" },
	{ "identifier 0", 65002, 0, FAMILY_BIT(FAM_V4), OPEN_ID, "" },
};

START_TEST(wrong_open)
{
	const struct wrong *x = &wrongs[_i];
	struct bgp_open o = our_open();
	start(0, 90);
	o.asn = x->asn;
	o.id = x->id;
	o.caps.mp = x->mp;
	dial(&one);
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_OPEN);
	say_open(&one, &o);
	expect_notification(&one, BERR_OPEN, x->subcode);
	ck_assert_msg(strstr(n.b->peers->last_error, x->text), "%s", n.b->peers->last_error);
}
END_TEST

/* RFC 6286: equal identifiers are fine between ASes, not within one. */
START_TEST(same_identifier)
{
	struct bgp_open o = our_open();
	start(0, 90);
	o.id = 0x0A090001;
	dial(&one);
	establish(&one, &o);
	n.peers[0].asn = 65001;
	lab_configure(&n);
	expect_notification(&one, BERR_CEASE, CEASE_CONFIG);
	o.asn = 65001;
	dial(&two);
	ck_assert_uint_eq(read_msg(&two, 2000), BGP_OPEN);
	say_open(&two, &o);
	expect_notification(&two, BERR_OPEN, OPEN_ID);
}
END_TEST

START_TEST(messages_in_wrong_states)
{
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_OPEN);
	say_keepalive(&one); /* before any OPEN */
	expect_notification(&one, BERR_FSM, 1);
	lab_run(loop, 1500); /* damped */
	dial(&two);
	establish(&two, &o);
	say_open(&two, &o);
	expect_notification(&two, BERR_FSM, 3);
}
END_TEST

START_TEST(a_stranger)
{
	start(0, 90);
	dial_from(&one, 7);
	ck_assert_uint_eq(read_msg(&one, 2000), 0);
}
END_TEST

/* Byte by byte, and many messages at once. */
START_TEST(framing)
{
	uint8_t buf[512];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	bgp_open_encode(&w, &o);
	for (size_t k = 0; k < w.len; k++) {
		say(&one, buf + k, 1);
		ev_run(loop, EVRUN_NOWAIT);
	}
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_OPEN);
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_KEEPALIVE);
	w = wr_over(buf, sizeof(buf));
	for (unsigned k = 0; k < 20; k++)
		bgp_keepalive_encode(&w);
	say(&one, buf, w.len - 7);
	ck_assert(lab_until(loop, lab_established, &n, 2000));
	lab_run(loop, 50);
	ck_assert_uint_eq(n.b->peers->messages_in, 1 + 19);
	say(&one, buf + w.len - 7, 7);
	lab_run(loop, 50);
	ck_assert_uint_eq(n.b->peers->messages_in, 1 + 20);
}
END_TEST

START_TEST(silence_ends_it)
{
	struct bgp_open o = our_open();
	start(0, 3);
	dial(&one);
	establish(&one, &o);
	uint64_t from = bgpd_now();
	unsigned keepalives = 0;
	uint8_t type;
	while ((type = read_msg(&one, 5000)) != BGP_NOTIFICATION)
		keepalives += type == BGP_KEEPALIVE;
	ck_assert_uint_eq(one.msg[19], BERR_HOLD);
	ck_assert_uint_ge(bgpd_now() - from, 2900);
	ck_assert_uint_le(bgpd_now() - from, 3300);
	ck_assert_uint_ge(keepalives, 2);
	ck_assert_msg(strstr(n.b->peers->last_error, "nothing came for 3 s"), "%s",
		      n.b->peers->last_error);
}
END_TEST

/* RFC 4724: a peer that started again is taken at its word, without a NOTIFICATION. */
START_TEST(restarted_peer_replaces_its_session)
{
	struct bgp_open o = our_open();
	o.caps.gr = true;
	o.caps.gr_time = 60;
	o.caps.gr_families = o.caps.mp;
	start(120, 90);
	dial(&one);
	establish(&one, &o);
	lab_run(loop, 2200); /* past the time of a simultaneous start */
	dial(&two);
	ck_assert_uint_eq(read_msg(&two, 2000), BGP_OPEN);
	ck_assert(lab_established(&n)); /* an open connection alone changes nothing */
	say_open(&two, &o);
	uint8_t type;
	while ((type = read_msg(&one, 2000)) != 0)
		ck_assert_uint_ne(type, BGP_NOTIFICATION);
	ck_assert_uint_eq(read_msg(&two, 2000), BGP_KEEPALIVE);
	say_keepalive(&two);
	ck_assert(lab_until(loop, lab_established, &n, 2000));
}
END_TEST

START_TEST(second_session_is_a_collision)
{
	struct bgp_open o = our_open();
	start(120, 90);
	dial(&one);
	establish(&one, &o);
	lab_run(loop, 2200);
	dial(&two);
	ck_assert_uint_eq(read_msg(&two, 2000), BGP_OPEN);
	say_open(&two, &o);
	expect_notification(&two, BERR_CEASE, CEASE_COLLISION);
	ck_assert(lab_established(&n));
	ck_assert_str_eq(n.b->peers->last_error, "");
}
END_TEST

/* A newer connection while the older waits for its OPEN: the older goes. */
START_TEST(newer_attempt_wins)
{
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	ck_assert_uint_eq(read_msg(&one, 2000), BGP_OPEN);
	dial(&two);
	expect_notification(&one, BERR_CEASE, CEASE_COLLISION);
	establish(&two, &o);
}
END_TEST

START_TEST(bad_update)
{
	/* the attributes claim more bytes than there are: RFC 7606 section 4 */
	static const uint8_t update[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
					  0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
					  0,	23,   2,    0,	  0,	0,    200 };
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	establish(&one, &o);
	say(&one, update, sizeof(update));
	expect_notification(&one, BERR_UPDATE, 1);
	ck_assert_msg(strstr(n.b->peers->last_error, "sent UPDATE Message Error/"), "%s",
		      n.b->peers->last_error);
}
END_TEST

static bool no_session(void *arg)
{
	(void)arg;
	return !lab_established(&n);
}

START_TEST(their_notification)
{
	uint8_t buf[128];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_open o = our_open();
	start(0, 90);
	dial(&one);
	establish(&one, &o);
	bgp_notification_encode(&w, BERR_CEASE, CEASE_SHUTDOWN, "\013maintenance", 12);
	say(&one, buf, w.len);
	ck_assert(lab_until(loop, no_session, NULL, 2000));
	ck_assert_str_eq(n.b->peers->last_error,
			 "received Cease/Administrative Shutdown: maintenance");
	ck_assert_uint_eq(read_msg(&one, 2000) == BGP_NOTIFICATION, 0);
}
END_TEST

/* A long table to a peer that reads slowly: every message whole, KEEPALIVEs in between, and the
 * NOTIFICATION that ends it stands behind a whole message too. */
START_TEST(long_table_slow_reader)
{
	enum { MANY = 60000 };
	struct bgp_open o = our_open();
	static struct prefix many[MANY];
	unsigned keepalives = 0, prefixes = 0, eor = 0;
	int small = 4096;
	for (unsigned k = 0; k < MANY; k++) {
		struct addr x = addr_v4(0x14000000 + k * 256);
		many[k] = (struct prefix){ x, 24 };
	}
	n.origin = many;
	n.norigin = MANY;
	start(0, 3);
	setsockopt(n.listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	dial(&one);
	setsockopt(one.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	establish(&one, &o);
	struct bgp_session_ctx ctx = { .as4 = true,
				       .ebgp = true,
				       .peer_as = 65001,
				       .families = o.caps.mp,
				       .max_message = BGP_MAX };
	static uint8_t scratch[2 * BGP_MAX_EXTENDED];
	uint64_t last = bgpd_now();
	lab_run(loop, 1200); /* it reads nothing: the socket is full, a KEEPALIVE waits */
	while (eor < 2) {
		struct bgp_update u;
		if (bgpd_now() - last > 500) {
			say_keepalive(&one);
			last = bgpd_now();
		}
		uint8_t type = read_msg(&one, 3000);
		ck_assert_msg(type == BGP_UPDATE || type == BGP_KEEPALIVE, "type %u: %s", type,
			      n.b->peers->last_error);
		keepalives += type == BGP_KEEPALIVE;
		if (type != BGP_UPDATE)
			continue;
		bgp_update_decode(one.msg, one.len, &ctx, scratch, sizeof(scratch), &u);
		ck_assert_msg(u.outcome == UPDATE_OK, "%s", u.error.text);
		struct prefix p;
		for (unsigned f = 0; f < 2; f++)
			while (nlri_next(&u.reach[f], &p, NULL))
				prefixes++;
		eor += u.end_of_rib != 0;
	}
	ck_assert_uint_eq(prefixes, MANY);
	ck_assert_uint_ge(keepalives, 1);
	n.npeers = 0;
	lab_configure(&n);
	uint8_t type;
	while ((type = read_msg(&one, 2000)) == BGP_UPDATE || type == BGP_KEEPALIVE)
		;
	ck_assert_uint_eq(type, BGP_NOTIFICATION);
	ck_assert_uint_eq(one.msg[20], CEASE_DECONFIGURED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, our_open_says_all);
	tcase_add_loop_test(tc, malformed_open, 0, sizeof(bads) / sizeof(bads[0]));
	tcase_add_loop_test(tc, wrong_open, 0, sizeof(wrongs) / sizeof(wrongs[0]));
	tcase_add_test(tc, same_identifier);
	tcase_add_test(tc, messages_in_wrong_states);
	tcase_add_test(tc, a_stranger);
	tcase_add_test(tc, framing);
	tcase_add_test(tc, silence_ends_it);
	tcase_add_test(tc, restarted_peer_replaces_its_session);
	tcase_add_test(tc, second_session_is_a_collision);
	tcase_add_test(tc, newer_attempt_wins);
	tcase_add_test(tc, bad_update);
	tcase_add_test(tc, their_notification);
	tcase_add_test(tc, long_table_slow_reader);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
