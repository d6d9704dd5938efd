/* A disk that can be cut: journal_ops which count steps and stop in the middle of one, and which
 * remember what is not yet durable so that a power cut can take it away again, sector by sector.
 */
#ifndef SELVAGE_TEST_FAULT_DISK_H
#define SELVAGE_TEST_FAULT_DISK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipam/journal.h"

enum { SECTOR = 512, DISK_MAX = 1 << 20 };
enum disk_cut { CUT_NEVER, CUT_KILL, CUT_FAIL };

struct disk {
	struct journal_ops ops;
	char dir[64];
	int dirfd;
	/* Step `cut_at` does a part of its work and then kills the process, or fails from then on.
	 */
	enum disk_cut cut;
	long step, cut_at;
	unsigned part; /* of 4: how much of that write is done */
	int errnum;
	/* For a power cut: the journal as it is certainly on the disk. */
	uint8_t *durable, *tmp_durable;
	size_t durable_len, tmp_len;
	bool renamed; /* and the folder is not synced */
};

static size_t disk_read(int fd, uint8_t *buf)
{
	ssize_t n = pread(fd, buf, DISK_MAX, 0);
	return n < 0 ? 0 : (size_t)n;
}

/* Whether this step is the one. */
static bool disk_step(struct disk *d)
{
	if (d->cut == CUT_NEVER)
		return false;
	return d->step++ >= d->cut_at && (d->cut == CUT_FAIL || d->step == d->cut_at + 1);
}

static int disk_stop(struct disk *d)
{
	if (d->cut == CUT_KILL)
		kill(getpid(), SIGKILL);
	errno = d->errnum;
	return -1;
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *buf, size_t n, off_t off)
{
	struct disk *d = ctx;

	if (disk_step(d)) {
		size_t some = n * d->part / 4;
		if (some)
			(void)!pwrite(fd, buf, some, off);
		return disk_stop(d);
	}
	return pwrite(fd, buf, n, off);
}

static bool disk_is_tmp(int fd)
{
	char path[64], name[256] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0)
		return false;
	return strstr(name, JOURNAL_TMP_FILE) != NULL;
}

static int disk_sync_file(void *ctx, int fd)
{
	struct disk *d = ctx;

	if (disk_step(d))
		return disk_stop(d);
	if (disk_is_tmp(fd))
		d->tmp_len = disk_read(fd, d->tmp_durable);
	else
		d->durable_len = disk_read(fd, d->durable);
	return 0;
}

static int disk_fsync(void *ctx, int fd)
{
	struct disk *d = ctx;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return disk_sync_file(ctx, fd);
	if (disk_step(d))
		return disk_stop(d);
	memcpy(d->durable, d->tmp_durable, d->tmp_len);
	d->durable_len = d->tmp_len;
	d->renamed = false;
	return 0;
}

static int disk_rename(void *ctx, int dirfd, const char *from, const char *to)
{
	struct disk *d = ctx;

	if (disk_step(d))
		return disk_stop(d);
	d->renamed = true;
	return renameat(dirfd, from, dirfd, to);
}

static void disk_init(struct disk *d)
{
	memset(d, 0, sizeof(*d));
	strcpy(d->dir, "/tmp/selvage-test-XXXXXX");
	if (!mkdtemp(d->dir))
		abort();
	d->dirfd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->durable = malloc(DISK_MAX);
	d->tmp_durable = malloc(DISK_MAX);
	d->ops = (struct journal_ops){ disk_pwrite, disk_sync_file, disk_fsync, disk_rename, d };
}

static void disk_wipe(struct disk *d)
{
	unlinkat(d->dirfd, JOURNAL_FILE, 0);
	unlinkat(d->dirfd, JOURNAL_TMP_FILE, 0);
	d->durable_len = d->tmp_len = 0;
	d->renamed = false;
	d->step = 0;
}

static void disk_free(struct disk *d)
{
	disk_wipe(d);
	unlinkat(d->dirfd, "ipam.lock", 0);
	close(d->dirfd);
	rmdir(d->dir);
	free(d->durable);
	free(d->tmp_durable);
}

static inline void disk_put(struct disk *d, const uint8_t *data, size_t len)
{
	int fd = openat(d->dirfd, JOURNAL_FILE, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		abort();
	close(fd);
}

static inline size_t disk_get(struct disk *d, uint8_t *buf)
{
	int fd = openat(d->dirfd, JOURNAL_FILE, O_RDONLY);
	size_t n = fd < 0 ? 0 : disk_read(fd, buf);

	if (fd >= 0)
		close(fd);
	return n;
}

/* The power goes: each sector that was not durable is on the disk or is not. */
static inline void disk_power_cut(struct disk *d)
{
	uint8_t *now = malloc(DISK_MAX);
	size_t len = disk_get(d, now);

	if (d->renamed) {
		/* Either name: the old file, or the new one, which had been synced before. */
		if (d->durable_len == 0 || rand() % 2) {
			memcpy(d->durable, d->tmp_durable, d->tmp_len);
			d->durable_len = d->tmp_len;
		} else {
			len = d->durable_len;
			memcpy(now, d->durable, len);
		}
	}
	for (size_t at = 0; at < len && at < d->durable_len; at += SECTOR)
		if (rand() % 2)
			memcpy(d->durable + at, now + at, SECTOR);
	if (d->durable_len)
		disk_put(d, d->durable, d->durable_len);
	else
		unlinkat(d->dirfd, JOURNAL_FILE, 0);
	d->renamed = false;
	free(now);
}

#endif
