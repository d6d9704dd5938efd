/* The node's addresses against a naive model: ordinary use, and then every way to die. */
#include "config.h"

#include <sys/wait.h>

#include "fault_disk.h"
#include "ipam/ipam.h"
#include "unit.h"

enum { BOTH = 1 << FAM_V4 | 1 << FAM_V6, OWNERS = 12, SMALL = 4096 };
#define BOOT "0f2c5d0e-9a3e-4d7a-8a53-3c3f0c0b5f11"

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

static struct ipam *
open_at(struct disk *d, const char *boot, uint64_t now)
{
	struct err err = { 0 };
	struct ipam *ipam = ipam_open_ops(d->dirfd, boot, now, &d->ops, SMALL, &err);

	ck_assert_msg(ipam != NULL, "%s", err.text);
	return ipam;
}

static void two_blocks(struct ipam *ipam)
{
	struct ipam_block_conf b[2] = {
		{ P("10.0.0.0/28"), P("10.0.0.0/16"), true, false },
		{ P("fd00::/124"), P("fd00::/48"), true, false },
	};

	ipam_set_blocks(ipam, b, 2);
}

static struct ipam_owner owner(unsigned i)
{
	static char names[OWNERS + 8][16];

	snprintf(names[i], sizeof(names[i]), "c%u", i);
	return (struct ipam_owner){ "net", names[i], "eth0", "default", "web" };
}

static enum ipam_result ask(struct ipam *ipam, const struct ipam_owner *o, unsigned families,
			    const struct addr *want, unsigned n, uint64_t now, struct ipam_lease *l,
			    struct err *err)
{
	struct ipam_want w = { .if_any = families, .naddrs = n };
	for (unsigned i = 0; i < n; i++)
		w.addrs[i] = want[i];
	return ipam_assign(ipam, o, &w, now, l, err);
}

static enum ipam_result assign(struct ipam *ipam, unsigned i, uint64_t now, struct ipam_lease *l,
			       struct err *err)
{
	struct ipam_owner o = owner(i);

	return ask(ipam, &o, BOTH, NULL, 0, now, l, err);
}

