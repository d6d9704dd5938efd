/* lib/nl over the real kernel. */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/nl.h"
#include "test/unit/netns.h"

static struct nl *open_nl(void)
{
	struct err err;
	struct nl *nl = nl_open(NETLINK_ROUTE, &err);

	ck_assert_msg(nl != NULL, "%s", nl ? "" : err.text);
	return nl;
}

static struct nlmsghdr *del_link(struct nl *nl, const char *name)
{
	struct nlmsghdr *nlh = nl_request(nl, RTM_DELLINK, 0, sizeof(struct ifinfomsg), NULL);

	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return nlh;
}

START_TEST(a_refusal_has_errno_and_text)
{
	struct err err = { 0 };

	netns_enter();
	struct nl *nl = open_nl();
	ck_assert_int_eq(nl_talk(nl, del_link(nl, "nothere"), &err), -1);
	ck_assert_int_eq(err.code, ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "No such device"));
	SH("ip link add a0 type veth peer name a1");
	ck_assert_int_eq(nl_talk(nl, del_link(nl, "a0"), &err), 0);
	ck_assert_int_eq(nl_talk(nl, del_link(nl, "a0"), &err), -1);

	/* The kernel explains this one in words. */
	void *head;
	struct nlmsghdr *nlh =
		nl_request(nl, RTM_NEWROUTE, NLM_F_CREATE, sizeof(struct rtmsg), &head);
	((struct rtmsg *)head)->rtm_family = AF_INET;
	((struct rtmsg *)head)->rtm_dst_len = 77;
	ck_assert_int_eq(nl_talk(nl, nlh, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "the kernel says: "));
	nl_close(nl);
}
END_TEST

static int count_cb(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	++*(unsigned *)arg;
	return MNL_CB_OK;
}

static struct nlmsghdr *get_links(struct nl *nl)
{
	return nl_request(nl, RTM_GETLINK, 0, sizeof(struct ifinfomsg), NULL);
}

START_TEST(get_and_dump)
{
	struct err err;
	unsigned n = 0;

	netns_enter();
	struct nl *nl = open_nl();
	for (unsigned i = 0; i < 10; i++)
		SH("ip link add d%u type veth peer name e%u", i, i);
	ck_assert_int_eq(nl_dump(nl, get_links(nl), count_cb, NULL, &n, &err), 0);
	ck_assert_uint_eq(n, 21);
	struct nlmsghdr *nlh = get_links(nl);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "d3");
	n = 0;
	ck_assert_int_eq(nl_get(nl, nlh, count_cb, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	nl_close(nl);
}
END_TEST

static int stop_cb(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	++*(unsigned *)arg;
	return MNL_CB_ERROR;
}

START_TEST(a_dump_given_up_leaves_the_socket_usable)
{
	struct err err;
	unsigned n = 0;

	netns_enter();
	struct nl *nl = open_nl();
	for (unsigned i = 0; i < 40; i++)
		SH("ip link add d%u type veth peer name e%u", i, i);
	ck_assert_int_eq(nl_dump(nl, get_links(nl), stop_cb, NULL, &n, &err), -1);
	ck_assert_uint_eq(n, 1);
	n = 0;
	ck_assert_int_eq(nl_dump(nl, get_links(nl), count_cb, NULL, &n, &err), 0);
	ck_assert_uint_eq(n, 81);
	nl_close(nl);
}
END_TEST

/* --- interrupted dumps --- */

struct meddler {
	struct nl *other;
	unsigned rows, restarts, meddle_until;
	bool done;
};

static int meddle_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct meddler *m = arg;
	struct err err;

	(void)nlh;
	m->rows++;
	if (!m->done && m->restarts < m->meddle_until) {
		char name[16];

		snprintf(name, sizeof(name), "x%u", m->restarts);
		m->done = true;
		ck_assert_int_eq(nl_talk(m->other, del_link(m->other, name), &err), 0);
	}
	return MNL_CB_OK;
}

static void meddle_restart(void *arg)
{
	struct meddler *m = arg;

	m->restarts++;
	m->rows = 0;
	m->done = false;
}

static void many_links(void)
{
	FILE *f = popen("ip -batch -", "w");

	ck_assert_ptr_nonnull(f);
	for (unsigned i = 0; i < 150; i++)
		fprintf(f, "link add l%u type veth peer name m%u\n", i, i);
	for (unsigned i = 0; i < 8; i++)
		fprintf(f, "link add x%u type veth peer name y%u\n", i, i);
	ck_assert_int_eq(pclose(f), 0);
}

