/* Network namespaces for tests over the real kernel. Each check test runs in a process of its own,
 * so what it makes ends with it. They need root and say so; they are never skipped.
 */
#ifndef SELVAGE_TEST_NETNS_H
#define SELVAGE_TEST_NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/unit.h"

/* A namespace of this process alone, its lo up. */
static inline void netns_enter(void)
{
	if (geteuid() != 0)
		ck_abort_msg("this test needs root: it makes network namespaces");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		ck_abort_msg("cannot make a network namespace: %m");
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	ck_assert_int_eq(system("ip link set lo up"), 0);
}

static inline int netns_self(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline void netns_switch(int fd)
{
	ck_assert_int_eq(setns(fd, CLONE_NEWNET), 0);
}

/* Another namespace, as a descriptor that "ip link set X netns /proc/self/fd/N" takes. */
static inline int netns_make(void)
{
	int self = netns_self();

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	int fd = netns_self();
	netns_switch(self);
	close(self);
	return fd;
}

/* A shell command in this namespace, its exit status. */
__attribute__((format(printf, 1, 2))) static inline int sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	int rc = system(cmd);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

#define SH(...) ck_assert_int_eq(sh(__VA_ARGS__), 0)
#define SH_IN(fd, ...)                                                                             \
	do {                                                                                       \
		int self_ = netns_self();                                                          \
		netns_switch(fd);                                                                  \
		int rc_ = sh(__VA_ARGS__);                                                         \
		netns_switch(self_);                                                               \
		close(self_);                                                                      \
		ck_assert_int_eq(rc_, 0);                                                          \
	} while (0)

#endif
