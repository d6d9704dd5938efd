/* felix/nft over the real kernel: packets between two pod-like namespaces. */
#include "config.h"

#include <time.h>

#include "test/unit/nft_lab.h"

START_TEST(closed_then_open)
{
	struct lab l;

	lab_open(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(lab_ping(&l, fam, 0, 1)); /* no table: the lab itself works */
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		/* Before any class, interfaces of ours are shut, to the node too. */
		ck_assert(!lab_udp(&l, fam, 0, 1, 80));
		ck_assert(!lab_ping(&l, fam, -1, 1));
	}
	lab_pods(&l);
	lab_class(&l, 3, true, true);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		ck_assert(!lab_udp(&l, fam, 0, 1, 80));
		ck_assert(!lab_tcp(&l, fam, 0, 1, 80));
		ck_assert(!lab_ping(&l, fam, 0, 1));
		ck_assert(lab_udp(&l, fam, 1, 0, 80));
		ck_assert(lab_tcp(&l, fam, 1, 0, 80));
		ck_assert(lab_ping(&l, fam, 1, 0));
		ck_assert(lab_ping(&l, fam, -1, 1)); /* its own node always */
	}
	OPS->endpoint(l.n, 101, 3);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(lab_tcp(&l, fam, 0, 1, 80));
	OPS->endpoint(l.n, 101, CALC_CLASS_NONE);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		ck_assert(!lab_tcp(&l, fam, 0, 1, 80));
		ck_assert(lab_ping(&l, fam, -1, 1));
	}
	OPS->endpoint_del(l.n, 101);
	nft_iface_del(l.n, 101);
	lab_commit(&l);
	ck_assert(!lab_ping(&l, FAM_V4, -1, 1));
	lab_close(&l);
}
END_TEST

/* How class 2 treats pod 0 (identity 10, 20), and identity 0. */
START_TEST(rows_decide)
{
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		uint32_t id = fam == FAM_V4 ? 10 : 20;
		uint8_t icmp = fam == FAM_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		struct calc_row from_port = lab_row(IPPROTO_UDP, 300, 300, true, 9);

		from_port.slo = 5000;
		from_port.shi = 5009;
		ADD(&l, 2, fam, POLICY_INGRESS, id, lab_row(IPPROTO_TCP, 80, 80, true, 1),
		    lab_row(IPPROTO_TCP, 8000, 8010, true, 2),
		    lab_row(IPPROTO_UDP, 53, 53, true, 3),
		    lab_row(icmp, fam == FAM_V4 ? 8 : 128, fam == FAM_V4 ? 8 : 128, true, 4),
		    from_port);
		ADD(&l, 2, fam, POLICY_INGRESS, 0, lab_row(IPPROTO_UDP, 123, 123, true, 5));
		ADD(&l, 2, fam, POLICY_INGRESS, 999, lab_row(ANY, 0, 65535, true, 6));
	}
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		static const struct {
			unsigned port;
			bool tcp, udp;
		} cases[] = { { 79, 0, 0 },   { 80, 1, 0 },   { 81, 0, 0 },   { 7999, 0, 0 },
			      { 8000, 1, 0 }, { 8005, 1, 0 }, { 8010, 1, 0 }, { 8011, 0, 0 },
			      { 53, 0, 1 },   { 123, 0, 1 },  { 300, 0, 0 } };

		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			ck_assert_msg(lab_tcp(&l, fam, 0, 1, cases[i].port) == cases[i].tcp,
				      "family %d tcp %u", fam, cases[i].port);
			ck_assert_msg(lab_udp(&l, fam, 0, 1, cases[i].port) == cases[i].udp,
				      "family %d udp %u", fam, cases[i].port);
		}
		ck_assert(lab_ping(&l, fam, 0, 1));
		ck_assert(lab_udp_from(&l, fam, 0, 1, 300, 5000));
		ck_assert(lab_udp_from(&l, fam, 0, 1, 300, 5009));
		ck_assert(!lab_udp_from(&l, fam, 0, 1, 300, 5010));
	}
	lab_close(&l);
}
END_TEST

