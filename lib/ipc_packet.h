/* One packet with descriptors, as both kinds of channel (lib/ipc.c, lib/ipc_sync.c) send and
 * receive it. A header of lib's own; others use lib/ipc.h.
 */
#ifndef SELVAGE_LIB_IPC_PACKET_H
#define SELVAGE_LIB_IPC_PACKET_H

#include <stddef.h>

#include "lib/msg.h"

struct packet {
	size_t len;
	int fds[MSG_MAX_FDS]; /* close-on-exec, owned by the receiver */
	unsigned nfds;
};

/* 0, or a negative errno. flags go to sendmsg(); MSG_NOSIGNAL is added. */
int packet_send(int fd, const void *data, size_t len, const int *fds, unsigned nfds, int flags);

/* 1 = a packet; 0 = the other end closed; a negative errno else. EMSGSIZE: a packet that is longer
 * than cap or carries more descriptors than a message may; those that came are closed. */
int packet_recv(int fd, void *buf, size_t cap, int flags, struct packet *p);

void packet_close_fds(struct packet *p);

/* Does the row of this type allow that many descriptors? -1 with the reason. */
int packet_check_fds(unsigned type, unsigned nfds, struct err *err);

#endif
