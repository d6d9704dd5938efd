/* What can be asked of IPAM: pools in order, families, exact addresses; other writers, adoption,
 * and a journal that is set aside.
 */
#include "config.h"

#include "fault_disk.h"
#include "ipam/ipam.h"
#include "unit.h"

enum { V4 = 1 << FAM_V4, V6 = 1 << FAM_V6, SMALL = 4096 };
#define BOOT "0f2c5d0e-9a3e-4d7a-8a53-3c3f0c0b5f11"

struct site {
	struct disk d;
	struct ipam *ipam;
	struct ipam_lease l;
	struct err err;
};

static struct prefix P(const char *text) {
	struct prefix p;

	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

static struct addr
A(const char *text) {
	struct addr a;

	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static void
reopen(struct site *s)
{
	s->ipam = ipam_open_ops(s->d.dirfd, BOOT, 1000, &s->d.ops, SMALL, &s->err);
	ck_assert_msg(s->ipam != NULL, "%s", s->err.text);
}

/* 10.1/30 and 10.2/30 for everybody, 10.3/30 only by request, fd00:1::/126. */
static void begin(struct site *s)
{
	const struct ipam_block_conf b[] = {
		{ P("10.1.0.0/30"), P("10.1.0.0/16"), true, false },
		{ P("10.2.0.0/30"), P("10.2.0.0/16"), true, false },
		{ P("10.3.0.0/30"), P("10.3.0.0/16"), false, false },
		{ P("fd00:1::/126"), P("fd00:1::/48"), true, false },
	};

	memset(s, 0, sizeof(*s));
	disk_init(&s->d);
	reopen(s);
	ipam_set_blocks(s->ipam, b, 4);
}

static void end(struct site *s)
{
	ipam_close(s->ipam);
	disk_free(&s->d);
}

static struct ipam_owner owner(const char *id)
{
	return (struct ipam_owner){ "net", id, "eth0", "default", "web" };
}

static enum ipam_result ask(struct site *s, const char *id, const struct ipam_want *w, uint64_t now)
{
	struct ipam_owner o = owner(id);

	return ipam_assign(s->ipam, &o, w, now, &s->l, &s->err);
}

static void give(struct site *s, const char *id, uint64_t now)
{
	struct ipam_owner o = owner(id);

	ck_assert_int_eq(ipam_release(s->ipam, &o, now, &s->err), IPAM_OK);
}

static void expect(const struct site *s, const char *v4, const char *v6)
{
	const char *want[2] = { v4 ? v4 : v6, v4 ? v6 : NULL };
	unsigned n = (v4 != NULL) + (v6 != NULL);
	char text[ADDR_STRLEN];

	ck_assert_uint_eq(s->l.naddrs, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_str_eq(addr_format(&s->l.addrs[i], text, sizeof(text)), want[i]);
}

START_TEST(pools_in_order_of_preference)
{
	struct site s;
	const struct prefix order[] = { P("10.3.0.0/16"), P("10.2.0.0/16") };
	const struct ipam_want w = { .families = V4, .v4 = { true, 2, order } };
	const struct ipam_want all = { .families = V4 };
	char id[4];

	begin(&s);
	/* What is listed counts, also where the block serves nobody by itself; then the next. */
	for (unsigned i = 0; i < 8; i++) {
		char text[ADDR_STRLEN];

		snprintf(id, sizeof(id), "c%u", i);
		snprintf(text, sizeof(text), "10.%u.0.%u", i < 4 ? 3 : 2, i % 4);
		ck_assert_int_eq(ask(&s, id, &w, 1), IPAM_OK);
		expect(&s, text, NULL);
	}
	ck_assert_int_eq(ask(&s, "c8", &w, 1), IPAM_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(s.err.text, "10.3.0.0/30: 4 held"));
	ck_assert_ptr_nonnull(strstr(s.err.text, "10.2.0.0/30: 4 held"));
	ck_assert_ptr_null(strstr(s.err.text, "10.1."));
	ck_assert_int_eq(ask(&s, "c8", &all, 1), IPAM_OK);
	expect(&s, "10.1.0.0", NULL);
	end(&s);
}
END_TEST

START_TEST(families_all_or_nothing)
{
	static const struct {
		unsigned families, if_any;
		bool only6; /* IPv6 from a pool that has no block here */
		enum ipam_result rc;
		const char *v4, *v6;
		unsigned shortage;
	} rows[] = {
		{ V4, 0, false, IPAM_OK, "10.1.0.0", NULL, 0 },
		{ V6, 0, false, IPAM_OK, NULL, "fd00:1::", 0 },
		{ V4 | V6, 0, false, IPAM_OK, "10.1.0.0", "fd00:1::", 0 },
		{ 0, V4 | V6, false, IPAM_OK, "10.1.0.0", "fd00:1::", 0 },
		{ V4, V6, true, IPAM_OK, "10.1.0.0", NULL, 0 },
		{ V4 | V6, 0, true, IPAM_EXHAUSTED, NULL, NULL, V6 },
		{ V6, V4, true, IPAM_EXHAUSTED, NULL, NULL, V6 },
		{ 0, V6, true, IPAM_EXHAUSTED, NULL, NULL, 0 },
		{ 0, 0, false, IPAM_EXHAUSTED, NULL, NULL, 0 },
	};
	const struct prefix elsewhere = P("fd00:2::/48");

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct site s;
		struct ipam_want w = { .families = rows[i].families, .if_any = rows[i].if_any };

		begin(&s);
		if (rows[i].only6)
			w.v6 = (struct ipam_pools){ true, 1, &elsewhere };
		ck_assert_uint_eq(ipam_short_of(s.ipam, &w, 1), rows[i].shortage);
		enum ipam_result rc = ask(&s, "c", &w, 1);
		ck_assert_msg(rc == rows[i].rc, "row %u: %d (%s)", i, rc, s.err.text);
		if (rc == IPAM_OK)
			expect(&s, rows[i].v4, rows[i].v6);
		else
			ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, NULL, 1), 8);
		end(&s);
	}
}
END_TEST

