/* ADDs that wait: for what their owner does not know yet, for a block, for another writer. Needs
 * root.
 */
#include "config.h"

#include "cni_world.h"

/* The owner of the server, as a test scripts it. */
struct desk {
	struct world w; /* first: it is the hooks' arg */
	enum cni_turn admit, claim, settle;
	uint32_t code;	  /* that the hooks set; 0: left alone */
	const char *text; /* that they say; NULL: left alone */
	unsigned admits, claims, settles, changes;
	unsigned short_of; /* what claim() was told */
	struct ipam_lease lease;
	char order[64];	    /* first letter of each container admitted */
	bool retry_within;  /* admit() speaks to the server at once */
	int settled_within; /* so does settle(): 1 ok, -1 not */
	bool stale_word;    /* admit() says "settled" of what has no lease yet */
};

static enum cni_turn say(struct desk *d, struct cni_ask *ask, enum cni_turn turn)
{
	if (turn == CNI_GO)
		return turn;
	if (d->code)
		ask->code = d->code;
	if (d->text)
		err_set(ask->err, "%s", d->text);
	return turn;
}

static enum cni_turn on_admit(void *arg, struct cni_ask *ask)
{
	struct desk *d = arg;

	ck_assert_uint_eq(ask->code, 0);
	ck_assert_str_eq(ask->err->text, "");
	d->order[d->admits++ % sizeof(d->order)] = ask->add->container_id[0];
	if (d->stale_word) {
		struct ipam_owner o = { "net", ask->add->container_id, "eth0", "", "" };

		cni_server_settled(d->w.s, &o, true);
	}
	if (d->retry_within) {
		d->retry_within = false;
		cni_server_retry(d->w.s);
		return CNI_WAIT;
	}
	return say(d, ask, d->admit);
}

static enum cni_turn on_claim(void *arg, struct cni_ask *ask, unsigned families)
{
	struct desk *d = arg;

	d->claims++;
	d->short_of = families;
	return say(d, ask, d->claim);
}

static enum cni_turn on_settle(void *arg, struct cni_ask *ask, const struct ipam_lease *lease)
{
	struct desk *d = arg;

	d->settles++;
	d->lease = *lease;
	if (d->settled_within) {
		bool ok = d->settled_within > 0;

		d->settled_within = 0;
		cni_server_settled(d->w.s, &lease->owner, ok);
		return CNI_WAIT;
	}
	return say(d, ask, d->settle);
}

static void on_changed(void *arg)
{
	((struct desk *)arg)->changes++;
}

static void open_desk(struct desk *d, double wait)
{
	memset(d, 0, sizeof(*d));
	begin(&d->w);
	d->w.hooks = (struct cni_server_conf){ .admit = on_admit,
					       .claim = on_claim,
					       .settle = on_settle,
					       .leases_changed = on_changed,
					       .wait = wait };
	cni_server_free(d->w.s);
	serve(&d->w);
}

static void turns(struct desk *d, unsigned n)
{
	while (n--)
		ev_run(d->w.loop, EVRUN_NOWAIT);
}

/* Asks, and lets the server take it up. */
static int send_add(struct desk *d, const char *id, unsigned pod)
{
	int fd = plugin(&d->w);
	struct m_cni_add a = request(id, id);

	ask(fd, M_CNI_ADD, &a, d->w.sock[pod]);
	turns(d, 5);
	return fd;
}

static int send_del(struct desk *d, const char *id)
{
	int fd = plugin(&d->w);
	struct m_cni_del m = deletion(id);

	ask(fd, M_CNI_DEL, &m, -1);
	turns(d, 5);
	return fd;
}

