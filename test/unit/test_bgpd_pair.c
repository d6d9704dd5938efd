/* Whole bgpd cores against each other over real TCP in a namespace of their own.
 */
#include "config.h"

#include <stdio.h>
#include <sys/socket.h>

#include "bgpd/session.h"
#include "test/unit/bgpd_lab.h"
#include "test/unit/unit.h"

static struct ev_loop *loop;
static struct lab_node a, b;
static struct prefix of_a[2], of_b[2];

/* Two nodes that know each other, nothing configured yet. */
static void setup(void)
{
	loop = lab_enter();
	lab_start(&a, loop, 1, false);
	lab_start(&b, loop, 2, false);
	of_a[0] = lab_prefix("10.1.0.0/26");
	of_a[1] = lab_prefix("fd01::/122");
	of_b[0] = lab_prefix("10.2.0.0/26");
	of_b[1] = lab_prefix("fd02::/122");
	a.origin = of_a;
	b.origin = of_b;
	a.norigin = b.norigin = 2;
	lab_peer(&a, 2);
	lab_peer(&b, 1);
}

static void go(void)
{
	struct lab_node *both[] = { &a, &b };
	for (unsigned k = 0; k < 2; k++) {
		lab_iface(both[k], true);
		ipc_send(both[k]->felix, M_IFACE_SYNC, NULL);
		lab_configure(both[k]);
	}
}

static bool exchanged(void *arg)
{
	(void)arg;
	return lab_route(&a, "10.2.0.0/26") && lab_route(&a, "fd02::/122") &&
	       lab_route(&b, "10.1.0.0/26") && lab_route(&b, "fd01::/122");
}

static void up(void)
{
	setup();
	go();
	ck_assert_msg(lab_until(loop, exchanged, NULL, 8000), "a: %s; b: %s", a.reason, b.reason);
}

static bool down(void *arg)
{
	return !lab_established(arg);
}

static bool empty(void *arg)
{
	return ((struct lab_node *)arg)->nroutes == 0;
}

static bool ended(void *arg)
{
	(void)arg;
	return a.ends && b.ends;
}

static const char *last_error(const struct lab_node *n)
{
	return n->b->peers->last_error;
}

static void expect_error(const struct lab_node *n, const char *part)
{
	ck_assert_msg(strstr(last_error(n), part), "\"%s\" is not in \"%s\"", part, last_error(n));
}

START_TEST(both_families_in_one_session)
{
	up();
	uint32_t g4 = lab_route(&a, "10.2.0.0/26"), g6 = lab_route(&a, "fd02::/122");
	struct addr n4 = lab_addr(FAM_V4, 2), n6 = lab_addr(FAM_V6, 2);
	ck_assert_uint_eq(a.gateways[g4], 1);
	ck_assert(addr_eq(&a.gateway[g4][0].gateway, &n4));
	ck_assert_uint_eq(a.gateways[g6], 1);
	ck_assert(addr_eq(&a.gateway[g6][0].gateway, &n6));
	ck_assert(!lab_route(&a, "10.1.0.0/26")); /* its own comes not back */
	ck_assert_msg(lab_until(loop, ended, NULL, 8000), "no M_ROUTES_END");
	ck_assert(a.ready && b.ready);
	ck_assert_uint_eq(a.ends, 1);
}
END_TEST

/* Both connect at once, each sees the other's connection too: one session, and it lasts. */
START_TEST(simultaneous_start)
{
	up();
	const struct conn *s = a.b->peers->session;
	lab_run(loop, 2500);
	ck_assert_ptr_eq(a.b->peers->session, s);
	ck_assert_ptr_null(a.b->peers->out);
	ck_assert_ptr_null(a.b->peers->in);
	ck_assert_ptr_null(b.b->peers->in);
	ck_assert_ptr_null(b.b->peers->out);
	/* ids: B's is higher, so whichever had to go, no error is left to see */
	ck_assert_str_eq(last_error(&a), "");
	ck_assert_str_eq(last_error(&b), "");
}
END_TEST

START_TEST(one_side_passive)
{
	setup();
	b.peers[0].passive = true;
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	ck_assert(a.b->peers->session->initiated);
}
END_TEST

START_TEST(same_configuration_again)
{
	up();
	const struct conn *s = a.b->peers->session;
	a.peers[0].type = PEER_GLOBAL; /* for show */
	a.peers[0].connect_retry = 7;  /* for the next attempt */
	lab_configure(&a);
	lab_run(loop, 300);
	ck_assert_ptr_eq(a.b->peers->session, s);
	ck_assert_uint_eq(a.b->peers->conf.type, PEER_GLOBAL);
	ck_assert_uint_eq(lab_route(&b, "10.1.0.0/26") != 0, 1);
}
END_TEST

