#include "config.h"

#include "lib/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's call and not libcap's: three words of interface do not need a library. */
static int caps_get(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	return (int)syscall(SYS_capget, &head, caps);
}

static int caps_set(const struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	return (int)syscall(SYS_capset, &head, caps);
}

static uint64_t caps_effective(void)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	if (caps_get(caps))
		return 0;
	return (uint64_t)caps[1].effective << 32 | caps[0].effective;
}

static bool has_cap(int cap)
{
	return caps_effective() >> cap & 1;
}

bool sandbox_has_net_admin(void)
{
	return has_cap(CAP_NET_ADMIN);
}

static int enter_root(int dir, struct err *err)
{
	if (fchdir(dir))
		return err_sys(err, errno, "cannot enter the empty folder for chroot");
	if (chroot("."))
		return err_sys(err, errno, "chroot");
	if (chdir("/"))
		return err_sys(err, errno, "cannot enter / after chroot");
	return 0;
}

/* Every capability that this kernel knows, for a number past its last one gives EINVAL. */
static int drop_bounding(uint64_t keep, struct err *err)
{
	for (int cap = 0; cap < 64; cap++) {
		int set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (set < 0)
			break;
		if (set && !(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return err_sys(err, errno,
				       "cannot drop capability %d from the bounding set", cap);
	}
	return 0;
}

static int become(uint32_t uid, uint32_t gid, struct err *err)
{
	if (setgroups(0, NULL))
		return err_sys(err, errno, "cannot give up the supplementary groups");
	if (setresgid(gid, gid, gid))
		return err_sys(err, errno, "cannot become group %u", gid);
	if (setresuid(uid, uid, uid))
		return err_sys(err, errno, "cannot become user %u", uid);
	return 0;
}

static int limit_caps(uint64_t keep, struct err *err)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return err_sys(err, errno, "cannot clear the ambient capabilities");
	if (caps_get(caps))
		return err_sys(err, errno, "capget");
	for (int i = 0; i < 2; i++) {
		uint32_t word = (uint32_t)(keep >> (32 * i));
		caps[i].permitted &= word;
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	if (caps_set(caps))
		return err_sys(err, errno, "cannot give up capabilities");
	return 0;
}

/* What the calls above promised, asked of the kernel again: a process that still holds a privilege
 * must not go on to read from the network. */
static int verify(const struct sandbox *s, bool had_net_admin, uint64_t keep, struct err *err)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	if (caps_get(caps))
		return err_sys(err, errno, "capget");
	for (int i = 0; i < 2; i++) {
		uint32_t not_kept = ~(uint32_t)(keep >> (32 * i));
		if ((caps[i].permitted | caps[i].effective) & not_kept || caps[i].inheritable)
			return err_set(err, "capabilities are still held after giving them up");
	}
	if (s->keep_net_admin && had_net_admin && !sandbox_has_net_admin())
		return err_set(err, "CAP_NET_ADMIN was lost on the way");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_set(err, "no_new_privs does not hold");
	if (!s->uid)
		return 0;
	uid_t r, e, sv;
	gid_t gr, ge, gs;
	if (getresuid(&r, &e, &sv) || r != s->uid || e != s->uid || sv != s->uid)
		return err_set(err, "still not user %u", s->uid);
	if (getresgid(&gr, &ge, &gs) || gr != s->gid || ge != s->gid || gs != s->gid)
		return err_set(err, "still not group %u", s->gid);
	if (getgroups(0, NULL) != 0)
		return err_set(err, "supplementary groups are still held");
	if (setuid(0) == 0)
		return err_set(err, "user 0 can still be taken back");
	return 0;
}

int sandbox_limit(uint64_t keep, struct err *err)
{
	if (has_cap(CAP_SETPCAP) && drop_bounding(keep, err))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(err, errno, "PR_SET_NO_NEW_PRIVS");
	return limit_caps(keep, err);
}

int sandbox_enter(const struct sandbox *s, struct err *err)
{
	uint64_t keep = s->keep_net_admin ? 1ull << CAP_NET_ADMIN : 0;
	/* A process without CAP_SETPCAP runs in a test; asked for another user, it must fail. */
	bool privileged = s->uid || has_cap(CAP_SETPCAP);
	bool had_net_admin = sandbox_has_net_admin();

	if (privileged && s->chroot_fd >= 0 && enter_root(s->chroot_fd, err))
		return -1;
	if (privileged && drop_bounding(0, err))
		return -1;
	if (s->uid) {
		if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
			return err_sys(err, errno, "PR_SET_KEEPCAPS");
		if (become(s->uid, s->gid, err))
			return -1;
		prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(err, errno, "PR_SET_NO_NEW_PRIVS");
	if (limit_caps(keep, err))
		return -1;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_sys(err, errno, "PR_SET_DUMPABLE");
	return verify(s, had_net_admin, keep, err);
}
