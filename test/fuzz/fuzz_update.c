/* Every BGP message that a peer can send, under every session it can have.
 *
 * The input: one octet that picks the session, then messages as on a TCP stream. What has to hold
 * beside "no crash": no prefix with host bits, no prefix of another family than its list's, what is
 * left for the RIB is consistent, and attributes that were taken come back the same when they are
 * encoded and decoded again, in 4 octets as an interned blob and through a whole message.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bgpd/wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum { BOTH = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6) };

static uint8_t scratch[2 * BGP_MAX_EXTENDED], scratch2[2 * BGP_MAX_EXTENDED];
static uint8_t blob[4 * BGP_MAX_EXTENDED], blob2[4 * BGP_MAX_EXTENDED], out[8 * BGP_MAX_EXTENDED];

static struct bgp_session_ctx session_of(uint8_t pick)
{
	return (struct bgp_session_ctx){
		.as4 = !(pick & 1),
		.ebgp = !(pick & 2),
		.check_first_as = pick & 4,
		.peer_as = 65001,
		.families = pick & 8 ? FAMILY_BIT(FAM_V4) : BOTH,
		.add_path = pick & 16 ? BOTH : 0,
		.ext_nexthop = pick & 32 ? FAMILY_BIT(FAM_V4) : 0,
		.max_message = pick & 64 ? BGP_MAX_EXTENDED : BGP_MAX,
	};
}

static void check_nlri(struct nlri n)
{
	const uint8_t *end = n.len ? n.p + n.len : NULL;
	struct prefix p;
	uint32_t id;

	while (nlri_next(&n, &p, &id)) {
		MUST(p.addr.fam == n.fam && p.len <= family_bits(n.fam));
		MUST(!prefix_has_host_bits(&p));
		MUST(n.add_path || id == 0);
		MUST(n.p + n.len == end);
	}
	MUST(n.len == 0);
}

static void check_path(struct blob path)
{
	char text[64];
	struct blob longer;
	static uint8_t room[BGP_MAX_EXTENDED + 64];
	size_t n = as_path_prepend(path, 65000, 3, room, sizeof(room));

	as_path_format(path, text, sizeof(text));
	if (!n)
		return;
	longer = (struct blob){ room, (uint16_t)n };
	MUST(as_path_length(longer) == as_path_length(path) + 3);
	MUST(as_path_count(longer, 65000) == as_path_count(path, 65000) + 3);
	MUST(as_path_first(longer) == 65000);
}

/* Encoded, decoded and encoded again: the same octets. */
static size_t check_attrs(const struct attrs *a)
{
	static const struct bgp_session_ctx own = { .as4 = true };
	struct wr w = wr_over(blob, sizeof(blob)), w2 = wr_over(blob2, sizeof(blob2));
	struct attrs again;

	attrs_encode(&w, a, &own);
	MUST(!w.full);
	attrs_decode_own(blob, w.len, &again);
	attrs_encode(&w2, &again, &own);
	MUST(w2.len == w.len && !memcmp(blob, blob2, w.len));
	check_path(a->as_path);
	return w.len;
}

/* Sends the routes on to another session, with and without 4-octet numbers, and reads them. */
static void check_sent(const struct bgp_update *u, unsigned k, bool as4, const uint8_t *want,
		       size_t want_len)
{
	struct bgp_session_ctx tx = { .as4 = as4,
				      .families = BOTH,
				      .add_path = u->reach[k].add_path ? BOTH : 0,
				      .ext_nexthop = FAMILY_BIT(FAM_V4),
				      .max_message = BGP_MAX_EXTENDED };
	struct wr aw = wr_over(blob2, sizeof(blob2)), w = wr_over(out, sizeof(out));
	struct nlri n = u->reach[k], back;
	struct update_builder b;
	struct bgp_update again;
	struct prefix p, q;
	uint32_t id, id2;

	attrs_encode(&aw, &u->attrs, &tx);
	if (aw.len > BGP_MAX_EXTENDED / 2)
		return;
	update_begin(&b, &w, &tx, n.fam, &u->nexthop[k], blob2, aw.len);
	for (struct nlri walk = n; nlri_next(&walk, &p, &id);)
		if (!update_add(&b, &p, id))
			break;
	update_end(&b);
	MUST(!w.full && w.len <= BGP_MAX_EXTENDED);
	if (!w.len)
		return;
	bgp_update_decode(out, w.len, &tx, scratch2, sizeof(scratch2), &again);
	MUST(again.outcome == UPDATE_OK);
	back = again.reach[again.reach[0].len ? 0 : 1];
	while (nlri_next(&back, &q, &id2)) {
		MUST(nlri_next(&n, &p, &id));
		MUST(prefix_eq(&p, &q) && id == id2);
	}
	if (!as4)
		return; /* a path may come back in other segments */
	aw = wr_over(blob2, sizeof(blob2));
	attrs_encode(&aw, &again.attrs, &tx);
	MUST(aw.len == want_len && !memcmp(blob2, want, want_len));
}