START_TEST(changed_peer_is_reset_others_not)
{
	setup();
	struct lab_node c = { 0 };
	lab_start(&c, loop, 3, false);
	lab_peer(&c, 1);
	lab_peer(&a, 3);
	lab_iface(&c, true);
	ipc_send(c.felix, M_IFACE_SYNC, NULL);
	lab_configure(&c);
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	ck_assert(lab_until(loop, lab_established, &c, 8000));
	const struct conn *kept = c.b->peers->session;
	a.peers[0].hold_time = 30;
	lab_configure(&a);
	ck_assert(lab_until(loop, down, &b, 2000));
	expect_error(&b, "received Cease/");
	ck_assert(lab_until(loop, lab_established, &b, 8000));
	ck_assert_ptr_eq(c.b->peers->session, kept);
	ck_assert_uint_eq(b.b->peers->session->fsm.hold_ms, 9000);
}
END_TEST

START_TEST(removed_peer)
{
	up();
	a.npeers = 0;
	lab_configure(&a);
	ck_assert(lab_until(loop, down, &b, 2000));
	expect_error(&b, "received Cease/Peer De-configured");
	ck_assert(lab_until(loop, empty, &b, 2000));
	ck_assert(lab_until(loop, empty, &a, 2000));
	ck_assert_ptr_null(a.b->peers);
}
END_TEST

START_TEST(withdrawn_origin)
{
	up();
	a.norigin = 1;
	lab_configure(&a);
	lab_run(loop, 300);
	ck_assert(lab_route(&b, "10.1.0.0/26"));
	ck_assert(!lab_route(&b, "fd01::/122"));
}
END_TEST

START_TEST(link_down_is_session_down)
{
	up();
	lab_iface(&a, false);
	ck_assert_msg(lab_until(loop, down, &a, 100), "not at once");
	expect_error(&a, "eth0 went down");
	ck_assert(lab_until(loop, empty, &a, 1000));
	lab_iface(&a, true);
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
}
END_TEST

START_TEST(new_address_on_the_link)
{
	setup();
	struct prefix four = { lab_addr(FAM_V4, 1), 24 };
	struct m_iface m = { .ifindex = 10, .name = "eth0", .up = true };
	m.addresses.n = 1;
	m.addresses.v = &four;
	go();
	ipc_send(a.felix, M_IFACE, &m); /* IPv6 is tentative still */
	ck_assert(lab_until(loop, lab_established, &a, 8000));
	lab_run(loop, 500);
	ck_assert(!lab_route(&b, "fd01::/122"));
	lab_iface(&a, true);
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
}
END_TEST

START_TEST(wrong_as)
{
	setup();
	b.peers[0].asn = 65077;
	go();
	lab_run(loop, 1500);
	ck_assert(!lab_established(&a) && !lab_established(&b));
	expect_error(&b, "it says AS 65001, asNumber here says 65077");
	expect_error(&b, "OPEN Message Error/Bad Peer AS");
	expect_error(&a, "received OPEN Message Error/Bad Peer AS");
	ck_assert(!a.ready);
	ck_assert(strstr(a.reason, "no BGP peer is established"));
}
END_TEST

START_TEST(any_external_as)
{
	setup();
	a.peers[0].asn = 0;
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	ck_assert_uint_eq(peer_asn(a.b->peers), 65002);
}
END_TEST

START_TEST(password)
{
	setup();
	a.peers[0].password = b.peers[0].password = "s3cret";
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	b.peers[0].password = "other";
	lab_configure(&b);
	ck_assert(lab_until(loop, down, &b, 2000));
	lab_run(loop, 3000);
	ck_assert(!lab_established(&a) || !lab_established(&b));
	b.peers[0].password = "";
	a.peers[0].password = "";
	lab_configure(&a);
	lab_configure(&b);
	ck_assert(lab_until(loop, exchanged, NULL, 12000));
}
END_TEST

/* An address and its key go from one peer to another: the listener keeps the key. */
START_TEST(password_changes_hands)
{
	setup();
	struct m_bgp_peer *first = &a.peers[0], *second = lab_peer(&a, 3);
	const struct m_bgp_peer to_b = *first, to_none = *second;
	first->address = to_none.address;
	second->address = to_b.address;
	second->asn = to_b.asn;
	second->password = b.peers[0].password = "s3cret";
	/* Only b connects, so that it is a's listener that has to know the key. */
	first->passive = second->passive = true;
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	first->address = to_b.address;
	first->asn = to_b.asn;
	first->password = "s3cret";
	second->address = to_none.address;
	second->asn = to_none.asn;
	second->password = "";
	lab_configure(&a);
	ck_assert(lab_until(loop, down, &b, 3000));
	ck_assert(lab_until(loop, exchanged, NULL, 12000));
}
END_TEST

