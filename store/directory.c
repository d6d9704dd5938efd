/* The directory store: a folder of YAML files, watched. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "store/file.h"
#include "store/store_impl.h"

enum { FILE_BYTES_MAX = 16 << 20 };

/* A file that is renamed into place is whole, and waits only for others that come with it; one that
 * is written in place is taken to be whole when the folder is quiet for 50 ms. A folder that never
 * is quiet is read all the same. Without inotify the folder is looked at often enough for the
 * promise of one second. */
static const double RENAMED = 0.01, QUIET = 0.05, AT_MOST = 0.3, POLL = 0.7;

struct watched {
	char *name;
	struct stat sig; /* of what was read */
	bool seen;
	struct file_docs docs;
};

struct directory {
	struct store store;
	struct ev_loop *loop;
	int dirfd, inotify;
	char *path;
	const struct store_ops *ops;
	void *arg;
	ev_io io;
	ev_timer timer;
	double first_event;	/* of those that wait; 0 none */
	bool written;		/* among them is a file that was not renamed into place */
	struct watched **files; /* by name */
	unsigned nfiles, cap;
	struct table table;
	char **errors;
	unsigned nerrors, errors_cap;
	char *folder_error;
	bool synced;
	uint64_t last_contact;
};

/* ---- files ---- */

