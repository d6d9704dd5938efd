#include <stdarg.h>
#include <stdio.h>

#include "wire_util.h"

/* Sessions: external or internal, AS numbers of 4 or 2 octets, and what else was agreed. */
#define BOTH (FAMILY_BIT(FAM_V4) | FAMILY_BIT(FAM_V6))
#define V4   FAMILY_BIT(FAM_V4)
#define V6   FAMILY_BIT(FAM_V6)
#define SESSION(...)                                                                               \
	&(const struct bgp_session_ctx)                                                            \
	{                                                                                          \
		.peer_as = 65001, __VA_ARGS__                                                      \
	}
#define E4     SESSION(.as4 = true, .ebgp = true, .families = BOTH)
#define I4     SESSION(.as4 = true, .families = BOTH)
#define E2     SESSION(.ebgp = true, .families = BOTH)
#define FIRST  SESSION(.as4 = true, .ebgp = true, .families = BOTH, .check_first_as = true)
#define FIRST2 SESSION(.ebgp = true, .families = BOTH, .check_first_as = true)
#define ONLY4  SESSION(.as4 = true, .ebgp = true, .families = V4)
#define ONLY6  SESSION(.as4 = true, .ebgp = true, .families = V6)
#define PATHS  SESSION(.as4 = true, .ebgp = true, .families = BOTH, .add_path = BOTH)
#define EXT    SESSION(.as4 = true, .ebgp = true, .families = BOTH, .ext_nexthop = V4)

#define OK	 UPDATE_OK
#define DISCARD	 UPDATE_DISCARD
#define WITHDRAW UPDATE_WITHDRAW
#define RESET	 UPDATE_RESET

/* Pieces, in hex. */
#define ORIGIN	 "400101 00 "
#define PATH	 "400206 0201 0000fde9 "
#define PATH2	 "400204 0201 fde9 "
#define HOP	 "400304 0a000001 "
#define BASE	 ORIGIN PATH HOP
#define MP_BASE	 ORIGIN PATH
#define N	 "18 0a0100 "
#define GLOBAL	 "20010db8000000000000000000000001 "
#define LINK	 "fe800000000000000000000000000001 "
#define REACH6	 "800e1a 0002 01 10 " GLOBAL "00 20 20010db8 "
#define UNREACH6 "800f08 0002 01 20 20010db8 "
#define ROUTE	 "IGP 65001 10.1.0.0/24 via 10.0.0.1"
#define ROUTE6	 "IGP 65001 2001:db8::/32 via 2001:db8::1"

struct row {
	const char *name;
	const struct bgp_session_ctx *session;
	const char *withdrawn, *attrs, *nlri;
	enum update_outcome outcome;
	const char *text;   /* part of what is said, NULL: nothing */
	const char *fields; /* the update as show() writes it, NULL: not looked at */
};

