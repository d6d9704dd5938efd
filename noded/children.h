/* The two daemons as processes: starts, restarts, channels and the last words of each.
 */
#ifndef SELVAGE_NODED_CHILDREN_H
#define SELVAGE_NODED_CHILDREN_H

#include "lib/msg.h"
#include "noded/setup.h"

struct ev_loop;
struct children;

struct children_ops {
	/* A daemon's state or readiness is not what it was. */
	void (*on_change)(void *arg);
	/* The first start of a daemon cannot succeed. */
	void (*on_fatal)(void *arg, enum daemon_id id, const char *text);
	/* felix was refused by the Kubernetes API. */
	void (*on_kube_refresh)(void *arg);
	/* After children_stop(): both are gone. */
	void (*on_stopped)(void *arg);
};

/* loop, setup, ops and arg are borrowed; cni_sock is passed to felix at each start. */
struct children *children_new(struct ev_loop *loop, const struct setup *setup, int cni_sock,
			      const struct children_ops *ops, void *arg);
void children_free(struct children *c);

/* The access to the Kubernetes API for felix: told at once where it runs, and at each start. fd is
 * borrowed until the next call. */
void children_kube_access(struct children *c, int fd);

void children_start(struct children *c);
/* SIGTERM to bgpd, so that it can close its sessions while routes stand; then to felix; SIGKILL to
 * what is left after 5 s. */
void children_stop(struct children *c);

/* Each has been ready once: start-up is over. */
bool children_started(const struct children *c);
bool children_ready(const struct children *c);
/* The row for `nodectl status`; strings point into text (at least 512 bytes) and the children. */
void children_row(const struct children *c, enum daemon_id id, struct m_ctl_daemon *row, char *text,
		  size_t size);
/* Hands a control client on; fd stays the caller's. -1: the daemon is not there, err says why in
 * words for the client. */
int children_hand_client(struct children *c, enum daemon_id id, int fd, bool readonly,
			 struct err *err);
void children_log_level(struct children *c, const struct m_log_level *level);

/* The proportional set size of a process in bytes; 0 where /proc does not tell. */
uint64_t process_pss(long pid);

#endif
