#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "felix/endpoints.h"
#include "unit.h"

static struct ipam_owner owner(const char *id)
{
	return (struct ipam_owner){ "net", id, "eth0", "default", "web" };
}

static struct endpoint *add(struct endpoints *t, const char *id, const char *host)
{
	struct ipam_owner o = owner(id);
	struct addr a[2] = { addr_v4(0x0a000001), addr_v4(0x0a000002) };
	struct msg_kv kv[1] = { { "app", "web" } };
	msg_kv_list labels = { 1, kv };

	return endpoints_add(t, &o, host, a, 2, &labels);
}

START_TEST(found_by_key_and_by_host)
{
	struct endpoints *t = endpoints_new();
	struct endpoint *a = add(t, "a", "cali1"), *b = add(t, "b", "cali2");
	uint32_t total, ready;

	ck_assert_ptr_eq(endpoints_find(t, "net", "a", "eth0"), a);
	ck_assert_ptr_null(endpoints_find(t, "net", "a", "eth1"));
	ck_assert_ptr_null(endpoints_find(t, "other", "a", "eth0"));
	ck_assert_ptr_eq(endpoints_by_host(t, "cali2", NULL), b);
	ck_assert_ptr_null(endpoints_by_host(t, "cali2", b));
	ck_assert_ptr_null(endpoints_by_host(t, "cali3", NULL));

	struct endpoint *newer = add(t, "c", "cali1");
	ck_assert_ptr_eq(endpoints_by_host(t, "cali1", NULL), newer);
	ck_assert_ptr_eq(endpoints_by_host(t, "cali1", newer), a);
	newer->ready = true;
	endpoints_count(t, &total, &ready);
	ck_assert_uint_eq(total, 3);
	ck_assert_uint_eq(ready, 1);

	add(t, "a", "cali9"); /* the same key: in its place */
	endpoints_count(t, &total, &ready);
	ck_assert_uint_eq(total, 3);
	ck_assert_str_eq(endpoints_find(t, "net", "a", "eth0")->host, "cali9");
	endpoints_remove(t, endpoints_find(t, "net", "a", "eth0"));
	ck_assert_ptr_null(endpoints_find(t, "net", "a", "eth0"));
	endpoints_free(t);
}
END_TEST

START_TEST(a_row_says_all)
{
	struct endpoints *t = endpoints_new();
	struct arena arena = { 0 };
	struct m_ctl_endpoint row = endpoint_row(add(t, "a", "cali1"), &arena);

	ck_assert_str_eq(row.namespace_, "default");
	ck_assert_str_eq(row.name, "web");
	ck_assert_str_eq(row.container_id, "a");
	ck_assert_str_eq(row.host, "cali1");
	ck_assert_uint_eq(row.addresses.n, 2);
	ck_assert_uint_eq(row.addresses.v[1].len, 32);
	ck_assert_uint_eq(row.labels.n, 1);
	arena_free(&arena);
	endpoints_free(t);
}
END_TEST

static unsigned nfiles;

static void count_file(void *arg, const struct m_ctl_endpoint *row)
{
	(void)arg;
	ck_assert_str_eq(row->namespace_, "default");
	ck_assert_uint_eq(row->addresses.n, 2);
	nfiles++;
}

START_TEST(files_keep_labels)
{
	char path[] = "/tmp/selvage-test-XXXXXX";
	struct endpoints *t = endpoints_new();
	struct arena arena = { 0 };
	struct err err;

	ck_assert_ptr_nonnull(mkdtemp(path));
	int state = open(path, O_RDONLY | O_DIRECTORY);
	int dir = endpoint_files_open(state, &err);
	ck_assert_int_ge(dir, 0);
	int again = endpoint_files_open(state, &err);
	ck_assert_int_ge(again, 0);
	close(again);

	struct endpoint *a = add(t, "a", "cali1"), *b = add(t, "b", "cali2");
	ck_assert_int_eq(endpoint_file_save(dir, a, &err), 0);
	ck_assert_int_eq(endpoint_file_save(dir, b, &err), 0);
	endpoint_files_each(dir, count_file, NULL);
	ck_assert_uint_eq(nfiles, 2);

	struct ipam_owner oa = owner("a"), ob = owner("b"), oc = owner("c");
	msg_kv_list l = endpoint_file_labels(dir, &oa, &arena);
	ck_assert_uint_eq(l.n, 1);
	ck_assert_str_eq(l.v[0].key, "app");
	ck_assert_str_eq(l.v[0].value, "web");
	ck_assert_uint_eq(endpoint_file_labels(dir, &oc, &arena).n, 0);

	endpoints_remove(t, b);
	endpoint_files_sweep(dir, t);
	ck_assert_uint_eq(endpoint_file_labels(dir, &ob, &arena).n, 0);
	ck_assert_uint_eq(endpoint_file_labels(dir, &oa, &arena).n, 1);
	endpoint_file_remove(dir, a);
	nfiles = 0;
	endpoint_files_each(dir, count_file, NULL);
	ck_assert_uint_eq(nfiles, 0);

	/* Nonsense is passed over. */
	int fd = openat(dir, "ep-0", O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(write(fd, "nonsense", 8), 8);
	close(fd);
	endpoint_files_each(dir, count_file, NULL);
	ck_assert_uint_eq(nfiles, 0);
	unlinkat(dir, "ep-0", 0);
	unlinkat(state, "endpoints", AT_REMOVEDIR);
	rmdir(path);
	close(dir);
	close(state);
	arena_free(&arena);
	endpoints_free(t);
}
END_TEST

UNIT_MAIN("endpoints", found_by_key_and_by_host, a_row_says_all, files_keep_labels)