/* There is no key for an address that is not known: nobody gets in without one. */
START_TEST(password_without_an_address)
{
	setup();
	a.peers[0].address = (struct addr){ 0 };
	a.peers[0].interface = "eth0";
	a.peers[0].password = "s3cret";
	go();
	lab_run(loop, 300);
	ck_assert(a.b->peers->unkeyed);
	a.peers[0].password = "";
	lab_configure(&a);
	lab_run(loop, 300);
	ck_assert(!a.b->peers->unkeyed);
}
END_TEST

START_TEST(ttl_security)
{
	setup();
	a.peers[0].ttl_security = b.peers[0].ttl_security = 1;
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	/* a peer that sends with less than 255 is not heard */
	b.peers[0].ttl_security = 0;
	lab_configure(&b);
	lab_run(loop, 2500);
	ck_assert(!lab_established(&b) || !lab_established(&a));
}
END_TEST

START_TEST(stop_without_graceful_restart)
{
	up();
	lab_stop(&a);
	ck_assert(lab_until(loop, down, &b, 2000));
	expect_error(&b, "received Cease/Administrative Shutdown");
	ck_assert(lab_until(loop, empty, &b, 2000));
}
END_TEST

START_TEST(planned_restart)
{
	setup();
	a.peers[0].restart_time = b.peers[0].restart_time = 120;
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	ck_assert(!b.b->peers->session->open.caps.gr_restarting);
	unsigned group = lab_route(&a, "10.2.0.0/26");
	bgpd_stop(a.b);
	lab_run(loop, 100);
	/* the kernel forwards on: felix hears nothing of the sessions' end */
	ck_assert_uint_eq(lab_route(&a, "10.2.0.0/26"), group);
	ck_assert_uint_eq(a.gateways[group], 1);
	bgpd_free(a.b);
	ck_assert(lab_until(loop, down, &b, 2000));
	expect_error(&b, "connection closed by the peer"); /* no NOTIFICATION */
	a.nroutes = 0;
	lab_start(&a, loop, 1, true);
	lab_iface(&a, true);
	ipc_send(a.felix, M_IFACE_SYNC, NULL);
	lab_configure(&a);
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	const struct bgp_caps *caps = &b.b->peers->session->open.caps;
	const family_set both = FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6);
	ck_assert(caps->gr && caps->gr_restarting);
	ck_assert_uint_eq(caps->gr_time, 120);
	ck_assert_uint_eq(caps->gr_families, both);
	ck_assert_uint_eq(caps->gr_forwarding, both);
	ck_assert(lab_until(loop, ended, NULL, 12000));
	ck_assert(!bgpd_restarting(a.b));
}
END_TEST

/* One dead peer holds the end up for ten seconds after a restart, no longer. */
START_TEST(dead_peer_holds_the_end_up_for_long)
{
	setup();
	lab_peer(&a, 5);
	lab_stop(&a);
	lab_start(&a, loop, 1, true);
	uint64_t start = bgpd_now();
	go();
	ck_assert(lab_until(loop, exchanged, NULL, 8000));
	ck_assert(lab_until(loop, ended, NULL, 14000));
	ck_assert_uint_ge(bgpd_now() - start, 9900);
	ck_assert_uint_le(bgpd_now() - start, 12000);
}
END_TEST

START_TEST(felix_restarts)
{
	up();
	ck_assert(lab_until(loop, ended, NULL, 8000));
	const struct conn *s = a.b->peers->session;
	lab_felix(&a);
	ck_assert(lab_until(loop, exchanged, NULL, 2000));
	ck_assert(lab_until(loop, ended, NULL, 2000));
	ck_assert_ptr_eq(a.b->peers->session, s);
	ck_assert_uint_eq(a.total_routes, 4); /* twice two */
}
END_TEST

/* ---- nodectl ---- */

struct answer {
	bool done;
	char error[256];
	unsigned peers, routes, bgp;
	struct m_ctl_peer peer;
	char caps[128], last[PREFIX_STRLEN], to[32];
	bool installed;
};

static void on_row(struct ipc *ipc, void *arg, const struct msg *m)
{
	struct answer *r = arg;
	(void)ipc;
	r->done = m->type == M_CTL_END || m->type == M_CTL_ERROR;
	if (m->type == M_CTL_ERROR) {
		snprintf(r->error, sizeof(r->error), "%s",
			 ((const struct m_ctl_error *)m->body)->text);
	} else if (m->type == M_CTL_BGP) {
		r->bgp++;
	} else if (m->type == M_CTL_PEER) {
		r->peers++;
		r->peer = *(const struct m_ctl_peer *)m->body;
		snprintf(r->caps, sizeof(r->caps), "%s", r->peer.capabilities);
	} else if (m->type == M_CTL_ROUTE) {
		const struct m_ctl_route *row = m->body;
		r->routes++;
		prefix_format(&row->prefix, r->last, sizeof(r->last));
		r->installed = row->installed;
		if (row->advertised_to.n)
			snprintf(r->to, sizeof(r->to), "%s", row->advertised_to.v[0].text);
	}
}

