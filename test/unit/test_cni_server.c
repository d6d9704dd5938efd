/* Real pods: ADD, CHECK and DEL, what a kill leaves, and the spool. Needs root. */
#include "config.h"

#include "cni_world.h"
#include "felix/rebuild.h"

/* ---- tests ---- */

START_TEST(add_check_del)
{
	struct world w;
	struct ipam_lease l;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.sock[0]);
	ck_assert_msg(r.code == 0, "%s", r.text);
	ck_assert_uint_eq(r.result->ips.n, 2);
	struct addr v4 = r.result->ips.v[0].address.addr, v6 = r.result->ips.v[1].address.addr;
	char text[ADDR_STRLEN];
	ck_assert_str_eq(addr_format(&v4, text, sizeof(text)), "10.1.0.0");
	ck_assert_str_eq(addr_format(&v6, text, sizeof(text)), "fd00:1::");
	ck_assert_str_eq(addr_format(&r.result->ips.v[0].gateway, text, sizeof(text)),
			 "169.254.1.1");
	ck_assert_uint_eq(r.result->ips.v[0].address.len, 32);
	ck_assert_uint_eq(r.result->mtu, 1400);
	ck_assert_int_eq(strncmp(r.result->host_ifname, "cali", 4), 0);
	ck_assert_str_eq(r.result->host_mac, "ee:ee:ee:ee:ee:ee");
	ck_assert_uint_eq(strlen(r.result->pod_mac), 17);
	char host[IF_NAMESIZE];
	strcpy(host, r.result->host_ifname);
	ck_assert_uint_ne(if_nametoindex(host), 0);
	ck_assert(has_route(&w, &v4));
	ck_assert(has_route(&w, &v6));
	ck_assert(lease_of(&w, "c1", &l));
	ck_assert_int_eq(l.state, IPAM_READY);
	ck_assert_str_eq(l.host_ifname, host);
	arena_free(&r.arena);

	struct m_cni_add a = request("c1", "web-1");
	struct prefix expect[2] = { prefix_host(&v4), prefix_host(&v6) };
	a.expect.n = 2;
	a.expect.v = expect;
	r = exchange(&w, M_CNI_CHECK, &a, w.sock[0]);
	ck_assert_msg(r.code == 0, "%s", r.text);
	arena_free(&r.arena);
	expect[0].addr = addr_add(&v4, 1);
	r = exchange(&w, M_CNI_CHECK, &a, w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_DIFFERS);
	ck_assert_ptr_nonnull(strstr(r.text, "10.1.0.1"));
	arena_free(&r.arena);

	r = add(&w, "c1", "web-1", w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_EXISTS);
	arena_free(&r.arena);
	ck_assert_uint_ne(if_nametoindex(host), 0);

	ck_assert_uint_eq(del(&w, "c1"), 0);
	ck_assert_uint_eq(if_nametoindex(host), 0);
	ck_assert(!has_route(&w, &v4));
	ck_assert(!has_route(&w, &v6));
	ck_assert(!lease_of(&w, "c1", &l));
	ck_assert_ptr_null(endpoints_first(w.endpoints));
	ck_assert_uint_eq(del(&w, "c1"), 0);
	ck_assert_uint_eq(del(&w, "never-heard-of"), 0);

	r = exchange(&w, M_CNI_CHECK, &a, w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_UNKNOWN_CONTAINER);
	arena_free(&r.arena);
	end(&w);
}
END_TEST

START_TEST(a_newer_container_takes_the_interface_over)
{
	struct world w;
	struct ipam_lease l;

	begin(&w);
	struct reply first = add(&w, "old", "web-1", w.sock[0]);
	struct reply second = add(&w, "new", "web-1", w.sock[1]);
	ck_assert_msg(second.code == 0, "%s", second.text);
	ck_assert_str_eq(first.result->host_ifname, second.result->host_ifname);
	struct addr was = first.result->ips.v[0].address.addr;
	struct addr is = second.result->ips.v[0].address.addr;
	ck_assert(!addr_eq(&was, &is));
	ck_assert(!has_route(&w, &was));
	ck_assert(has_route(&w, &is));
	ck_assert(!lease_of(&w, "old", &l));
	ck_assert(lease_of(&w, "new", &l));

	ck_assert_uint_eq(del(&w, "old"), 0); /* late: must not touch the newer one's */
	ck_assert_uint_ne(if_nametoindex(second.result->host_ifname), 0);
	ck_assert(has_route(&w, &is));
	ck_assert_uint_eq(held(&w), 1);
	arena_free(&first.arena);
	arena_free(&second.arena);
	end(&w);
}
END_TEST