/* The sender's egress is asked first, and its consent is not the receiver's. */
START_TEST(both_ends)
{
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	lab_class(&l, 3, true, false);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		uint32_t id = fam == FAM_V4 ? 11 : 21;

		ADD(&l, 3, fam, POLICY_EGRESS, id, lab_row(IPPROTO_UDP, 0, 65535, true, 7),
		    lab_row(IPPROTO_TCP, 1, 100, true, 7));
		ADD(&l, 2, fam, POLICY_INGRESS, id - 1, lab_row(ANY, 0, 65535, true, 8),
		    lab_row(IPPROTO_UDP, 99, 99, false, 8));
	}
	OPS->endpoint(l.n, 100, 3);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++) {
		ck_assert(lab_udp(&l, fam, 0, 1, 80));
		ck_assert(!lab_udp(&l, fam, 0, 1, 99));
		ck_assert(lab_tcp(&l, fam, 0, 1, 100));
		ck_assert(!lab_tcp(&l, fam, 0, 1, 101));
		ck_assert(!lab_ping(&l, fam, 0, 1));
	}
	lab_close(&l);
}
END_TEST

static struct calc_atom atom(const char *first, const char *last, uint32_t ident)
{
	struct calc_atom a = { .ident = ident };

	ck_assert_int_eq(addr_parse(first, &a.first), 0);
	ck_assert_int_eq(addr_parse(last, &a.last), 0);
	return a;
}

/* Addresses that are no pod's: atoms, adjacent ones too; a pod's identity comes before. */
START_TEST(atoms_decide)
{
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	lab_address(&l, "10.1.0.1", 0);
	lab_address(&l, "fd00:0::1", 0);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 50, lab_row(ANY, 0, 65535, true, 1));
	ADD(&l, 2, FAM_V6, POLICY_INGRESS, 60, lab_row(ANY, 0, 65535, true, 1));
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(!lab_udp(&l, fam, 0, 1, 80));
	const struct calc_atom v4[] = { atom("0.0.0.0", "10.1.0.0", 51),
					atom("10.1.0.1", "10.1.0.1", 50),
					atom("10.1.0.2", "255.255.255.255", 51) };
	const struct calc_atom v6[] = { atom("fd00::", "fd00::ff", 60) };
	OPS->atoms(l.n, FAM_V4, v4, 3);
	OPS->atoms(l.n, FAM_V6, v6, 1);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(lab_udp(&l, fam, 0, 1, 80));
	OPS->atoms(l.n, FAM_V4, v4, 1);
	OPS->atoms(l.n, FAM_V6, v6, 0);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(!lab_udp(&l, fam, 0, 1, 80));
	OPS->atoms(l.n, FAM_V4, v4, 3);
	lab_address(&l, "10.1.0.1", 10);
	lab_commit(&l);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	lab_close(&l);
}
END_TEST

/* One map's change is one element; one that spans maps builds the chain anew. */
START_TEST(changes)
{
	const struct calc_row port = lab_row(IPPROTO_UDP, 80, 80, true, 1),
			      other = lab_row(IPPROTO_UDP, 81, 81, true, 1),
			      deny = lab_row(IPPROTO_UDP, 80, 80, false, 2),
			      range = lab_row(IPPROTO_UDP, 70, 90, true, 3),
			      all = lab_row(ANY, 0, 65535, true, 4);
	struct nft_result r;
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, port);
	r = lab_commit(&l);
	ck_assert(r.reloaded);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, &port, 1, &deny, 1);
	r = lab_commit(&l);
	ck_assert(!r.reloaded);
	ck_assert_uint_eq(r.flips, 0);
	ck_assert_uint_eq(r.transactions, 1);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, &deny, 1, &range, 1);
	r = lab_commit(&l);
	ck_assert(!r.reloaded);
	ck_assert_uint_eq(r.flips, 1);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 90));
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, &range, 1, &all, 1);
	lab_commit(&l);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 1));
	lab_rows(&l, OPS->rows_del, 2, FAM_V4, POLICY_INGRESS, 10, &all, 1, NULL, 0);
	r = lab_commit(&l);
	ck_assert_uint_eq(r.flips, 0);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 1));
	/* Two flushes before one commit: the row that left came again. */
	lab_rows(&l, OPS->rows_add, 2, FAM_V4, POLICY_INGRESS, 10, NULL, 0, &port, 1);
	lab_rows(&l, OPS->rows_del, 2, FAM_V4, POLICY_INGRESS, 10, &port, 1, NULL, 0);
	lab_rows(&l, OPS->rows_add, 2, FAM_V4, POLICY_INGRESS, 10, NULL, 0, &other, 1);
	lab_commit(&l);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 81));
	/* A pod's address that moves to another identity. */
	lab_address(&l, "10.1.0.1", 12);
	r = lab_commit(&l);
	ck_assert_uint_eq(r.transactions, 1);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 81));
	/* A change that spans maps which the chain already has. */
	ADD(&l, 1, FAM_V4, POLICY_INGRESS, 40, port);
	ADD(&l, 1, FAM_V4, POLICY_INGRESS, 41, range);
	lab_commit(&l);
	lab_rows(&l, OPS->rows_change, 1, FAM_V4, POLICY_INGRESS, 40, &port, 1, &range, 1);
	ck_assert_uint_eq(lab_commit(&l).flips, 1);
	/* Nothing of old generations is left. */
	SH("test $(nft list table ip selvage | grep -c 'chain c2-in') = 1");
	OPS->endpoint(l.n, 101, 1);
	OPS->class_del(l.n, 2);
	lab_commit(&l);
	SH("! nft list table ip selvage | grep c2-");
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 1));
	lab_close(&l);
}
END_TEST

