/* A temporary folder of resources for the store's tests. */
#ifndef SELVAGE_TEST_UNIT_STORE_DIR_H
#define SELVAGE_TEST_UNIT_STORE_DIR_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

struct store_dir {
	char path[64];
	int fd;
};

static inline void dir_make(struct store_dir *d)
{
	strcpy(d->path, "/tmp/selvage-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(d->fd, 0);
}

/* As the contract asks writers to do: a temporary name, then a rename. */
static inline void dir_write(const struct store_dir *d, const char *name, const char *text)
{
	int fd = openat(d->fd, ".tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_int_eq(renameat(d->fd, ".tmp", d->fd, name), 0);
}

static inline void dir_remove(const struct store_dir *d, const char *name)
{
	ck_assert_int_eq(unlinkat(d->fd, name, 0), 0);
}

static inline void dir_free(struct store_dir *d)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(d->fd, e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(d->path);
	close(d->fd);
}

/* Reads the folder once, without a loop. */
static inline struct store *dir_open(const struct store_dir *d)
{
	struct err err;
	struct store *s = store_directory_open(NULL, fcntl(d->fd, F_DUPFD_CLOEXEC, 3), d->path,
					       NULL, NULL, &err);

	ck_assert_msg(s != NULL, "%s", err.text);
	return s;
}

static inline bool store_has_error(const struct store *s, const char *text)
{
	struct store_status st;

	store_status(s, &st);
	for (unsigned i = 0; i < st.nerrors; i++)
		if (strstr(st.errors[i], text))
			return true;
	return false;
}

#endif