static bool is_answered(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* The answer's code, 0 with *v4 where there is an address; closes fd. */
static unsigned code_of(struct desk *d, int fd, struct addr *v4, char text[512])
{
	struct arena arena = { 0 };
	struct msg m = hear(&d->w, fd, &arena);
	unsigned code = 0;

	close(fd);
	if (m.type == M_CNI_ERROR) {
		const struct m_cni_error *e = m.body;

		code = e->code;
		if (text)
			snprintf(text, 512, "%s", e->text);
	} else if (m.type == M_CNI_RESULT && v4) {
		*v4 = ((const struct m_cni_result *)m.body)->ips.v[0].address.addr;
	}
	arena_free(&arena);
	return code;
}

static void expect_v4(const struct addr *a, const char *want)
{
	char text[ADDR_STRLEN];

	ck_assert_str_eq(addr_format(a, text, sizeof(text)), want);
}

static void nothing_left(struct desk *d)
{
	turns(d, 3);
	ck_assert_uint_eq(cni_server_waiting(d->w.s), 0);
	ck_assert_uint_eq(held(&d->w), 0);
	ck_assert_ptr_null(endpoints_first(d->w.endpoints));
}

/* ---- waiting to be admitted ---- */

START_TEST(waits_for_its_pod_and_goes_on_in_order)
{
	struct desk d;
	struct addr a;

	open_desk(&d, 0);
	d.admit = CNI_WAIT;
	int first = send_add(&d, "a", 0), second = send_add(&d, "b", 1);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 2);
	ck_assert_uint_eq(held(&d.w), 0);
	ck_assert(!is_answered(first));

	/* Nobody is tried again by itself. */
	d.admits = 0;
	turns(&d, 10);
	ck_assert_uint_eq(d.admits, 0);

	/* One that came in the turn before the word stands behind those that wait. */
	int third = plugin(&d.w);
	struct m_cni_add a3 = request("c", "c");
	ask(third, M_CNI_ADD, &a3, d.w.sock[2]);
	turns(&d, 1);
	ck_assert_uint_eq(d.admits, 0);
	cni_server_retry(d.w.s);
	turns(&d, 3);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 3);
	ck_assert_int_eq(strncmp(d.order, "abc", 3), 0);

	d.admit = CNI_GO;
	cni_server_retry(d.w.s);
	ck_assert_uint_eq(code_of(&d, first, &a, NULL), 0);
	expect_v4(&a, "10.1.0.0");
	ck_assert_uint_eq(code_of(&d, second, &a, NULL), 0);
	expect_v4(&a, "10.1.0.1");
	ck_assert_uint_eq(code_of(&d, third, &a, NULL), 0);
	expect_v4(&a, "10.1.0.2");
	ck_assert_uint_gt(d.changes, 0);
	end(&d.w);
}
END_TEST

START_TEST(what_the_owner_says_is_what_is_done)
{
	struct desk d;
	char text[512];

	open_desk(&d, 0);
	d.admit = CNI_REFUSE;
	d.text = "pool \"x\" is disabled";
	d.code = CNI_CODE_CONFIG;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), NULL, text), CNI_CODE_CONFIG);
	ck_assert_str_eq(text, d.text);
	d.code = 0;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), NULL, text), CNI_CODE_NOT_AVAILABLE);

	d.admit = CNI_GO;
	d.settle = CNI_REFUSE;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), NULL, text), CNI_CODE_NOT_AVAILABLE);
	nothing_left(&d);
	end(&d.w);
}
END_TEST

START_TEST(the_deadline)
{
	struct desk d;
	char text[512];

	open_desk(&d, 0.05);
	d.admit = CNI_WAIT;
	d.text = "pod default/a is not known yet";
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), NULL, text), CNI_CODE_AGAIN);
	ck_assert_str_eq(text, "waited 0.05 s: pod default/a is not known yet");

	d.admit = CNI_GO;
	d.settle = CNI_WAIT;
	d.text = NULL;
	d.code = CNI_CODE_EXHAUSTED;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "b", 0), NULL, text), CNI_CODE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(text, "waited 0.05 s"));
	nothing_left(&d);

	/* Each try does not begin a new deadline. */
	d.settle = CNI_GO;
	d.admit = CNI_WAIT;
	d.code = 0;
	int fd = send_add(&d, "c", 0);
	for (int i = 0; i < 200 && !is_answered(fd); i++) {
		cni_server_retry(d.w.s);
		ev_run(d.w.loop, EVRUN_NOWAIT);
		usleep(1000);
	}
	ck_assert(is_answered(fd));
	ck_assert_uint_eq(code_of(&d, fd, NULL, NULL), CNI_CODE_AGAIN);
	nothing_left(&d);
	end(&d.w);
}
END_TEST

