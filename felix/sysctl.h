/* Numbers under /proc/sys/net of this process's network namespace. CAP_NET_ADMIN suffices.
 */
#ifndef SELVAGE_FELIX_SYSCTL_H
#define SELVAGE_FELIX_SYSCTL_H

#include "lib/err.h"

/* path is relative to /proc/sys/net, as "ipv4/ip_forward". -1: err->code is ENOENT where the
 * kernel lacks it. */
int sysctl_get(const char *path, int *value, struct err *err);
/* Writes only what differs, so that a read-only /proc/sys that is already right will do. */
int sysctl_set(const char *path, int value, struct err *err);
int sysctl_set_if(const char *family, const char *ifname, const char *name, int value,
		  struct err *err);
int sysctl_has_ipv6(void); /* 1 or 0 */

#endif