static const struct row rows[] = {
	/* ---- well-formed ---- */
	{ "announce", E4, "", BASE, N, OK, NULL, ROUTE },
	{ "order does not matter", E4, "", HOP PATH ORIGIN, N, OK, NULL, ROUTE },
	{ "extended length bit", E4, "", "50010001 00 " PATH HOP, N, OK, NULL, ROUTE },
	{ "withdraw", E4, N, "", "", OK, NULL, "-10.1.0.0/24" },
	{ "both", E4, "10 ac10", BASE, N, OK, NULL, "-172.16.0.0/16 " ROUTE },
	{ "default route", E4, "", BASE, "00", OK, NULL, "IGP 65001 0.0.0.0/0 via 10.0.0.1" },
	{ "host bits are cleared", E4, "", BASE, "09 0aff", OK, NULL,
	  "IGP 65001 10.128.0.0/9 via 10.0.0.1" },
	{ "host bits at the end of the field", E4, "", BASE, "14 0affff", OK, NULL,
	  "IGP 65001 10.255.240.0/20 via 10.0.0.1" },
	{ "host bits in the middle", E4, "", BASE, "09 0aff 15 0affff 00 18 0a0100", OK, NULL,
	  "IGP 65001 10.128.0.0/9 10.255.248.0/21 0.0.0.0/0 10.1.0.0/24 via 10.0.0.1" },
	{ "IPv6", E4, "", REACH6 MP_BASE, "", OK, NULL, ROUTE6 },
	{ "IPv6 last", E4, "", MP_BASE REACH6, "", OK, NULL, ROUTE6 },
	{ "IPv6 withdraw", E4, "", UNREACH6, "", OK, NULL, "-2001:db8::/32" },
	{ "IPv6 host bits", E4, "", "800e18 0002 01 10 " GLOBAL "00 0b 20ff " MP_BASE, "", OK, NULL,
	  "IGP 65001 20e0::/11 via 2001:db8::1" },
	{ "IPv6 default", E4, "", "800e16 0002 01 10 " GLOBAL "00 00 " MP_BASE, "", OK, NULL,
	  "IGP 65001 ::/0 via 2001:db8::1" },
	{ "both families at once", E4, N, UNREACH6 REACH6 BASE, N, OK, NULL,
	  "-10.1.0.0/24 -2001:db8::/32 " ROUTE " 2001:db8::/32 via 2001:db8::1" },
	{ "add-path", PATHS, "", BASE, "00000007 " N "00000008 " N, OK, NULL,
	  "IGP 65001 10.1.0.0/24#7 10.1.0.0/24#8 via 10.0.0.1" },
	{ "add-path withdraw", PATHS, "ffffffff " N, "", "", OK, NULL, "-10.1.0.0/24#4294967295" },
	{ "everything", I4, "",
	  BASE "800404 0000000a 400504 00000064 400600 c00708 00011170 0a000009 c00804 fde90064 "
	       "800904 0a000007 800a08 0a000008 0a000009 c01008 0002fde900000001 "
	       "c0200c 0000fde9 00000001 00000002 ",
	  N, OK, NULL,
	  ROUTE " med 10 pref 100 atomic aggregator 70000 10.0.0.9 comm 65001:100 originator "
		"10.0.0.7 clusters 2 ext rt:65001:1 large 65001:1:2" },

	/* ---- next hops ---- */
	{ "IPv6 with link-local", E4, "",
	  "800e2a 0002 01 20 " GLOBAL LINK "00 20 20010db8 " MP_BASE, "", OK, NULL,
	  ROUTE6 " fe80::1" },
	{ "link-local alone", E4, "", "800e1a 0002 01 10 " LINK "00 20 20010db8 " MP_BASE, "", OK,
	  NULL, "IGP 65001 2001:db8::/32 via fe80::1 fe80::1" },
	{ "link-local behind ::", E4, "",
	  "800e2a 0002 01 20 00000000000000000000000000000000 " LINK "00 20 20010db8 " MP_BASE, "",
	  OK, NULL, "IGP 65001 2001:db8::/32 via fe80::1 fe80::1" },
	{ "second address is global", E4, "",
	  "800e2a 0002 01 20 " GLOBAL GLOBAL "00 20 20010db8 " MP_BASE, "", OK, NULL, ROUTE6 },
	{ "IPv4 in MP_REACH", E4, "", "800e0d 0001 01 04 0a000001 00 18 0a0100 " MP_BASE, "", OK,
	  NULL, ROUTE },
	/* RFC 8950 */
	{ "IPv4 over IPv6", EXT, "", "800e19 0001 01 10 " GLOBAL "00 18 0a0100 " MP_BASE, "", OK,
	  NULL, "IGP 65001 10.1.0.0/24 via 2001:db8::1" },
	{ "IPv4 over IPv6 and link-local", EXT, "",
	  "800e29 0001 01 20 " GLOBAL LINK "00 18 0a0100 " MP_BASE, "", OK, NULL,
	  "IGP 65001 10.1.0.0/24 via 2001:db8::1 fe80::1" },
	{ "IPv4 over IPv6, not agreed", E4, "", "800e19 0001 01 10 " GLOBAL "00 18 0a0100 " MP_BASE,
	  "", RESET, "MP_REACH_NLRI: a next hop of a length", NULL },
	{ "IPv6 over IPv4", E4, "", "800e0e 0002 01 04 0a000001 00 20 20010db8 " MP_BASE, "", RESET,
	  "MP_REACH_NLRI: a next hop of a length", NULL },
	{ "next hop of 15", E4, "",
	  "800e19 0002 01 0f 20010db80000000000000000000000 00 20 20010db8 " MP_BASE, "", RESET,
	  "next hop of a length", NULL },
	{ "next hop of 0", E4, "", "800e0a 0002 01 00 00 20 20010db8 " MP_BASE, "", RESET,
	  "next hop of a length", NULL },
	{ "next hop runs over", E4, "", "800e14 0002 01 10 " GLOBAL MP_BASE, "", RESET,
	  "next hop runs past", NULL },
	{ "second next hop runs over", E4, "",
	  "800e1a 0002 01 20 " GLOBAL "00 20 20010db8 " MP_BASE, "", RESET, "next hop runs past",
	  NULL },
	{ "next hop ::", E4, "",
	  "800e1a 0002 01 10 00000000000000000000000000000000 00 20 20010db8 " MP_BASE, "",
	  WITHDRAW, "MP_REACH_NLRI: :: cannot be a next hop", NULL },
	{ "next hop ::1", E4, "",
	  "800e1a 0002 01 10 00000000000000000000000000000001 00 20 20010db8 " MP_BASE, "",
	  WITHDRAW, "cannot be a next hop", NULL },
	{ "next hop ff02::1", E4, "",
	  "800e1a 0002 01 10 ff020000000000000000000000000001 00 20 20010db8 " MP_BASE, "",
	  WITHDRAW, "cannot be a next hop", NULL },
	{ "next hop 0.0.0.0", E4, "", ORIGIN PATH "400304 00000000", N, WITHDRAW,
	  "NEXT_HOP: 0.0.0.0 cannot", NULL },
	{ "next hop 127.0.0.1", E4, "", ORIGIN PATH "400304 7f000001", N, WITHDRAW, "NEXT_HOP: 127",
	  NULL },
	{ "next hop 224.0.0.1", E4, "", ORIGIN PATH "400304 e0000001", N, WITHDRAW, "NEXT_HOP: 224",
	  NULL },
	{ "next hop 255.255.255.255", E4, "", ORIGIN PATH "400304 ffffffff", N, WITHDRAW,
	  "NEXT_HOP: 255", NULL },
	{ "martian in MP_REACH, IPv4", E4, "", "800e0d 0001 01 04 00000000 00 18 0a0100 " MP_BASE,
	  "", WITHDRAW, "MP_REACH_NLRI: 0.0.0.0", NULL },
	/* RFC 4760 section 3: NEXT_HOP of an UPDATE without IPv4 NLRI is ignored. */
	{ "NEXT_HOP beside MP_REACH", E4, "", REACH6 MP_BASE "400304 00000000", "", OK, NULL,
	  ROUTE6 },
	{ "short NEXT_HOP beside MP_REACH", E4, "", REACH6 MP_BASE "400302 0a00", "", OK, NULL,
	  ROUTE6 },

	/* ---- RFC 7606 section 3 (b): lengths; the rest is in raw_messages ---- */
	/* section 3 (c): flags */
	{ "ORIGIN optional", E4, "", "c00101 00 " PATH HOP, N, WITHDRAW, "ORIGIN: flags", NULL },
	{ "ORIGIN not transitive", E4, "", "000101 00 " PATH HOP, N, WITHDRAW, "ORIGIN: flags",
	  NULL },
	{ "ORIGIN partial", E4, "", "600101 00 " PATH HOP, N, WITHDRAW, "ORIGIN: flags", NULL },
	{ "unused flag bits are ignored", E4, "", "4f0101 00 " PATH HOP, N, OK, NULL, ROUTE },
	{ "AS_PATH optional", E4, "", ORIGIN "c00206 0201 0000fde9 " HOP, N, WITHDRAW,
	  "AS_PATH: flags", NULL },
	{ "NEXT_HOP optional", E4, "", MP_BASE "c00304 0a000001", N, WITHDRAW, "NEXT_HOP: flags",
	  NULL },
	{ "MED transitive", E4, "", BASE "c00404 0000000a", N, WITHDRAW, "MULTI_EXIT_DISC: flags",
	  NULL },
	{ "MED well-known", E4, "", BASE "400404 0000000a", N, WITHDRAW, "MULTI_EXIT_DISC: flags",
	  NULL },
	{ "MED partial", E4, "", BASE "a00404 0000000a", N, WITHDRAW, "MULTI_EXIT_DISC: flags",
	  NULL },
	{ "LOCAL_PREF optional", I4, "", BASE "c00504 00000064", N, WITHDRAW, "LOCAL_PREF: flags",
	  NULL },
	{ "ATOMIC_AGGREGATE optional", E4, "", BASE "c00600", N, WITHDRAW,
	  "ATOMIC_AGGREGATE: flags", NULL },
	{ "AGGREGATOR well-known", E4, "", BASE "400708 00011170 0a000009", N, WITHDRAW,
	  "AGGREGATOR: flags", NULL },
	{ "COMMUNITIES not transitive", E4, "", BASE "800804 fde90064", N, WITHDRAW,
	  "COMMUNITIES: flags", NULL },
	{ "COMMUNITIES partial is allowed", E4, "", BASE "e00804 fde90064", N, OK, NULL,
	  ROUTE " comm 65001:100" },
	{ "ORIGINATOR_ID transitive", I4, "", BASE "c00904 0a000007", N, WITHDRAW,
	  "ORIGINATOR_ID: flags", NULL },
	{ "CLUSTER_LIST transitive", I4, "", BASE "c00a04 0a000007", N, WITHDRAW,
	  "CLUSTER_LIST: flags", NULL },
	{ "EXTENDED_COMMUNITIES not transitive", E4, "", BASE "801008 0002fde900000001", N,
	  WITHDRAW, "EXTENDED_COMMUNITIES: flags", NULL },
	{ "AS4_PATH not transitive", E2, "", ORIGIN PATH2 HOP "801106 0201 00011170", N, WITHDRAW,
	  "AS4_PATH: flags", NULL },
	{ "LARGE_COMMUNITIES not transitive", E4, "", BASE "80200c 0000fde9 00000001 00000002", N,
	  WITHDRAW, "LARGE_COMMUNITIES: flags", NULL },
	/* section 5.3: flags of the MP attributes */
	{ "MP_REACH transitive", E4, "", "c00e1a 0002 01 10 " GLOBAL "00 20 20010db8 " MP_BASE, "",
	  RESET, "MP_REACH_NLRI: flags", NULL },
	{ "MP_UNREACH well-known", E4, "", "400f08 0002 01 20 20010db8", "", RESET,
	  "MP_UNREACH_NLRI: flags", NULL },

	/* ---- section 3 (d): missing ---- */
	{ "no ORIGIN", E4, "", PATH HOP, N, WITHDRAW, "ORIGIN is missing", NULL },
	{ "no AS_PATH", E4, "", ORIGIN HOP, N, WITHDRAW, "AS_PATH is missing", NULL },
	{ "no NEXT_HOP", E4, "", ORIGIN PATH, N, WITHDRAW, "NEXT_HOP is missing", NULL },
	{ "no attributes", E4, "", "", N, WITHDRAW, "is missing", NULL },
	{ "IPv6 without ORIGIN", E4, "", REACH6 PATH, "", WITHDRAW, "ORIGIN is missing", NULL },
	{ "IPv6 without AS_PATH", E4, "", REACH6 ORIGIN, "", WITHDRAW, "AS_PATH is missing", NULL },
	{ "IPv6 beside IPv4 without NEXT_HOP", E4, "", REACH6 MP_BASE, N, WITHDRAW,
	  "NEXT_HOP is missing", NULL },
	{ "internal without LOCAL_PREF", I4, "", BASE, N, OK, NULL, ROUTE },

	/* ---- section 3 (g): twice ---- */
	{ "ORIGIN twice", E4, "", BASE "400101 02", N, DISCARD, "ORIGIN: more than once", ROUTE },
	{ "COMMUNITIES twice", E4, "", BASE "c00804 fde90064 c00804 fde90065", N, DISCARD,
	  "COMMUNITIES: more than once", ROUTE " comm 65001:100" },
	{ "second one malformed", E4, "", BASE "400100", N, DISCARD, "ORIGIN: more than once",
	  ROUTE },
	{ "unknown twice", E4, "", BASE "c0fe01 aa c0fe01 bb", N, DISCARD,
	  "attribute 254: more than once", ROUTE " unknown e0fe01aa" },
	{ "MP_REACH twice", E4, "", REACH6 REACH6 MP_BASE, "", RESET,
	  "MP_REACH_NLRI: more than once", NULL },
	{ "MP_UNREACH twice", E4, "", UNREACH6 UNREACH6, "", RESET,
	  "MP_UNREACH_NLRI: more than once", NULL },

	/* ---- section 3 (h): the harshest ---- */
	{ "discard and withdraw", E4, "", "400101 07 " PATH HOP "400601 00", N, WITHDRAW, "ORIGIN",
	  NULL },
	{ "withdraw and reset", E4, "",
	  "400101 07 " PATH "c00e1a 0002 01 10 " GLOBAL "00 20 20010db8 ", N, RESET,
	  "MP_REACH_NLRI", NULL },

	/* ---- section 4: overruns ---- */
	{ "last attribute runs over", E4, "", BASE "c00808 fde90064", N, WITHDRAW,
	  "path attribute 8 runs past the end", NULL },
	{ "runs over by the header alone", E4, "", BASE "c00804 fde900", N, WITHDRAW,
	  "path attribute 8 runs past the end", NULL },
	{ "one octet left over", E4, "", BASE "c0", N, WITHDRAW, "1 octets behind the last", NULL },
	{ "two octets left over", E4, "", BASE "c008", N, WITHDRAW, "2 octets behind", NULL },
	{ "half an extended length", E4, "", BASE "d00800", N, WITHDRAW, "runs past the end",
	  NULL },
	{ "MP_REACH is cut", E4, "", MP_BASE "800e1a 0002 01 10 " GLOBAL, "", RESET,
	  "path attribute 14 runs past", NULL },
	{ "MP_REACH is cut beside IPv4", E4, "", BASE "800e1a 0002 01 10 " GLOBAL, N, RESET,
	  "path attribute 14 runs past", NULL },
	{ "MP_UNREACH is cut", E4, "", BASE "800f08 0002 01 20", N, RESET,
	  "path attribute 15 runs past", NULL },

	/* ---- section 5.2: errors where no route is announced ---- */
	{ "bad ORIGIN without a route", E4, "", "400101 07", "", RESET, "ORIGIN", NULL },
	{ "bad ORIGIN beside a withdrawal", E4, N, "400101 07", "", RESET, "ORIGIN", NULL },
	{ "bad ORIGIN beside MP_UNREACH", E4, "", UNREACH6 "400101 07", "", RESET, "ORIGIN", NULL },
	{ "bad ORIGIN with an empty MP_REACH", E4, "",
	  "800e15 0002 01 10 " GLOBAL "00 400101 07 " PATH, "", RESET, "ORIGIN", NULL },
	{ "attribute discard without a route", E4, "", "400601 00", "", DISCARD, "ATOMIC_AGGREGATE",
	  "" },
	{ "overrun without a route", E4, "", ORIGIN "40", "", RESET, "behind the last", NULL },
	{ "good attributes without a route", E4, "", BASE, "", OK, NULL, "" },

	/* ---- section 5.3: prefixes ---- */
	{ "/33", E4, "", BASE "", "21 0a01000000", RESET, "a prefix is too long", NULL },
	{ "/255", E4, "", BASE, "ff 0a010000", RESET, "a prefix is too long", NULL },
	{ "runs over", E4, "", BASE, N "18 0a01", RESET, "runs past the end", NULL },
	{ "withdrawn /33", E4, "21 0a01000000", "", "", RESET, "withdrawn prefix is too long",
	  NULL },
	{ "withdrawn runs over", E4, "18 0a01", "", "", RESET, "withdrawn prefix", NULL },
	{ "half a path id", PATHS, "", BASE, "000000", RESET, "runs past the end", NULL },
	{ "/33 with a path id", PATHS, "", BASE, "00000007 21 0a01000000", RESET, "too long",
	  NULL },
	{ "path id without a prefix", PATHS, "", BASE, "00000007", RESET, "runs past", NULL },
	{ "IPv6 /129", E4, "",
	  "800e27 0002 01 10 " GLOBAL "00 81 20010db80000000000000000000000000000 " MP_BASE, "",
	  RESET, "MP_REACH_NLRI: a prefix", NULL },
	{ "IPv6 runs over", E4, "", "800e19 0002 01 10 " GLOBAL "00 20 20010d " MP_BASE, "", RESET,
	  "MP_REACH_NLRI: a prefix", NULL },
	{ "IPv6 withdrawn runs over", E4, "", "800f08 0002 01 40 20010db8", "", RESET,
	  "MP_UNREACH_NLRI: a prefix", NULL },
	{ "IPv4 /33 in MP_UNREACH", E4, "", "800f09 0001 01 21 0a01000000", "", RESET,
	  "MP_UNREACH_NLRI: a prefix", NULL },
	{ "MP_REACH of 4", E4, "", "800e04 0002 01 10 " MP_BASE, "", RESET,
	  "MP_REACH_NLRI: a wrong length", NULL },
	{ "MP_UNREACH of 2", E4, "", "800f02 0002", "", RESET, "MP_UNREACH_NLRI: a wrong length",
	  NULL },
	/* RFC 4271 section 6.3: semantically incorrect prefixes are ignored. */
	{ "multicast is ignored", E4, "", BASE, "04 e0 " N "20 e0000001", OK, NULL, ROUTE },
	{ "loopback is ignored", E4, "", BASE, "08 7f " N, OK, NULL, ROUTE },
	{ "IPv6 link-local and multicast are ignored", E4, "",
	  "800e1f 0002 01 10 " GLOBAL "00 0a fe80 08 ff 20 20010db8 " MP_BASE, "", OK, NULL,
	  ROUTE6 },

	/* ---- section 7: each attribute ---- */
	{ "ORIGIN empty", E4, "", "400100 " PATH HOP, N, WITHDRAW, "ORIGIN: a wrong length", NULL },
	{ "ORIGIN of 2", E4, "", "400102 0000 " PATH HOP, N, WITHDRAW, "ORIGIN: a wrong length",
	  NULL },
	{ "ORIGIN 3", E4, "", "400101 03 " PATH HOP, N, WITHDRAW, "ORIGIN: a value", NULL },
	{ "ORIGIN 255", E4, "", "400101 ff " PATH HOP, N, WITHDRAW, "ORIGIN: a value", NULL },
	{ "AS_PATH: segment type 0", E4, "", ORIGIN "400206 0001 0000fde9 " HOP, N, WITHDRAW,
	  "unknown type", NULL },
	{ "AS_PATH: segment type 5", E4, "", ORIGIN "400206 0501 0000fde9 " HOP, N, WITHDRAW,
	  "unknown type", NULL },
	{ "AS_PATH: empty segment", E4, "", ORIGIN "400202 0200 " HOP, N, WITHDRAW,
	  "without an AS number", NULL },
	{ "AS_PATH: overrun", E4, "", ORIGIN "400206 0202 0000fde9 " HOP, N, WITHDRAW, "runs past",
	  NULL },
	{ "AS_PATH: underrun", E4, "", ORIGIN "400207 0201 0000fde9 02 " HOP, N, WITHDRAW,
	  "left over", NULL },
	{ "AS_PATH: AS 0 (RFC 7607)", E4, "", ORIGIN "400206 0201 00000000 " HOP, N, WITHDRAW,
	  "AS number 0", NULL },
	{ "AS_PATH: confederation (RFC 5065)", E4, "", ORIGIN "400206 0301 0000fde9 " HOP, N,
	  WITHDRAW, "confederation", NULL },
	{ "AS_PATH: confederation, internal", I4, "", ORIGIN "400206 0401 0000fde9 " HOP, N,
	  WITHDRAW, "confederation", NULL },
	{ "AS_PATH: 4 octets where 2 were agreed", E2, "", BASE, N, WITHDRAW, "AS_PATH", NULL },
	{ "AS_PATH: empty, internal", I4, "", ORIGIN "400200 " HOP, N, OK, NULL,
	  "IGP 10.1.0.0/24 via 10.0.0.1" },
	{ "AS_PATH: set", E4, "", ORIGIN "400210 0201 0000fde9 0102 0000fdea 0000fdeb " HOP, N, OK,
	  NULL, "IGP 65001 {65002,65003} 10.1.0.0/24 via 10.0.0.1" },
	{ "first AS", FIRST, "", BASE, N, OK, NULL, ROUTE },
	{ "first AS is another", FIRST, "", ORIGIN "400206 0201 0000fdea " HOP, N, WITHDRAW,
	  "starts with AS 65002, not with the peer's 65001", NULL },
	{ "first is a set", FIRST, "", ORIGIN "400206 0101 0000fde9 " HOP, N, WITHDRAW,
	  "starts with AS 0", NULL },
	{ "no first AS", FIRST, "", ORIGIN "400200 " HOP, N, WITHDRAW, "starts with AS 0", NULL },
	{ "first AS of 2 octets", FIRST2, "", ORIGIN PATH2 HOP, N, OK, NULL, ROUTE },
	{ "NEXT_HOP of 3", E4, "", MP_BASE "400303 0a0000", N, WITHDRAW, "NEXT_HOP: a wrong length",
	  NULL },
	{ "NEXT_HOP of 16", E4, "", MP_BASE "400310 " GLOBAL, N, WITHDRAW,
	  "NEXT_HOP: a wrong length", NULL },
	{ "NEXT_HOP empty", E4, "", MP_BASE "400300", N, WITHDRAW, "NEXT_HOP: a wrong length",
	  NULL },
	{ "MED of 3", E4, "", BASE "800403 00000a", N, WITHDRAW, "MULTI_EXIT_DISC: a wrong length",
	  NULL },
	{ "MED of 5", E4, "", BASE "800405 000000000a", N, WITHDRAW,
	  "MULTI_EXIT_DISC: a wrong length", NULL },
	{ "MED empty", E4, "", BASE "800400", N, WITHDRAW, "MULTI_EXIT_DISC: a wrong length",
	  NULL },
	{ "LOCAL_PREF from outside", E4, "", BASE "400504 00000064", N, DISCARD,
	  "LOCAL_PREF: from an external peer", ROUTE },
	{ "LOCAL_PREF of 3 from outside", E4, "", BASE "400503 000064", N, DISCARD,
	  "LOCAL_PREF: from an external peer", ROUTE },
	{ "LOCAL_PREF of 3", I4, "", BASE "400503 000064", N, WITHDRAW,
	  "LOCAL_PREF: a wrong length", NULL },
	{ "LOCAL_PREF empty", I4, "", BASE "400500", N, WITHDRAW, "LOCAL_PREF: a wrong length",
	  NULL },
	{ "ATOMIC_AGGREGATE of 1", E4, "", BASE "400601 00", N, DISCARD,
	  "ATOMIC_AGGREGATE: a wrong length", ROUTE },
	{ "AGGREGATOR of 6 with 4 octets", E4, "", BASE "c00706 fde9 0a000009", N, DISCARD,
	  "AGGREGATOR: a length", ROUTE },
	{ "AGGREGATOR of 7", E4, "", BASE "c00707 00fde9 0a000009", N, DISCARD,
	  "AGGREGATOR: a wrong length", ROUTE },
	{ "AGGREGATOR of 9", E4, "", BASE "c00709 0000fde9 0a000009 00", N, DISCARD,
	  "AGGREGATOR: a wrong length", ROUTE },
	{ "AGGREGATOR of 8 with 2 octets", E2, "", ORIGIN PATH2 HOP "c00708 0000fde9 0a000009", N,
	  DISCARD, "AGGREGATOR: a length", ROUTE },
	{ "AGGREGATOR: AS 0 (RFC 7607)", E4, "", BASE "c00708 00000000 0a000009", N, DISCARD,
	  "AGGREGATOR: AS number 0", ROUTE },
	{ "COMMUNITIES empty", E4, "", BASE "c00800", N, WITHDRAW, "COMMUNITIES: a wrong length",
	  NULL },
	{ "COMMUNITIES of 5", E4, "", BASE "c00805 fde9006400", N, WITHDRAW,
	  "COMMUNITIES: a wrong length", NULL },
	{ "ORIGINATOR_ID from outside", E4, "", BASE "800904 0a000007", N, DISCARD,
	  "ORIGINATOR_ID: from an external peer", ROUTE },
	{ "ORIGINATOR_ID of 3 from outside", E4, "", BASE "800903 0a0000", N, DISCARD,
	  "ORIGINATOR_ID: from an external peer", ROUTE },
	{ "ORIGINATOR_ID of 5", I4, "", BASE "800905 0a00000700", N, WITHDRAW,
	  "ORIGINATOR_ID: a wrong length", NULL },
	{ "CLUSTER_LIST from outside", E4, "", BASE "800a04 0a000007", N, DISCARD,
	  "CLUSTER_LIST: from an external peer", ROUTE },
	{ "CLUSTER_LIST empty from outside", E4, "", BASE "800a00", N, DISCARD,
	  "CLUSTER_LIST: from an external peer", ROUTE },
	{ "CLUSTER_LIST empty", I4, "", BASE "800a00", N, WITHDRAW, "CLUSTER_LIST: a wrong length",
	  NULL },
	{ "CLUSTER_LIST of 5", I4, "", BASE "800a05 0a00000700", N, WITHDRAW,
	  "CLUSTER_LIST: a wrong length", NULL },
	{ "EXTENDED_COMMUNITIES empty", E4, "", BASE "c01000", N, WITHDRAW,
	  "EXTENDED_COMMUNITIES: a wrong length", NULL },
	{ "EXTENDED_COMMUNITIES of 9", E4, "", BASE "c01009 0002fde90000000100", N, WITHDRAW,
	  "EXTENDED_COMMUNITIES: a wrong length", NULL },
	{ "EXTENDED_COMMUNITIES of 12", E4, "", BASE "c0100c 0002fde9 00000001 00000000", N,
	  WITHDRAW, "EXTENDED_COMMUNITIES: a wrong length", NULL },
	{ "IPV6_EXTENDED_COMMUNITIES of 21", E4, "",
	  BASE "c01915 000220010db8000000000000000000000001000100", N, WITHDRAW,
	  "IPV6_EXTENDED_COMMUNITIES: a wrong length", NULL },
	{ "LARGE_COMMUNITIES empty", E4, "", BASE "c02000", N, WITHDRAW,
	  "LARGE_COMMUNITIES: a wrong length", NULL },
	{ "LARGE_COMMUNITIES of 13", E4, "", BASE "c0200d 0000fde9000000010000000200", N, WITHDRAW,
	  "LARGE_COMMUNITIES: a wrong length", NULL },
	{ "LARGE_COMMUNITIES of 16", E4, "", BASE "c02010 0000fde9 00000001 00000002 00000003", N,
	  WITHDRAW, "LARGE_COMMUNITIES: a wrong length", NULL },
	{ "ONLY_TO_CUSTOMER of 3", E4, "", BASE "c02303 00fde9", N, WITHDRAW,
	  "ONLY_TO_CUSTOMER: a wrong length", NULL },
	{ "ONLY_TO_CUSTOMER goes on", E4, "", BASE "c02304 0000fde9", N, OK, NULL,
	  ROUTE " unknown e023040000fde9" },

	/* ---- RFC 6793 ---- */
	{ "2 octets", E2, "", ORIGIN PATH2 HOP, N, OK, NULL, ROUTE },
	{ "AS4_PATH", E2, "", ORIGIN "400206 0202 fde9 5ba0 " HOP "c01106 0201 00011170", N, OK,
	  NULL, "IGP 65001 70000 10.1.0.0/24 via 10.0.0.1" },
	{ "AS4_PATH before AS_PATH", E2, "",
	  ORIGIN "c01106 0201 00011170 400206 0202 fde9 5ba0 " HOP, N, OK, NULL,
	  "IGP 65001 70000 10.1.0.0/24 via 10.0.0.1" },
	{ "AS4_PATH longer than AS_PATH", E2, "", ORIGIN PATH2 HOP "c0110a 0202 00011170 00011171",
	  N, OK, NULL, ROUTE },
	{ "AS4_PATH of 5", E2, "", ORIGIN PATH2 HOP "c01105 0201 000111", N, DISCARD,
	  "AS4_PATH: a wrong length", ROUTE },
	{ "AS4_PATH of 7", E2, "", ORIGIN PATH2 HOP "c01107 0201 00011170 00", N, DISCARD,
	  "AS4_PATH: a wrong length", ROUTE },
	{ "AS4_PATH overrun", E2, "", ORIGIN PATH2 HOP "c01106 0202 00011170", N, DISCARD,
	  "AS4_PATH: a segment runs past", ROUTE },
	{ "AS4_PATH segment type 0", E2, "", ORIGIN PATH2 HOP "c01106 0001 00011170", N, DISCARD,
	  "AS4_PATH: a segment of unknown type", ROUTE },
	{ "AS4_PATH: AS 0 (RFC 7607)", E2, "", ORIGIN PATH2 HOP "c01106 0201 00000000", N, DISCARD,
	  "AS4_PATH: AS number 0", ROUTE },
	{ "AS4_PATH where 4 octets were agreed", E4, "", BASE "c01106 0201 00011170", N, DISCARD,
	  "AS4_PATH: sent although", ROUTE },
	{ "AS4_AGGREGATOR", E2, "",
	  ORIGIN PATH2 HOP "c00706 5ba0 0a000009 c01208 00011170 0a000009", N, OK, NULL,
	  ROUTE " aggregator 70000 10.0.0.9" },
	{ "AS4_AGGREGATOR without AS_TRANS: it and AS4_PATH are ignored", E2, "",
	  ORIGIN "400206 0202 fde9 5ba0 " HOP
		 "c00706 fdea 0a000009 c01106 0201 00011170 c01208 00011170 0a000009",
	  N, OK, NULL, "IGP 65001 23456 10.1.0.0/24 via 10.0.0.1 aggregator 65002 10.0.0.9" },
	{ "AS4_AGGREGATOR of 7", E2, "", ORIGIN PATH2 HOP "c01207 00011170 0a0000", N, DISCARD,
	  "AS4_AGGREGATOR: a wrong length", ROUTE },
	{ "AS4_AGGREGATOR: AS 0 (RFC 7607)", E2, "", ORIGIN PATH2 HOP "c01208 00000000 0a000009", N,
	  DISCARD, "AS4_AGGREGATOR: AS number 0", ROUTE },
	{ "AS4_AGGREGATOR where 4 octets were agreed", E4, "", BASE "c01208 00011170 0a000009", N,
	  DISCARD, "AS4_AGGREGATOR: sent although", ROUTE },

	/* ---- unknown attributes: RFC 4271 sections 5 and 6.3 ---- */
	{ "unknown well-known", E4, "", BASE "406301 00", N, RESET,
	  "attribute 99: well-known, but not known", NULL },
	{ "unknown optional, not transitive", E4, "", BASE "80fd04 deadbeef", N, OK, NULL, ROUTE },
	{ "unknown optional transitive", E4, "", BASE "c0fe04 deadbeef", N, OK, NULL,
	  ROUTE " unknown e0fe04deadbeef" },
	{ "unknown and empty", E4, "", BASE "e0fe00", N, OK, NULL, ROUTE " unknown e0fe00" },
	{ "unknown with the long length", E4, "", BASE "d0fe0001 aa", N, OK, NULL,
	  ROUTE " unknown f0fe0001aa" },
	{ "unknown ones are sorted", E4, "", BASE "c0fe01 aa c0c801 bb c0d201 cc", N, OK, NULL,
	  ROUTE " unknown e0c801bbe0d201cce0fe01aa" },

	/* ---- families that were not agreed are passed over ---- */
	{ "IPv6 where only IPv4 was agreed", ONLY4, "", UNREACH6 REACH6 BASE, N, OK, NULL, ROUTE },
	{ "IPv4 where only IPv6 was agreed", ONLY6, N, REACH6 BASE, N, OK, NULL, ROUTE6 },
	{ "a family that nobody knows", E4, "", "800e0c 0019 46 04 0a000001 00 000102 " MP_BASE, "",
	  OK, NULL, "" },
	{ "bad ORIGIN with it", E4, "", "800e0c 0019 46 04 0a000001 00 000102 400101 07 " PATH, "",
	  WITHDRAW, "ORIGIN", NULL },
	{ "multicast SAFI", E4, "", "800e1a 0002 02 10 " GLOBAL "00 20 20010db8 " MP_BASE, "", OK,
	  NULL, "" },

	/* ---- RFC 4724 section 2: End-of-RIB ---- */
	{ "End-of-RIB IPv4", E4, "", "", "", OK, NULL, "end-of-rib 4" },
	{ "End-of-RIB IPv6", E4, "", "800f03 0002 01", "", OK, NULL, "end-of-rib 6" },
	{ "End-of-RIB IPv4 in MP_UNREACH", E4, "", "800f03 0001 01", "", OK, NULL, "end-of-rib 4" },
	{ "End-of-RIB with the long length", E4, "", "900f0003 0002 01", "", OK, NULL,
	  "end-of-rib 6" },
	{ "End-of-RIB, not agreed", ONLY6, "", "", "", OK, NULL, "" },
	{ "End-of-RIB IPv6, not agreed", ONLY4, "", "800f03 0002 01", "", OK, NULL, "" },
	{ "no End-of-RIB: another attribute", E4, "", "800f03 0002 01 " ORIGIN, "", OK, NULL, "" },
	{ "no End-of-RIB: a withdrawal", E4, N, "800f03 0002 01", "", OK, NULL, "-10.1.0.0/24" },
};

