/* The kernel settings of a node and of a pod's interface. */
#include "config.h"

#include "felix/sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "felix/plumb.h"

#define NET "/proc/sys/net/"

int sysctl_get(const char *path, int *value, struct err *err)
{
	char file[160], text[32];

	snprintf(file, sizeof(file), NET "%s", path);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "cannot read %s", file);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	int errnum = errno;
	close(fd);
	if (n <= 0)
		return err_sys(err, n < 0 ? errnum : EIO, "cannot read %s", file);
	text[n] = '\0';
	*value = atoi(text);
	return 0;
}

static int sysctl_write(const char *path, int value, struct err *err)
{
	char file[160], text[16];
	int len = snprintf(text, sizeof(text), "%d\n", value);

	snprintf(file, sizeof(file), NET "%s", path);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, (size_t)len);
	int errnum = errno;
	if (fd >= 0)
		close(fd);
	if (n == len)
		return 0;
	return err_sys(err, n < 0 ? errnum : EIO,
		       "cannot set %s to %d; felix needs CAP_NET_ADMIN and a writable "
		       "/proc/sys/net (systemd: ReadWritePaths=/proc/sys/net)",
		       file, value);
}

int sysctl_set(const char *path, int value, struct err *err)
{
	int now;

	if (sysctl_get(path, &now, err) < 0)
		return -1;
	return now == value ? 0 : sysctl_write(path, value, err);
}

int sysctl_set_if(const char *family, const char *ifname, const char *name, int value,
		  struct err *err)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s/%s/%s", family, "conf", ifname, name);
	return sysctl_set(path, value, err);
}

int sysctl_has_ipv6(void)
{
	return access(NET "ipv6/conf/all/forwarding", F_OK) == 0;
}

/* Each interface that is neither ours nor the loopback; "default", for links to come, too. */
static int each_interface(const char *family, int (*cb)(const char *ifname, struct err *err),
			  struct err *err)
{
	char path[64];
	struct dirent *d;
	int rc = 0;

	snprintf(path, sizeof(path), NET "%s/conf", family);
	DIR *dir = opendir(path);
	if (!dir)
		return err_sys(err, errno, "cannot list %s", path);
	while (rc == 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.' || strcmp(d->d_name, "all") == 0 ||
		    strcmp(d->d_name, "lo") == 0 || strncmp(d->d_name, "cali", 4) == 0)
			continue;
		/* An interface may go away while we look. */
		if (cb(d->d_name, err) < 0 && err->code != ENOENT)
			rc = -1;
	}
	closedir(dir);
	return rc;
}

/* A strict filter drops what comes back by the other uplink of an ECMP pair; the loose one still
 * refuses sources that nothing leads to. */
static int loosen_rp_filter(const char *ifname, struct err *err)
{
	return sysctl_set_if("ipv4", ifname, "rp_filter", 2, err);
}

static int loosen_where_strict(const char *ifname, struct err *err)
{
	char path[96];
	int now;

	snprintf(path, sizeof(path), "ipv4/conf/%s/rp_filter", ifname);
	if (sysctl_get(path, &now, err) < 0)
		return -1;
	return now == 1 ? sysctl_set(path, 2, err) : 0;
}

/* Per interface the kernel takes the larger of its own and all's: with all at 0 each pod's strict
 * filter (1) and each uplink's loose one (2) hold. Whatever all asked for before is first given to
 * the interfaces, so that nobody's protection is lost. */
static int set_rp_filter(struct err *err)
{
	int all;

	if (sysctl_get("ipv4/conf/all/rp_filter", &all, err) < 0)
		return -1;
	if (each_interface("ipv4", all ? loosen_rp_filter : loosen_where_strict, err) < 0)
		return -1;
	return sysctl_set("ipv4/conf/all/rp_filter", 0, err);
}

/* A forwarding node ignores router advertisements unless accept_ra is 2, and the moment of the
 * change drops what they gave: a node whose default route came so would lose it. */
static int keep_ra(const char *ifname, struct err *err)
{
	char path[96];
	int now;

	if (strcmp(ifname, "default") == 0)
		return 0;
	snprintf(path, sizeof(path), "ipv6/conf/%s/accept_ra", ifname);
	if (sysctl_get(path, &now, err) < 0)
		return -1;
	return now == 1 ? sysctl_set(path, 2, err) : 0;
}

struct setting {
	const char *path;
	int value;
	const char *needs; /* what a kernel without it is too old for */
};

static int set_all(const struct setting *s, struct err *err)
{
	for (; s->path; s++) {
		if (sysctl_set(s->path, s->value, err) == 0)
			continue;
		if (err->code == ENOENT)
			return err_set(err, "this kernel has no " NET "%s; use %s", s->path,
				       s->needs);
		return -1;
	}
	return 0;
}

int plumb_node_sysctls(struct err *err)
{
	static const struct setting v4[] = {
		{ "ipv4/ip_forward", 1, "a kernel with IPv4" },
		/* With its default a change of one group costs time for each route by it. */
		{ "ipv4/nexthop_compat_mode", 0, "Linux 5.8 or newer" },
		/* By ports too: all traffic of two pods would else take one uplink. */
		{ "ipv4/fib_multipath_hash_policy", 1, "a kernel with CONFIG_IP_ROUTE_MULTIPATH" },
		{ NULL, 0, NULL },
	};
	static const struct setting v6[] = {
		{ "ipv6/conf/all/forwarding", 1, "a kernel with IPv6" },
		{ "ipv6/fib_multipath_hash_policy", 1, "Linux 4.17 or newer" },
		{ NULL, 0, NULL },
	};

	if (set_all(v4, err) < 0 || set_rp_filter(err) < 0)
		return -1;
	if (!sysctl_has_ipv6())
		return 0;
	if (each_interface("ipv6", keep_ra, err) < 0)
		return -1;
	return set_all(v6, err);
}
