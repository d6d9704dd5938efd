/* What systemd is told, over the datagram socket that it names in $NOTIFY_SOCKET (sd_notify(3) says
 * how); nothing where there is none.
 */
#ifndef SELVAGE_NODED_NOTIFY_H
#define SELVAGE_NODED_NOTIFY_H

#include <stdint.h>

struct notify {
	int fd;		      /* connected, or -1: nobody listens */
	uint64_t watchdog_ms; /* how often to say WATCHDOG=1; 0: not asked for */
};

/* Reads and removes the variables from the environment, so that the daemons do not inherit them. */
void notify_init(struct notify *n);
/* One datagram: "READY=1", "STATUS=..."; several lines are allowed. Failures are ignored: there
 * is nobody to tell. */
void notify_send(const struct notify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