/* Ranges that overlap are refused by the kernel: that class alone fails. */
START_TEST(failure_is_isolated)
{
	const struct calc_row bad[] = { lab_row(IPPROTO_UDP, 80, 90, true, 1),
					lab_row(IPPROTO_UDP, 85, 95, true, 1) },
			      all = lab_row(ANY, 0, 65535, true, 4);
	struct nft_result r;
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	lab_commit(&l);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	/* Class 2 fails and keeps its rules; class 3, in the same commit, holds. */
	lab_rows(&l, OPS->rows_add, 2, FAM_V4, POLICY_INGRESS, 10, NULL, 0, bad, 2);
	lab_class(&l, 3, true, true);
	OPS->endpoint(l.n, 100, 3);
	ck_assert_int_eq(nft_commit(l.n, &r), -1);
	ck_assert_uint_eq(r.failures, 1);
	ck_assert_int_eq(r.failed[0].object, NFT_OBJ_CLASS);
	ck_assert_uint_eq(r.failed[0].id, 2);
	ck_assert_int_ne(r.failed[0].err.code, 0);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	ck_assert(lab_udp(&l, FAM_V4, 1, 0, 80));
	SH("nft list map ip selvage to-pod | grep -q 'goto c3-in'");
	SH("nft list map ip selvage to-pod | grep -q 'goto c2-in-1'");
	/* It is tried again, and holds once it can. */
	ck_assert(nft_pending(l.n));
	ck_assert_int_eq(nft_commit(l.n, &r), -1);
	ck_assert_uint_eq(r.failed[0].id, 2);
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, bad, 2, &all, 1);
	lab_commit(&l);
	ck_assert(!nft_pending(l.n));
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
	lab_close(&l);
}
END_TEST

/* What no object can be blamed for leaves all as it was; also a whole reload without one class. */
START_TEST(failure_of_the_whole)
{
	const struct calc_row bad[] = { lab_row(IPPROTO_UDP, 80, 90, true, 1),
					lab_row(IPPROTO_UDP, 85, 95, true, 1) };
	struct nft_result r;
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, lab_row(IPPROTO_UDP, 80, 80, true, 1));
	lab_commit(&l);
	const struct calc_atom wrong[] = { atom("10.5.0.0", "10.5.0.200", 51),
					   atom("10.5.0.100", "10.5.1.0", 52) };
	OPS->atoms(l.n, FAM_V4, wrong, 2);
	lab_address(&l, "10.1.0.1", 77);
	ck_assert_int_eq(nft_commit(l.n, &r), -1);
	ck_assert_int_eq(r.failed[0].object, NFT_OBJ_ATOMS);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80)); /* as 10, not yet 77 */
	ck_assert(lab_udp(&l, FAM_V4, 1, 0, 80));
	OPS->atoms(l.n, FAM_V4, wrong, 1);
	r = lab_commit(&l);
	ck_assert(r.reloaded);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	lab_rows(&l, OPS->rows_add, 1, FAM_V4, POLICY_INGRESS, 11, NULL, 0, bad, 2);
	nft_resync(l.n);
	ck_assert_int_eq(nft_commit(l.n, &r), -1);
	ck_assert_uint_eq(r.failed[0].id, 1);
	SH("nft list map ip selvage to-pod | grep -q 'goto c2-in'");
	SH("! nft list map ip selvage to-pod | grep -q 'goto c1-in'");
	ck_assert(!lab_udp(&l, FAM_V4, 1, 0, 80)); /* without rules: shut */
	lab_close(&l);
}
END_TEST

