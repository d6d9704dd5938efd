/* The journal's file: appended in place, cut after a crash, written anew as a snapshot when it is
 * full. Internal to ipam/.
 *
 * Records are buffered by journal_append() and reach the file with journal_write(). The file is
 * preallocated with written zeros: an append then changes no metadata, and fdatasync costs one
 * write. After any failed write or sync the file is not trusted again (the kernel may have dropped
 * the pages): only journal_snapshot(), which writes a new file, makes the journal usable.
 */
#ifndef SELVAGE_IPAM_JOURNAL_H
#define SELVAGE_IPAM_JOURNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "ipam/journal_format.h"
#include "lib/err.h"

/* The seam to the disk: tests cut power here. Each as its system call. */
struct journal_ops {
	ssize_t (*pwrite)(void *ctx, int fd, const void *buf, size_t n, off_t off);
	int (*fdatasync)(void *ctx, int fd);
	int (*fsync)(void *ctx, int fd);
	int (*rename)(void *ctx, int dirfd, const char *from, const char *to);
	void *ctx;
};

#define JOURNAL_FILE	 "ipam.journal"
#define JOURNAL_TMP_FILE "ipam.journal.tmp"
enum { JOURNAL_MIN_SIZE = 256 * 1024 };

struct journal;

/* dirfd and ops are borrowed; ops NULL: the system calls. min_size: of the file; 0 =
 * JOURNAL_MIN_SIZE. */
struct journal *journal_new(int dirfd, const struct journal_ops *ops, size_t min_size);
void journal_free(struct journal *j); /* what is buffered is lost; NULL is allowed */

/* Reads the file, gives each record to cb, cuts an unfinished last write. 1: read, header in *out;
 * 0: there is no file; -1: it cannot be read or is damaged, or cb returned -1 (its err, with the
 * place added). */
int journal_load(struct journal *j, struct jhdr *out,
		 int (*cb)(void *arg, const struct jrec *r, struct err *err), void *arg,
		 struct err *err);

/* Buffers a record; seq and durable are set here. false: it is too large to be written. */
bool journal_append(struct journal *j, const struct jrec *r);
/* Is anything buffered, or written and not known durable? */
bool journal_pending(const struct journal *j, bool durable);
/* Is a snapshot needed before anything can be written: no file, no room, or a failure before? */
bool journal_needs_snapshot(const struct journal *j);
/* Writes what is buffered; sync: and waits for the disk. -1: see above. */
int journal_write(struct journal *j, bool sync, struct err *err);
/* Drops what is buffered and writes a new file: what fill() appends. It replaces the old one
 * atomically and is durable on return. -1: the old file stands, journal_needs_snapshot() holds. */
int journal_snapshot(struct journal *j, const struct jhdr *hdr, void (*fill)(void *arg), void *arg,
		     struct err *err);

#endif
