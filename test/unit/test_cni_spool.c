/* A DEL that waits for felix: written whole under one name, read back as felix reads it. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cni/spool.h"
#include "unit.h"

enum { UID = 90180 };

static char base[64], run[128], spool[160];

static void make_base(void)
{
	snprintf(base, sizeof(base), "/tmp/test-spool-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(run, sizeof(run), "%s/run", base);
	snprintf(spool, sizeof(spool), "%s/spool", run);
}

static void drop_base(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	ck_assert_int_eq(system(cmd), 0);
}

/* How many files there are; name is that of the last one. */
static unsigned list(char *name, size_t size)
{
	unsigned n = 0;
	DIR *d = opendir(spool);
	struct dirent *e;
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ck_assert_msg(!strncmp(e->d_name, "del-", 4), "%s", e->d_name);
		snprintf(name, size, "%s/%s", spool, e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void put(const char *id, const char *ifname, const char *network)
{
	struct m_cni_del del = { id, ifname, network, 77 };
	struct cni_error e = { 0 };
	ck_assert_msg(!spool_put(run, &del, &e), "%s", e.msg);
}

START_TEST(one_file_a_del)
{
	char name[512];
	uint8_t buf[4096];
	struct arena arena = { 0 };
	struct msg m;
	struct err err = { 0 };

	make_base();
	put("abc", "eth0", "net");
	put("abc", "eth0", "net");
	ck_assert_uint_eq(list(name, sizeof(name)), 1);
	int fd = open(name, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf));
	close(fd);
	ck_assert_msg(!msg_decode(buf, (size_t)n, &arena, &m, &err), "%s", err.text);
	ck_assert_int_eq(m.type, M_CNI_DEL);
	const struct m_cni_del *del = m.body;
	ck_assert_str_eq(del->container_id, "abc");
	ck_assert_str_eq(del->ifname, "eth0");
	ck_assert_str_eq(del->network, "net");
	ck_assert_uint_eq(del->started, 77);
	arena_free(&arena);
	/* The same letters, otherwise divided, are another attachment. */
	put("abc", "eth0n", "et");
	put("abceth0", "net", "");
	ck_assert_uint_eq(list(name, sizeof(name)), 3);
	drop_base();
}
END_TEST

START_TEST(felix_can_read_it)
{
	char name[512];
	struct stat st;

	make_base();
	ck_assert(!mkdir(run, 0755) && !mkdir(spool, 0750) && !chown(spool, UID, 0));
	put("abc", "eth0", "net");
	ck_assert_uint_eq(list(name, sizeof(name)), 1);
	ck_assert(!stat(name, &st));
	ck_assert_uint_eq(st.st_uid, UID);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	drop_base();
}
END_TEST

START_TEST(no_place_is_no_success)
{
	struct m_cni_del del = { "abc", "eth0", "net", 0 };
	struct cni_error e = { 0 };

	make_base();
	int fd = open(run, O_WRONLY | O_CREAT, 0600);
	close(fd);
	ck_assert_int_eq(spool_put(run, &del, &e), -1);
	ck_assert_uint_eq(e.code, CNI_E_AGAIN);
	ck_assert_ptr_nonnull(strstr(e.msg, run));
	unlink(run);
	/* A link in the place of the spool is not followed. */
	ck_assert(!mkdir(run, 0755) && !symlink(base, spool));
	ck_assert_int_eq(spool_put(run, &del, &e), -1);
	drop_base();
}
END_TEST

UNIT_MAIN("cni_spool", one_file_a_del, felix_can_read_it, no_place_is_no_success)