static void expect_changed(struct lab *l, int want)
{
	struct err err = { 0 };

	ck_assert_msg(nft_changed(l->n, &err) == want, "%d wanted: %s", want, err.text);
}

/* Somebody else's hand in our tables is seen and mended; in theirs, it is none of our business. */
START_TEST(mended)
{
	static const char *const hands[] = {
		"nft flush ruleset",
		"nft delete table ip6 selvage",
		"nft flush chain ip selvage egress",
		"nft flush map ip selvage ipid",
		"nft insert rule ip selvage forward accept",
		"nft add element ip selvage ipid '{ 10.9.9.9 : 5 }'",
		("nft delete element ip selvage $(nft list table ip selvage | "
		 "grep -o 'c2-in-.*-port' | head -1) '{ 0x0a . udp . 80 }'"),
		"nft add chain ip selvage more",
	};
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	const struct calc_atom v[] = { atom("10.5.0.0", "10.5.0.255", 51),
				       atom("10.5.1.0", "10.5.1.255", 52),
				       atom("10.7.1.0", "10.7.1.7", 52) };
	OPS->atoms(l.n, FAM_V4, v, 3);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++) {
		ADD(&l, 2, fam, POLICY_INGRESS, fam * 10, lab_row(IPPROTO_UDP, 80, 80, true, 1),
		    lab_row(IPPROTO_UDP, 90, 99, true, 1), lab_row(IPPROTO_TCP, 0, 65535, true, 1),
		    lab_row(fam == FAM_V4 ? 1 : 58, 8, 8, true, 1));
	}
	lab_commit(&l);
	expect_changed(&l, 0);
	SH("nft add table ip other && nft add chain ip other c");
	expect_changed(&l, 0);
	for (unsigned i = 0; i < sizeof(hands) / sizeof(hands[0]); i++) {
		SH("%s", hands[i]);
		ck_assert_msg(nft_changed(l.n, &(struct err){ 0 }) == 1, "not seen: %s", hands[i]);
		expect_changed(&l, 1); /* until it is mended */
		nft_resync(l.n);
		lab_commit(&l);
		expect_changed(&l, 0);
		SH("nft add table ip other");
		expect_changed(&l, 0);
		ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
		ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 81));
	}
	/* One that comes between our own commits is not taken for ours. */
	SH("nft insert rule ip selvage forward accept");
	lab_address(&l, "10.1.7.7", 12);
	lab_commit(&l);
	expect_changed(&l, 1);
	lab_close(&l);
}
END_TEST

/* What is there when felix starts stays until the first commit, and then is gone. */
START_TEST(restart)
{
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, lab_row(IPPROTO_UDP, 80, 80, true, 1));
	lab_commit(&l);
	nft_close(l.n);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
	l.n = lab_nft();
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 80));
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 81));
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, lab_row(IPPROTO_UDP, 81, 81, true, 1));
	lab_commit(&l);
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 80));
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 81));
	lab_close(&l);
}
END_TEST

/* nft reads its own listing back, and it leads to policies. */
START_TEST(listing)
{
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	const struct calc_atom v[] = { atom("10.5.0.0", "10.5.0.255", 51) };
	OPS->atoms(l.n, FAM_V4, v, 1);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		for (int dir = 0; dir < POLICY_DIRECTIONS; dir++)
			ADD(&l, 2, fam, dir, 10, lab_row(IPPROTO_UDP, 80, 80, true, 1),
			    lab_row(IPPROTO_UDP, 90, 99, true, 1),
			    lab_row(IPPROTO_TCP, 0, 65535, true, 7),
			    lab_row(fam == FAM_V4 ? 1 : 58, 8, 8, true, 1));
	lab_commit(&l);
	SH("nft list ruleset | grep -q "
	   "'0x0000000a . udp . 80 .*comment \"r1 NetworkPolicy default/web ingress.1.\" : "
	   "accept'");
	SH("nft list ruleset | grep -q '0x0000000a . tcp .*ingress.7.* : accept'");
	SH("nft list ruleset | grep -q '0x0000000a . udp . 90-99 . 0-65535 .* : accept'");
	SH("nft list ruleset | grep -q '0x0000000a . echo-request . 0-255 .* : accept'");
	SH("nft list ruleset | grep -q 'comment \"default/web and 2 more\"'");
	SH("nft list ruleset | grep -q '10.5.0.0/24 : 0x00000033'");
	SH("f=$(mktemp) && nft list ruleset >$f && nft -c -f $f; r=$?; rm -f $f; exit $r");
	lab_close(&l);
}
END_TEST

