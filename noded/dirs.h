/* The folders that noded makes and opens for its children, before anything starts.
 *
 * Each function returns an open directory (close-on-exec; the caller's) or -1 with one line that
 * says which key of node.yaml names it and what to do.
 */
#ifndef SELVAGE_NODED_DIRS_H
#define SELVAGE_NODED_DIRS_H

#include <stdint.h>

#include "lib/err.h"

/* state.run, made where it is missing. *lock holds a lock until it is closed: one noded a folder.
 */
int dirs_open_run(const char *path, int *lock, struct err *err);
/* state.run/empty: 0755, root's, and nothing in it. */
int dirs_open_chroot(int run, struct err *err);
/* state.run/spool, owned by felix, who deletes what it has read. */
int dirs_open_spool(int run, uint32_t uid, struct err *err);
/* state.dir and the files in it, made felix's own; tried by writing. */
int dirs_open_state(const char *path, uint32_t uid, struct err *err);
/* datastore.path. */
int dirs_open_store(const char *path, struct err *err);

#endif