START_TEST(the_plugin_goes)
{
	struct desk d;

	open_desk(&d, 0);
	d.admit = CNI_WAIT;
	close(send_add(&d, "a", 0));
	turns(&d, 3);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 0);
	d.admit = CNI_GO;
	d.settle = CNI_WAIT;
	int fd = send_add(&d, "b", 0);
	ck_assert_uint_eq(held(&d.w), 1);
	d.changes = 0;
	close(fd);
	nothing_left(&d);
	ck_assert_uint_gt(d.changes, 0); /* the API's block must follow */

	/* Gone in the very turn in which it would have gone on. */
	fd = send_add(&d, "c", 0);
	cni_server_settled(d.w.s, &d.lease.owner, true);
	close(fd);
	nothing_left(&d);
	end(&d.w);
}
END_TEST

START_TEST(a_del_or_a_newer_add_ends_it)
{
	struct desk d;
	char text[512];

	open_desk(&d, 0);
	for (int stage = 0; stage < 2; stage++) {
		d.admit = stage == 0 ? CNI_WAIT : CNI_GO;
		d.settle = stage == 1 ? CNI_WAIT : CNI_GO;
		int old = send_add(&d, "a", 0);
		ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
		int other = send_add(&d, "b", 1); /* of another attachment: not touched */
		ck_assert_uint_eq(code_of(&d, send_del(&d, "a"), NULL, NULL), 0);
		ck_assert_uint_eq(code_of(&d, old, NULL, text), CNI_CODE_AGAIN);
		ck_assert_ptr_nonnull(strstr(text, "DEL"));
		ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
		ck_assert(!is_answered(other));

		old = send_add(&d, "a", 0);
		int newer = send_add(&d, "a", 0);
		ck_assert_uint_eq(code_of(&d, old, NULL, text), CNI_CODE_AGAIN);
		ck_assert_uint_eq(cni_server_waiting(d.w.s), 2);
		d.admit = d.settle = CNI_GO;
		cni_server_retry(d.w.s);
		if (stage == 1)
			cni_server_settled(d.w.s, &d.lease.owner, true);
		ck_assert_uint_eq(code_of(&d, newer, NULL, NULL), 0);
		ck_assert_uint_eq(code_of(&d, send_del(&d, "a"), NULL, NULL), 0);
		close(other);
		turns(&d, 3);
		if (stage == 0) /* it was served by the retry */
			ck_assert_uint_eq(code_of(&d, send_del(&d, "b"), NULL, NULL), 0);
		nothing_left(&d);
	}
	end(&d.w);
}
END_TEST

START_TEST(a_word_from_within_a_hook_is_not_lost)
{
	struct desk d;
	struct addr a;

	open_desk(&d, 0);
	d.retry_within = true;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), &a, NULL), 0);
	ck_assert_uint_eq(d.admits, 2);
	d.settled_within = 1;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "b", 1), &a, NULL), 0);
	expect_v4(&a, "10.1.0.1");
	d.stale_word = true;
	d.admit = CNI_WAIT;
	int fd = send_add(&d, "d", 2);
	d.stale_word = false;
	cni_server_retry(d.w.s);
	turns(&d, 3);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
	close(fd);
	turns(&d, 3);
	d.admit = CNI_GO;
	d.settled_within = -1;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "c", 2), &a, NULL), 0);
	expect_v4(&a, "10.1.0.3");
	end(&d.w);
}
END_TEST

/* ---- waiting for a block ---- */

static void set_blocks(struct desk *d, const char *v4)
{
	struct ipam_block_conf b = { .allocate = true };

	prefix_parse(v4, &b.cidr);
	prefix_parse("10.1.0.0/16", &b.pool);
	ipam_set_blocks(d->w.ipam, &b, v4[0] != '\0');
}

