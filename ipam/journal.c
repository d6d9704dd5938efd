#include "config.h"

#include "ipam/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/log.h"

enum { MAX_FILE = 64 * 1024 * 1024 };

struct journal {
	int dirfd, fd; /* fd -1: no file yet */
	const struct journal_ops *ops;
	size_t min_size, size, off; /* of the file; where the next record goes */
	uint64_t next_seq;	    /* of the next record to be buffered */
	uint64_t durable;	    /* the highest sequence known to be on the disk */
	bool broken;
	uint8_t *buf;
	size_t len, cap;
};

static ssize_t sys_pwrite(void *ctx, int fd, const void *buf, size_t n, off_t off)
{
	(void)ctx;
	return pwrite(fd, buf, n, off);
}

static int sys_fdatasync(void *ctx, int fd)
{
	(void)ctx;
	return fdatasync(fd);
}

static int sys_fsync(void *ctx, int fd)
{
	(void)ctx;
	return fsync(fd);
}

static int sys_rename(void *ctx, int dirfd, const char *from, const char *to)
{
	(void)ctx;
	return renameat(dirfd, from, dirfd, to);
}

static const struct journal_ops system_ops = {
	.pwrite = sys_pwrite,
	.fdatasync = sys_fdatasync,
	.fsync = sys_fsync,
	.rename = sys_rename,
};

struct journal *journal_new(int dirfd, const struct journal_ops *ops, size_t min_size)
{
	struct journal *j = xcalloc(1, sizeof(*j));

	j->dirfd = dirfd;
	j->fd = -1;
	j->ops = ops ? ops : &system_ops;
	j->min_size = min_size ? min_size : JOURNAL_MIN_SIZE;
	j->next_seq = 1;
	return j;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->buf);
	free(j);
}

static int write_all(struct journal *j, int fd, const uint8_t *data, size_t len, size_t off,
		     struct err *err)
{
	while (len > 0) {
		ssize_t n = j->ops->pwrite(j->ops->ctx, fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "write");
		if (n == 0)
			return err_sys(err, EIO, "write");
		data += n;
		len -= (size_t)n;
		off += (size_t)n;
	}
	return 0;
}

static uint8_t *read_all(int fd, size_t len, struct err *err)
{
	uint8_t *data = xmalloc(len);
	size_t at = 0;

	while (at < len) {
		ssize_t n = pread(fd, data + at, len - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_sys(err, n < 0 ? errno : EIO, "read");
			free(data);
			return NULL;
		}
		at += (size_t)n;
	}
	return data;
}

static int replay(struct jscan *scan, int (*cb)(void *arg, const struct jrec *r, struct err *err),
		  void *arg, struct err *err)
{
	struct jrec r;

	for (size_t at = scan->off; jscan_next(scan, &r); at = scan->off)
		if (cb(arg, &r, err) < 0)
			return err_ctx(err, "offset %zu: record %llu", at,
				       (unsigned long long)r.seq);
	return 0;
}

/* Zeros from the last good record on: what a torn write left behind must not be taken for a record
 * later, when new ones have been written before it. */
static int cut_tail(struct journal *j, const struct jscan *scan, struct err *err)
{
	size_t end = scan->len;

	while (end > scan->off && scan->buf[end - 1] == 0)
		end--;
	log_warn("ipam",
		 JOURNAL_FILE ": %zu bytes of an unfinished write at offset %zu are cut off",
		 end - scan->off, scan->off);
	uint8_t *zeros = xcalloc(1, end - scan->off);
	int rc = write_all(j, j->fd, zeros, end - scan->off, scan->off, err);
	free(zeros);
	if (rc == 0 && j->ops->fdatasync(j->ops->ctx, j->fd) < 0)
		rc = err_sys(err, errno, "fdatasync");
	return rc;
}

static int load_image(struct journal *j, const uint8_t *data, size_t len, struct jhdr *out,
		      int (*cb)(void *arg, const struct jrec *r, struct err *err), void *arg,
		      struct err *err)
{
	static const char mend[] =
		"stop the pods of this node, move the file out of state.dir and start again";
	struct jscan scan;

	if (jhdr_decode(data, len, out) < 0)
		return err_set(err, "offset 0: the header is damaged or not Selvage's: %s", mend);
	if (out->version != JOURNAL_VERSION)
		return err_set(err,
			       "format version %u; this program reads version %d: run the "
			       "version that wrote it, or drain the node and move the file away",
			       out->version, JOURNAL_VERSION);
	jscan_init(&scan, data, len, out);
	if (replay(&scan, cb, arg, err) < 0)
		return -1;
	switch (jscan_end(&scan)) {
	case JEND_CLEAN:
		break;
	case JEND_TORN:
		if (cut_tail(j, &scan, err) < 0)
			return -1;
		break;
	case JEND_DAMAGED:
		return err_set(err,
			       "offset %zu: record %llu is damaged, and later ones are not, so "
			       "addresses may be held that are not known: %s",
			       scan.off, (unsigned long long)scan.next_seq, mend);
	}
	j->size = len;
	j->off = scan.off;
	j->next_seq = scan.next_seq;
	/* After a kill, records may have been read from the page cache only. */
	j->durable = out->first_seq - 1;
	return 1;
}