/* One family full: nothing of the other is taken, also where the family was optional. */
START_TEST(one_family_full)
{
	struct site s;
	const struct ipam_want six = { .families = V6 }, any = { .if_any = V4 | V6 };

	begin(&s);
	ck_assert_int_eq(ask(&s, "a", &six, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "b", &six, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "c", &six, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "d", &six, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "e", &any, 1), IPAM_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(s.err.text, "IPv6"));
	ck_assert_uint_eq(ipam_short_of(s.ipam, &any, 1), V6);
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, NULL, 1), 8);
	/* Held by none, but still cooling: said apart, for then a block is to be claimed. */
	give(&s, "b", 1);
	ck_assert_int_eq(ask(&s, "e", &any, 60), IPAM_COOLING);
	ck_assert_uint_eq(ipam_short_of(s.ipam, &any, 60), V6);
	ck_assert_uint_eq(ipam_short_of(s.ipam, &any, 61), 0);
	ck_assert_int_eq(ask(&s, "e", &any, 61), IPAM_OK);
	expect(&s, "10.1.0.0", "fd00:1::1");
	end(&s);
}
END_TEST

START_TEST(a_pending_lease_is_kept_only_where_it_answers)
{
	struct site s;
	const struct prefix two = P("10.2.0.0/16");
	const struct ipam_want v4 = { .families = V4 }, both = { .families = V4 | V6 },
			       other = { .families = V4, .v4 = { true, 1, &two } },
			       exact = { .naddrs = 1, .addrs = { A("10.1.0.3") } };

	begin(&s);
	ck_assert_int_eq(ask(&s, "a", &v4, 1), IPAM_OK);
	expect(&s, "10.1.0.0", NULL);
	ck_assert_int_eq(ask(&s, "a", &v4, 2), IPAM_OK);
	expect(&s, "10.1.0.0", NULL);
	ck_assert_int_eq(ask(&s, "a", &both, 2), IPAM_OK); /* a family more */
	expect(&s, "10.1.0.1", "fd00:1::");
	ck_assert_int_eq(ask(&s, "a", &v4, 2), IPAM_OK); /* a family less */
	expect(&s, "10.1.0.2", NULL);
	ck_assert_int_eq(ask(&s, "a", &other, 2), IPAM_OK);
	expect(&s, "10.2.0.0", NULL);
	ck_assert_int_eq(ask(&s, "a", &exact, 2), IPAM_OK);
	expect(&s, "10.1.0.3", NULL);
	ck_assert_int_eq(ask(&s, "a", &exact, 2), IPAM_OK);
	ipam_set_foreign(s.ipam, &s.l.addrs[0], true); /* lost */
	ck_assert_int_eq(ask(&s, "a", &v4, 2), IPAM_OK);
	expect(&s, "10.2.0.1", NULL);
	end(&s);
}
END_TEST

