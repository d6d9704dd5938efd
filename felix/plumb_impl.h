/* Shared by felix/plumb*.c alone. */
#ifndef SELVAGE_FELIX_PLUMB_IMPL_H
#define SELVAGE_FELIX_PLUMB_IMPL_H

#include "felix/plumb.h"
#include "lib/nl.h"

/* Every host end has this address, so that every pod has the same gateway. */
#define HOST_MAC                                                                                   \
	{                                                                                          \
		0xee, 0xee, 0xee, 0xee, 0xee, 0xee                                                 \
	}

struct plumb_link {
	uint32_t ifindex, peer; /* peer: the other end's ifindex in its netns; 0 unknown */
	bool up, running;	/* running: operational, packets pass */
	uint8_t mac[6];
};

/* By name. 1 found, 0 there is none, -1. */
int plumb_find(struct nl *nl, const char *name, struct plumb_link *out, struct err *err);

/* Names what was being done when a request of a batch failed; the first failure counts. */
struct plumb_steps {
	struct nl_batch *batch;
	const char *where;
	bool failed;
	struct err err;
};
void plumb_steps_begin(struct plumb_steps *s, struct nl *nl, const char *where);
int plumb_steps_end(struct plumb_steps *s, struct err *err);

enum plumb_step { STEP_LO, STEP_UP, STEP_ADDRESS, STEP_NEIGH, STEP_ROUTE, STEP_LINKLOCAL };

void plumb_step_link_up(struct plumb_steps *s, uint32_t ifindex, enum plumb_step step);
void plumb_step_address(struct plumb_steps *s, uint32_t ifindex, const struct addr *a, unsigned len,
			enum plumb_step step);
void plumb_step_neigh(struct plumb_steps *s, uint32_t ifindex, const struct addr *a,
		      const uint8_t mac[6]);

/* Configures the pod's end through the pod's socket. */
int plumb_pod(struct nl *pod, const struct plumb_link *link, const struct plumb_request *rq,
	      struct err *err);
/* Does the pod take in packets for each of its addresses already? */
bool plumb_pod_ready(struct nl *pod, const struct plumb_request *rq);
int plumb_pod_check(struct nl *pod, const struct plumb_link *link, const struct plumb_request *rq,
		    struct err *err);

#endif