START_TEST(asked_for_addresses)
{
	struct world w;
	struct addr want;

	begin(&w);
	addr_parse("10.1.0.9", &want);
	struct m_cni_add a = request("s1", "st-0");
	a.ips.n = 1;
	a.ips.v = &want;
	struct reply r = exchange(&w, M_CNI_ADD, &a, w.sock[0]);
	ck_assert_msg(r.code == 0, "%s", r.text);
	ck_assert_uint_eq(r.result->ips.n, 1);
	ck_assert(addr_eq(&r.result->ips.v[0].address.addr, &want));
	arena_free(&r.arena);

	a.container_id = "x";
	a.pod = "other";
	r = exchange(&w, M_CNI_ADD, &a, w.sock[1]);
	ck_assert_uint_eq(r.code, CNI_CODE_TAKEN);
	ck_assert_ptr_nonnull(strstr(r.text, "default/st-0"));
	arena_free(&r.arena);

	/* The same pod's next container: its older one makes room. */
	a.container_id = "s2";
	a.pod = "st-0";
	r = exchange(&w, M_CNI_ADD, &a, w.sock[1]);
	ck_assert_msg(r.code == 0, "%s", r.text);
	ck_assert(has_route(&w, &want));
	ck_assert_uint_eq(held(&w), 1);
	arena_free(&r.arena);

	addr_parse("10.2.0.9", &want);
	a.container_id = "s3";
	a.pod = "st-3";
	r = exchange(&w, M_CNI_ADD, &a, w.sock[2]);
	ck_assert_uint_eq(r.code, CNI_CODE_OUTSIDE);
	arena_free(&r.arena);
	end(&w);
}
END_TEST

START_TEST(refusals_leave_nothing)
{
	struct world w;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.own);
	ck_assert_uint_eq(r.code, CNI_CODE_ENVIRONMENT);
	ck_assert_ptr_nonnull(strstr(r.text, "host's own network namespace"));
	arena_free(&r.arena);

	int pipefd[2]; /* no netlink socket at all */
	ck_assert_int_eq(pipe(pipefd), 0);
	r = add(&w, "c1", "web-1", pipefd[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_ENVIRONMENT);
	arena_free(&r.arena);

	struct m_cni_add a = request("c1", "web-1");
	a.ifname = "lo"; /* exists in the pod */
	r = exchange(&w, M_CNI_ADD, &a, w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_PLUMB);
	arena_free(&r.arena);

	a = request("c1", "web-1");
	a.mac = "01:00:00:00:00:01";
	r = exchange(&w, M_CNI_ADD, &a, w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_PLUMB);
	arena_free(&r.arena);

	w.closed = true;
	r = add(&w, "c1", "web-1", w.sock[0]);
	ck_assert_uint_eq(r.code, CNI_CODE_NOT_AVAILABLE);
	ck_assert_str_eq(r.text, "not today");
	arena_free(&r.arena);
	w.closed = false;

	ck_assert_uint_eq(held(&w), 0);
	ck_assert_ptr_null(endpoints_first(w.endpoints));
	end(&w);
}
END_TEST

START_TEST(many_at_once_and_one_key_in_order)
{
	struct world w;
	struct arena arena = { 0 };
	struct addr got[2];

	begin(&w);
	int a = plugin(&w), b = plugin(&w), c = plugin(&w);
	struct m_cni_add one = request("c1", "web-1"), two = request("c2", "web-2");
	struct m_cni_del one_del = deletion("c1");
	ask(a, M_CNI_ADD, &one, w.sock[0]);
	ask(b, M_CNI_ADD, &two, w.sock[1]);
	ask(a, M_CNI_DEL, &one_del, -1); /* the same attachment: after its ADD */
	ask(c, M_CNI_DEL, &one_del, -1);
	struct msg m = hear(&w, a, &arena);
	ck_assert_int_eq(m.type, M_CNI_RESULT);
	got[0] = ((const struct m_cni_result *)m.body)->ips.v[0].address.addr;
	m = hear(&w, a, &arena);
	ck_assert_int_eq(m.type, M_CNI_OK);
	m = hear(&w, b, &arena);
	ck_assert_int_eq(m.type, M_CNI_RESULT);
	got[1] = ((const struct m_cni_result *)m.body)->ips.v[0].address.addr;
	m = hear(&w, c, &arena);
	ck_assert_int_eq(m.type, M_CNI_OK);
	ck_assert(!addr_eq(&got[0], &got[1]));
	ck_assert(!has_route(&w, &got[0]));
	ck_assert(has_route(&w, &got[1]));
	ck_assert_uint_eq(held(&w), 1);
	arena_free(&arena);
	end(&w);
}
END_TEST

