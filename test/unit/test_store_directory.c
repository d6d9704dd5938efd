#include "config.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test/unit/store_dir.h"
#include "test/unit/unit.h"

#define POOL(name, cidr)                                                                           \
	"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: " name                   \
	"}\nspec: {cidr: " cidr "}\n"
#define NODE(name) "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: " name "}\n"

static struct store_dir dir;

static uint8_t pool_octet(const struct store *s, const char *name)
{
	const struct object *o = store_find(s, KIND_IPPOOL, "", name);

	return o ? ((const struct spec_ippool *)o->spec)->cidr.addr.b[1] : 255;
}

static unsigned count(const struct store *s, enum kind k)
{
	unsigned n;

	store_list(s, k, &n);
	return n;
}

START_TEST(reads_what_it_should)
{
	struct store_status st;

	dir_make(&dir);
	dir_write(&dir, "a.yaml", POOL("b", "10.1.0.0/16") "---\n" POOL("a", "10.2.0.0/16"));
	dir_write(&dir, "b.yml", "# a comment\n%YAML 1.1\n---\n" POOL("c", "10.3.0.0/16"));
	dir_write(&dir, ".hidden.yaml", POOL("h", "10.4.0.0/16"));
	dir_write(&dir, "c.yaml.bak", POOL("i", "10.5.0.0/16"));
	dir_write(&dir, "d.json", "{}");
	dir_write(&dir, "e.yaml", "");
	struct store *s = dir_open(&dir);
	unsigned n;
	const struct object *const *v = store_list(s, KIND_IPPOOL, &n);

	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(v[0]->name, "a");
	ck_assert_str_eq(v[1]->name, "b");
	ck_assert_str_eq(v[2]->name, "c");
	ck_assert_str_eq(v[0]->origin, "a.yaml:6");
	store_status(s, &st);
	ck_assert_str_eq(st.kind, "directory");
	ck_assert(st.synced);
	ck_assert_uint_eq(st.nerrors, 0);
	ck_assert_uint_gt(st.last_contact, 1700000000);
	ck_assert_ptr_null(store_find(s, KIND_IPPOOL, "", "h"));
	ck_assert_ptr_null(store_find(s, KIND_NODE, "", "a"));
	store_close(s);
	dir_free(&dir);
}
END_TEST

START_TEST(one_broken_document_harms_no_other)
{
	dir_make(&dir);
	dir_write(&dir, "a.yaml",
		  POOL("a", "10.1.0.0/16") "---\nkind: [\n---\n" POOL(
			  "b", "10.2.0.1/16") "---\n" POOL("c", "10.3.0.0/16"));
	struct store *s = dir_open(&dir);

	ck_assert_uint_eq(count(s, KIND_IPPOOL), 2);
	ck_assert_uint_eq(pool_octet(s, "c"), 3);
	ck_assert(store_has_error(s, "a.yaml:7:1: not valid YAML"));
	ck_assert(store_has_error(
		s, "a.yaml:11:14: IPPool \"b\": spec.cidr: \"10.2.0.1/16\" has bits"));
	store_close(s);
	dir_free(&dir);
}
END_TEST

START_TEST(duplicates)
{
	dir_make(&dir);
	dir_write(&dir, "b.yaml", POOL("x", "10.2.0.0/16"));
	dir_write(&dir, "a.yaml", POOL("x", "10.1.0.0/16") "---\n" POOL("x", "10.3.0.0/16"));
	/* Two policies of different kinds with one name are two objects. */
	dir_write(
		&dir, "p.yaml",
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n---\n"
		"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\n---\n"
		"apiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: p}\n");
	struct store *s = dir_open(&dir);
	struct store_status st;

	ck_assert_uint_eq(count(s, KIND_IPPOOL), 1);
	ck_assert_uint_eq(pool_octet(s, "x"), 1);
	store_status(s, &st);
	ck_assert_uint_eq(st.nerrors, 2);
	ck_assert(store_has_error(s, "a.yaml:6: IPPool \"x\" is already defined at a.yaml:1"));
	ck_assert(store_has_error(s, "b.yaml:1: IPPool \"x\" is already defined at a.yaml:1"));
	ck_assert_uint_eq(count(s, KIND_POLICY), 3);
	ck_assert_ptr_nonnull(store_find(s, KIND_POLICY, "default", "p"));
	store_close(s);
	dir_free(&dir);
}
END_TEST

START_TEST(odd_files)
{
	dir_make(&dir);
	ck_assert_int_eq(mkdirat(dir.fd, "dir.yaml", 0755), 0);
	ck_assert_int_eq(mkfifoat(dir.fd, "fifo.yaml", 0644), 0);
	ck_assert_int_eq(symlinkat("nowhere", dir.fd, "link.yaml"), 0);
	dir_write(&dir, "ok.yaml", POOL("a", "10.1.0.0/16"));
	ck_assert_int_eq(symlinkat("ok.yaml", dir.fd, "again.yaml"), 0);
	struct store *s = dir_open(&dir);

	ck_assert(store_has_error(s, "dir.yaml: is not a plain file"));
	ck_assert(store_has_error(s, "fifo.yaml: is not a plain file"));
	ck_assert(store_has_error(s, "link.yaml: cannot be opened: No such file"));
	ck_assert_uint_eq(count(s, KIND_IPPOOL), 1);
	store_close(s);
	unlinkat(dir.fd, "dir.yaml", AT_REMOVEDIR);
	dir_free(&dir);
}
END_TEST