static uint8_t scratch[2 * BGP_MAX_EXTENDED];

static size_t update_from_hex(uint8_t *buf, size_t size, const char *withdrawn, const char *attrs,
			      const char *nlri)
{
	struct wr w = wr_over(buf, size);
	size_t at;

	message_from_hex(buf, size, BGP_UPDATE, "0000");
	w.len = BGP_HEADER + 2;
	wr_hex(&w, withdrawn);
	put_u16(buf + BGP_HEADER, (uint16_t)(w.len - BGP_HEADER - 2));
	at = w.len;
	wr_u16(&w, 0);
	wr_hex(&w, attrs);
	put_u16(buf + at, (uint16_t)(w.len - at - 2));
	wr_hex(&w, nlri);
	put_u16(buf + 16, (uint16_t)w.len);
	return w.len;
}

/* What was decoded, as one line of words. */
struct line {
	char text[1024];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct line *l, const char *fmt, ...)
{
	va_list ap;

	if (l->len)
		l->text[l->len++] = ' ';
	va_start(ap, fmt);
	l->len += (size_t)vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
	va_end(ap);
}

static void say_prefixes(struct line *l, struct nlri n, const char *sign)
{
	char buf[PREFIX_STRLEN];
	struct prefix p;
	uint32_t id;

	while (nlri_next(&n, &p, &id)) {
		prefix_format(&p, buf, sizeof(buf));
		if (n.add_path)
			say(l, "%s%s#%u", sign, buf, id);
		else
			say(l, "%s%s", sign, buf);
	}
}