static void count_rule(void *arg, uint32_t rule, uint64_t packets, uint64_t bytes)
{
	uint64_t *v = arg;

	if (rule < 8) {
		ck_assert_uint_eq(v[rule], 0); /* one call a rule */
		v[rule] = packets;
		ck_assert((packets == 0) == (bytes == 0));
	}
}

static uint64_t counted(struct lab *l, unsigned rule)
{
	uint64_t v[8] = { 0 };
	struct err err;

	ck_assert_int_eq(nft_counters(l->n, count_rule, v, &err), 0);
	return v[rule];
}

START_TEST(counters)
{
	const struct calc_row port = lab_row(IPPROTO_UDP, 80, 80, true, 1),
			      range = lab_row(IPPROTO_UDP, 80, 81, true, 1);
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, port, lab_row(IPPROTO_UDP, 99, 99, false, 2));
	ADD(&l, 2, FAM_V6, POLICY_INGRESS, 20, port);
	lab_commit(&l);
	for (int fam = FAM_V4; fam <= FAM_V6; fam++)
		ck_assert(lab_udp(&l, fam, 0, 1, 80));
	ck_assert(!lab_udp(&l, FAM_V4, 0, 1, 99));
	ck_assert_uint_eq(counted(&l, 1), 2); /* a new flow is one packet */
	ck_assert_uint_eq(counted(&l, 2), 1);
	/* An element that changes in place, a new generation and a reload lose nothing. */
	const struct calc_row deny = lab_row(IPPROTO_UDP, 99, 99, false, 2),
			      allow = lab_row(IPPROTO_UDP, 99, 99, true, 2);
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, &deny, 1, &allow, 1);
	ck_assert_uint_eq(lab_commit(&l).flips, 0);
	ck_assert_uint_eq(counted(&l, 2), 1);
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 10, &port, 1, &range, 1);
	ck_assert_uint_eq(lab_commit(&l).flips, 1);
	ck_assert_uint_eq(counted(&l, 1), 2);
	ck_assert(lab_udp(&l, FAM_V4, 0, 1, 81));
	ck_assert_uint_eq(counted(&l, 1), 3);
	nft_resync(l.n);
	lab_commit(&l);
	ck_assert_uint_eq(counted(&l, 1), 3);
	ck_assert_uint_eq(counted(&l, 2), 1);
	lab_close(&l);
}
END_TEST

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Sends new flows to ports 80 and 81 until the parent closes the pipe; then says how many. */
static void flood_child(struct lab *l, int stop, int report)
{
	const struct timespec pause = { .tv_nsec = 10000 };
	struct sockaddr_storage ss[2];
	socklen_t len = 0;
	uint32_t sent = 0;
	char c;
	int tx = lab_socket(l, 0, FAM_V4, SOCK_DGRAM, 0, 0, 7777);

	for (unsigned i = 0; i < 2; i++)
		len = lab_addr(&ss[i], FAM_V4, 1, 80 + i);
	/* Nobody answers, so that each packet is asked for as the first. */
	while (read(stop, &c, 1) < 0) {
		for (unsigned i = 0; i < 2; i++)
			if (sendto(tx, "x", 1, 0, (struct sockaddr *)&ss[i], len) != 1)
				_exit(1);
		sent++;
		nanosleep(&pause, NULL);
	}
	_exit(write(report, &sent, sizeof(sent)) == sizeof(sent) ? 0 : 1);
}

static uint32_t drain(int fd)
{
	uint32_t n = 0;
	char c;

	while (recv(fd, &c, 1, MSG_DONTWAIT) == 1)
		n++;
	return n;
}

static int flood_receiver(struct lab *l, unsigned port)
{
	int fd = lab_socket(l, 1, FAM_V4, SOCK_DGRAM, 0, 1, port), room = 16 << 20;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	return fd;
}

