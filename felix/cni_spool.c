#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "felix/cni_impl.h"
#include "lib/log.h"

/* What the plugin writes fits; longer is nonsense and does not decode. */
enum { PACKET_MAX = 4096 };

static bool read_one(int dir, const char *name, struct cni_job *j)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct msg m;

	if (fd < 0)
		return err_sys(&j->err, errno, "open") == 0;
	uint8_t *data = arena_alloc(&j->arena, PACKET_MAX);
	ssize_t n = read(fd, data, PACKET_MAX);
	if (n < 0)
		err_sys(&j->err, errno, "read");
	close(fd);
	if (n < 0 || msg_decode(data, (size_t)n, &j->arena, &m, &j->err) < 0)
		return false;
	j->type = (enum msg_type)m.type;
	j->body = m.body;
	return m.type == M_CNI_DEL ||
	       err_set(&j->err, "it holds %s, not M_CNI_DEL", msg_name(m.type)) == 0;
}

unsigned cni_spool_read(int dir, struct cni_job *jobs, char (*names)[64], unsigned max)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	unsigned n = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (n < max && (e = readdir(d))) {
		/* Temporary names begin with a dot. */
		if (strncmp(e->d_name, "del-", 4) != 0 || strlen(e->d_name) >= sizeof(names[0]))
			continue;
		jobs[n] = (struct cni_job){ .sock = -1 };
		strcpy(names[n], e->d_name);
		if (read_one(dir, names[n], &jobs[n])) {
			n++;
			continue;
		}
		log_warn("cni", "spool/%s is deleted: %s", e->d_name, jobs[n].err.text);
		arena_free(&jobs[n].arena);
		unlinkat(dir, e->d_name, 0);
	}
	closedir(d);
	return n;
}
