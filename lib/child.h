/* How bgpd and felix start: descriptor 3 is the channel to noded, whose first message is M_INIT.
 * A child ends when that channel ends.
 */
#ifndef SELVAGE_LIB_CHILD_H
#define SELVAGE_LIB_CHILD_H

#include "lib/ipc.h"
#include "lib/kubeconfig.h"
#include "lib/nodeconf.h"

enum { CHILD_FD = 3 };

struct child_fds { /* -1 or empty where noded gave none */
	int channel, chroot, cni, state_dir, store_dir, spool_dir, kube;
	int listeners[16];
	unsigned nlisteners;
};

struct child {
	struct ev_loop *loop;
	struct ipc *noded;
	struct nodeconf *conf;
	struct child_fds fds;
	uint32_t restarts;
	bool check_only;
	char node[256];
	struct { /* lib/child.c's own */
		const struct child_ops *ops;
		void *arg;
		int ready; /* as last told: -1 never, 0, 1 */
		char reason[256];
		bool stopping;
	} priv;
};

struct child_ops {
	/* The other daemon has a new channel: takes fd. */
	void (*on_channel)(void *arg, int fd);
	/* A control client: takes fd. */
	void (*on_ctl_client)(void *arg, int fd, bool readonly);
	/* SIGTERM or noded gone: release what a clean stop releases, then return; child_run() then
	 * returns and main() with it. */
	void (*on_stop)(void *arg);
	/* felix: the access to the Kubernetes API is new or another one: takes fd, to be read with
	 * child_kube_access(). Optional. */
	void (*on_kube_access)(void *arg, int fd);
};

/* Reads M_INIT (blocking, at most 10 s), loads the configuration from its descriptor, enters the
 * sandbox (keep_net_admin as said), sets up logging. -1: the reason has been told to noded as
 * M_FATAL, which prints it; it is logged here where there is no noded. */
int child_start(struct child *c, const char *proc, bool keep_net_admin, struct err *err);
/* Wires M_CHANNEL, M_CTL_CLIENT, M_LOG_LEVEL and signals to ops and runs the loop until the end. */
void child_run(struct child *c, const struct child_ops *ops, void *arg);
/* After child_run(), at the end of main(): frees the configuration and closes the channel. The
 * descriptors in fds are their takers'. */
void child_free(struct child *c);
void child_ready(struct child *c, bool ready, const char *reason); /* M_READY, when it changes */
/* Reads fds.kube or on_kube_access()'s descriptor, which stays the caller's; NULL. */
struct kube_access *child_kube_access(int fd, struct err *err);
/* M_KUBE_REFRESH: the API refused the credentials. An answer (on_kube_access) comes only if they
 * are others now. */
void child_kube_refresh(struct child *c);
/* M_FATAL (noded prints the text, which may have several lines); then exit(1). */
void child_fatal(struct child *c, const char *text);

#endif
