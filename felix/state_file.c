#include "config.h"

#include "felix/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 20, INSTANCE = 32 };

static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t n = read(fd, buf + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

char *state_file_read(int dirfd, const char *name, struct arena *arena, size_t *len,
		      struct err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0) {
		err_sys(err, errno, "state.dir: %s", name);
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_FILE) {
		err_set(err, "state.dir: %s is not a file of at most 1 MiB", name);
		close(fd);
		return NULL;
	}
	char *text = arena_alloc(arena, (size_t)st.st_size + 1);
	ssize_t n = read_all(fd, text, (size_t)st.st_size);
	int saved = errno;

	close(fd);
	if (n < 0) {
		err_sys(err, saved, "state.dir: %s", name);
		return NULL;
	}
	text[n] = '\0';
	*len = (size_t)n;
	return text;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

int state_file_save(int dirfd, const char *name, const char *text, size_t len, struct err *err)
{
	char tmp[64];
	int fd, rc;

	snprintf(tmp, sizeof(tmp), ".%s.new", name);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, errno, "state.dir: %s", tmp);
	rc = write_all(fd, text, len);
	if (rc == 0)
		rc = renameat(dirfd, tmp, dirfd, name);
	/* The rename itself must outlive a power cut. */
	if (rc == 0)
		rc = fsync(dirfd);
	int saved = errno;

	close(fd);
	return rc < 0 ? err_sys(err, saved, "state.dir: %s", name) : 0;
}

int state_instance(int dirfd, char out[INSTANCE + 1], struct err *err)
{
	struct arena arena = { 0 };
	unsigned char raw[INSTANCE / 2];
	size_t len = 0;
	char *text = state_file_read(dirfd, "instance", &arena, &len, err);
	int rc = 0;

	if (text && len >= INSTANCE && strspn(text, "0123456789abcdef") >= INSTANCE) {
		memcpy(out, text, INSTANCE);
		out[INSTANCE] = '\0';
	} else if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		rc = err_sys(err, errno, "no random numbers");
	} else {
		for (size_t i = 0; i < sizeof(raw); i++)
			snprintf(out + 2 * i, 3, "%02x", raw[i]);
		rc = state_file_save(dirfd, "instance", out, INSTANCE, err);
	}
	arena_free(&arena);
	return rc;
}
