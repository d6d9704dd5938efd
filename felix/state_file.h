/* Small files in state.dir that must be whole or not there: written beside, synced, renamed.
 */
#ifndef SELVAGE_FELIX_STATE_FILE_H
#define SELVAGE_FELIX_STATE_FILE_H

#include <stddef.h>

#include "lib/arena.h"
#include "lib/err.h"

/* The whole file (and a 0 behind it) in the arena, its length in *len. NULL: err->code ENOENT where
 * there is none; over 1 MiB is an error. */
char *state_file_read(int dirfd, const char *name, struct arena *arena, size_t *len,
		      struct err *err);
/* Durable on return. */
int state_file_save(int dirfd, const char *name, const char *text, size_t len, struct err *err);
/* This daemon's own name, made at random once and kept in the file "instance": 32 hex digits. */
int state_instance(int dirfd, char out[33], struct err *err);

#endif