static void say_addr(struct line *l, const char *word, const struct addr *a)
{
	char buf[ADDR_STRLEN];

	if (a->fam != FAM_NONE)
		say(l, "%s%s", word, addr_format(a, buf, sizeof(buf)));
}

static void say_attrs(struct line *l, const struct attrs *a)
{
	char buf[256];
	struct addr id;

	if (a->has_med)
		say(l, "med %u", a->med);
	if (a->has_local_pref)
		say(l, "pref %u", a->local_pref);
	if (a->atomic_aggregate)
		say(l, "atomic");
	if (a->has_aggregator) {
		id = addr_v4(a->aggregator_id);
		say(l, "aggregator %u", a->aggregator_as);
		say_addr(l, "", &id);
	}
	for (unsigned i = 0; i < a->communities.len; i += 4) {
		const uint8_t *p = a->communities.p + i;

		say(l, "comm %u:%u", p[0] << 8 | p[1], p[2] << 8 | p[3]);
	}
	if (a->has_originator) {
		id = addr_v4(a->originator);
		say_addr(l, "originator ", &id);
	}
	if (a->cluster_list.len)
		say(l, "clusters %u", a->cluster_list.len / 4);
	for (unsigned i = 0; i < a->ext_communities.len; i += 8)
		say(l, "ext %s", ext_community_format(a->ext_communities.p + i, buf, sizeof(buf)));
	for (unsigned i = 0; i < a->large_communities.len; i += 12)
		say(l, "large %s",
		    large_community_format(a->large_communities.p + i, buf, sizeof(buf)));
	if (a->unknown.len)
		say(l, "unknown%s", " ");
	for (unsigned i = 0; i < a->unknown.len; i++)
		l->len += (size_t)sprintf(l->text + l->len, "%02x", a->unknown.p[i]);
}

