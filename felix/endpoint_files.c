#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "felix/endpoints.h"
#include "lib/log.h"

enum { NAME_LEN = 40 };

static uint64_t hash(uint64_t h, const char *text)
{
	do
		h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
	while (*text++);
	return h;
}

/* Whatever characters a container id has. Two keys in one file would cost labels only: what is read
 * is compared with the key. */
static void file_name(const struct ipam_owner *o, char out[NAME_LEN])
{
	uint64_t h = hash(UINT64_C(14695981039346656037), o->network);

	h = hash(hash(h, o->container_id), o->ifname);
	snprintf(out, NAME_LEN, "ep-%016llx", (unsigned long long)h);
}

int endpoint_files_open(int state_dir, struct err *err)
{
	if (mkdirat(state_dir, "endpoints", 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "state.dir: cannot make the folder endpoints");
	int fd = openat(state_dir, "endpoints", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, errno, "state.dir: cannot open the folder endpoints") : fd;
}

int endpoint_file_save(int dir, const struct endpoint *ep, struct err *err)
{
	struct arena arena = { 0 };
	struct ipam_owner o = endpoint_owner(ep);
	struct m_ctl_endpoint row = endpoint_row(ep, &arena);
	struct wr w = wr_over(xmalloc(MSG_MAX), MSG_MAX);
	char name[NAME_LEN], tmp[NAME_LEN + 8];
	int rc = -1;

	msg_encode(&w, M_CTL_ENDPOINT, &row);
	file_name(&o, name);
	snprintf(tmp, sizeof(tmp), ".%s", name);
	int fd = w.full ? -1 : openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w.full)
		err_set(err, "endpoint %s/%s has more labels than a message takes", ep->namespace_,
			ep->name);
	else if (fd < 0 || write(fd, w.buf, w.len) != (ssize_t)w.len ||
		 renameat(dir, tmp, dir, name) < 0)
		err_sys(err, errno, "state.dir: cannot write endpoints/%s", name);
	else
		rc = 0;
	if (fd >= 0)
		close(fd);
	free(w.buf);
	arena_free(&arena);
	return rc;
}

void endpoint_file_remove(int dir, const struct endpoint *ep)
{
	struct ipam_owner o = endpoint_owner(ep);
	char name[NAME_LEN];

	file_name(&o, name);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		log_warn("endpoints", "cannot delete state.dir/endpoints/%s: %s", name,
			 strerror(errno));
}

static const struct m_ctl_endpoint *read_file(int dir, const char *name, struct arena *arena)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	struct err err;
	struct msg m;

	if (fd < 0)
		return NULL;
	size_t size = fstat(fd, &st) == 0 && st.st_size <= MSG_MAX ? (size_t)st.st_size : 0;
	uint8_t *data = arena_alloc(arena, size + 1);
	ssize_t n = read(fd, data, size);
	close(fd);
	if (n > 0 && msg_decode(data, (size_t)n, arena, &m, &err) == 0 && m.type == M_CTL_ENDPOINT)
		return m.body;
	log_warn("endpoints",
		 "state.dir/endpoints/%s cannot be read; its pod goes on without labels", name);
	return NULL;
}

msg_kv_list endpoint_file_labels(int dir, const struct ipam_owner *owner, struct arena *arena)
{
	char name[NAME_LEN];

	file_name(owner, name);
	const struct m_ctl_endpoint *row = read_file(dir, name, arena);
	if (!row || strcmp(row->container_id, owner->container_id) != 0 ||
	    strcmp(row->ifname, owner->ifname) != 0 || strcmp(row->network, owner->network) != 0)
		return (msg_kv_list){ 0 };
	return row->labels;
}

static DIR *open_listing(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

void endpoint_files_each(int dir, void (*cb)(void *arg, const struct m_ctl_endpoint *row),
			 void *arg)
{
	DIR *d = open_listing(dir);
	struct arena arena = { 0 };
	struct dirent *e;

	while (d && (e = readdir(d))) {
		const struct m_ctl_endpoint *row = strncmp(e->d_name, "ep-", 3) == 0
							   ? read_file(dir, e->d_name, &arena)
							   : NULL;

		if (row)
			cb(arg, row);
		arena_reset(&arena);
	}
	if (d)
		closedir(d);
	arena_free(&arena);
}

static bool is_known(const struct endpoints *t, const char *name)
{
	char known[NAME_LEN];

	for (struct endpoint *ep = endpoints_first(t); ep; ep = TAILQ_NEXT(ep, next)) {
		struct ipam_owner o = endpoint_owner(ep);

		file_name(&o, known);
		if (strcmp(known, name) == 0)
			return true;
	}
	return false;
}

void endpoint_files_sweep(int dir, const struct endpoints *t)
{
	DIR *d = open_listing(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !is_known(t, e->d_name))
			unlinkat(dir, e->d_name, 0);
	if (d)
		closedir(d);
}
