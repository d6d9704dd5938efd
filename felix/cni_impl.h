/* Shared by felix/cni_*.c alone: a request and what becomes of it. */
#ifndef SELVAGE_FELIX_CNI_IMPL_H
#define SELVAGE_FELIX_CNI_IMPL_H

#include <sys/queue.h>

#include "felix/cni_server.h"
#include "felix/plumb.h"

struct cni_client;

struct cni_job {
	TAILQ_ENTRY(cni_job) next;
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
};

const char *cni_job_container(const struct cni_job *j);
/* Do both speak of one attachment? */
bool cni_job_same_key(const struct cni_job *a, const struct cni_job *b);

/* Does all of these, none of which share a key; afterwards each one's code and err say how it went.
 */
void cni_work(const struct cni_server_conf *c, struct cni_job *const *jobs, unsigned n);

/* Makes jobs of the files in the spool; names of the files in *names (n of them, in the arena).
 * What is no DEL is deleted with a word in the log. Returns how many, at most max. */
unsigned cni_spool_read(int dir, struct cni_job *jobs, char (*names)[64], unsigned max);

#endif