START_TEST(assign_gives_each_family_and_keeps_it)
{
	struct disk d;
	struct ipam_lease l, again;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1000);
	ck_assert_int_eq(assign(ipam, 0, 1000, &l, &err), IPAM_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(err.text, "no block"));
	two_blocks(ipam);
	ck_assert_int_eq(assign(ipam, 0, 1000, &l, &err), IPAM_OK);
	ck_assert_uint_eq(l.naddrs, 2);
	struct addr v4 = A("10.0.0.0"), v6 = A("fd00::");
	ck_assert(addr_eq(&l.addrs[0], &v4));
	ck_assert(addr_eq(&l.addrs[1], &v6));
	ck_assert_int_eq(l.state, IPAM_PENDING);

	/* A retry before it was ready gets the same. */
	ck_assert_int_eq(assign(ipam, 0, 1001, &again, &err), IPAM_OK);
	ck_assert(addr_eq(&again.addrs[0], &v4));
	struct ipam_owner o = owner(0);
	ck_assert_int_eq(ipam_ready(ipam, &o, "cali1", &err), IPAM_OK);
	ck_assert_int_eq(assign(ipam, 0, 1002, &again, &err), IPAM_EXISTS);

	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 1003);
	ck_assert(ipam_find(ipam, &o, &l));
	ck_assert_int_eq(l.state, IPAM_READY);
	ck_assert_str_eq(l.host_ifname, "cali1");
	ck_assert_str_eq(l.owner.namespace_, "default");
	ck_assert_str_eq(l.owner.pod, "web");
	ck_assert_uint_eq(l.since, 1000);
	ck_assert(ipam_find_addr(ipam, &v6, &l));
	ck_assert_str_eq(l.owner.container_id, "c0");
	/* The blocks are in the journal too: the node works before the datastore answers. */
	ck_assert_int_eq(assign(ipam, 1, 1004, &l, &err), IPAM_OK);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(only_families_that_there_are_blocks_for)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_owner o = owner(0);

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	struct ipam_block_conf b[2] = { { P("10.0.0.0/28"), P("10.0.0.0/16"), true, false },
					{ P("fd00::/124"), P("fd00::/48"), false, false } };
	ipam_set_blocks(ipam, b, 2);
	ck_assert_int_eq(assign(ipam, 0, 1, &l, &err), IPAM_OK);
	ck_assert_uint_eq(l.naddrs, 1);
	ck_assert_int_eq(ipam_release(ipam, &o, 1, &err), IPAM_OK);
	ck_assert_int_eq(ask(ipam, &o, 1 << FAM_V6, NULL, 0, 1, &l, &err), IPAM_EXHAUSTED);
	struct addr want = A("fd00::5"); /* a disabled pool gives what is asked for by name */
	ck_assert_int_eq(ask(ipam, &o, 0, &want, 1, 1, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &want));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(all_or_nothing_when_one_family_is_exhausted)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_block_use use;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	struct ipam_block_conf b[2] = { { P("10.0.0.0/28"), P("10.0.0.0/16"), true, false },
					{ P("fd00::/127"), P("fd00::/48"), true, false } };
	ipam_set_blocks(ipam, b, 2);
	ck_assert_int_eq(assign(ipam, 0, 1, &l, &err), IPAM_OK);
	ck_assert_int_eq(assign(ipam, 1, 1, &l, &err), IPAM_OK);
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(assign(ipam, 2, 1, &l, &err), IPAM_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(err.text, "IPv6"));
	ck_assert_ptr_nonnull(strstr(err.text, "fd00::/127: 2 held"));
	ipam_block_use(ipam, 0, 1, &use);
	ck_assert_uint_eq(use.used, 2);
	ck_assert_uint_eq(use.free, 14);
	ck_assert_uint_eq(use.cooling, 0);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(asked_for_addresses)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_owner o0 = owner(0), o1 = owner(1);
	struct addr want[2] = { A("10.0.0.5"), A("fd00::5") };

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	two_blocks(ipam);
	ck_assert_int_eq(ask(ipam, &o0, 0, want, 2, 1, &l, &err), IPAM_OK);
	ck_assert_uint_eq(l.naddrs, 2);
	ck_assert_int_eq(ask(ipam, &o1, 0, want, 1, 1, &l, &err), IPAM_TAKEN);
	ck_assert_ptr_nonnull(
		strstr(err.text, "10.0.0.5 is held by pod default/web (container c0"));
	struct addr outside = A("10.0.0.16");
	ck_assert_int_eq(ask(ipam, &o1, 0, &outside, 1, 1, &l, &err), IPAM_OUTSIDE);
	struct addr twice[2] = { A("10.0.0.6"), A("10.0.0.7") };
	ck_assert_int_eq(ask(ipam, &o1, 0, twice, 2, 1, &l, &err), IPAM_OUTSIDE);
	/* One of two is taken: the other stays free. */
	struct addr half[2] = { A("10.0.0.9"), A("fd00::5") };
	ck_assert_int_eq(ask(ipam, &o1, 0, half, 2, 1, &l, &err), IPAM_TAKEN);
	ck_assert(!ipam_find_addr(ipam, &half[0], &l));
	/* A retry that asks for something else while pending. */
	ck_assert_int_eq(ask(ipam, &o0, 0, half, 1, 1, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &half[0]));
	ck_assert_uint_eq(l.naddrs, 1);
	/* A cooling address may be asked for by name. */
	ck_assert_int_eq(ask(ipam, &o1, 0, want, 2, 2, &l, &err), IPAM_OK);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(cooldown_and_order_survive_a_restart)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1000);
	struct ipam_block_conf b = { P("10.0.0.0/31"), P("10.0.0.0/16"), true, false };
	ipam_set_blocks(ipam, &b, 1);
	struct ipam_owner o0 = owner(0), o1 = owner(1);
	struct addr a0 = A("10.0.0.0"), a1 = A("10.0.0.1");
	assign(ipam, 0, 1000, &l, &err);
	assign(ipam, 1, 1000, &l, &err);
	ipam_release(ipam, &o1, 1010, &err);
	ipam_release(ipam, &o0, 1020, &err);
	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 1030);
	ck_assert_int_eq(assign(ipam, 2, 1069, &l, &err), IPAM_COOLING);
	ck_assert_ptr_nonnull(strstr(err.text, "2 cooling down"));
	ck_assert_int_eq(assign(ipam, 2, 1070, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &a1));
	ck_assert_int_eq(assign(ipam, 3, 1079, &l, &err), IPAM_COOLING);
	ipam_set_cooldown(ipam, 5);
	ck_assert_int_eq(assign(ipam, 3, 1079, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &a0));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(cooldown_and_order_survive_a_snapshot)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_owner o0 = owner(0), o1 = owner(1);
	struct addr a1 = A("10.0.0.1");

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1000);
	struct ipam_block_conf b = { P("10.0.0.0/31"), P("10.0.0.0/16"), true, false };
	ipam_set_blocks(ipam, &b, 1);
	assign(ipam, 0, 1000, &l, &err);
	assign(ipam, 1, 1000, &l, &err);
	ipam_release(ipam, &o1, 1010, &err);
	ipam_release(ipam, &o0, 1020, &err);
	ipam_close(ipam);
	ipam = open_at(&d, "another", 1030); /* writes a snapshot */
	ipam_close(ipam);
	ipam = open_at(&d, "another", 1040);
	ck_assert_int_eq(assign(ipam, 2, 1069, &l, &err), IPAM_COOLING);
	ck_assert_int_eq(assign(ipam, 2, 1070, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &a1));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(after_a_reboot_leases_are_void_but_cool_down)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_owner o = owner(0);
	struct ipam_block_use use;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1000);
	two_blocks(ipam);
	assign(ipam, 0, 1000, &l, &err);
	ipam_ready(ipam, &o, "cali1", &err);
	ipam_close(ipam);
	ipam = open_at(&d, "another", 2000);
	ck_assert(!ipam_find(ipam, &o, &l));
	ck_assert_uint_eq(ipam_block_count(ipam), 2);
	ipam_block_use(ipam, 0, 2000, &use);
	ck_assert_uint_eq(use.cooling, 1);
	ipam_close(ipam);
	ipam = open_at(&d, "another", 2001);
	ck_assert(!ipam_find(ipam, &o, &l));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(a_block_taken_away_is_listed_until_it_is_empty)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_block_use use;
	struct ipam_owner o = owner(0);

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	two_blocks(ipam);
	assign(ipam, 0, 1, &l, &err);
	struct ipam_block_conf other = { P("10.0.1.0/28"), P("10.0.0.0/16"), true, false };
	ipam_set_blocks(ipam, &other, 1);
	ck_assert_uint_eq(ipam_block_count(ipam), 3);
	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 2);
	ck_assert_uint_eq(ipam_block_count(ipam), 3);
	ipam_block_use(ipam, 0, 2, &use);
	ck_assert(prefix_eq(&use.cidr, &(struct prefix){ A("10.0.0.0"), 28 }));
	ck_assert_uint_eq(use.used, 1);
	ck_assert_uint_eq(use.free, 0);
	ck_assert_int_eq(assign(ipam, 1, 2, &l, &err), IPAM_OK);
	struct addr want = A("10.0.1.0"), gone = A("10.0.0.7");
	ck_assert(addr_eq(&l.addrs[0], &want));
	ck_assert_uint_eq(l.naddrs, 1);
	ck_assert_int_eq(ask(ipam, &(struct ipam_owner){ "n", "x", "eth0", "", "" }, 0, &gone, 1, 2,
			     &l, &err),
			 IPAM_OUTSIDE);
	ipam_release(ipam, &o, 3, &err);
	ck_assert_uint_eq(ipam_block_count(ipam), 1);
	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 4);
	ck_assert_uint_eq(ipam_block_count(ipam), 1);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(overlapping_blocks_never_give_one_address_twice)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	struct ipam_block_conf b[2] = { { P("10.0.0.0/31"), P("10.0.0.0/16"), true, false },
					{ P("10.0.0.0/30"), P("10.0.0.0/16"), true, false } };
	ipam_set_blocks(ipam, b, 2);
	struct addr first = A("10.0.0.0");
	for (unsigned i = 0; i < 4; i++) {
		struct addr want = addr_add(&first, i);
		ck_assert_int_eq(assign(ipam, i, 1, &l, &err), IPAM_OK);
		ck_assert(addr_eq(&l.addrs[0], &want));
	}
	ck_assert_int_eq(assign(ipam, 4, 1, &l, &err), IPAM_EXHAUSTED);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(reservations)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	struct prefix r = P("10.0.0.0/30");
	ipam_set_reservations(ipam, &r, 1);
	two_blocks(ipam);
	struct addr want = A("10.0.0.4");
	ck_assert_int_eq(assign(ipam, 0, 1, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &want));
	ipam_set_reservations(ipam, NULL, 0);
	want = A("10.0.0.0");
	ck_assert_int_eq(assign(ipam, 1, 1, &l, &err), IPAM_OK);
	ck_assert(addr_eq(&l.addrs[0], &want));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(one_state_dir_one_process)
{
	struct disk d;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	ck_assert_ptr_null(ipam_open_ops(d.dirfd, BOOT, 1, &d.ops, SMALL, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "state.dir of its own"));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(a_group_costs_one_sync)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1);
	two_blocks(ipam);
	d.cut = CUT_KILL; /* counts steps only: far away */
	d.cut_at = 1 << 30;
	d.step = 0;
	ipam_sync_begin(ipam);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(assign(ipam, i, 1, &l, &err), IPAM_OK);
	ck_assert_int_eq(d.step, 0);
	ck_assert_int_eq(ipam_sync_commit(ipam, &err), 0);
	ck_assert_int_eq(d.step, 2); /* one write, one fdatasync */
	d.cut = CUT_NEVER;
	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 2);
	struct ipam_owner o = owner(7);
	ck_assert(ipam_find(ipam, &o, &l));
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(a_full_disk_refuses_and_heals)
{
	struct disk d;
	struct ipam_lease l;
	struct err err;
	struct ipam_owner o0 = owner(0), o1 = owner(1);
	struct ipam_block_use use;

	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, 1000);
	two_blocks(ipam);
	ck_assert_int_eq(assign(ipam, 0, 1000, &l, &err), IPAM_OK);
	d.cut = CUT_FAIL;
	d.errnum = ENOSPC;
	d.step = d.cut_at = 0;
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(assign(ipam, 1, 1000, &l, &err), IPAM_IO);
	ck_assert_int_eq(err.code, ENOSPC);
	ck_assert(!ipam_find(ipam, &o1, &l));
	/* A DEL that could not be written is not acknowledged, however often it is asked for. */
	ck_assert_int_eq(ipam_release(ipam, &o0, 1000, &err), IPAM_IO);
	ck_assert_int_eq(ipam_release(ipam, &o0, 1000, &err), IPAM_IO);
	d.cut = CUT_NEVER;
	ck_assert_int_eq(ipam_release(ipam, &o0, 1000, &err), IPAM_OK);
	ck_assert_int_eq(assign(ipam, 1, 1000, &l, &err), IPAM_OK);
	ipam_close(ipam);
	ipam = open_at(&d, BOOT, 1001);
	ck_assert(!ipam_find(ipam, &o0, &l));
	ck_assert(ipam_find(ipam, &o1, &l));
	ipam_block_use(ipam, 0, 1001, &use);
	ck_assert_uint_eq(use.used, 1);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