START_TEST(foreign_addresses)
{
	struct site s;
	const struct addr a = A("10.1.0.0"), b = A("10.1.0.1"), far = A("10.9.0.1");
	const struct ipam_want v4 = { .families = V4 }, exact = { .naddrs = 1, .addrs = { b } };
	struct ipam_block_use u;

	begin(&s);
	ipam_set_foreign(s.ipam, &a, true);
	ipam_set_foreign(s.ipam, &b, true);
	ipam_set_foreign(s.ipam, &b, true);
	ipam_set_foreign(s.ipam, &far, true);
	ipam_block_use(s.ipam, 0, 1, &u);
	ck_assert_uint_eq(u.used, 2);
	ck_assert_uint_eq(u.foreign, 2);
	ck_assert_uint_eq(u.free, 2);
	ck_assert(u.ours);
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, NULL, 1), 6);
	const struct prefix one = P("10.1.0.0/16"), three = P("10.3.0.0/16");
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, &one, 1), 2);
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, &three, 1), 4);
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V6, NULL, 1), 4);
	ck_assert_int_eq(ask(&s, "x", &exact, 1), IPAM_TAKEN);
	ck_assert_ptr_nonnull(strstr(s.err.text, "10.1.0.1"));
	ck_assert_int_eq(ask(&s, "x", &v4, 1), IPAM_OK);
	expect(&s, "10.1.0.2", NULL);

	/* Told before the block is known. */
	const struct ipam_block_conf more[] = { { P("10.1.0.0/30"), one, true, false },
						{ P("10.9.0.0/31"), P("10.9.0.0/16"), true,
						  false } };
	ipam_set_blocks(s.ipam, more, 2);
	const struct prefix nine = P("10.9.0.0/16");
	ck_assert_uint_eq(ipam_free_count(s.ipam, FAM_V4, &nine, 1), 1);

	/* Free again: last in the queue. */
	ipam_set_foreign(s.ipam, &a, false);
	ck_assert_int_eq(ask(&s, "y", &v4, 1), IPAM_OK);
	expect(&s, "10.1.0.3", NULL);
	ck_assert_int_eq(ask(&s, "z", &v4, 1), IPAM_OK);
	expect(&s, "10.1.0.0", NULL);

	/* Not in the journal. */
	ipam_close(s.ipam);
	reopen(&s);
	ipam_block_use(s.ipam, 0, 1, &u);
	ck_assert_uint_eq(u.foreign, 0);
	ck_assert_uint_eq(u.used, 3);
	end(&s);
}
END_TEST