START_TEST(an_interrupted_dump_is_repeated)
{
	struct err err = { 0 };

	netns_enter();
	struct nl *nl = open_nl();
	struct meddler m = { .other = open_nl(), .meddle_until = 2 };
	many_links();
	ck_assert_msg(nl_dump(nl, get_links(nl), meddle_cb, meddle_restart, &m, &err) == 0, "%s",
		      err.text);
	ck_assert_uint_eq(m.restarts, 2);
	/* lo, 150 pairs and the 8 pairs but two: the rows of one whole reading. */
	ck_assert_uint_eq(m.rows, 1 + 300 + 12);
	nl_close(m.other);
	nl_close(nl);
}
END_TEST

START_TEST(repetitions_are_bounded)
{
	struct err err = { 0 };

	netns_enter();
	struct nl *nl = open_nl();
	struct meddler m = { .other = open_nl(), .meddle_until = 100 };
	many_links();
	ck_assert_int_eq(nl_dump(nl, get_links(nl), meddle_cb, meddle_restart, &m, &err), -1);
	ck_assert_uint_eq(m.restarts, 4);
	ck_assert_int_eq(err.code, EINTR);
	nl_close(m.other);
	nl_close(nl);
}
END_TEST

/* --- batches --- */

struct refusals {
	unsigned n;
	uint64_t cookie[600];
	int errnum[600];
};

static void on_error(void *arg, uint64_t cookie, int errnum, const char *text)
{
	struct refusals *r = arg;

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_lt(r->n, 600);
	r->cookie[r->n] = cookie;
	r->errnum[r->n++] = errnum;
}

static void batch_route(struct nl_batch *b, uint16_t type, unsigned i, unsigned oif)
{
	struct addr a = addr_v4(0x0a000000u + i);
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(b, type, type == RTM_NEWROUTE ? NLM_F_CREATE : 0,
						sizeof(struct rtmsg), &head);
	struct rtmsg *rtm = head;
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = 99;
	rtm->rtm_scope = RT_SCOPE_LINK;
	rtm->rtm_type = RTN_UNICAST;
	nl_put_addr(nlh, RTA_DST, &a);
	mnl_attr_put_u32(nlh, RTA_OIF, oif);
	nl_batch_commit(b, 7000 + i);
}

START_TEST(errors_of_a_batch_have_their_cookies)
{
	struct refusals r = { 0 };
	struct err err = { 0 };

	netns_enter();
	SH("ip link add a0 type veth peer name a1; ip link set a0 up");
	unsigned oif = if_nametoindex("a0");
	struct nl *nl = open_nl();
	struct nl_batch *b = nl_batch_new(nl, on_error, &r);
	/* First, last, ends of batches, and a row of them. */
	for (unsigned i = 0; i < 450; i++) {
		bool bad = i == 0 || i == 99 || i == 100 || (i >= 200 && i < 210) || i == 449;

		batch_route(b, RTM_NEWROUTE, i, bad ? 9999 : oif);
	}
	ck_assert_int_eq(nl_batch_flush(b, &err), 0);
	ck_assert_uint_eq(r.n, 14);
	static const unsigned want[] = { 0,   99,  100, 200, 201, 202, 203,
					 204, 205, 206, 207, 208, 209, 449 };
	for (unsigned i = 0; i < 14; i++) {
		ck_assert_uint_eq(r.cookie[i], 7000 + want[i]);
		ck_assert_int_eq(r.errnum[i], ENODEV);
	}
	SH("test $(ip route show proto 99 | wc -l) = 436");
	/* All refused, and the batch can be used again afterwards. */
	r.n = 0;
	for (unsigned i = 0; i < 500; i++)
		batch_route(b, RTM_NEWROUTE, 1000 + i, 9999);
	ck_assert_int_eq(nl_batch_flush(b, &err), 0);
	ck_assert_uint_eq(r.n, 500);
	r.n = 0;
	batch_route(b, RTM_NEWROUTE, 600, oif);
	ck_assert_int_eq(nl_batch_flush(b, &err), 0);
	ck_assert_int_eq(nl_batch_flush(b, &err), 0); /* nothing to send */
	ck_assert_uint_eq(r.n, 0);
	nl_batch_free(b);
	nl_close(nl);
}
END_TEST

/* --- passed sockets --- */