START_TEST(an_add_whose_plugin_was_killed_is_not_begun)
{
	struct world w;

	begin(&w);
	int fd = plugin(&w);
	struct m_cni_add a = request("c1", "web-1");
	ask(fd, M_CNI_ADD, &a, w.sock[0]);
	close(fd);
	for (int i = 0; i < 20; i++)
		ev_run(w.loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(held(&w), 0);
	end(&w);
}
END_TEST

static void spool(struct world *w, const char *name, enum msg_type type, const void *body)
{
	uint8_t buf[4096];
	struct wr wr = wr_over(buf, sizeof(buf));

	msg_encode(&wr, type, body);
	int fd = openat(w->spool, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_eq(write(fd, buf, wr.len), (ssize_t)wr.len);
	close(fd);
}

START_TEST(the_spool_is_drained_before_anything_else)
{
	struct world w;
	struct ipam_lease l;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.sock[0]);
	struct addr gone = r.result->ips.v[0].address.addr;
	arena_free(&r.arena);
	r = add(&w, "c2", "web-2", w.sock[1]);
	arena_free(&r.arena);
	cni_server_free(w.s);

	struct m_cni_del d = deletion("c1");
	spool(&w, "del-1", M_CNI_DEL, &d);
	spool(&w, ".del-2.123", M_CNI_DEL, &d); /* not renamed yet */
	spool(&w, "del-3", M_CNI_OK, NULL);	/* nonsense */
	serve(&w);
	ck_assert(!lease_of(&w, "c1", &l));
	ck_assert(lease_of(&w, "c2", &l));
	ck_assert(!has_route(&w, &gone));
	ck_assert_int_ne(faccessat(w.spool, "del-1", F_OK, 0), 0);
	ck_assert_int_eq(faccessat(w.spool, ".del-2.123", F_OK, 0), 0);
	ck_assert_int_ne(faccessat(w.spool, "del-3", F_OK, 0), 0);
	end(&w);
}
END_TEST

START_TEST(a_netns_that_is_gone_can_be_deleted)
{
	struct world w;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.sock[0]);
	char host[IF_NAMESIZE];
	strcpy(host, r.result->host_ifname);
	arena_free(&r.arena);
	close(w.sock[0]);
	close(w.netns[0]);
	for (int i = 0; i < 200 && if_nametoindex(host); i++)
		usleep(10000);
	ck_assert_uint_eq(if_nametoindex(host), 0);
	ck_assert_uint_eq(del(&w, "c1"), 0);
	ck_assert_uint_eq(held(&w), 0);
	end(&w);
}
END_TEST

/* Another felix on the same journal and kernel. */
static void restart(struct world *w)
{
	struct err err;

	cni_server_free(w->s);
	endpoints_free(w->endpoints);
	ipam_close(w->ipam);
	w->endpoints = endpoints_new();
	w->ipam = ipam_open(w->state, "boot", (uint64_t)time(NULL), &err);
	ck_assert_ptr_nonnull(w->ipam);
	ck_assert_int_eq(links_resync(w->links, &err), 0);
	rebuild_endpoints(w->endpoints, w->ipam, w->links, w->endpoint_dir, (uint64_t)time(NULL));
	serve(w);
}