static const char *show(struct line *l, const struct bgp_update *u)
{
	static const char *const origins[] = { "IGP", "EGP", "INCOMPLETE" };
	char buf[256];

	*l = (struct line){ 0 };
	for (int i = 0; i < 2; i++)
		say_prefixes(l, u->withdrawn[i], "-");
	for (int i = 0; i < 2; i++) {
		if (!u->reach[i].len)
			continue;
		if (i == 0 || !u->reach[0].len) {
			say(l, "%s", origins[u->attrs.origin]);
			if (u->attrs.as_path.len)
				say(l, "%s", as_path_format(u->attrs.as_path, buf, sizeof(buf)));
		}
		say_prefixes(l, u->reach[i], "");
		say_addr(l, "via ", &u->nexthop[i].global);
		say_addr(l, "", &u->nexthop[i].linklocal);
	}
	if (u->reach[0].len || u->reach[1].len)
		say_attrs(l, &u->attrs);
	for (unsigned fam = FAM_V4; fam <= FAM_V6; fam++)
		if (u->end_of_rib & FAMILY_BIT(fam))
			say(l, "end-of-rib %d", fam == FAM_V4 ? 4 : 6);
	return l->text;
}

static void check_row(const struct row *row)
{
	uint8_t buf[1024];
	size_t len = update_from_hex(buf, sizeof(buf), row->withdrawn, row->attrs, row->nlri);
	struct bgp_update u;
	struct line l;

	memset(&u, 0xa5, sizeof(u)); /* nothing of what was there may shine through */
	bgp_update_decode(buf, len, row->session, scratch, sizeof(scratch), &u);
	ck_assert_msg(u.outcome == row->outcome, "%s: outcome %d, not %d (%s)", row->name,
		      u.outcome, row->outcome, u.error.text);
	if (row->text)
		ck_assert_msg(strstr(u.error.text, row->text), "%s: says \"%s\"", row->name,
			      u.error.text);
	if (row->outcome == UPDATE_OK)
		ck_assert_msg(!u.error.text[0], "%s: says \"%s\"", row->name, u.error.text);
	else
		ck_assert_msg(u.error.code == BERR_UPDATE && u.error.subcode, "%s: %u/%u",
			      row->name, u.error.code, u.error.subcode);
	if (row->fields)
		ck_assert_msg(!strcmp(show(&l, &u), row->fields), "%s: \"%s\"", row->name, l.text);
	if (u.outcome >= UPDATE_WITHDRAW)
		ck_assert_msg(u.raw.len == 0, "%s: raw is set", row->name);
}