START_TEST(no_directory)
{
	struct err err;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_ptr_null(store_directory_open(NULL, fd, "/x", NULL, NULL, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "/x cannot be listed"));
	ck_assert_int_eq(err.code, ENOTDIR);
}
END_TEST

/* ---- with a loop and real events ---- */

static struct ev_loop *loop;
static unsigned changes;

static void on_change(void *arg)
{
	(void)arg;
	changes++;
	ev_break(loop, EVBREAK_ALL);
}

static void on_deadline(struct ev_loop *l, ev_timer *t, int events)
{
	(void)t;
	(void)events;
	ev_break(l, EVBREAK_ALL);
}

/* Runs until a change was told or the time is over; how many were told. */
static unsigned run(double seconds)
{
	ev_timer t;

	changes = 0;
	ev_now_update(loop);
	ev_timer_init(&t, on_deadline, seconds, 0);
	ev_timer_start(loop, &t);
	ev_run(loop, 0);
	ev_timer_stop(loop, &t);
	return changes;
}

static struct store *open_watched(void)
{
	static const struct store_ops ops = { .on_change = on_change };
	struct err err;
	struct store *s;

	loop = ev_loop_new(EVFLAG_AUTO);
	s = store_directory_open(loop, fcntl(dir.fd, F_DUPFD_CLOEXEC, 3), dir.path, &ops, NULL,
				 &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	return s;
}

static void close_watched(struct store *s)
{
	store_close(s);
	ev_loop_destroy(loop);
	dir_free(&dir);
}

START_TEST(changes_come_within_a_second)
{
	dir_make(&dir);
	dir_write(&dir, "a.yaml", POOL("a", "10.1.0.0/16"));
	struct store *s = open_watched();

	ck_assert_uint_eq(pool_octet(s, "a"), 1);
	dir_write(&dir, "a.yaml", POOL("a", "10.2.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 2);
	dir_write(&dir, "b.yaml", POOL("b", "10.3.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "b"), 3);
	ck_assert_int_eq(renameat(dir.fd, "b.yaml", dir.fd, "c.yaml"), 0);
	ck_assert_uint_eq(run(1), 1);
	ck_assert_str_eq(store_find(s, KIND_IPPOOL, "", "b")->origin, "c.yaml:1");
	dir_remove(&dir, "a.yaml");
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 255);
	ck_assert_uint_eq(count(s, KIND_IPPOOL), 1);
	/* What is no resource makes no noise. */
	dir_write(&dir, "notes.txt", "x");
	ck_assert_uint_eq(run(0.4), 0);
	close_watched(s);
}
END_TEST

START_TEST(many_changes_are_one)
{
	char name[16];

	dir_make(&dir);
	struct store *s = open_watched();

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%d.yaml", i);
		dir_write(&dir, name, i == 7 ? POOL("a", "10.1.0.0/16") : "");
	}
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 1);
	ck_assert_uint_eq(run(0.5), 0);
	close_watched(s);
}
END_TEST

START_TEST(written_in_place)
{
	dir_make(&dir);
	dir_write(&dir, "a.yaml", POOL("a", "10.1.0.0/16"));
	struct store *s = open_watched();
	int fd = openat(dir.fd, "a.yaml", O_WRONLY | O_TRUNC | O_CLOEXEC);
	const char *text = POOL("a", "10.9.0.0/16");

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 9);
	close_watched(s);
}
END_TEST

START_TEST(the_last_good_version_stays)
{
	dir_make(&dir);
	dir_write(&dir, "a.yaml", POOL("a", "10.1.0.0/16") "---\n" POOL("b", "10.2.0.0/16"));
	struct store *s = open_watched();
	const struct object *old = object_ref(store_find(s, KIND_IPPOOL, "", "a"));

	/* A value that is wrong. */
	dir_write(&dir, "a.yaml", POOL("a", "nonsense") "---\n" POOL("b", "10.3.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_ptr_eq(store_find(s, KIND_IPPOOL, "", "a"), old);
	ck_assert_uint_eq(pool_octet(s, "b"), 3);
	ck_assert(store_has_error(s, "a.yaml:4:14: IPPool \"a\": spec.cidr: \"nonsense\""));
	/* No YAML at all: whatever the file had and does not name now. */
	dir_write(&dir, "a.yaml", "kind: [\n---\n" POOL("b", "10.4.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_ptr_eq(store_find(s, KIND_IPPOOL, "", "a"), old);
	ck_assert_uint_eq(pool_octet(s, "b"), 4);
	ck_assert_uint_eq(count(s, KIND_IPPOOL), 2);
	/* A slip in the kind. */
	dir_write(&dir, "a.yaml",
		  "apiVersion: projectcalico.org/v3\nkind: IPPol\nmetadata: {name: a}\n"
		  "spec: {cidr: 10.1.0.0/16}\n");
	ck_assert_uint_eq(run(1), 1);
	ck_assert_ptr_eq(store_find(s, KIND_IPPOOL, "", "a"), old);
	/* b was taken out of the file, and its name says that it was not the slip. */
	ck_assert_uint_eq(pool_octet(s, "b"), 255);
	/* Mended. */
	dir_write(&dir, "a.yaml", POOL("a", "10.5.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 5);
	ck_assert(!store_has_error(s, ""));
	/* Whoever keeps a reference still has the old one. */
	ck_assert_uint_eq(((const struct spec_ippool *)old->spec)->cidr.addr.b[1], 1);
	object_unref((struct object *)(uintptr_t)old);
	/* A document that is taken out is gone: it is not broken. */
	dir_write(&dir, "a.yaml", "");
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(count(s, KIND_IPPOOL), 0);
	close_watched(s);
}
END_TEST

START_TEST(an_unreadable_file_keeps_its_objects)
{
	dir_make(&dir);
	dir_write(&dir, "a.yaml", POOL("a", "10.1.0.0/16"));
	struct store *s = open_watched();

	ck_assert_int_eq(unlinkat(dir.fd, "a.yaml", 0), 0);
	ck_assert_int_eq(mkdirat(dir.fd, "a.yaml", 0755), 0);
	ck_assert_uint_eq(run(1), 1);
	ck_assert(store_has_error(s, "a.yaml: is not a plain file"));
	ck_assert_uint_eq(pool_octet(s, "a"), 1);
	unlinkat(dir.fd, "a.yaml", AT_REMOVEDIR);
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(count(s, KIND_IPPOOL), 0);
	close_watched(s);
}
END_TEST

/* A Kubernetes ConfigMap is a folder of links through one link that is renamed into place. */
START_TEST(links_that_are_swapped)
{
	dir_make(&dir);
	ck_assert_int_eq(mkdirat(dir.fd, "v1", 0755), 0);
	ck_assert_int_eq(mkdirat(dir.fd, "v2", 0755), 0);
	dir_write(&dir, "v1/a.yaml", POOL("a", "10.1.0.0/16"));
	dir_write(&dir, "v2/a.yaml", POOL("a", "10.2.0.0/16"));
	ck_assert_int_eq(symlinkat("v1", dir.fd, "..data"), 0);
	ck_assert_int_eq(symlinkat("..data/a.yaml", dir.fd, "a.yaml"), 0);
	struct store *s = open_watched();

	ck_assert_uint_eq(pool_octet(s, "a"), 1);
	ck_assert_int_eq(symlinkat("v2", dir.fd, "..tmp"), 0);
	ck_assert_int_eq(renameat(dir.fd, "..tmp", dir.fd, "..data"), 0);
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 2);
	unlinkat(dir.fd, "v1/a.yaml", 0);
	unlinkat(dir.fd, "v2/a.yaml", 0);
	unlinkat(dir.fd, "v1", AT_REMOVEDIR);
	unlinkat(dir.fd, "v2", AT_REMOVEDIR);
	close_watched(s);
}
END_TEST

/* A writer that never pauses must not keep the store from reading. */
static void write_again(struct ev_loop *l, ev_timer *t, int events)
{
	(void)l;
	(void)t;
	(void)events;
	dir_write(&dir, "busy.yaml", "");
}

START_TEST(a_busy_folder_is_read_too)
{
	ev_timer t;

	dir_make(&dir);
	struct store *s = open_watched();

	ev_timer_init(&t, write_again, 0.01, 0.02);
	ev_timer_start(loop, &t);
	dir_write(&dir, "a.yaml", POOL("a", "10.1.0.0/16"));
	ck_assert_uint_eq(run(1), 1);
	ck_assert_uint_eq(pool_octet(s, "a"), 1);
	ev_timer_stop(loop, &t);
	close_watched(s);
}
END_TEST

START_TEST(order_of_documents)
{
	unsigned n;

	dir_make(&dir);
	dir_write(&dir, "b.yaml", NODE("a"));
	dir_write(&dir, "a.yaml", NODE("z") "---\n" NODE("m"));
	struct store *s = dir_open(&dir);
	const struct object *const *v = store_list(s, KIND_NODE, &n);

	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(v[0]->name, "a");
	ck_assert_int_gt(object_order(v[0], v[1]), 0);
	ck_assert_int_gt(object_order(v[1], v[2]), 0);
	store_close(s);
	dir_free(&dir);
}
END_TEST

UNIT_MAIN("store_directory", reads_what_it_should, one_broken_document_harms_no_other, duplicates,
	  odd_files, no_directory, changes_come_within_a_second, many_changes_are_one,
	  written_in_place, the_last_good_version_stays, an_unreadable_file_keeps_its_objects,
	  links_that_are_swapped, a_busy_folder_is_read_too, order_of_documents)
