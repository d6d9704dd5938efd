/* The BGP ports: bound by noded, used by bgpd, and standing while bgpd is away.
 */
#ifndef SELVAGE_NODED_LISTENERS_H
#define SELVAGE_NODED_LISTENERS_H

#include "lib/err.h"
#include "lib/nodeconf.h"

enum { LISTENERS_MAX = 16, LISTEN_BACKLOG = 4096 };

struct listener {
	int fd;
	char name[ADDR_STRLEN + 8]; /* "address port" */
};

struct listeners {
	struct listener v[LISTENERS_MAX];
	unsigned n;
};

/* Opens every bgp.listen. -1: one line that names address and port, and who holds it. */
int listeners_open(struct listeners *l, const struct nodeconf *conf, struct err *err);
/* bgpd is away too long: what waits in the queues is reset, new connections are refused. */
void listeners_refuse(const struct listeners *l);
/* bgpd comes back: connections are taken again. */
void listeners_resume(const struct listeners *l);
void listeners_close(struct listeners *l);

#endif