START_TEST(adoption)
{
	struct site s;
	const struct addr both[2] = { A("10.1.0.2"), A("fd00:1::2") }, borrowed = A("10.8.0.7"),
			  twice[2] = { A("10.1.0.0"), A("10.1.0.1") };
	const struct ipam_want v4 = { .families = V4 };
	struct ipam_owner o = owner("a"), o2 = owner("b"), o3 = owner("c");

	begin(&s);
	ipam_set_foreign(s.ipam, &both[0], true);
	struct ipam_block_use u;
	ck_assert_int_eq(ipam_adopt(s.ipam, &o, both, 2, "cali1", 77, &s.err), IPAM_OK);
	ck_assert(ipam_find(s.ipam, &o, &s.l));
	ck_assert_int_eq(s.l.state, IPAM_READY);
	ipam_block_use(s.ipam, 0, 1, &u);
	ck_assert_uint_eq(u.foreign, 0);
	ck_assert_uint_eq(u.used, 1);
	give(&s, "a", 1);
	ipam_block_use(s.ipam, 0, 1, &u);
	ck_assert_uint_eq(u.used, 0);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o, both, 2, "cali1", 77, &s.err), IPAM_OK);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o, both, 2, "cali1", 77, &s.err), IPAM_OK);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o, both, 1, "cali1", 77, &s.err), IPAM_EXISTS);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o2, both, 1, "cali2", 77, &s.err), IPAM_TAKEN);
	ck_assert_ptr_nonnull(strstr(s.err.text, "default/web"));
	ck_assert_int_eq(ipam_adopt(s.ipam, &o2, both, 0, "cali2", 77, &s.err), IPAM_OUTSIDE);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o2, twice, 2, "cali2", 77, &s.err), IPAM_OUTSIDE);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o2, &borrowed, 1, "cali2", 78, &s.err), IPAM_OK);
	/* One that was begun here is finished. */
	ck_assert_int_eq(ask(&s, "c", &v4, 1), IPAM_OK);
	ck_assert_int_eq(ipam_adopt(s.ipam, &o3, s.l.addrs, 1, "cali3", 79, &s.err), IPAM_OK);

	ipam_close(s.ipam);
	reopen(&s);
	ck_assert(ipam_find(s.ipam, &o, &s.l));
	ck_assert_int_eq(s.l.state, IPAM_READY);
	ck_assert_str_eq(s.l.host_ifname, "cali1");
	ck_assert_uint_eq(s.l.since, 77);
	ck_assert(ipam_find_addr(s.ipam, &borrowed, &s.l));
	ck_assert_str_eq(s.l.owner.container_id, "b");
	ck_assert(ipam_find(s.ipam, &o3, &s.l));
	ck_assert_int_eq(s.l.state, IPAM_READY);

	/* Given back, they are free as any other, after the cool-down. */
	give(&s, "a", 100);
	give(&s, "b", 100);
	const struct ipam_want exact = { .naddrs = 1, .addrs = { both[0] } };
	ck_assert_int_eq(ask(&s, "d", &exact, 101), IPAM_OK);
	end(&s);
}
END_TEST

START_TEST(a_damaged_journal_is_set_aside)
{
	struct site s;
	const struct ipam_want v4 = { .families = V4 };
	struct ipam_owner o = owner("a");
	char byte = 'x';

	begin(&s);
	ck_assert_int_eq(ask(&s, "a", &v4, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "b", &v4, 1), IPAM_OK);
	ck_assert_int_lt(ipam_set_aside(s.d.dirfd, &s.err), 0); /* in use */
	ck_assert_ptr_nonnull(strstr(s.err.text, "another process"));
	ipam_close(s.ipam);
	int fd = openat(s.d.dirfd, JOURNAL_FILE, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 20), 1);
	close(fd);
	ck_assert_ptr_null(ipam_open_ops(s.d.dirfd, BOOT, 2, &s.d.ops, SMALL, &s.err));
	ck_assert_int_eq(ipam_set_aside(s.d.dirfd, &s.err), 0);
	ck_assert_int_eq(faccessat(s.d.dirfd, "ipam.journal.damaged", F_OK, 0), 0);
	reopen(&s);
	ck_assert(!ipam_find(s.ipam, &o, &s.l));
	ck_assert_uint_eq(ipam_block_count(s.ipam), 0);
	const struct addr a = A("10.1.0.0");
	ck_assert_int_eq(ipam_adopt(s.ipam, &o, &a, 1, "cali1", 1, &s.err), IPAM_OK);
	const struct ipam_block_conf b = { P("10.1.0.0/30"), P("10.1.0.0/16"), true, false };
	ipam_set_blocks(s.ipam, &b, 1);
	ck_assert_int_eq(ask(&s, "b", &v4, 3), IPAM_OK);
	expect(&s, "10.1.0.1", NULL);
	end(&s);
}
END_TEST