static void check_update(const uint8_t *msg, size_t len, const struct bgp_session_ctx *ctx)
{
	struct bgp_update u;
	bool reach = false;

	bgp_update_decode(msg, len, ctx, scratch, sizeof(scratch), &u);
	MUST(u.outcome == UPDATE_OK || (u.error.code == BERR_UPDATE && u.error.subcode));
	MUST((u.outcome == UPDATE_OK) == !u.error.text[0]);
	if (u.outcome == UPDATE_RESET)
		return;
	for (unsigned k = 0; k < 2; k++) {
		check_nlri(u.withdrawn[k]);
		check_nlri(u.reach[k]);
		reach |= u.reach[k].len != 0;
	}
	MUST(!u.end_of_rib || !(reach || u.withdrawn[0].len || u.withdrawn[1].len));
	if (u.outcome == UPDATE_WITHDRAW) {
		MUST(u.raw.len == 0);
		return;
	}
	if (!reach)
		return;
	for (unsigned k = 0; k < 2; k++) {
		if (!u.reach[k].len)
			continue;
		MUST(!addr_is_martian(&u.nexthop[k].global));
		size_t n = check_attrs(&u.attrs);

		check_sent(&u, k, true, blob, n);
		check_sent(&u, k, false, blob, n);
	}
}

static void check_open(const uint8_t *msg, size_t len)
{
	struct bgp_open open, again;
	struct bgp_error e;
	struct wr w = wr_over(out, sizeof(out));

	if (bgp_open_decode(msg, len, &open, &e) < 0)
		return;
	MUST(open.asn && open.id);
	bgp_open_encode(&w, &open);
	MUST(!w.full && bgp_open_decode(out, w.len, &again, &e) == 0);
	MUST(again.asn == open.asn || !open.caps.as4);
	MUST(again.hold_time == open.hold_time && again.id == open.id);
	MUST(again.caps.gr_families == open.caps.gr_families);
	MUST(again.caps.add_path_send == open.caps.add_path_send);
}

static void check_small(const uint8_t *msg, size_t len, uint8_t type)
{
	struct bgp_notification n;
	struct bgp_refresh r;
	struct bgp_error e;
	char text[64];

	if (type == BGP_NOTIFICATION && bgp_notification_decode(msg, len, &n, &e) == 0) {
		MUST(memchr(n.shutdown_text, '\0', sizeof(n.shutdown_text)));
		for (const char *c = n.shutdown_text; *c; c++)
			MUST((uint8_t)*c >= 0x20 && *c != 0x7f);
		bgp_error_name(n.code, n.subcode, text, sizeof(text));
	}
	if (type == BGP_ROUTE_REFRESH)
		bgp_refresh_decode(msg, len, &r, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bgp_session_ctx ctx;
	struct bgp_error e;
	uint8_t type;
	int n;

	if (!len)
		return 0;
	ctx = session_of(*data++);
	len--;
	while ((n = bgp_header_check(data, len, ctx.max_message, &type, &e)) > 0) {
		if (type == BGP_UPDATE)
			check_update(data, (size_t)n, &ctx);
		else if (type == BGP_OPEN)
			check_open(data, (size_t)n);
		else
			check_small(data, (size_t)n, type);
		data += n;
		len -= (size_t)n;
	}
	MUST(n == 0 || e.text[0]);
	return 0;
}