START_TEST(waits_for_a_block)
{
	struct desk d;
	struct addr a;
	char text[512];

	open_desk(&d, 0);
	set_blocks(&d, "10.1.0.4/32");
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), &a, NULL), 0);
	expect_v4(&a, "10.1.0.4");
	ck_assert_uint_eq(d.claims, 0);

	d.claim = CNI_WAIT;
	int fd = send_add(&d, "b", 1);
	ck_assert_uint_eq(d.claims, 1);
	ck_assert_uint_eq(d.short_of, 1 << FAM_V4);
	ck_assert(!is_answered(fd));
	cni_server_retry(d.w.s); /* another block was lost in the race; the next is tried */
	turns(&d, 3);
	ck_assert_uint_eq(d.claims, 2);
	struct ipam_block_conf b[2] = { { .allocate = true }, { .allocate = true } };
	prefix_parse("10.1.0.4/32", &b[0].cidr);
	prefix_parse("10.1.9.0/30", &b[1].cidr);
	b[0].pool = b[1].pool = (struct prefix){ b[0].cidr.addr, 16 };
	ipam_set_blocks(d.w.ipam, b, 2);
	cni_server_retry(d.w.s);
	ck_assert_uint_eq(code_of(&d, fd, &a, NULL), 0);
	expect_v4(&a, "10.1.9.0");

	/* All that is free cools down: also then a block is claimed first. */
	set_blocks(&d, "10.1.0.4/32");
	ck_assert_uint_eq(code_of(&d, send_del(&d, "a"), NULL, NULL), 0);
	d.claim = CNI_REFUSE;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "c", 2), NULL, text), CNI_CODE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(text, "1 cooling down"));
	d.text = "maxBlocksPerHost is 1";
	d.code = CNI_CODE_NOT_AVAILABLE;
	ck_assert_uint_eq(code_of(&d, send_add(&d, "c", 2), NULL, text), CNI_CODE_NOT_AVAILABLE);
	ck_assert_str_eq(text, d.text);
	d.claim = CNI_GO; /* makes no sense: nothing was found */
	ck_assert_uint_eq(code_of(&d, send_add(&d, "c", 2), NULL, text), CNI_CODE_EXHAUSTED);
	end(&d.w);
}
END_TEST

START_TEST(an_exact_address_of_no_block_can_be_claimed)
{
	struct desk d;
	struct addr want, a;

	open_desk(&d, 0);
	set_blocks(&d, "10.1.0.0/30");
	addr_parse("10.1.7.2", &want);
	struct m_cni_add add = request("a", "a");
	add.ips.n = 1;
	add.ips.v = &want;
	d.claim = CNI_WAIT;
	int fd = plugin(&d.w);
	ask(fd, M_CNI_ADD, &add, d.w.sock[0]);
	turns(&d, 5);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
	set_blocks(&d, "10.1.7.0/30");
	cni_server_retry(d.w.s);
	ck_assert_uint_eq(code_of(&d, fd, &a, NULL), 0);
	expect_v4(&a, "10.1.7.2");
	end(&d.w);
}
END_TEST

/* ---- waiting for another writer ---- */

START_TEST(waits_until_it_is_settled)
{
	struct desk d;
	struct addr a;
	struct ipam_lease l;

	open_desk(&d, 0);
	d.settle = CNI_WAIT;
	int fd = send_add(&d, "a", 0);
	ck_assert_uint_eq(d.settles, 1);
	expect_v4(&d.lease.addrs[0], "10.1.0.0");
	ck_assert(lease_of(&d.w, "a", &l));
	ck_assert_int_eq(l.state, IPAM_PENDING);
	ck_assert_ptr_null(endpoints_first(d.w.endpoints)); /* nothing is plumbed */
	ck_assert(!has_route(&d.w, &l.addrs[0]));

	cni_server_retry(d.w.s); /* this is about others */
	struct ipam_owner stranger = { "net", "x", "eth0", "", "" };
	cni_server_settled(d.w.s, &stranger, true);
	turns(&d, 3);
	ck_assert(!is_answered(fd));
	ck_assert_uint_eq(d.admits, 1);

	/* Lost to another writer: the next address, which must be settled too. */
	ipam_set_foreign(d.w.ipam, &d.lease.addrs[0], true);
	cni_server_settled(d.w.s, &d.lease.owner, false);
	turns(&d, 3);
	ck_assert_uint_eq(d.settles, 2);
	expect_v4(&d.lease.addrs[0], "10.1.0.1");
	ck_assert(!is_answered(fd));
	cni_server_settled(d.w.s, &d.lease.owner, true);
	ck_assert_uint_eq(code_of(&d, fd, &a, NULL), 0);
	expect_v4(&a, "10.1.0.1");
	ck_assert(has_route(&d.w, &a));
	ck_assert(lease_of(&d.w, "a", &l));
	ck_assert_int_eq(l.state, IPAM_READY);
	ck_assert_uint_eq(d.settles, 2);
	end(&d.w);
}
END_TEST