static bool is_wanted(const char *name)
{
	const char *dot = strrchr(name, '.');

	return *name != '.' && dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static bool same_sig(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The whole file, or NULL and why not. */
static char *slurp(int fd, size_t *len, const char **why)
{
	size_t cap = 16384;
	char *buf = xmalloc(cap);

	*len = 0;
	for (;;) {
		ssize_t n = read(fd, buf + *len, cap - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			*why = strerror(errno);
		if (n <= 0)
			break;
		*len += (size_t)n;
		if (*len > FILE_BYTES_MAX) {
			*why = "is longer than 16 MiB; split it";
			break;
		}
		if (*len == cap)
			buf = xrealloc(buf, cap *= 2);
	}
	if (!*why)
		return buf;
	free(buf);
	return NULL;
}

/* Everyone on the host may read it. */
static bool is_public(const struct directory *s, const struct stat *file)
{
	struct stat dir;

	return file->st_mode & S_IROTH && !fstat(s->dirfd, &dir) && dir.st_mode & S_IXOTH;
}

static void read_file(struct directory *s, struct watched *w)
{
	/* O_NONBLOCK: a FIFO in the folder must not hold the process up. */
	int fd = openat(s->dirfd, w->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why = NULL;
	char text[160], *data = NULL;
	size_t len = 0;
	struct stat st;

	memset(&st, 0, sizeof(st));
	if (fd < 0) {
		snprintf(text, sizeof(text), "cannot be opened: %s%s", strerror(errno),
			 errno == EACCES ? "; let the user of felix (selvage-felix) read it" : "");
		why = text;
		/* Without this an unreadable file would be read again at every look. */
		if (fstatat(s->dirfd, w->name, &st, 0))
			memset(&st, 0, sizeof(st));
	} else if (fstat(fd, &st)) {
		why = strerror(errno);
	} else if (!S_ISREG(st.st_mode)) {
		why = "is not a plain file";
	} else {
		data = slurp(fd, &len, &why);
	}
	struct file_docs docs;

	if (data)
		file_read(&docs, w->name, data, len, &w->docs, &s->table);
	else
		file_unreadable(&docs, w->name, why, &w->docs);
	if (fd >= 0)
		close(fd);
	for (unsigned i = 0; i < docs.n; i++)
		docs.v[i]->exposed = data && is_public(s, &st);
	free(data);
	file_free(&w->docs);
	w->docs = docs;
	w->sig = st;
}

static struct watched *find_file(struct directory *s, const char *name, unsigned *at)
{
	unsigned lo = 0, hi = s->nfiles;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = strcmp(s->files[mid]->name, name);

		if (!c) {
			*at = mid;
			return s->files[mid];
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*at = lo;
	return NULL;
}

static struct watched *add_file(struct directory *s, const char *name, unsigned at)
{
	struct watched *w = xcalloc(1, sizeof(*w));

	w->name = xstrdup(name);
	if (s->nfiles == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->files = xrealloc(s->files, s->cap * sizeof(*s->files));
	}
	memmove(s->files + at + 1, s->files + at, (s->nfiles - at) * sizeof(*s->files));
	s->files[at] = w;
	s->nfiles++;
	return w;
}

static void free_file(struct watched *w)
{
	file_free(&w->docs);
	free(w->name);
	free(w);
}

/* true: something is new or different. */
static bool look_at(struct directory *s, const char *name)
{
	unsigned at;
	struct watched *w = find_file(s, name, &at);
	struct stat st;

	if (fstatat(s->dirfd, name, &st, 0)) {
		/* Gone between the listing and now, or a link to nowhere. The former has its own
		 * event; the latter is told. */
		if (errno == ENOENT && fstatat(s->dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
			return false;
		memset(&st, 0, sizeof(st));
	}
	if (w) {
		w->seen = true;
		if (same_sig(&w->sig, &st))
			return false;
	} else {
		w = add_file(s, name, at);
		w->seen = true;
	}
	read_file(s, w);
	return true;
}

static bool drop_unseen(struct directory *s)
{
	unsigned kept = 0;
	bool changed = false;

	for (unsigned i = 0; i < s->nfiles; i++) {
		if (s->files[i]->seen) {
			s->files[kept++] = s->files[i];
			continue;
		}
		free_file(s->files[i]);
		changed = true;
	}
	s->nfiles = kept;
	return changed;
}

/* ---- what the files make together ---- */

static void add_error(struct directory *s, const char *text)
{
	if (s->nerrors == s->errors_cap) {
		s->errors_cap = s->errors_cap ? s->errors_cap * 2 : 16;
		s->errors = xrealloc(s->errors, s->errors_cap * sizeof(*s->errors));
	}
	s->errors[s->nerrors++] = xstrdup(text);
}

static void on_duplicate(void *arg, const struct object *kept, const struct object *dropped)
{
	struct err e;

	err_set(&e, "%s: %s \"%s\" is already defined at %s; that one is taken, remove one of them",
		dropped->origin, dropped->kind_text, dropped->name, kept->origin);
	add_error(arg, e.text);
}

static bool in_list(char *const *list, unsigned n, const char *text)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(list[i], text))
			return true;
	return false;
}

/* The log names each error once, when it appears. Without a loop, the caller tells its user. */
static void log_new_errors(const struct directory *s, char **old, unsigned nold)
{
	if (!s->loop)
		return;
	for (unsigned i = 0; i < s->nerrors; i++)
		if (!in_list(old, nold, s->errors[i]))
			log_warn("store", "%s/%s", s->path, s->errors[i]);
	if (nold && !s->nerrors)
		log_info("store", "%s: every document can be read again", s->path);
}

static void rebuild(struct directory *s)
{
	struct table old = s->table;
	char **old_errors = s->errors;
	unsigned nold = s->nerrors;

	memset(&s->table, 0, sizeof(s->table));
	s->errors = NULL;
	s->nerrors = s->errors_cap = 0;
	if (s->folder_error)
		add_error(s, s->folder_error);
	for (unsigned i = 0; i < s->nfiles; i++) {
		const struct file_docs *d = &s->files[i]->docs;

		for (unsigned j = 0; j < d->nerrors; j++)
			add_error(s, d->errors[j]);
		for (unsigned j = 0; j < d->n; j++)
			table_add(&s->table, d->v[j]);
	}
	table_seal(&s->table, on_duplicate, s);
	log_new_errors(s, old_errors, nold);
	table_clear(&old);
	for (unsigned i = 0; i < nold; i++)
		free(old_errors[i]);
	free(old_errors);
}

static void set_folder_error(struct directory *s, const char *text)
{
	free(s->folder_error);
	s->folder_error = text ? xstrdup(text) : NULL;
}

/* One look at the folder. 1 changed, 0 not, -1: it cannot be listed. */
static int scan(struct directory *s, struct err *err)
{
	int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool changed = false;
	struct dirent *e;

	if (!dir) {
		err_sys(err, errno, "%s cannot be listed", s->path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	for (unsigned i = 0; i < s->nfiles; i++)
		s->files[i]->seen = false;
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0)
		if (is_wanted(e->d_name) && look_at(s, e->d_name))
			changed = true;
	/* A listing that broke off says nothing about the files it did not reach. */
	if (errno) {
		err_sys(err, errno, "%s cannot be listed", s->path);
		closedir(dir);
		return -1;
	}
	closedir(dir);
	if (drop_unseen(s))
		changed = true;
	return changed;
}

static void refresh(struct directory *s)
{
	struct err err;
	int rc = scan(s, &err);
	bool had_error = s->folder_error != NULL;

	if (rc < 0) {
		set_folder_error(s, err.text);
	} else {
		s->last_contact = (uint64_t)time(NULL);
		set_folder_error(s, NULL);
	}
	if (!rc && !had_error)
		return;
	rebuild(s);
	if (s->ops && s->ops->on_change)
		s->ops->on_change(s->arg);
}

/* ---- events ---- */

static void on_timer(struct ev_loop *loop, ev_timer *t, int events)
{
	struct directory *s = t->data;

	(void)events;
	s->first_event = 0;
	s->written = false;
	if (s->inotify >= 0)
		ev_timer_stop(loop, t);
	refresh(s);
}

/* Is one of these events about a file that may still be written? */
static bool any_written(const char *buf, ssize_t n)
{
	bool found = false;

	for (const char *p = buf; p < buf + n;) {
		const struct inotify_event *e = (const void *)p;

		found |= !e->len || (is_wanted(e->name) &&
				     !(e->mask & (IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)));
		p += sizeof(*e) + e->len;
	}
	return found;
}

static void on_inotify(struct ev_loop *loop, ev_io *io, int events)
{
	struct directory *s = io->data;
	_Alignas(struct inotify_event) char buf[8192];
	ssize_t n;

	(void)events;
	while ((n = read(s->inotify, buf, sizeof(buf))) > 0)
		s->written |= any_written(buf, n);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		log_warn("store", "%s: inotify: %s", s->path, strerror(errno));
	/* Which file it was does not matter: a look at all of them costs a stat each, and an
	 * overflow needs no path of its own. */
	if (!s->first_event)
		s->first_event = ev_now(loop);
	if (ev_now(loop) - s->first_event < (s->written ? AT_MOST : QUIET)) {
		s->timer.repeat = s->written ? QUIET : RENAMED;
		ev_timer_again(loop, &s->timer);
	}
}

static void watch(struct directory *s)
{
	char proc[32];

	ev_init(&s->timer, on_timer);
	s->timer.data = s;
	s->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", s->dirfd);
	if (s->inotify >= 0 &&
	    inotify_add_watch(s->inotify, proc,
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
				      IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >=
		    0) {
		ev_io_init(&s->io, on_inotify, s->inotify, EV_READ);
		s->io.data = s;
		ev_io_start(s->loop, &s->io);
		return;
	}
	log_warn("store", "%s: cannot be watched (%s); it is read every %.1f s instead", s->path,
		 strerror(errno), POLL);
	if (s->inotify >= 0)
		close(s->inotify);
	s->inotify = -1;
	s->timer.repeat = POLL;
	ev_timer_again(s->loop, &s->timer);
}

/* ---- the store ---- */

static void directory_close(struct store *store)
{
	struct directory *s = (struct directory *)store;

	if (s->loop) {
		ev_timer_stop(s->loop, &s->timer);
		if (s->inotify >= 0) {
			ev_io_stop(s->loop, &s->io);
			close(s->inotify);
		}
	}
	close(s->dirfd);
	for (unsigned i = 0; i < s->nfiles; i++)
		free_file(s->files[i]);
	free(s->files);
	table_clear(&s->table);
	for (unsigned i = 0; i < s->nerrors; i++)
		free(s->errors[i]);
	free(s->errors);
	free(s->folder_error);
	free(s->path);
	free(s);
}

static void directory_status(const struct store *store, struct store_status *out)
{
	const struct directory *s = (const struct directory *)store;

	*out = (struct store_status){
		.kind = "directory",
		.synced = s->synced,
		.last_contact = s->last_contact,
		.nerrors = s->nerrors,
		.errors = (const char *const *)s->errors,
	};
}

static const struct object *const *directory_list(const struct store *s, enum kind k, unsigned *n)
{
	return table_list(&((const struct directory *)s)->table, k, n);
}

static const struct object *directory_find(const struct store *s, enum kind k,
					   const char *namespace_, const char *name)
{
	return table_find(&((const struct directory *)s)->table, k, namespace_, name);
}

static bool directory_kind_synced(const struct store *s, enum kind k)
{
	(void)k;
	return ((const struct directory *)s)->synced;
}

static const struct store_maker directory_maker = {
	.close = directory_close,
	.status = directory_status,
	.list = directory_list,
	.find = directory_find,
	.kind_synced = directory_kind_synced,
};

struct store *store_directory_open(struct ev_loop *loop, int dirfd, const char *path,
				   const struct store_ops *ops, void *arg, struct err *err)
{
	struct directory *s = xcalloc(1, sizeof(*s));

	s->store.maker = &directory_maker;
	s->loop = loop;
	s->dirfd = dirfd;
	s->inotify = -1;
	s->path = xstrdup(path);
	s->ops = ops;
	s->arg = arg;
	/* The watch stands before the first look, so that nothing falls between them. */
	if (loop)
		watch(s);
	if (scan(s, err) < 0) {
		store_close(&s->store);
		return NULL;
	}
	s->synced = true;
	s->last_contact = (uint64_t)time(NULL);
	rebuild(s);
	return &s->store;
}
