#include "config.h"

#include <sys/stat.h>

#include "test/unit/store_dir.h"
#include "test/unit/unit.h"

#define CALICO(kind, name)                                                                         \
	"apiVersion: projectcalico.org/v3\nkind: " kind "\nmetadata: {name: " name "}\n"
#define POOL(name, cidr)     CALICO("IPPool", name) "spec: {cidr: " cidr "}\n---\n"
#define OFF_POOL(name, cidr) CALICO("IPPool", name) "spec: {disabled: true, cidr: " cidr "}\n---\n"
#define AFF(name, node, cidr)                                                                      \
	CALICO("BlockAffinity", name) "spec: {node: " node ", cidr: " cidr "}\n---\n"
#define AFF_GONE(name, node, cidr, how)                                                            \
	CALICO("BlockAffinity", name) "spec: {node: " node ", cidr: " cidr ", " how "}\n---\n"
#define PEER(name, spec) CALICO("BGPPeer", name) "spec: {" spec "}\n---\n"

static struct arena arena;
static struct problems problems;

static bool check(const char *text, const char *net)
{
	struct store_dir dir;
	struct prefix nets[1];
	bool fatal;

	ck_assert_int_eq(prefix_parse(net, &nets[0]), 0);
	dir_make(&dir);
	dir_write(&dir, "a.yaml", text);
	struct store *s = dir_open(&dir);

	ck_assert(!store_has_error(s, ""));
	problems = (struct problems){ .arena = &arena };
	store_check(s, nets, 1, &problems, &fatal);
	store_close(s);
	dir_free(&dir);
	return fatal;
}

START_TEST(what_one_object_cannot_see)
{
	static const struct {
		const char *text;
		bool fatal;
		const char *expect; /* NULL: nothing is wrong */
	} rows[] = {
		{ "", false, NULL },
		{ POOL("a", "10.1.0.0/16") POOL("b", "10.2.0.0/16") POOL("c", "'fd00::/48'"), false,
		  NULL },
		{ POOL("a", "10.1.0.0/16") POOL("b", "10.1.128.0/17"), true,
		  "a.yaml:6: IPPool \"b\" (10.1.128.0/17) overlaps IPPool \"a\" (10.1.0.0/16, "
		  "a.yaml:1)" },
		{ POOL("a", "10.1.0.0/16") POOL("b", "10.0.0.0/8"), true, "overlaps IPPool \"a\"" },
		{ POOL("a", "10.1.0.0/16") OFF_POOL("b", "10.1.0.0/16"), false,
		  "overlaps IPPool \"a\"" },
		{ POOL("a", "192.168.0.0/16"), true,
		  "a.yaml:1: IPPool \"a\" (192.168.0.0/16) overlaps this node's network "
		  "192.168.7.0/24" },
		{ POOL("a", "192.168.7.0/25"), true, "overlaps this node's network" },
		{ OFF_POOL("a", "192.168.0.0/16"), false, NULL },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/26")
			  AFF("y", "n2", "10.1.0.64/26"),
		  false, NULL },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/26")
			  AFF("y", "n2", "10.1.0.0/26"),
		  true,
		  "BlockAffinity \"y\": block 10.1.0.0/26 of node n2 is also 10.1.0.0/26 of node "
		  "n1 "
		  "(a.yaml:6)" },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.64/26")
			  AFF("y", "n2", "10.1.0.0/24"),
		  true,
		  "BlockAffinity \"x\": block 10.1.0.64/26 of node n1 lies in block 10.1.0.0/24" },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/26")
			  AFF("y", "n1", "10.1.0.0/26"),
		  false, "remove one of them" },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/26")
			  AFF_GONE("y", "n2", "10.1.0.0/26", "deleted: 'true'"),
		  false, NULL },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/26")
			  AFF_GONE("y", "n2", "10.1.0.0/26", "state: pending"),
		  false, NULL },
		{ POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.2.0.0/26"), false,
		  "BlockAffinity \"x\": block 10.2.0.0/26 lies in no IPPool" },
		{ PEER("t", "peerIP: 10.0.0.1, asNumber: 1") PEER("u", "peerSelector: all()"),
		  false, NULL },
		{ PEER("t", "nodeSelector: all()"), false, "a.yaml:1: BGPPeer \"t\" names no one" },
		{ PEER("t", "node: n9, peerIP: 10.0.0.1, asNumber: 1"), false, NULL },
		{ CALICO("Node", "n1") "---\n" PEER("t", "node: n9, peerIP: 10.0.0.1, asNumber: 1"),
		  false, "BGPPeer \"t\": spec.node: there is no Node \"n9\"" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool fatal = check(rows[i].text, "192.168.7.5/24");

		ck_assert_msg(fatal == rows[i].fatal, "row %zu: fatal %d", i, fatal);
		ck_assert_msg(problems.n == (rows[i].expect ? 1 : 0), "row %zu: %u problems, %s", i,
			      problems.n, problems.n ? problems.text[0] : "");
		if (rows[i].expect)
			ck_assert_msg(strstr(problems.text[0], rows[i].expect) != NULL,
				      "row %zu: %s", i, problems.text[0]);
	}
}
END_TEST

/* Three nodes claim parts of one block: each is told against the one that covers it. */
START_TEST(nested_affinities)
{
	bool fatal = check(POOL("a", "10.1.0.0/16") AFF("x", "n1", "10.1.0.0/24")
				   AFF("y", "n2", "10.1.0.0/26") AFF("z", "n3", "10.1.0.192/26")
					   AFF("w", "n4", "10.1.1.0/26"),
			   "192.168.0.1/24");

	ck_assert(fatal);
	ck_assert_uint_eq(problems.n, 2);
	ck_assert_ptr_nonnull(strstr(problems.text[1], "\"z\""));
}
END_TEST

/* Only a file that others can get at is named. */
START_TEST(secrets_in_the_open)
{
	static const struct {
		const char *kind;
		mode_t dir, file;
		bool named;
	} rows[] = {
		{ "Secret", 0755, 0644, true },	    { "Secret", 0755, 0604, true },
		{ "Secret", 0755, 0640, false },    { "Secret", 0750, 0644, false },
		{ "Namespace", 0755, 0644, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store_dir dir;
		bool fatal;

		dir_make(&dir);
		dir_write(&dir, "a.yaml",
			  arena_printf(&arena, "apiVersion: v1\nkind: %s\nmetadata: {name: s}\n",
				       rows[i].kind));
		ck_assert_int_eq(fchmodat(dir.fd, "a.yaml", rows[i].file, 0), 0);
		ck_assert_int_eq(fchmod(dir.fd, rows[i].dir), 0);
		struct store *s = dir_open(&dir);

		problems = (struct problems){ .arena = &arena };
		store_check(s, NULL, 0, &problems, &fatal);
		ck_assert(!fatal);
		ck_assert_msg(problems.n == rows[i].named, "row %zu", i);
		if (problems.n)
			ck_assert_msg(strstr(problems.text[0], "a.yaml:1: Secret \"s\": everyone"),
				      "%s", problems.text[0]);
		store_close(s);
		dir_free(&dir);
	}
}
END_TEST

UNIT_MAIN("store_check", secrets_in_the_open, what_one_object_cannot_see, nested_affinities)