static void no_close(struct ipc *ipc, void *arg, const struct err *why)
{
	(void)ipc;
	ck_abort_msg("%p: %s", arg, why->text);
}

static bool answered(void *arg)
{
	return ((struct answer *)arg)->done;
}

static struct answer ask(uint8_t what, uint8_t filter, const char *name, const char *prefix)
{
	static const struct ipc_ops client = { on_row, no_close, NULL };
	struct answer r = { 0 };
	struct m_ctl_query q = { .what = what, .filter = filter, .name = name };
	int sv[2];
	if (prefix)
		q.prefix = lab_prefix(prefix);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	bgpd_ctl_client(a.b, sv[0], true);
	struct ipc *ipc = ipc_new(loop, sv[1], &client, &r);
	ipc_send(ipc, M_CTL_QUERY, &q);
	ck_assert(lab_until(loop, answered, &r, 2000));
	ipc_free(ipc);
	lab_run(loop, 10); /* bgpd sees it go */
	return r;
}

START_TEST(nodectl_asks)
{
	up();
	struct answer r = ask(CTL_STATUS, 0, "", NULL);
	ck_assert(r.bgp == 1 && r.peers == 1);
	ck_assert_uint_eq(r.peer.state, 5);
	ck_assert_uint_eq(r.peer.asn, 65002);
	ck_assert_uint_eq(r.peer.hold_time, 9);
	ck_assert_uint_eq(r.peer.accepted, 2);
	ck_assert_uint_eq(r.peer.advertised, 2);
	ck_assert_str_eq(r.caps, "ipv4 ipv6 as4 refresh extended-messages");
	ck_assert_uint_eq(ask(CTL_PEERS, 0, "p2", NULL).peers, 1);
	ck_assert_uint_eq(ask(CTL_PEERS, 0, "10.9.0.2", NULL).peers, 1);
	r = ask(CTL_PEERS, 0, "p9", NULL);
	ck_assert(strstr(r.error, "\"p9\""));
	ck_assert_uint_eq(ask(CTL_ROUTES, CTL_ROUTE_ALL, "", NULL).routes, 4);
	ck_assert_uint_eq(ask(CTL_ROUTES, CTL_ROUTE_IN, "p2", NULL).routes, 2);
	r = ask(CTL_ROUTES, CTL_ROUTE_OUT, "p2", NULL);
	ck_assert_uint_eq(r.routes, 2);
	ck_assert_str_eq(r.to, "p2");
	/* a network: exactly that; an address: the longest match */
	r = ask(CTL_ROUTES, CTL_ROUTE_ALL, "", "10.2.0.0/26");
	ck_assert(r.routes == 1 && r.installed);
	ck_assert_uint_eq(ask(CTL_ROUTES, CTL_ROUTE_ALL, "", "10.2.0.0/25").routes, 0);
	r = ask(CTL_ROUTES, CTL_ROUTE_ALL, "", "10.2.0.33");
	ck_assert_uint_eq(r.routes, 1);
	ck_assert_str_eq(r.last, "10.2.0.0/26");
	r = ask(CTL_ROUTES, CTL_ROUTE_ALL, "", "fd02::3f");
	ck_assert_str_eq(r.last, "fd02::/122");
	ck_assert_uint_eq(ask(CTL_ROUTES, CTL_ROUTE_ALL, "", "172.16.1.1").routes, 0);
	r = ask(CTL_ENDPOINTS, 0, "", NULL);
	ck_assert(strstr(r.error, "cannot answer"));
	lab_iface(&a, false);
	lab_run(loop, 50);
	r = ask(CTL_ROUTES, CTL_ROUTE_IN, "p2", NULL);
	ck_assert_msg(strstr(r.error, "not established"), "%s", r.error);
}
END_TEST

UNIT_MAIN("bgpd_pair", both_families_in_one_session, simultaneous_start, one_side_passive,
	  same_configuration_again, changed_peer_is_reset_others_not, removed_peer,
	  withdrawn_origin, link_down_is_session_down, new_address_on_the_link, wrong_as,
	  any_external_as, password, password_changes_hands, password_without_an_address,
	  ttl_security, stop_without_graceful_restart, planned_restart,
	  dead_peer_holds_the_end_up_for_long, felix_restarts, nodectl_asks)
