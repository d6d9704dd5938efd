/* One run of a credential plugin of a kubeconfig: never blocks the loop, ends within its limit,
 * its stderr goes to the log with what looks like a secret taken out.
 */
#ifndef SELVAGE_NODED_ACCESS_EXEC_H
#define SELVAGE_NODED_ACCESS_EXEC_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/err.h"
#include "lib/kubeconfig.h"

struct ev_loop;
struct access_exec;

/* The run is over. why NULL: out is what it wrote to stdout, borrowed and overwritten afterwards.
 * Otherwise why says in a few words how it failed. The run is freed after this returns. */
typedef void access_exec_done(void *arg, const char *out, size_t len, const char *why);

/* Absolute path of a bare name in PATH, or the command itself where it is a path; checks that it
 * can be executed. A static buffer would be shared: buf is the caller's. -1: err names the command
 * and says the plugin's own hint. */
int access_exec_find(const struct kube_exec *x, char *buf, size_t size, struct err *err);

/* Starts it; x and info are needed only during the call. limit: s until it is killed. loop must be
 * the default one (it waits for a child). NULL: err says why. */
struct access_exec *access_exec_start(struct ev_loop *loop, const struct kube_exec *x,
				      const char *info, double limit, access_exec_done *done,
				      void *arg, struct err *err);
/* Kills it, if it still runs; done is not called. NULL is allowed. */
void access_exec_stop(struct access_exec *e);

/* A line of a plugin for the log: cut to size, control characters and what may be a secret (JSON
 * web tokens, long words of mixed characters) taken out. Pure. */
void access_exec_clean(const char *line, char *out, size_t size);

#endif
