/* A channel of messages over a SOCK_SEQPACKET socket.
 *
 * `struct ipc` lives on a libev loop: it decodes what arrives, queues what the socket does not take
 * and drops a peer that sends nonsense. The ipc_sync_* functions are for the short-lived programs
 * (the plugin, nodectl), which have no loop; lib/ipc_sync.c links no libev.
 */
#ifndef SELVAGE_LIB_IPC_H
#define SELVAGE_LIB_IPC_H

#include "lib/msg.h"

struct ev_loop;
struct ipc;

struct ipc_ops {
	/* One message. Its body is valid until the handler returns. Descriptors in m->fds belong to
	 * the handler: it closes or keeps each one. The handler may call ipc_free() on this channel
	 * as its last act. */
	void (*on_msg)(struct ipc *ipc, void *arg, const struct msg *m);
	/* The other end is gone (why->text "closed by the other end") or sent nonsense. Called once;
	 * the handler calls ipc_free(). */
	void (*on_close)(struct ipc *ipc, void *arg, const struct err *why);
	/* Optional: the queue has fallen below the low mark after ipc_send() found it above the high
	 * mark; producers in slices go on here. */
	void (*on_drain)(struct ipc *ipc, void *arg);
};

/* Takes fd (made non-blocking). loop, ops and arg are borrowed until ipc_free(). */
struct ipc *ipc_new(struct ev_loop *loop, int fd, const struct ipc_ops *ops, void *arg);
void ipc_free(struct ipc *ipc); /* closes; queued messages are lost; NULL is allowed */

/* Queues one message; copies the body, duplicates the descriptors. Order is kept. A body over
 * MSG_MAX is a programming error and ends the process (split lists with IPC_BATCH). */
void ipc_send(struct ipc *ipc, enum msg_type type, const void *body);
void ipc_send_fds(struct ipc *ipc, enum msg_type type, const void *body, const int *fds,
		  unsigned nfds);
/* Sends what the socket takes now, before a process exits; never blocks. */
void ipc_flush(struct ipc *ipc);

/* Bytes queued in this process; above IPC_HIGH a producer should stop until on_drain. */
size_t ipc_backlog(const struct ipc *ipc);
enum { IPC_HIGH = 1 << 20, IPC_LOW = 1 << 18 };

/* How many prefixes a list message takes safely. */
enum { IPC_BATCH = 1024 }; /* not MSG_BATCH: <sys/socket.h> has a flag of that name */

/* The peer's uid from SO_PEERCRED; -1 unknown. */
long ipc_peer_uid(const struct ipc *ipc);

/* --- without a loop --- */

/* Connects to a SOCK_SEQPACKET socket by path: descriptor or -1 (err->code ENOENT, ECONNREFUSED,
 * EACCES ... tells which). */
int ipc_sync_connect(const char *path, struct err *err);
int ipc_sync_send(int fd, enum msg_type type, const void *body, const int *fds, unsigned nfds,
		  struct err *err);
/* Waits up to timeout_ms. 1 = a message, 0 = the other end closed, -1 = error (ETIMEDOUT). No
 * descriptors are accepted. The body lives in the arena. */
int ipc_sync_recv(int fd, struct arena *arena, struct msg *out, int timeout_ms, struct err *err);

#endif