/* ---- the naive model ---- */

struct model_row {
	bool held, ready;
	struct addr addr[2];
};
struct model {
	struct model_row row[OWNERS];
};

static void count_lease(void *arg, const struct ipam_lease *l)
{
	(void)l;
	++*(unsigned *)arg;
}

/* unsure: one owner whose last operation was not acknowledged; -1 none. */
static void compare(const struct ipam *ipam, const struct model *m, int unsure)
{
	struct ipam_lease l[OWNERS];
	bool found[OWNERS];
	unsigned total = 0, seen = 0;

	for (unsigned i = 0; i < OWNERS; i++) {
		struct ipam_owner o = owner(i);
		found[i] = ipam_find(ipam, &o, &l[i]);
		seen += found[i];
		if ((int)i == unsure)
			continue;
		ck_assert_int_eq(found[i], m->row[i].held);
		if (!found[i])
			continue;
		ck_assert(addr_eq(&l[i].addrs[0], &m->row[i].addr[0]));
		ck_assert(addr_eq(&l[i].addrs[1], &m->row[i].addr[1]));
		ck_assert_int_eq(l[i].state == IPAM_READY, m->row[i].ready);
	}
	for (unsigned i = 0; i < OWNERS; i++)
		for (unsigned k = 0; k < i; k++)
			for (unsigned f = 0; found[i] && found[k] && f < 2; f++)
				ck_assert(!addr_eq(&l[i].addrs[f], &l[k].addrs[f]));
	ipam_each(ipam, count_lease, &total);
	ck_assert_uint_eq(total, seen);
}