START_TEST(a_felix_that_ends_leaves_it_pending)
{
	struct desk d;
	struct ipam_lease l;

	open_desk(&d, 0);
	d.settle = CNI_WAIT;
	int fd = send_add(&d, "a", 0);
	d.admit = CNI_WAIT;
	int other = send_add(&d, "b", 1);
	cni_server_free(d.w.s);
	/* The next start releases what is pending and has no interface. */
	ck_assert(lease_of(&d.w, "a", &l));
	ck_assert_int_eq(l.state, IPAM_PENDING);
	ck_assert(is_answered(fd)); /* end of file */
	close(fd);
	close(other);
	serve(&d.w);
	end(&d.w);
}
END_TEST

/* ---- every order ---- */

enum event { RETRY, OK, LOST, DEL, GONE, AGAIN, NEVENTS };

/* Whatever comes in whatever order: an answer to each that still listens, an address to those
 * whose answer says so, and nothing else is held. */
static void run_events(struct desk *d, const unsigned *e, unsigned n, enum cni_turn admit)
{
	int fd[2] = { -1, -1 }, del = -1;
	bool deleted = false;
	struct ipam_owner o = { "net", "a", "eth0", "default", "a" };

	d->admit = admit;
	d->settle = CNI_WAIT;
	fd[0] = send_add(d, "a", 0);
	for (unsigned i = 0; i < n; i++) {
		switch (e[i]) {
		case RETRY:
			d->admit = CNI_GO;
			cni_server_retry(d->w.s);
			break;
		case OK:
		case LOST:
			cni_server_settled(d->w.s, &o, e[i] == OK);
			break;
		case DEL:
			if (del >= 0)
				ck_assert_uint_eq(code_of(d, del, NULL, NULL), 0);
			del = send_del(d, "a");
			deleted = true;
			break;
		case GONE:
			if (fd[0] >= 0)
				close(fd[0]);
			fd[0] = -1;
			break;
		case AGAIN:
			if (fd[1] >= 0)
				close(fd[1]);
			fd[1] = send_add(d, "a", 0);
			deleted = false;
			break;
		}
		if (i % 2)
			turns(d, 3); /* else two events come in one turn */
	}
	turns(d, 3);
	d->admit = d->settle = CNI_GO;
	cni_server_retry(d->w.s);
	cni_server_settled(d->w.s, &o, true);
	turns(d, 5);
	ck_assert_uint_eq(cni_server_waiting(d->w.s), 0);
	unsigned last = 1; /* no answer: the plugin went */
	for (unsigned i = 0; i < 2; i++)
		if (fd[i] >= 0) {
			ck_assert(is_answered(fd[i]));
			last = code_of(d, fd[i], NULL, NULL);
		}
	if (del >= 0)
		ck_assert_uint_eq(code_of(d, del, NULL, NULL), 0);
	if (last == 0 && !deleted)
		ck_assert_uint_eq(held(&d->w), 1);
	if (deleted)
		ck_assert_uint_eq(held(&d->w), 0);
	ck_assert_uint_eq(code_of(d, send_del(d, "a"), NULL, NULL), 0);
	nothing_left(d);
}

START_TEST(every_order_of_three_events)
{
	struct desk d;

	open_desk(&d, 0);
	ipam_set_cooldown(d.w.ipam, 0);
	for (unsigned k = 0; k < NEVENTS * NEVENTS * NEVENTS; k++) {
		unsigned e[3] = { k % NEVENTS, k / NEVENTS % NEVENTS, k / NEVENTS / NEVENTS };

		run_events(&d, e, 3, (k + e[1]) % 2 ? CNI_WAIT : CNI_GO);
	}
	end(&d.w);
}
END_TEST

/* ---- late ones ---- */

