#include "config.h"

#include "noded/portowner.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TCP_STATE_LISTEN = 10 }; /* as /proc/net/tcp writes it: 0A */

/* The inode of a listening socket on port; 0: none in this file. */
static unsigned long listening_inode(const char *file, uint16_t port)
{
	char line[512];
	unsigned long found = 0;
	FILE *f = fopen(file, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned local, state;
		unsigned long inode;
		/* sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
		if (sscanf(line,
			   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
			   &local, &state, &inode) == 3 &&
		    local == port && state == TCP_STATE_LISTEN)
			found = inode;
	}
	if (f)
		fclose(f);
	return found;
}

static bool holds(const char *pid, unsigned long inode)
{
	char path[PATH_MAX], want[64], link[64];
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	DIR *d = opendir(path);
	struct dirent *e;
	bool yes = false;

	while (d && !yes && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		if (n > 0) {
			link[n] = '\0';
			yes = !strcmp(link, want);
		}
	}
	if (d)
		closedir(d);
	return yes;
}

static void say(const char *pid, char *buf, size_t size)
{
	char path[64], comm[32] = "";
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);
	if (fd >= 0)
		close(fd);
	comm[n > 0 ? strcspn(comm, "\n") : 0] = '\0';
	snprintf(buf, size, "%s (pid %.20s)", comm[0] ? comm : "a process", pid);
}

int portowner_find(uint16_t port, char *buf, size_t size)
{
	unsigned long inode = listening_inode("/proc/self/net/tcp", port);
	if (!inode)
		inode = listening_inode("/proc/self/net/tcp6", port);
	if (!inode)
		return -1;
	DIR *d = opendir("/proc");
	struct dirent *e;
	int r = -1;

	while (d && r && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !holds(e->d_name, inode))
			continue;
		say(e->d_name, buf, size);
		r = 0;
	}
	if (d)
		closedir(d);
	return r;
}