/* What is left can be given to the last one without meeting anything that is held. */
static void use_up(struct ipam *ipam, uint64_t now)
{
	struct ipam_block_use use[2];
	struct ipam_lease l;
	struct err err;
	unsigned given = 0;
	char id[16];

	ipam_block_use(ipam, 0, now, &use[0]);
	ck_assert_uint_eq(use[0].size, use[0].used + use[0].free + use[0].cooling);
	for (;; given++) {
		struct ipam_owner o = { "net", id, "more", "", "" };
		snprintf(id, sizeof(id), "x%u", given);
		if (ask(ipam, &o, BOTH, NULL, 0, now + 100, &l, &err) != IPAM_OK)
			break;
	}
	ck_assert_uint_eq(given, use[0].free + use[0].cooling);
}

/* One random step; acknowledged steps go into the model. */
static void random_step(struct ipam *ipam, struct model *m, unsigned i, uint64_t now)
{
	struct ipam_owner o = owner(i);
	struct model_row *row = &m->row[i];
	struct ipam_lease l;
	struct err err;

	if (!row->held) {
		enum ipam_result rc = assign(ipam, i, now, &l, &err);
		ck_assert(rc == IPAM_OK || rc == IPAM_EXHAUSTED || rc == IPAM_COOLING);
		if (rc == IPAM_OK)
			*row = (struct model_row){ true, false, { l.addrs[0], l.addrs[1] } };
	} else if (!row->ready) {
		ck_assert_int_eq(ipam_ready(ipam, &o, "cali0", &err), IPAM_OK);
		row->ready = true;
	} else {
		ck_assert_int_eq(ipam_release(ipam, &o, now, &err), IPAM_OK);
		row->held = row->ready = false;
	}
}