START_TEST(an_add_that_began_before_the_del)
{
	struct desk d;
	char text[512];

	open_desk(&d, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct m_cni_add a = request("a", "a");
		struct m_cni_del m = deletion("a");
		int fd = plugin(&d.w);

		m.started = 1000 + 10 * i;
		ask(fd, M_CNI_DEL, &m, -1);
		ck_assert_uint_eq(code_of(&d, fd, NULL, NULL), 0);
		a.started = i == 0 ? 999 : i == 1 ? 1011 : 0; /* 0: an old plugin does not say */
		fd = plugin(&d.w);
		ask(fd, M_CNI_ADD, &a, d.w.sock[0]);
		ck_assert_uint_eq(code_of(&d, fd, NULL, text), i == 0 ? CNI_CODE_AGAIN : 0);
		if (i == 0) {
			nothing_left(&d);
			a.container_id = "b"; /* the same age, another attachment */
			fd = plugin(&d.w);
			ask(fd, M_CNI_ADD, &a, d.w.sock[1]);
			ck_assert_uint_eq(code_of(&d, fd, NULL, text), 0);
			ck_assert_uint_eq(code_of(&d, send_del(&d, "b"), NULL, NULL), 0);
		}
	}
	end(&d.w);
}
END_TEST

static void spool_del(struct desk *d, const char *id, uint64_t at)
{
	uint8_t buf[4096];
	struct wr wr = wr_over(buf, sizeof(buf));
	struct m_cni_del m = deletion(id);

	m.started = at;
	msg_encode(&wr, M_CNI_DEL, &m);
	int fd = openat(d->w.spool, "del-1", O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_eq(write(fd, buf, wr.len), (ssize_t)wr.len);
	close(fd);
}

/* The spool is looked into every few seconds. */
static void drained(struct desk *d)
{
	for (int i = 0; i < 1000 && faccessat(d->w.spool, "del-1", F_OK, 0) == 0; i++) {
		ev_run(d->w.loop, EVRUN_NOWAIT);
		usleep(10000);
	}
	ck_assert_int_ne(faccessat(d->w.spool, "del-1", F_OK, 0), 0);
}

START_TEST(a_del_in_the_spool)
{
	struct desk d;
	struct m_cni_add a = request("a", "a");
	struct m_cni_del m = deletion("a");
	int fd;

	open_desk(&d, 60);
	/* Older than the pod that was made since: struck off. So is one that was only slow. */
	a.started = 1000;
	fd = plugin(&d.w);
	ask(fd, M_CNI_ADD, &a, d.w.sock[0]);
	ck_assert_uint_eq(code_of(&d, fd, NULL, NULL), 0);
	spool_del(&d, "a", 900);
	drained(&d);
	ck_assert_uint_eq(held(&d.w), 1);
	m.started = 901;
	fd = plugin(&d.w);
	ask(fd, M_CNI_DEL, &m, -1);
	ck_assert_uint_eq(code_of(&d, fd, NULL, NULL), 0);
	ck_assert_uint_eq(held(&d.w), 1);
	spool_del(&d, "a", 1100);
	drained(&d);
	nothing_left(&d);

	/* One that waits is ended by it. */
	d.settle = CNI_WAIT;
	a.started = 1200;
	fd = plugin(&d.w);
	ask(fd, M_CNI_ADD, &a, d.w.sock[0]);
	turns(&d, 5);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
	spool_del(&d, "a", 1300);
	drained(&d);
	ck_assert_uint_eq(code_of(&d, fd, NULL, NULL), CNI_CODE_AGAIN);
	nothing_left(&d);
	end(&d.w);
}
END_TEST

/* READY with its interface gone: the runtime makes the network anew, and gives that up too. */
START_TEST(made_anew_and_given_up)
{
	struct desk d;

	open_desk(&d, 0);
	ck_assert_uint_eq(code_of(&d, send_add(&d, "a", 0), NULL, NULL), 0);
	endpoints_first(d.w.endpoints)->ifindex = 0;
	d.settle = CNI_WAIT;
	int fd = send_add(&d, "a", 1);
	ck_assert_uint_eq(cni_server_waiting(d.w.s), 1);
	close(fd);
	nothing_left(&d);
	end(&d.w);
}
END_TEST

UNIT_MAIN("cni_wait", a_del_in_the_spool, made_anew_and_given_up,
	  waits_for_its_pod_and_goes_on_in_order, what_the_owner_says_is_what_is_done, the_deadline,
	  the_plugin_goes, a_del_or_a_newer_add_ends_it, a_word_from_within_a_hook_is_not_lost,
	  waits_for_a_block, an_exact_address_of_no_block_can_be_claimed, waits_until_it_is_settled,
	  a_felix_that_ends_leaves_it_pending, every_order_of_three_events,
	  an_add_that_began_before_the_del)