START_TEST(a_closed_block_gives_nothing)
{
	const struct prefix one = P("10.1.0.0/16");
	struct ipam_block_conf b = { P("10.1.0.0/30"), one, true, true };
	struct ipam_want named = { .families = 1u << FAM_V4, .v4 = { true, 1, &one } };
	struct ipam_want any = { .families = 1u << FAM_V4 };
	struct ipam_want exact = { .naddrs = 1, .addrs = { A("10.1.0.3") } };
	struct site s;

	begin(&s);
	ck_assert_int_eq(ask(&s, "a", &named, 1), IPAM_OK);
	ipam_set_blocks(s.ipam, &b, 1);
	ck_assert_int_eq(ask(&s, "b", &any, 1), IPAM_EXHAUSTED);
	ck_assert_int_eq(ask(&s, "b", &named, 1), IPAM_EXHAUSTED);
	ck_assert_int_eq(ask(&s, "b", &exact, 1), IPAM_OUTSIDE);
	b.closed = false;
	ipam_set_blocks(s.ipam, &b, 1);
	ck_assert_int_eq(ask(&s, "b", &exact, 1), IPAM_OK);
	ck_assert_int_eq(ask(&s, "c", &named, 1), IPAM_OK);
	expect(&s, "10.1.0.1", NULL);
	end(&s);
}
END_TEST

/* ---- a reboot ---- */

static void keep_voided(void *arg, const struct ipam_lease *l)
{
	struct ipam_lease *to = arg;

	ck_assert_str_eq(l->owner.container_id, "a");
	ck_assert_uint_eq(to->naddrs, 0);
	*to = *l;
}

/* Whoever shows the leases of before elsewhere is told once that they are over. */
START_TEST(voided_leases_are_told)
{
	const struct ipam_want w = { .families = V4 | V6 };
	struct ipam_lease given, voided = { 0 };
	struct site s;

	begin(&s);
	ck_assert_int_eq(ask(&s, "a", &w, 1000), IPAM_OK);
	given = s.l;
	ipam_each_voided(s.ipam, keep_voided, &voided);
	ck_assert_uint_eq(voided.naddrs, 0);
	ipam_close(s.ipam);
	s.ipam = ipam_open_ops(s.d.dirfd, "another", 2000, &s.d.ops, SMALL, &s.err);
	ck_assert_ptr_nonnull(s.ipam);
	ipam_each_voided(s.ipam, keep_voided, &voided);
	ck_assert_uint_eq(voided.naddrs, 2);
	ck_assert(addr_eq(&voided.addrs[0], &given.addrs[0]));
	ipam_close(s.ipam);
	s.ipam = ipam_open_ops(s.d.dirfd, "another", 3000, &s.d.ops, SMALL, &s.err);
	voided.naddrs = 0;
	ipam_each_voided(s.ipam, keep_voided, &voided);
	ck_assert_uint_eq(voided.naddrs, 0);
	end(&s);
}
END_TEST

UNIT_MAIN("ipam_want", voided_leases_are_told, a_closed_block_gives_nothing,
	  pools_in_order_of_preference, families_all_or_nothing, one_family_full,
	  a_pending_lease_is_kept_only_where_it_answers, foreign_addresses, adoption,
	  a_damaged_journal_is_set_aside)