START_TEST(random_use_with_restarts)
{
	struct model m = { 0 };
	struct disk d;
	uint64_t now = 1000;

	srand(1);
	disk_init(&d);
	struct ipam *ipam = open_at(&d, BOOT, now);
	two_blocks(ipam);
	for (int step = 0; step < 6000; step++) {
		now += (uint64_t)(rand() % 10);
		random_step(ipam, &m, (unsigned)rand() % OWNERS, now);
		if (rand() % 20)
			continue;
		compare(ipam, &m, -1);
		ipam_close(ipam); /* writes nothing: the same as a kill */
		ipam = open_at(&d, BOOT, now);
		compare(ipam, &m, -1);
	}
	use_up(ipam, now);
	ipam_close(ipam);
	disk_free(&d);
}
END_TEST

START_TEST(the_power_is_cut_at_any_moment)
{
	struct disk d;

	srand(2);
	disk_init(&d);
	for (int round = 0; round < 400; round++) {
		struct model m = { 0 };
		uint64_t now = 1000;
		struct ipam *ipam = open_at(&d, BOOT, now);
		two_blocks(ipam);
		int steps = 1 + rand() % 60;
		for (int step = 0; step < steps; step++)
			random_step(ipam, &m, (unsigned)rand() % OWNERS, now += 7);
		/* A group that nobody has been answered. */
		struct model unanswered = m;
		ipam_sync_begin(ipam);
		int group = rand() % 4;
		for (int i = 0; i < group; i++)
			random_step(ipam, &unanswered, (unsigned)(OWNERS - 1 - i), now);
		struct err err;
		d.cut = CUT_FAIL;
		d.errnum = EIO;
		d.step = 0;
		d.cut_at = rand() % 3;
		d.part = (unsigned)rand() % 5;
		ipam_sync_commit(ipam, &err);
		ipam_close(ipam);
		d.cut = CUT_NEVER;
		disk_power_cut(&d);

		ipam = open_at(&d, BOOT, now);
		for (unsigned i = 0; i < OWNERS; i++) {
			struct ipam_owner o = owner(i);
			struct ipam_lease l;
			bool found = ipam_find(ipam, &o, &l);
			if (i < OWNERS - (unsigned)group) {
				ck_assert_int_eq(found, m.row[i].held);
				if (found)
					ck_assert(addr_eq(&l.addrs[0], &m.row[i].addr[0]));
			}
		}
		use_up(ipam, now);
		ipam_close(ipam);
		disk_wipe(&d);
	}
	disk_free(&d);
}
END_TEST

