#include "config.h"

#include "cni/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a, 128 bits: names the file by what it asks for, whatever characters that has. */
static unsigned __int128 hash(unsigned __int128 h, const char *s)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	do
		h = (h ^ (uint8_t)*s) * prime;
	while (*s++);
	return h;
}

static void make_name(const struct m_cni_del *del, char *buf, size_t size)
{
	unsigned __int128 h =
		(unsigned __int128)0x6c62272e07bb0142ull << 64 | 0x62b821756295c58dull;
	h = hash(h, del->network);
	h = hash(h, del->container_id);
	h = hash(h, del->ifname);
	snprintf(buf, size, "del-%016llx%016llx", (unsigned long long)(h >> 64),
		 (unsigned long long)h);
}

/* Before noded's first start of this boot there is no run folder yet; noded takes this one over. */
static int open_spool(const char *run, struct cni_error *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	if (mkdir(run, 0755) && errno != EEXIST)
		return cni_fail(e, CNI_E_AGAIN, "felix is away and %.200s cannot be made: %s", run,
				strerror(errno));
	int top = open(run, flags);
	if (top < 0 || (mkdirat(top, "spool", 0750) && errno != EEXIST)) {
		cni_fail(e, CNI_E_AGAIN, "felix is away and %.200s/spool cannot be made: %s", run,
			 strerror(errno));
		if (top >= 0)
			close(top);
		return -1;
	}
	int fd = openat(top, "spool", flags | O_NOFOLLOW);
	if (fd < 0)
		cni_fail(e, CNI_E_AGAIN, "felix is away and %.200s/spool cannot be opened: %s", run,
			 strerror(errno));
	close(top);
	return fd;
}

/* To the folder's owner, which is felix: it reads and deletes. */
static int write_file(int dir, const char *name, const void *data, size_t len)
{
	struct stat st;
	unlinkat(dir, name, 0);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	int bad = write(fd, data, len) != (ssize_t)len || fstat(dir, &st) ||
		  (st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid)) || fsync(fd);
	int saved = errno;
	close(fd);
	errno = saved;
	return bad ? -1 : 0;
}

int spool_put(const char *run, const struct m_cni_del *del, struct cni_error *e)
{
	uint8_t packet[4096];
	char name[64], tmp[80];
	struct wr w = wr_over(packet, sizeof(packet));

	msg_encode(&w, M_CNI_DEL, del);
	if (w.full)
		return cni_fail(e, CNI_E_IO, "the DEL is too large for the spool");
	int dir = open_spool(run, e);
	if (dir < 0)
		return -1;
	make_name(del, name, sizeof(name));
	/* The pid keeps two plugins apart that are asked the same at once. */
	snprintf(tmp, sizeof(tmp), ".%s.%ld", name, (long)getpid());
	int bad =
		write_file(dir, tmp, packet, w.len) || renameat(dir, tmp, dir, name) || fsync(dir);
	if (bad) {
		cni_fail(e, CNI_E_AGAIN, "felix is away and %.200s/spool cannot be written: %s",
			 run, strerror(errno));
		unlinkat(dir, tmp, 0);
	}
	close(dir);
	return bad ? -1 : 0;
}
