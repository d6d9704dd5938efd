/* Everything that noded reads and opens before it starts a daemon: after this, no path is opened
 * for the daemons' sake again, so that a private folder, a changed file or a full disk cannot stand
 * in the way of a restart.
 */
#ifndef SELVAGE_NODED_SETUP_H
#define SELVAGE_NODED_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/nodeconf.h"
#include "noded/listeners.h"

enum daemon_id { BGPD, FELIX, NDAEMONS };

extern const char *const daemon_names[NDAEMONS];

/* Where the package made no users: numbers that neither Debian, systemd nor subordinate ids use. */
enum { UID_BGP = 90179, UID_FELIX = 90180 };

struct setup {
	const char *file; /* borrowed */
	char *text;	  /* node.yaml as it was read: every start of a daemon sees the same */
	size_t len;
	struct nodeconf *conf;
	char node[256];
	int exe[NDAEMONS];
	uint32_t uid[NDAEMONS], gid[NDAEMONS];
	int run_dir, lock, chroot_dir, spool_dir, state_dir, store_dir;
	struct listeners listeners;
};

/* Reads and checks the file; prints each problem on a line of its own to stderr. */
int setup_conf(struct setup *s, const char *file);
/* What a check of the resources needs: executables, users, the datastore. */
int setup_check(struct setup *s, struct err *err);
/* All the rest. */
int setup_open(struct setup *s, struct err *err);
void setup_close(struct setup *s);

/* A sealed memfd of these bytes at offset 0, which no holder can change; the caller's. -1. */
int setup_memfd(const char *name, const void *data, size_t len, struct err *err);
/* A descriptor for the configuration's text at offset 0; the caller's. */
int setup_conf_fd(const struct setup *s, struct err *err);

#endif