START_TEST(only_a_route_socket_is_taken)
{
	struct err err;
	int sv[2];

	netns_enter();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	ck_assert_ptr_null(nl_open_fd(sv[0], &err));
	ck_assert_ptr_null(nl_open_fd(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), &err));
	ck_assert_ptr_null(nl_open_fd(open("/dev/null", O_RDONLY), &err));
	struct nl *nl = nl_open_fd(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), &err);
	ck_assert_ptr_nonnull(nl);
	nl_close(nl);
	/* One that is bound already. */
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	nl = nl_open_fd(fd, &err);
	ck_assert_ptr_nonnull(nl);
	unsigned n = 0;
	ck_assert_int_eq(nl_dump(nl, get_links(nl), count_cb, NULL, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	nl_close(nl);
}
END_TEST

/* --- events --- */

struct seen {
	unsigned events, links, lost;
	struct ev_loop *loop;
};

static void on_event(void *arg, const struct nlmsghdr *nlh)
{
	struct seen *s = arg;

	if (nlh->nlmsg_type == RTM_NEWROUTE || nlh->nlmsg_type == RTM_DELROUTE)
		s->events++;
	if (nlh->nlmsg_type == RTM_NEWLINK || nlh->nlmsg_type == RTM_DELLINK)
		s->links++;
}

static void on_lost(void *arg)
{
	((struct seen *)arg)->lost++;
}

static const struct nl_events_ops events_ops = { on_event, on_lost };

static void run_pending(struct ev_loop *loop)
{
	for (unsigned i = 0; i < 300; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static void flood(struct nl *nl, unsigned n)
{
	struct refusals r = { 0 };
	struct err err;
	struct nl_batch *b = nl_batch_new(nl, on_error, &r);
	unsigned oif = if_nametoindex("a0");

	for (unsigned i = 0; i < n; i++)
		batch_route(b, RTM_NEWROUTE, i, oif);
	ck_assert_int_eq(nl_batch_flush(b, &err), 0);
	ck_assert_uint_eq(r.n, 0);
	nl_batch_free(b);
}

START_TEST(own_changes_are_filtered_others_come)
{
	static const int groups[] = { RTNLGRP_IPV4_ROUTE, RTNLGRP_LINK, 0 };
	struct seen s = { 0 };
	struct err err;

	netns_enter();
	SH("ip link add a0 type veth peer name a1; ip link set a0 up");
	s.loop = ev_loop_new(0);
	struct nl *nl = open_nl();
	struct nl_events *ev =
		nl_events_open(s.loop, NETLINK_ROUTE, groups, nl_portid(nl), &events_ops, &s, &err);
	ck_assert_ptr_nonnull(ev);
	flood(nl, 20000);
	run_pending(s.loop);
	ck_assert_uint_eq(s.events, 0);
	ck_assert_uint_eq(s.lost, 0);
	SH("ip route add 192.0.2.0/24 dev a0");
	run_pending(s.loop);
	ck_assert_uint_eq(s.events, 1);
	/* Of links we want to hear even what we did. */
	SH("ip link add b0 type veth peer name b1");
	run_pending(s.loop);
	s.links = 0;
	ck_assert_int_eq(nl_talk(nl, del_link(nl, "b0"), &err), 0);
	run_pending(s.loop);
	ck_assert_uint_eq(s.links, 2);
	nl_events_close(ev);
	nl_close(nl);
	ev_loop_destroy(s.loop);
}
END_TEST

START_TEST(an_overflow_is_told_and_the_socket_goes_on)
{
	static const int groups[] = { RTNLGRP_IPV4_ROUTE, 0 };
	struct seen s = { 0 };
	struct err err;

	netns_enter();
	SH("ip link add a0 type veth peer name a1; ip link set a0 up");
	s.loop = ev_loop_new(0);
	struct nl *nl = open_nl();
	struct nl_events *ev =
		nl_events_open(s.loop, NETLINK_ROUTE, groups, 0, &events_ops, &s, &err);
	ck_assert_ptr_nonnull(ev);
	flood(nl, 20000);
	run_pending(s.loop);
	ck_assert_uint_ge(s.lost, 1);
	ck_assert_uint_lt(s.events, 20000);
	unsigned before = s.events, lost = s.lost;
	SH("ip route add 192.0.2.0/24 dev a0");
	run_pending(s.loop);
	ck_assert_uint_eq(s.events, before + 1);
	ck_assert_uint_eq(s.lost, lost);
	nl_events_close(ev);
	nl_close(nl);
	ev_loop_destroy(s.loop);
}
END_TEST

UNIT_MAIN("nl", a_refusal_has_errno_and_text, get_and_dump,
	  a_dump_given_up_leaves_the_socket_usable, an_interrupted_dump_is_repeated,
	  repetitions_are_bounded, errors_of_a_batch_have_their_cookies,
	  only_a_route_socket_is_taken, own_changes_are_filtered_others_come,
	  an_overflow_is_told_and_the_socket_goes_on)
