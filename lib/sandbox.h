/* Privilege: given up for good at a child's start, and checked.
 */
#ifndef SELVAGE_LIB_SANDBOX_H
#define SELVAGE_LIB_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"

struct sandbox {
	uint32_t uid, gid;   /* to become, with no supplementary groups */
	int chroot_fd;	     /* an empty folder, or -1: none */
	bool keep_net_admin; /* felix: CAP_NET_ADMIN stays, permitted and effective */
};

/* Drops everything else: chroot, uid and gid, bounding, ambient, inheritable and permitted sets,
 * PR_SET_NO_NEW_PRIVS, dumpable off; then verifies that it holds. In an unprivileged process with
 * uid 0 in s (tests), only what needs no privilege is done. */
int sandbox_enter(const struct sandbox *s, struct err *err);

/* For a process that stays root (noded): no capability but those in keep (bits by number), now and
 * after exec, and PR_SET_NO_NEW_PRIVS. */
int sandbox_limit(uint64_t keep, struct err *err);

/* Does this process hold CAP_NET_ADMIN in its effective set? */
bool sandbox_has_net_admin(void);

#endif
