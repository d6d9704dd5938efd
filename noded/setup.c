#include "config.h"

#include "noded/setup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/log.h"
#include "noded/dirs.h"

#define SUB "setup"

enum { CONF_MAX = 4 << 20 };

const char *const daemon_names[NDAEMONS] = { [BGPD] = "bgpd", [FELIX] = "felix" };

static int read_file(const char *file, char **text, size_t *len, struct err *err)
{
	size_t cap = 64 * 1024;
	ssize_t n = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "cannot read %s (-c names another file)", file);
	*text = xmalloc(cap);
	*len = 0;
	while ((n = read(fd, *text + *len, cap - *len)) > 0) {
		*len += (size_t)n;
		if (*len == cap && cap < CONF_MAX)
			*text = xrealloc(*text, cap *= 2);
		else if (*len == cap)
			break;
	}
	int e = errno;
	close(fd);
	if (!n)
		return 0;
	free(*text);
	*text = NULL;
	return n < 0 ? err_sys(err, e, "cannot read %s", file)
		     : err_set(err, "%s is larger than 4 MiB; that is no node.yaml", file);
}

int setup_memfd(const char *name, const void *data, size_t len, struct err *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, errno, "memfd_create");
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);
		if (n < 0) {
			err_sys(err, errno, "cannot copy %s", name);
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	/* The daemons read it; none of them may rewrite what is in force. */
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

int setup_conf_fd(const struct setup *s, struct err *err)
{
	return setup_memfd("node.yaml", s->text, s->len, err);
}

/* As Calico names a node: the host name in lower case. */
static int find_name(struct setup *s, struct err *err)
{
	const char *name = s->conf->node.name;
	if (name && *name) {
		if (strlen(name) >= sizeof(s->node))
			return err_set(err, "node.name is longer than 255 characters");
		snprintf(s->node, sizeof(s->node), "%s", name);
		return 0;
	}
	if (gethostname(s->node, sizeof(s->node) - 1))
		return err_sys(err, errno, "cannot read the host name; set node.name");
	if (!s->node[0] || !strcmp(s->node, "(none)"))
		return err_set(err, "this host has no name; set node.name");
	for (char *p = s->node; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

static void setup_init(struct setup *s, const char *file)
{
	*s = (struct setup){ .file = file };
	s->exe[BGPD] = s->exe[FELIX] = -1;
	s->run_dir = s->lock = s->chroot_dir = s->spool_dir = s->state_dir = s->store_dir = -1;
}

int setup_conf(struct setup *s, const char *file)
{
	struct arena arena = { 0 };
	struct problems problems = { .arena = &arena };
	struct err err = { 0 };

	setup_init(s, file);
	int fd = read_file(file, &s->text, &s->len, &err) ? -1 : setup_conf_fd(s, &err);
	if (fd >= 0) {
		s->conf = nodeconf_load_fd(fd, file, &problems);
		close(fd);
		for (unsigned i = 0; i < problems.n; i++)
			fprintf(stderr, "%s\n", problems.text[i]);
	}
	arena_free(&arena);
	if (s->conf && !find_name(s, &err))
		return 0;
	if (fd < 0 || s->conf)
		fprintf(stderr, "noded: %s\n", err.text);
	return -1;
}

static int open_exe(const char *dir, const char *sub, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s%s/%s", dir, *sub ? "/" : "", sub, name);
	/* Reading is not needed to execute. */
	return n < (int)sizeof(path) ? open(path, O_PATH | O_CLOEXEC) : -1;
}

/* Next to noded's own folder in the tree it was built in, else where make install puts it. */
static int find_exe(const char *name, struct err *err)
{
	char self[PATH_MAX], up[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int fd = -1;

	self[n > 0 ? n : 0] = '\0';
	snprintf(up, sizeof(up), "%s", dirname(self));
	if (!strcmp(basename(self), "noded"))
		fd = open_exe(dirname(up), name, name);
	if (fd < 0)
		fd = open_exe(LIBEXECDIR, "", name);
	if (fd < 0)
		return err_set(err,
			       "cannot find %s, neither next to noded nor in %s; is Selvage "
			       "installed whole?",
			       name, LIBEXECDIR);
	return fd;
}

/* Is this id one that setresuid() takes here? In a user namespace, few are. */
static bool is_mapped(uint32_t uid)
{
	unsigned long first, outside, count;
	bool yes = false;
	FILE *f = fopen("/proc/self/uid_map", "re");

	if (!f)
		return true;
	while (!yes && fscanf(f, "%lu %lu %lu", &first, &outside, &count) == 3)
		yes = uid >= first && uid - first < count;
	fclose(f);
	return yes;
}

static void find_user(struct setup *s, enum daemon_id id)
{
	static const char *const names[] = { [BGPD] = "selvage-bgp", [FELIX] = "selvage-felix" };
	static const uint32_t fixed[] = { [BGPD] = UID_BGP, [FELIX] = UID_FELIX };

	if (geteuid() != 0) {
		s->uid[id] = s->gid[id] = 0;
		return;
	}
	const struct passwd *pw = getpwnam(names[id]);
	s->uid[id] = pw ? pw->pw_uid : fixed[id];
	s->gid[id] = pw ? pw->pw_gid : fixed[id];
	if (is_mapped(s->uid[id]))
		return;
	log_warn(SUB, "user %u does not exist in this user namespace; %s runs as its root",
		 s->uid[id], daemon_names[id]);
	s->uid[id] = s->gid[id] = 0;
}

int setup_check(struct setup *s, struct err *err)
{
	for (int i = 0; i < NDAEMONS; i++) {
		s->exe[i] = find_exe(daemon_names[i], err);
		if (s->exe[i] < 0)
			return -1;
		find_user(s, (enum daemon_id)i);
	}
	if (s->conf->datastore.kind != DATASTORE_DIRECTORY)
		return 0;
	s->store_dir = dirs_open_store(s->conf->datastore.path, err);
	return s->store_dir < 0 ? -1 : 0;
}

int setup_open(struct setup *s, struct err *err)
{
	if (setup_check(s, err))
		return -1;
	s->run_dir = dirs_open_run(s->conf->state.run, &s->lock, err);
	if (s->run_dir < 0)
		return -1;
	s->chroot_dir = dirs_open_chroot(s->run_dir, err);
	if (s->chroot_dir < 0)
		return -1;
	s->spool_dir = dirs_open_spool(s->run_dir, s->uid[FELIX], err);
	if (s->spool_dir < 0)
		return -1;
	s->state_dir = dirs_open_state(s->conf->state.dir, s->uid[FELIX], err);
	if (s->state_dir < 0)
		return -1;
	return listeners_open(&s->listeners, s->conf, err);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void setup_close(struct setup *s)
{
	listeners_close(&s->listeners);
	for (int i = 0; i < NDAEMONS; i++)
		close_fd(&s->exe[i]);
	close_fd(&s->chroot_dir);
	close_fd(&s->spool_dir);
	close_fd(&s->state_dir);
	close_fd(&s->store_dir);
	close_fd(&s->run_dir);
	close_fd(&s->lock);
	nodeconf_free(s->conf);
	free(s->text);
}
