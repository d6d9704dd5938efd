/* One process of a daemon: forked, executed from a descriptor, told with M_INIT what it holds.
 */
#ifndef SELVAGE_NODED_SPAWN_H
#define SELVAGE_NODED_SPAWN_H

#include <sys/types.h>

#include "lib/msg.h"
#include "noded/setup.h"

/* M_INIT while it is put together; descriptors and names are borrowed. */
struct spawn_init {
	struct m_init body;
	struct m_init_fd kinds[MSG_MAX_FDS];
	int fds[MSG_MAX_FDS];
	unsigned n;
};

/* config: from setup_conf_fd(). */
void spawn_init_begin(struct spawn_init *in, const struct setup *s, enum daemon_id id, int config);
/* A descriptor of -1 is passed over. */
void spawn_init_add(struct spawn_init *in, enum init_fd kind, int fd, const char *name);
/* After the last add, before sending. */
void spawn_init_end(struct spawn_init *in);

/* Starts exe; *channel is noded's end. Returns the pid, or -1. */
pid_t spawn(int exe, const char *name, int *channel, struct err *err);

#endif
