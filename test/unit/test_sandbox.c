/* Privilege, given up in a forked child and read back from the kernel's own account of it. As an
 * unprivileged user the cases that need privilege cannot run; they then fail, as the suite is to be
 * run by root.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sandbox.h"
#include "unit.h"

enum { UID = 90179, GID = 90178, CAP_NET_ADMIN_BIT = 12 };

struct seen {
	unsigned long long prm, eff, inh, bnd, amb;
	unsigned uid[4], gid[4], groups, nnp;
};

static void read_status(struct seen *s)
{
	char line[512];
	FILE *f = fopen("/proc/self/status", "r");
	char group[16];

	memset(s, 0, sizeof(*s));
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "CapPrm: %llx", &s->prm);
		sscanf(line, "CapEff: %llx", &s->eff);
		sscanf(line, "CapInh: %llx", &s->inh);
		sscanf(line, "CapBnd: %llx", &s->bnd);
		sscanf(line, "CapAmb: %llx", &s->amb);
		sscanf(line, "NoNewPrivs: %u", &s->nnp);
		sscanf(line, "Uid: %u %u %u %u", &s->uid[0], &s->uid[1], &s->uid[2], &s->uid[3]);
		sscanf(line, "Gid: %u %u %u %u", &s->gid[0], &s->gid[1], &s->gid[2], &s->gid[3]);
		if (sscanf(line, "Groups: %15s", group) == 1)
			s->groups = 1;
	}
	if (f)
		fclose(f);
}

/* Runs body in a process of its own; it returns the number of the first thing that is wrong. */
static int in_child(int (*body)(void))
{
	int status = 0;
	pid_t pid = fork();
	if (!pid)
		_exit(body());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

#define WRONG_UNLESS(n, what)                                                                      \
	do {                                                                                       \
		if (!(what))                                                                       \
			return n;                                                                  \
	} while (0)

static int enter(int chroot_fd, bool keep)
{
	struct sandbox s = { UID, GID, chroot_fd, keep };
	struct err err = { 0 };
	const gid_t extra[] = { 4, 27 };
	if (!setgroups(2, extra) && !sandbox_enter(&s, &err))
		return 0;
	fprintf(stderr, "sandbox_enter: %s\n", err.text);
	return -1;
}

static int check_ids(const struct seen *s)
{
	for (int i = 0; i < 4; i++) {
		WRONG_UNLESS(10, s->uid[i] == UID);
		WRONG_UNLESS(11, s->gid[i] == GID);
	}
	WRONG_UNLESS(12, !s->groups);
	WRONG_UNLESS(13, s->nnp == 1);
	WRONG_UNLESS(14, !s->inh && !s->amb && !s->bnd);
	WRONG_UNLESS(15, prctl(PR_GET_DUMPABLE) == 0);
	return 0;
}

static int as_felix(void)
{
	struct seen s;
	WRONG_UNLESS(1, !enter(-1, true));
	read_status(&s);
	WRONG_UNLESS(2, s.prm == 1ull << CAP_NET_ADMIN_BIT && s.eff == s.prm);
	WRONG_UNLESS(3, sandbox_has_net_admin());
	WRONG_UNLESS(4, setuid(0) && chroot("/"));
	return check_ids(&s);
}

static int as_plain(void)
{
	struct seen s;
	WRONG_UNLESS(1, !enter(-1, false));
	read_status(&s);
	WRONG_UNLESS(2, !s.prm && !s.eff);
	WRONG_UNLESS(3, !sandbox_has_net_admin());
	/* A raw socket is what a capability would have allowed. */
	WRONG_UNLESS(4, socket(AF_INET, SOCK_RAW, 1) < 0 && errno == EPERM);
	return check_ids(&s);
}

static int in_chroot(void)
{
	char dir[] = "/tmp/sandbox-XXXXXX";
	WRONG_UNLESS(1, mkdtemp(dir) && !chmod(dir, 0755));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rmdir(dir);
	WRONG_UNLESS(2, fd >= 0);
	WRONG_UNLESS(3, !enter(fd, false));
	WRONG_UNLESS(4, open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
	WRONG_UNLESS(5, open("../../../../etc/passwd", O_RDONLY) < 0);
	WRONG_UNLESS(6, open("/new", O_WRONLY | O_CREAT, 0600) < 0);
	return 0;
}

static int half_privileged(void)
{
	/* Without the right to change user, asking for another one must fail, not go on as we are.
	 */
	struct sandbox drop = { 0, 0, -1, false }, s = { UID, GID, -1, false };
	struct err err = { 0 };
	WRONG_UNLESS(1, !sandbox_enter(&drop, &err));
	WRONG_UNLESS(2, sandbox_enter(&s, &err) == -1);
	WRONG_UNLESS(3, err.text[0]);
	return 0;
}

static int unprivileged(void)
{
	struct sandbox s = { 0, 0, -1, true };
	struct err err = { 0 };
	struct seen seen;
	WRONG_UNLESS(1, !setresgid(GID, GID, GID) && !setresuid(UID, UID, UID));
	WRONG_UNLESS(2, !sandbox_enter(&s, &err));
	read_status(&seen);
	WRONG_UNLESS(3, seen.uid[0] == UID && !seen.prm && seen.nnp == 1);
	return 0;
}

static int limited(void)
{
	struct err err = { 0 };
	struct seen seen;
	WRONG_UNLESS(1, !sandbox_limit(1ull << CAP_NET_ADMIN_BIT, &err));
	read_status(&seen);
	WRONG_UNLESS(2, seen.prm == 1ull << CAP_NET_ADMIN_BIT && seen.eff == seen.prm);
	WRONG_UNLESS(3, seen.bnd == seen.prm && seen.nnp == 1 && seen.uid[0] == 0);
	WRONG_UNLESS(4, setresuid(UID, UID, UID) == -1);
	return 0;
}

START_TEST(felix_keeps_net_admin_alone)
{
	ck_assert_int_eq(in_child(as_felix), 0);
}
END_TEST

START_TEST(bgpd_keeps_nothing)
{
	ck_assert_int_eq(in_child(as_plain), 0);
}
END_TEST

START_TEST(chroot_holds)
{
	ck_assert_int_eq(in_child(in_chroot), 0);
}
END_TEST

START_TEST(no_half_way)
{
	ck_assert_int_eq(in_child(half_privileged), 0);
}
END_TEST

START_TEST(without_privilege)
{
	ck_assert_int_eq(in_child(unprivileged), 0);
}
END_TEST

START_TEST(noded_is_limited)
{
	ck_assert_int_eq(in_child(limited), 0);
}
END_TEST

UNIT_MAIN("sandbox", felix_keeps_net_admin_alone, bgpd_keeps_nothing, chroot_holds, no_half_way,
	  without_privilege, noded_is_limited)