START_TEST(endpoints_are_found_again_after_a_kill)
{
	struct world w;
	struct ipam_lease l;
	struct err err;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.sock[0]);
	uint32_t ifindex = if_nametoindex(r.result->host_ifname);
	arena_free(&r.arena);
	/* Killed between ALLOC and the interface: never answered. */
	const struct ipam_want any = { .families = 1 << FAM_V4 };
	struct ipam_owner o = { "net", "half", "eth0", "default", "web-2" };
	ck_assert_int_eq(ipam_assign(w.ipam, &o, &any, 1, &l, &err), IPAM_OK);
	restart(&w);
	struct endpoint *ep = endpoints_first(w.endpoints);
	ck_assert_ptr_nonnull(ep);
	ck_assert_ptr_null(TAILQ_NEXT(ep, next));
	ck_assert_str_eq(ep->container_id, "c1");
	ck_assert(ep->ready);
	ck_assert_uint_eq(ep->ifindex, ifindex);
	ck_assert_uint_eq(ep->mtu, 1400);
	ck_assert_uint_eq(ep->labels.n, 1);
	ck_assert_uint_eq(held(&w), 1);

	/* Killed between the newer container's READY and the older one's RELEASE. */
	struct ipam_owner newer = { "net", "c1b", "eth0", "default", "web-1" };
	ck_assert_int_eq(ipam_assign(w.ipam, &newer, &any, 1, &l, &err), IPAM_OK);
	ck_assert_int_eq(ipam_ready(w.ipam, &newer, ep->host, &err), IPAM_OK);
	restart(&w);
	ep = endpoints_first(w.endpoints);
	ck_assert_str_eq(ep->container_id, "c1b");
	ck_assert_ptr_null(TAILQ_NEXT(ep, next));
	ck_assert_uint_eq(held(&w), 1);
	ck_assert_uint_eq(del(&w, "c1b"), 0);
	ck_assert_uint_eq(held(&w), 0);
	end(&w);
}
END_TEST

START_TEST(without_a_journal_pods_are_found_by_their_files)
{
	struct world w;

	begin(&w);
	struct reply r = add(&w, "c1", "web-1", w.sock[0]);
	char host[IF_NAMESIZE];
	strcpy(host, r.result->host_ifname);
	arena_free(&r.arena);
	cni_server_free(w.s);
	endpoints_free(w.endpoints);
	w.endpoints = endpoints_new();
	struct err err;
	ck_assert_int_eq(links_resync(w.links, &err), 0);
	rebuild_from_files(w.endpoints, w.links, w.endpoint_dir);
	struct endpoint *ep = endpoints_first(w.endpoints);
	ck_assert_ptr_nonnull(ep);
	ck_assert_str_eq(ep->host, host);
	ck_assert_uint_eq(ep->naddrs, 2);
	struct ipam *kept = w.ipam;
	w.ipam = NULL;
	w.closed = true;
	serve(&w);
	ck_assert_uint_eq(del(&w, "c1"), 0);
	ck_assert_uint_eq(if_nametoindex(host), 0);
	w.ipam = kept;
	end(&w);
}
END_TEST

START_TEST(more_pods_than_addresses)
{
	struct world w;
	char id[8], pod[8];

	begin(&w);
	for (int i = 0; i < 17; i++) {
		snprintf(id, sizeof(id), "c%d", i);
		snprintf(pod, sizeof(pod), "p%d", i);
		struct m_cni_add a = request(id, pod);
		/* The same pod netns would have eth0 already: each is deleted again but its
		 * address cools down. */
		struct reply r = exchange(&w, M_CNI_ADD, &a, w.sock[0]);
		if (i < 16) {
			ck_assert_msg(r.code == 0, "%s", r.text);
			ck_assert_uint_eq(del(&w, id), 0);
		} else {
			ck_assert_uint_eq(r.code, CNI_CODE_EXHAUSTED);
			ck_assert_ptr_nonnull(strstr(r.text, "16 cooling down"));
		}
		arena_free(&r.arena);
	}
	end(&w);
}
END_TEST

UNIT_MAIN("cni_server", add_check_del, a_newer_container_takes_the_interface_over,
	  asked_for_addresses, refusals_leave_nothing, many_at_once_and_one_key_in_order,
	  an_add_whose_plugin_was_killed_is_not_begun, the_spool_is_drained_before_anything_else,
	  a_netns_that_is_gone_can_be_deleted, endpoints_are_found_again_after_a_kill,
	  without_a_journal_pods_are_found_by_their_files, more_pods_than_addresses)