/* ---- kill -9 ---- */

enum { SCRIPT = 40 };

struct ack {
	int step; /* this one is done */
	struct addr addr[2];
};

/* Runs the same steps each time, tells each that is done through the pipe, dies where told. */
static void victim(struct disk *d, int out)
{
	struct model m = { 0 };
	struct ipam_lease l;
	struct ipam *ipam =
		ipam_open_ops(d->dirfd, BOOT, 1000, &d->ops, SMALL / 2, &(struct err){ 0 });

	two_blocks(ipam);
	for (int step = 0; step < SCRIPT; step++) {
		unsigned i = (unsigned)(step * 5) % OWNERS;
		struct ipam_owner o = owner(i);
		struct ack ack = { .step = step };
		random_step(ipam, &m, i, 1000 + (uint64_t)step * 30);
		if (ipam_find(ipam, &o, &l))
			memcpy(ack.addr, l.addrs, sizeof(ack.addr));
		if (write(out, &ack, sizeof(ack)) != sizeof(ack))
			_exit(3);
	}
	_exit(0);
}

/* Returns whether the victim lived to its end. */
static bool kill_at(struct disk *d, long cut_at, unsigned part)
{
	struct model m = { 0 };
	struct ack ack;
	int fds[2], status, done = -1;

	disk_wipe(d);
	d->cut = CUT_KILL;
	d->cut_at = cut_at;
	d->part = part;
	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		victim(d, fds[1]);
	close(fds[1]);
	while (read(fds[0], &ack, sizeof(ack)) == sizeof(ack)) {
		struct model_row *row = &m.row[ack.step * 5 % OWNERS];
		if (!row->held)
			*row = (struct model_row){ true, false, { ack.addr[0], ack.addr[1] } };
		else if (!row->ready)
			row->ready = true;
		else
			row->held = row->ready = false;
		done = ack.step;
	}
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	bool lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	ck_assert(lived || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));

	d->cut = CUT_NEVER;
	struct ipam *ipam = open_at(d, BOOT, 5000);
	compare(ipam, &m, lived ? -1 : (done + 1) * 5 % OWNERS);
	two_blocks(ipam);
	use_up(ipam, 5000);
	ipam_close(ipam);
	return lived;
}

START_TEST(kill_9_at_every_record_boundary)
{
	struct disk d;
	unsigned long kills = 0;

	disk_init(&d);
	/* Every write, sync and rename of the whole life: before it, and with 1, 2, 3 and 4
	 * quarters of a write done. */
	for (unsigned part = 0; part <= 4; part++)
		for (long step = 0; !kill_at(&d, step, part); step++)
			kills++;
	ck_assert_uint_gt(kills, 5 * SCRIPT);
	disk_free(&d);
}
END_TEST

/* Where each acknowledged step ends in the file, and what holds from there on. */
struct mark {
	size_t end;
	struct model m;
};