int journal_load(struct journal *j, struct jhdr *out,
		 int (*cb)(void *arg, const struct jrec *r, struct err *err), void *arg,
		 struct err *err)
{
	struct stat st;
	uint8_t *data;
	int rc = -1;

	j->fd = openat(j->dirfd, JOURNAL_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0 && errno == ENOENT)
		return 0;
	if (j->fd < 0) {
		err_sys(err, errno, "open");
	} else if (fstat(j->fd, &st) < 0) {
		err_sys(err, errno, "fstat");
	} else if (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE) {
		err_set(err, "not a journal: no regular file, or over %d MiB", MAX_FILE >> 20);
	} else if (st.st_size == 0) {
		err_set(err, "the file is empty, which no crash of Selvage leaves behind: "
			     "stop the pods of this node, remove the file and start again");
	} else if ((data = read_all(j->fd, (size_t)st.st_size, err))) {
		rc = load_image(j, data, (size_t)st.st_size, out, cb, arg, err);
		free(data);
	}
	return rc < 0 ? err_ctx(err, JOURNAL_FILE) : rc;
}

bool journal_append(struct journal *j, const struct jrec *r)
{
	struct jrec copy = *r;

	copy.seq = j->next_seq;
	copy.durable = j->durable;
	if (j->cap - j->len < JREC_MAX) {
		j->cap = j->cap * 2 + JREC_MAX;
		j->buf = xrealloc(j->buf, j->cap);
	}
	size_t n = jrec_encode(&copy, j->buf + j->len, j->cap - j->len);
	if (n == 0)
		return false;
	j->len += n;
	j->next_seq++;
	return true;
}

bool journal_pending(const struct journal *j, bool durable)
{
	return j->len > 0 || j->broken || (durable && j->durable + 1 < j->next_seq);
}

bool journal_needs_snapshot(const struct journal *j)
{
	return j->fd < 0 || j->broken || j->size - j->off < j->len;
}

int journal_write(struct journal *j, bool sync, struct err *err)
{
	if (journal_needs_snapshot(j))
		return err_set(err, JOURNAL_FILE ": no room");
	if (j->len > 0 && write_all(j, j->fd, j->buf, j->len, j->off, err) < 0)
		goto broken;
	j->off += j->len;
	j->len = 0;
	if (!sync)
		return 0;
	if (j->ops->fdatasync(j->ops->ctx, j->fd) < 0) {
		err_sys(err, errno, "fdatasync");
		goto broken;
	}
	j->durable = j->next_seq - 1;
	return 0;
broken:
	j->broken = true;
	return err_ctx(err, JOURNAL_FILE);
}

static int write_file(struct journal *j, const uint8_t *image, size_t size, struct err *err)
{
	int fd = openat(j->dirfd, JOURNAL_TMP_FILE,
			O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(err, errno, "open");
	if (write_all(j, fd, image, size, 0, err) < 0)
		goto fail;
	if (j->ops->fsync(j->ops->ctx, fd) < 0) {
		err_sys(err, errno, "fsync");
		goto fail;
	}
	if (j->ops->rename(j->ops->ctx, j->dirfd, JOURNAL_TMP_FILE, JOURNAL_FILE) < 0) {
		err_sys(err, errno, "rename to " JOURNAL_FILE);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

int journal_snapshot(struct journal *j, const struct jhdr *hdr, void (*fill)(void *arg), void *arg,
		     struct err *err)
{
	struct jhdr h = *hdr;

	h.version = JOURNAL_VERSION;
	h.first_seq = j->next_seq;
	j->durable = j->next_seq - 1;
	j->len = 0;
	j->broken = true; /* until all of this has succeeded */
	fill(arg);

	size_t used = JHDR_SIZE + j->len;
	size_t size = j->min_size > used * 4 ? j->min_size : used * 4;
	uint8_t *image = xcalloc(1, size);
	jhdr_encode(&h, image);
	if (j->len)
		memcpy(image + JHDR_SIZE, j->buf, j->len);
	int fd = write_file(j, image, size, err);
	free(image);
	if (fd < 0)
		return err_ctx(err, JOURNAL_TMP_FILE);

	/* The old file's name is gone: from here on the new one is the journal. */
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	j->size = size;
	j->off = used;
	j->len = 0;
	if (j->ops->fsync(j->ops->ctx, j->dirfd) < 0)
		return err_sys(err, errno, "state.dir: fsync");
	j->durable = j->next_seq - 1;
	j->broken = false;
	return 0;
}
