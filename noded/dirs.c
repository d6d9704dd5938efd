#include "config.h"

#include "noded/dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/arena.h"

enum { DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC, DEPTH = 4 /* state.dir has two */ };

/* mkdir -p: parents 0755, the last one with mode. */
static int make_path(const char *path, mode_t mode, struct err *err)
{
	char *copy = xstrdup(path);
	int r = 0;

	for (char *p = copy + 1; *p && !r; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			r = err_sys(err, errno, "cannot make the folder %s", copy);
		*p = '/';
	}
	if (!r && mkdir(path, mode) && errno != EEXIST)
		r = err_sys(err, errno, "cannot make the folder %s", path);
	free(copy);
	return r;
}

static int check_absolute(const char *key, const char *path, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, "%s is \"%s\"; give an absolute path", key, path);
	return 0;
}

/* The holder writes its pid for whoever is refused; the lock itself dies with the process. */
static int take_lock(int run, const char *path, struct err *err)
{
	char text[32] = "";
	int fd = openat(run, "noded.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		return err_sys(err, errno, "cannot make %s/noded.lock", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
		close(fd);
		return err_set(err,
			       "another noded (pid %s) runs on %s; stop it, or give this node a "
			       "state.run of its own",
			       text[0] ? text : "unknown", path);
	}
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len) {
		int e = errno;
		close(fd);
		return err_sys(err, e, "cannot write %s/noded.lock", path);
	}
	return fd;
}

int dirs_open_run(const char *path, int *lock, struct err *err)
{
	if (check_absolute("state.run", path, err) || make_path(path, 0755, err))
		return err_ctx(err, "state.run");
	int fd = open(path, DIR_FLAGS);
	if (fd < 0)
		return err_sys(err, errno, "state.run: cannot open %s", path);
	*lock = take_lock(fd, path, err);
	if (*lock < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_under(int run, const char *name, mode_t mode, struct err *err)
{
	if (mkdirat(run, name, mode) && errno != EEXIST)
		return err_sys(err, errno, "cannot make %s in state.run", name);
	int fd = openat(run, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, errno, "cannot open %s in state.run", name);
	return fd;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static DIR *list(int fd)
{
	int copy = openat(fd, ".", DIR_FLAGS);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	if (!d && copy >= 0)
		close(copy);
	return d;
}

/* How many entries; *known: one of them is a journal. */
static unsigned count_entries(int fd, bool *known)
{
	unsigned n = 0;
	DIR *d = list(fd);
	struct dirent *e;

	*known = false;
	while (d && (e = readdir(d))) {
		if (is_dots(e->d_name))
			continue;
		n++;
		*known = *known || !strncmp(e->d_name, "ipam.journal", 12);
	}
	if (d)
		closedir(d);
	return n;
}

int dirs_open_chroot(int run, struct err *err)
{
	struct stat st;
	bool known;
	int fd = open_under(run, "empty", 0755, err);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st))
		err_sys(err, errno, "cannot examine state.run/empty");
	else if (st.st_uid != geteuid() || st.st_mode & 022)
		err_set(err,
			"state.run/empty is not root's alone; remove it, noded makes it again");
	else if (count_entries(fd, &known))
		err_set(err, "state.run/empty is not empty; remove what lies in it");
	else
		return fd;
	close(fd);
	return -1;
}

static int adopt_below(int fd, uint32_t uid, unsigned depth, struct err *err);

/* Folders, and regular files with one name only: a link in this folder must not give away a file
 * elsewhere. Looked at and changed through one descriptor, so that nothing is put in between. */
static int adopt_one(int fd, const char *name, uint32_t uid, unsigned depth, struct err *err)
{
	struct stat st;
	int r = 0, below, at = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (at < 0 || fstat(at, &st)) {
		r = err_sys(err, errno, "cannot examine %s", name);
	} else if (S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1)) {
		if (st.st_uid != uid && fchownat(at, "", uid, getegid(), AT_EMPTY_PATH))
			r = err_sys(err, errno, "cannot give %s to user %u", name, uid);
		if (!r && S_ISDIR(st.st_mode)) {
			below = openat(at, ".", DIR_FLAGS);
			r = below < 0 ? err_sys(err, errno, "cannot open %s", name)
				      : adopt_below(below, uid, depth, err);
			if (below >= 0)
				close(below);
		}
	}
	if (at >= 0)
		close(at);
	return r;
}

static int adopt_below(int fd, uint32_t uid, unsigned depth, struct err *err)
{
	DIR *d = list(fd);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_sys(err, errno, "cannot list it");
	while (!r && depth && (e = readdir(d))) {
		if (!is_dots(e->d_name))
			r = adopt_one(fd, e->d_name, uid, depth - 1, err);
	}
	closedir(d);
	return r;
}

int dirs_open_spool(int run, uint32_t uid, struct err *err)
{
	int fd = open_under(run, "spool", 0700, err);
	if (fd < 0)
		return -1;
	if (fchmod(fd, 0750) || fchown(fd, uid, getegid())) {
		err_sys(err, errno, "cannot give state.run/spool to user %u", uid);
		close(fd);
		return -1;
	}
	/* A plugin that came before noded's first start left files of root's. */
	if (adopt_below(fd, uid, 1, err)) {
		close(fd);
		return err_ctx(err, "state.run/spool");
	}
	return fd;
}

/* A typing error in state.dir must not give somebody else's folder away. */
static int check_ours(int fd, uint32_t uid, struct err *err)
{
	struct stat st;
	bool known;

	if (fstat(fd, &st))
		return err_sys(err, errno, "cannot examine it");
	if (st.st_uid != 0 || st.st_uid == uid || !count_entries(fd, &known) || known)
		return 0;
	return err_set(err, "it holds files, but no journal of Selvage; name an empty folder, or "
			    "one that does not exist yet");
}

static int check_writable(int fd, struct err *err)
{
	int f = openat(fd, ".write-test", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f < 0)
		return err_sys(err, errno,
			       "not writable; the addresses that pods hold must be written there");
	close(f);
	unlinkat(fd, ".write-test", 0);
	return 0;
}

static int take_state(int fd, uint32_t uid, struct err *err)
{
	if (check_ours(fd, uid, err) || check_writable(fd, err))
		return -1;
	/* Mode before owner: afterwards it is felix's, and only CAP_FOWNER could. Root's group
	 * keeps noded able to look in without CAP_DAC_OVERRIDE. */
	if (fchmod(fd, 0750) || fchown(fd, uid, getegid()))
		return err_sys(err, errno, "cannot give it to user %u", uid);
	return adopt_below(fd, uid, DEPTH, err);
}

int dirs_open_state(const char *path, uint32_t uid, struct err *err)
{
	if (check_absolute("state.dir", path, err) || make_path(path, 0750, err))
		return err_ctx(err, "state.dir");
	int fd = open(path, DIR_FLAGS);
	if (fd < 0)
		return err_sys(err, errno, "state.dir: cannot open %s", path);
	if (take_state(fd, uid, err)) {
		close(fd);
		return err_ctx(err, "state.dir %s", path);
	}
	return fd;
}

int dirs_open_store(const char *path, struct err *err)
{
	int fd = open(path, DIR_FLAGS);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return err_set(err,
			       "datastore.path: the folder %s does not exist; make it and put the "
			       "resources (*.yaml) there",
			       path);
	return err_sys(err, errno, "datastore.path: cannot open the folder %s", path);
}