static size_t end_of_records(struct disk *d, uint8_t *image)
{
	struct jhdr h;
	struct jscan s;
	struct jrec r;
	size_t len = disk_get(d, image);

	ck_assert_int_eq(jhdr_decode(image, len, &h), 0);
	jscan_init(&s, image, len, &h);
	while (jscan_next(&s, &r))
		;
	return s.off;
}

START_TEST(cut_at_every_byte)
{
	static uint8_t image[DISK_MAX], cut[DISK_MAX];
	static struct mark marks[24];
	enum { MARKS = sizeof(marks) / sizeof(marks[0]) };
	struct model m = { 0 };
	struct disk d;

	disk_init(&d);
	struct ipam *ipam = ipam_open_ops(d.dirfd, BOOT, 1000, &d.ops, 16384, &(struct err){ 0 });
	two_blocks(ipam);
	for (unsigned i = 0; i < MARKS; i++) {
		marks[i] = (struct mark){ end_of_records(&d, image), m };
		if (i + 1 < MARKS)
			random_step(ipam, &m, i * 5 % OWNERS, 1000 + i);
	}
	ipam_close(ipam);
	size_t len = disk_get(&d, image), end = marks[MARKS - 1].end;
	for (size_t t = marks[0].end; t <= end; t++) {
		for (int zeros = 0; zeros < 2; zeros++) {
			/* Where the rest reads as zeros, a record that ends in zeros is whole
			 * earlier. */
			size_t whole = t;
			while (zeros && whole < end && image[whole] == 0)
				whole++;
			unsigned at = 0;
			while (at + 1 < MARKS && marks[at + 1].end <= whole)
				at++;
			memcpy(cut, image, t);
			memset(cut + t, 0, len - t);
			disk_put(&d, cut, zeros ? len : t);
			ipam = open_at(&d, BOOT, 2000);
			compare(ipam, &marks[at].m, -1);
			ipam_close(ipam);
		}
	}
	disk_free(&d);
}
END_TEST

START_TEST(damage_in_the_middle_is_never_passed_over)
{
	static uint8_t image[DISK_MAX], bad[DISK_MAX];
	struct model m = { 0 };
	struct disk d;
	struct err err;

	disk_init(&d);
	struct ipam *ipam = ipam_open_ops(d.dirfd, BOOT, 1000, &d.ops, 16384, &err);
	two_blocks(ipam);
	/* Assigned, ready, released; READY alone is not waited for, so damage to one shows only
	 * when something that was came after it. */
	for (unsigned i = 0; i < 30; i++)
		random_step(ipam, &m, i * 5 % OWNERS, 1000 + i);
	size_t last = end_of_records(&d, image);
	for (unsigned i = 30; i < 32; i++)
		random_step(ipam, &m, i * 5 % OWNERS, 1000 + i);
	ipam_close(ipam);
	size_t len = disk_get(&d, image);
	for (size_t t = JHDR_SIZE; t < last; t += 3) {
		memcpy(bad, image, len);
		bad[t] ^= 0x41;
		disk_put(&d, bad, len);
		ck_assert_ptr_null(ipam_open_ops(d.dirfd, BOOT, 2000, &d.ops, SMALL, &err));
		ck_assert_ptr_nonnull(strstr(err.text, "ipam.journal: offset "));
	}
	disk_free(&d);
}
END_TEST

UNIT_MAIN("ipam", assign_gives_each_family_and_keeps_it, only_families_that_there_are_blocks_for,
	  all_or_nothing_when_one_family_is_exhausted, asked_for_addresses,
	  cooldown_and_order_survive_a_restart, cooldown_and_order_survive_a_snapshot,
	  after_a_reboot_leases_are_void_but_cool_down,
	  a_block_taken_away_is_listed_until_it_is_empty,
	  overlapping_blocks_never_give_one_address_twice, reservations, one_state_dir_one_process,
	  a_group_costs_one_sync, a_full_disk_refuses_and_heals, random_use_with_restarts,
	  the_power_is_cut_at_any_moment, kill_9_at_every_record_boundary, cut_at_every_byte,
	  damage_in_the_middle_is_never_passed_over)
