/* Shared by felix/cni_*.c alone: a request and what becomes of it. */
#ifndef SELVAGE_FELIX_CNI_IMPL_H
#define SELVAGE_FELIX_CNI_IMPL_H

#include <ev.h>
#include <sys/queue.h>

#include "felix/cni_server.h"
#include "felix/plumb.h"

struct cni_client;

/* What an ADD that cni_work() did not finish waits for. */
enum cni_wait { CNI_WAITS_NOT, CNI_WAITS_RETRY, CNI_WAITS_SETTLE };

struct cni_job {
	TAILQ_ENTRY(cni_job) next; /* of the queue, or of those that wait */
	struct cni_client *client; /* NULL: gone, or the spool */
	enum msg_type type;
	const void *body; /* in the arena */
	struct arena arena;
	int sock; /* the pod's netlink socket, or -1 */
	/* the work */
	uint32_t code; /* of the answer; 0: success */
	struct err err;
	unsigned naddrs;
	struct addr addrs[2];
	uint32_t mtu;
	char host[PLUMB_IFNAME];
	struct plumb_result plumbed;
	bool assigned;
	/* waiting */
	uint64_t arrived; /* a number, for the order */
	struct cni_ask ask;
	struct arena ask_arena;
	enum cni_wait waits;
	bool settled, expired;
	int told; /* of a settling: 1 ok, -1 not, 0 nothing yet */
	ev_timer deadline;
};

const char *cni_job_container(const struct cni_job *j);
struct ipam_owner cni_job_owner(const struct cni_job *j);
/* Do both speak of one attachment? */
bool cni_job_same_key(const struct cni_job *a, const struct cni_job *b);

/* Does all of these, none of which share a key; afterwards each one's code and err say how it went,
 * or what it waits for, ask.code and err then being what to say if that never comes. */
void cni_work(const struct cni_server_conf *c, struct cni_job *const *jobs, unsigned n);
/* A waiting job gives up the addresses that it was assigned, so that it ends or begins anew. */
void cni_work_give_up(const struct cni_server_conf *c, struct cni_job *j);

/* Makes jobs of the files in the spool; names of the files in *names (n of them, in the arena).
 * What is no DEL is deleted with a word in the log. Returns how many, at most max. */
unsigned cni_spool_read(int dir, struct cni_job *jobs, char (*names)[64], unsigned max);

#endif