START_TEST(update_rows)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}
END_TEST

/* Treat-as-withdraw needs the prefixes. */
START_TEST(withdraw_keeps_prefixes)
{
	uint8_t buf[256];
	size_t len = update_from_hex(buf, sizeof(buf), "10 ac10", "400101 07 " REACH6 PATH HOP, N);
	struct bgp_update u;
	struct prefix p;
	char text[PREFIX_STRLEN];

	bgp_update_decode(buf, len, E4, scratch, sizeof(scratch), &u);
	ck_assert_int_eq(u.outcome, UPDATE_WITHDRAW);
	ck_assert(nlri_next(&u.reach[0], &p, NULL));
	ck_assert_str_eq(prefix_format(&p, text, sizeof(text)), "10.1.0.0/24");
	ck_assert(nlri_next(&u.reach[1], &p, NULL));
	ck_assert_str_eq(prefix_format(&p, text, sizeof(text)), "2001:db8::/32");
	ck_assert(nlri_next(&u.withdrawn[0], &p, NULL));
	ck_assert_str_eq(prefix_format(&p, text, sizeof(text)), "172.16.0.0/16");
}
END_TEST

/* RFC 7606 section 3 (b), and what NOTIFICATIONs carry. */
START_TEST(raw_messages)
{
	static const struct {
		const char *name, *body;
		uint8_t subcode;
		unsigned data_len;
	} cases[] = {
		{ "withdrawn length runs over", "0005 0000", 1, 0 },
		{ "attribute length runs over", "0000 0005 40010100", 1, 0 },
		{ "both together", "0002 0003 ffff", 1, 0 },
		{ "withdrawn length 65535", "ffff 0000", 1, 0 },
		{ "attribute length 65535", "0000 ffff", 1, 0 },
		{ "no room for the second length", "0001 0000", 1, 0 },
		{ "unknown well-known", "0000 0004 40630100", 2, 4 },
		{ "bad prefix", "0000 0000 21", 10, 0 },
		{ "short MP_UNREACH", "0000 0005 800f020002", 5, 5 },
		{ "bad flags of MP_UNREACH", "0000 0006 400f03000201", 4, 6 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[256];
		size_t len = message_from_hex(buf, sizeof(buf), BGP_UPDATE, cases[i].body);
		struct bgp_update u;

		bgp_update_decode(buf, len, E4, scratch, sizeof(scratch), &u);
		ck_assert_msg(u.outcome == UPDATE_RESET, "%s: outcome %d", cases[i].name,
			      u.outcome);
		ck_assert_msg(u.error.code == BERR_UPDATE && u.error.subcode == cases[i].subcode,
			      "%s: %u/%u", cases[i].name, u.error.code, u.error.subcode);
		ck_assert_msg(u.error.data_len == cases[i].data_len, "%s: %u octets", cases[i].name,
			      u.error.data_len);
	}
}
END_TEST

/* What a NOTIFICATION quotes is cut to what struct bgp_error holds. */
START_TEST(long_quote)
{
	char attr[700] = "4063fa";
	uint8_t buf[1024];
	struct bgp_update u;
	size_t len;

	for (int i = 0; i < 250; i++)
		strcat(attr, "aa");
	len = update_from_hex(buf, sizeof(buf), "", attr, N);
	bgp_update_decode(buf, len, E4, scratch, sizeof(scratch), &u);
	ck_assert_int_eq(u.outcome, UPDATE_RESET);
	ck_assert_uint_eq(u.error.data_len, sizeof(u.error.data));
}
END_TEST

/* The cache's key: the attributes without the MP ones, where they lie together. */
START_TEST(raw_block)
{
	static const struct {
		const char *attrs, *nlri, *raw;
	} cases[] = {
		{ BASE, N, BASE },
		{ REACH6 MP_BASE, "", MP_BASE },
		{ MP_BASE REACH6, "", MP_BASE },
		{ UNREACH6 REACH6 MP_BASE, "", MP_BASE },
		{ UNREACH6 MP_BASE REACH6, "", MP_BASE },
		{ ORIGIN REACH6 PATH, "", "" },
		{ UNREACH6, "", "" },
		{ "400101 07 " PATH HOP, N, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[512], want[512];
		struct wr w = wr_over(want, sizeof(want));
		size_t len = update_from_hex(buf, sizeof(buf), "", cases[i].attrs, cases[i].nlri);
		struct bgp_update u;

		wr_hex(&w, cases[i].raw);
		bgp_update_decode(buf, len, E4, scratch, sizeof(scratch), &u);
		ck_assert_msg(u.raw.len == w.len, "case %zu: %u octets", i, u.raw.len);
		ck_assert(!w.len || !memcmp(u.raw.p, want, w.len));
	}
}
END_TEST

/* A 2-octet path that has no room in 16 bits when it is widened. */
START_TEST(path_too_long)
{
	static uint8_t buf[BGP_MAX_EXTENDED];
	struct wr w = wr_over(buf, sizeof(buf));
	struct bgp_update u;

	message_from_hex(buf, sizeof(buf), BGP_UPDATE, "0000 0000");
	w.len = BGP_HEADER + 4;
	wr_hex(&w, ORIGIN HOP "5002 0000");
	for (int seg = 0; seg < 100; seg++) {
		wr_u16(&w, 0x02ff);
		for (int i = 0; i < 255; i++)
			wr_u16(&w, 65001);
	}
	put_u16(buf + BGP_HEADER + 2 + 2 + 4 + 7 + 2, 100 * 512);
	put_u16(buf + BGP_HEADER + 2, (uint16_t)(w.len - BGP_HEADER - 4));
	wr_hex(&w, N);
	put_u16(buf + 16, (uint16_t)w.len);
	bgp_update_decode(buf, w.len, E2, scratch, sizeof(scratch), &u);
	ck_assert_int_eq(u.outcome, UPDATE_WITHDRAW);
	ck_assert_msg(strstr(u.error.text, "too long") != NULL, "%s", u.error.text);
}
END_TEST

/* No byte after the message is read, wherever it is cut: the buffers have the exact size, which
 * AddressSanitizer and valgrind watch. */
START_TEST(every_cut)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[1024];
		size_t len = update_from_hex(buf, sizeof(buf), rows[i].withdrawn, rows[i].attrs,
					     rows[i].nlri);

		for (size_t cut = 0; cut <= len; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);
			struct bgp_update u;
			struct prefix p;

			memcpy(exact, buf, cut);
			bgp_update_decode(exact, cut, rows[i].session, scratch, sizeof(scratch),
					  &u);
			for (int k = 0; k < 2 && u.outcome != UPDATE_RESET; k++) {
				while (nlri_next(&u.reach[k], &p, NULL))
					ck_assert(!prefix_has_host_bits(&p));
				while (nlri_next(&u.withdrawn[k], &p, NULL))
					ck_assert(!prefix_has_host_bits(&p));
			}
			free(exact);
		}
	}
}
END_TEST

UNIT_MAIN("wire_update", update_rows, withdraw_keeps_prefixes, raw_messages, long_quote, raw_block,
	  path_too_long, every_cut)
