#include "config.h"

#include "cni/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int open_pod(const char *path, struct cni_error *e)
{
	struct statfs fs;
	/* A pipe of that name must not make us wait for a writer. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return cni_fail(e, CNI_E_CONTAINER,
				"CNI_NETNS %.128s does not exist; the container is gone", path);
	if (fd < 0)
		return cni_fail(e, CNI_E_IO, "cannot open CNI_NETNS %.128s: %s", path,
				strerror(errno));
	if (fstatfs(fd, &fs) || fs.f_type != NSFS_MAGIC ||
	    ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return cni_fail(e, CNI_E_ENV, "CNI_NETNS %.128s is no network namespace", path);
	}
	return fd;
}

static int same_file(int a, int b)
{
	struct stat sa, sb;
	return !fstat(a, &sa) && !fstat(b, &sb) && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

/* Failures are left to felix, which sees them as an address that is refused: a kernel without IPv6
 * has no such file, and nothing is wrong with that. */
static void allow_ipv6(void)
{
	static const char *const files[] = { "/proc/sys/net/ipv6/conf/default/disable_ipv6",
					     "/proc/sys/net/ipv6/conf/all/disable_ipv6",
					     "/proc/sys/net/ipv6/conf/lo/disable_ipv6" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!write(fd, "0", 1);
		close(fd);
	}
}

int netns_socket(const char *path, struct cni_error *e)
{
	int sock = -1;
	int pod = open_pod(path, e);
	if (pod < 0)
		return -1;
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (own < 0)
		cni_fail(e, CNI_E_IO, "cannot open /proc/self/ns/net: %s", strerror(errno));
	else if (same_file(own, pod))
		cni_fail(e, CNI_E_ENV,
			 "CNI_NETNS %.128s is this host's own network namespace, not a pod's",
			 path);
	else if (setns(pod, CLONE_NEWNET))
		cni_fail(e, CNI_E_IO, "cannot enter CNI_NETNS %.128s: %s", path, strerror(errno));
	else {
		allow_ipv6();
		sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		if (sock < 0)
			cni_fail(e, CNI_E_IO, "no netlink socket: %s", strerror(errno));
		if (setns(own, CLONE_NEWNET)) {
			cni_fail(e, CNI_E_IO, "cannot leave CNI_NETNS: %s", strerror(errno));
			if (sock >= 0)
				close(sock);
			sock = -1;
		}
	}
	close(pod);
	if (own >= 0)
		close(own);
	return sock;
}
