/* Which link an address is on, and what our address there is. */
#include "config.h"

#include "bgpd/ifaces.h"
#include "test/unit/unit.h"

static struct ifaces t;

static struct prefix pfx(const char *text)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

static struct addr adr(const char *text)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(text, &a), 0);
	return a;
}

static void add(uint32_t ifindex, const char *name, bool up, const char *const *addresses)
{
	struct prefix v[8];
	struct m_iface m = { .ifindex = ifindex, .name = name, .up = up };
	while (addresses[m.addresses.n]) {
		v[m.addresses.n] = pfx(addresses[m.addresses.n]);
		m.addresses.n++;
	}
	m.addresses.v = v;
	ifaces_set(&t, &m);
}

static void fill(void)
{
	t = (struct ifaces){ 0 };
	add(1, "lo", true, (const char *[]){ "127.0.0.1/8", "::1/128", "192.0.2.9/32", NULL });
	add(2, "eth0", true,
	    (const char *[]){ "fe80::2/64", "10.0.0.1/31", "fd00::1/64", "10.7.0.9/24", NULL });
	add(3, "eth1", false, (const char *[]){ "10.0.1.1/24", "fe80::3/64", NULL });
	add(4, "eth2", true, (const char *[]){ "fe80::4/64", NULL });
}

struct row {
	const char *addr;
	uint32_t ifindex; /* given */
	uint32_t want;	  /* 0: on no link */
};

static const struct row rows[] = {
	{ "10.0.0.0", 0, 2 },	{ "10.0.0.1", 0, 0 }, /* our own */
	{ "10.0.0.2", 0, 0 },	{ "10.7.0.200", 0, 2 }, { "10.7.0.200", 3, 0 },
	{ "10.0.1.7", 0, 0 }, /* its link is down */
	{ "fd00::99", 0, 2 },	{ "fd01::99", 0, 0 },	{ "fe80::77", 0, 0 },
	{ "fe80::77", 2, 2 },	{ "fe80::77", 4, 4 },	{ "fe80::77", 3, 0 },
	{ "192.0.2.10", 0, 0 }, /* a host route is no link */
};

START_TEST(link_of)
{
	fill();
	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		struct addr a = adr(rows[k].addr);
		const struct iface *i = ifaces_link_of(&t, &a, rows[k].ifindex);
		ck_assert_msg((i ? i->ifindex : 0) == rows[k].want, "%s", rows[k].addr);
	}
	ifaces_free(&t);
}
END_TEST

START_TEST(our_address)
{
	struct addr want4 = adr("10.0.0.1"), want6 = adr("fd00::1"), ll = adr("fe80::4"), a;
	fill();
	a = iface_address(ifaces_by_name(&t, "eth0"), FAM_V4);
	ck_assert(addr_eq(&a, &want4));
	a = iface_address(ifaces_by_name(&t, "eth0"), FAM_V6);
	ck_assert(addr_eq(&a, &want6)); /* rather than the link-local one */
	a = iface_address(ifaces_by_name(&t, "eth2"), FAM_V6);
	ck_assert(addr_eq(&a, &ll));
	a = iface_address(ifaces_by_name(&t, "eth2"), FAM_V4);
	ck_assert_uint_eq(a.fam, FAM_NONE);
	a = iface_address(ifaces_by_name(&t, "lo"), FAM_V6);
	ck_assert_uint_eq(a.fam, FAM_NONE); /* ::1 is no next hop */
	ck_assert_uint_eq(ifaces_owner(&t, &want6)->ifindex, 2);
	ck_assert_ptr_null(ifaces_owner(&t, &(struct addr){ 0 }));
	ifaces_free(&t);
}
END_TEST

START_TEST(changes)
{
	struct addr a = adr("10.0.1.7");
	fill();
	add(3, "eth1", true, (const char *[]){ "10.0.1.1/24", NULL });
	ck_assert_uint_eq(ifaces_link_of(&t, &a, 0)->ifindex, 3);
	ck_assert_uint_eq(t.n, 4);
	ifaces_del(&t, 3);
	ck_assert_ptr_null(ifaces_link_of(&t, &a, 0));
	ifaces_del(&t, 77);
	ifaces_stale(&t);
	add(2, "eth0", true, (const char *[]){ NULL });
	ck_assert_uint_eq(ifaces_sweep(&t), 2);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_ptr_nonnull(ifaces_by_index(&t, 2));
	ck_assert_ptr_null(ifaces_by_name(&t, "lo"));
	ifaces_free(&t);
}
END_TEST

UNIT_MAIN("ifaces", link_of, our_address, changes)
