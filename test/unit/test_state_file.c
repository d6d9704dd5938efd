/* Small durable files: whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "felix/state_file.h"
#include "test/unit/unit.h"

static char path[] = "/tmp/selvage-state-XXXXXX";
static int dir;

static void open_dir(void)
{
	strcpy(path, "/tmp/selvage-state-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dir, 0);
}

static void close_dir(void)
{
	static const char *const names[] = { "a", ".a.new", "instance", ".instance.new", "link" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	ck_assert_int_eq(rmdir(path), 0);
}

START_TEST(save_and_read)
{
	struct arena arena = { 0 };
	struct err err;
	size_t len;

	open_dir();
	ck_assert_ptr_null(state_file_read(dir, "a", &arena, &len, &err));
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_int_eq(state_file_save(dir, "a", "one\0two", 7, &err), 0);
	ck_assert_int_eq(state_file_save(dir, "a", "three", 5, &err), 0);
	const char *text = state_file_read(dir, "a", &arena, &len, &err);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(len, 5);
	ck_assert_str_eq(text, "three");
	/* Nothing half-written is left beside it. */
	ck_assert_int_eq(faccessat(dir, ".a.new", F_OK, 0), -1);
	arena_free(&arena);
	close_dir();
}
END_TEST

/* felix's folder is its own, yet it follows no link out of it. */
START_TEST(no_links)
{
	struct arena arena = { 0 };
	struct err err;
	size_t len;

	open_dir();
	ck_assert_int_eq(symlinkat("/etc/passwd", dir, "link"), 0);
	ck_assert_ptr_null(state_file_read(dir, "link", &arena, &len, &err));
	ck_assert_int_eq(err.code, ELOOP);
	arena_free(&arena);
	close_dir();
}
END_TEST

START_TEST(instance_stays)
{
	char one[33], two[33];
	struct err err;

	open_dir();
	ck_assert_int_eq(state_instance(dir, one, &err), 0);
	ck_assert_uint_eq(strlen(one), 32);
	ck_assert_uint_eq(strspn(one, "0123456789abcdef"), 32);
	ck_assert_int_eq(state_instance(dir, two, &err), 0);
	ck_assert_str_eq(one, two);
	/* Torn or emptied: another one, never a short one. */
	ck_assert_int_eq(state_file_save(dir, "instance", "abc", 3, &err), 0);
	ck_assert_int_eq(state_instance(dir, two, &err), 0);
	ck_assert_uint_eq(strlen(two), 32);
	ck_assert_str_ne(one, two);
	close_dir();
}
END_TEST

UNIT_MAIN("state_file", save_and_read, no_links, instance_stays)