/* Pod 0's identity goes to and fro between 10 and 12, its rows between maps. */
static void churn(struct lab *l, unsigned i)
{
	const struct calc_row port = lab_row(IPPROTO_UDP, 80, 80, true, 1),
			      range = lab_row(IPPROTO_UDP, 79, 80, true, 1);
	uint32_t from = i & 1 ? 12 : 10, to = 22 - from;
	const struct calc_row *old = i & 2 ? &range : &port, *new = i & 2 ? &port : &range;

	lab_rows(l, OPS->rows_add, 2, FAM_V4, POLICY_INGRESS, to, NULL, 0, old, 1);
	lab_address(l, "10.1.0.1", to);
	lab_rows(l, OPS->rows_del, 2, FAM_V4, POLICY_INGRESS, from, old, 1, NULL, 0);
	lab_commit(l);
	if (i & 1) {
		lab_rows(l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, to, old, 1, new, 1);
		lab_commit(l);
	}
}

/* Zero allowed packets lost, zero denied passed. */
START_TEST(flood)
{
	int stop[2], report[2], status;
	uint32_t sent = 0, got = 0, passed = 0;
	unsigned flips = 0;
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	ADD(&l, 2, FAM_V4, POLICY_INGRESS, 10, lab_row(IPPROTO_UDP, 80, 80, true, 1));
	lab_commit(&l);
	int rx = flood_receiver(&l, 80), denied = flood_receiver(&l, 81);
	ck_assert_int_eq(pipe2(stop, O_NONBLOCK), 0);
	ck_assert_int_eq(pipe2(report, 0), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(stop[1]);
		flood_child(&l, stop[0], report[1]);
	}
	for (double end = now_ms() + 1500; now_ms() < end; flips++) {
		churn(&l, flips);
		got += drain(rx);
		passed += drain(denied);
	}
	close(stop[1]);
	ck_assert_int_eq(read(report[0], &sent, sizeof(sent)), sizeof(sent));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	got += drain(rx);
	passed += drain(denied);
	printf("flood: %u packets through %u changes, %u lost, %u denied passed\n", sent, flips,
	       sent - got, passed);
	ck_assert_uint_ge(flips, 20);
	ck_assert_uint_ge(sent, 1000);
	ck_assert_uint_eq(passed, 0);
	ck_assert_uint_eq(sent, got);
	close(rx);
	close(denied);
	lab_close(&l);
}
END_TEST

START_TEST(load)
{
	enum { ADDRESSES = 100000, ONES = 1000 };
	struct nft_result r;
	struct lab l;

	lab_open(&l);
	lab_pods(&l);
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		struct addr a = addr_v4(0x0a800000 + i);
		OPS->address(l.n, &a, 100 + i % 2000);
	}
	for (uint32_t i = 0; i < 2000; i++)
		ADD(&l, 2, FAM_V4, POLICY_INGRESS, 100 + i, lab_row(IPPROTO_TCP, 80, 80, true, i));
	double t = now_ms();
	r = lab_commit(&l);
	printf("load of %d addresses and 2000 rows: %.1f ms, %zu bytes\n", ADDRESSES, now_ms() - t,
	       r.bytes);
	SH("nft list map ip selvage ipid | grep -q '10.129.134.159 : '"); /* the last one */
	t = now_ms();
	for (uint32_t i = 0; i < ONES; i++) {
		struct addr a = addr_v4(0x0ab00000 + i);
		OPS->address(l.n, &a, 100);
		r = lab_commit(&l);
		ck_assert_uint_eq(r.transactions, 1);
	}
	printf("one address: %.1f us\n", (now_ms() - t) * 1e3 / ONES);
	t = now_ms();
	const struct calc_row port = lab_row(IPPROTO_TCP, 80, 80, true, 0),
			      range = lab_row(IPPROTO_TCP, 80, 81, true, 0);
	lab_rows(&l, OPS->rows_change, 2, FAM_V4, POLICY_INGRESS, 100, &port, 1, &range, 1);
	ck_assert_uint_eq(lab_commit(&l).flips, 1);
	printf("a new generation of 2000 rows: %.1f ms\n", now_ms() - t);
	t = now_ms();
	SH("nft add table ip other");
	expect_changed(&l, 0);
	printf("a comparison of all: %.1f ms\n", now_ms() - t);
	lab_close(&l);
}
END_TEST

UNIT_MAIN("nft_kernel", closed_then_open, rows_decide, both_ends, atoms_decide, changes,
	  failure_is_isolated, failure_of_the_whole, mended, restart, listing, counters, flood,
	  load)
