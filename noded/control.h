/* The control sockets ctl.sock and ro.sock: noded answers its own rows and hands every other client
 * on to the daemon that it asks for.
 */
#ifndef SELVAGE_NODED_CONTROL_H
#define SELVAGE_NODED_CONTROL_H

#include <stdint.h>

#include "lib/err.h"

struct ev_loop;
struct control;
struct children;

/* Binds and listens at <run>/<name> (SOCK_SEQPACKET), in the place of one that a dead noded left;
 * mode and gid are set before anybody can connect. The descriptor is the caller's; -1. */
int control_bind(const char *run, const char *name, unsigned mode, uint32_t gid, struct err *err);

/* ctl.sock (0600) and ro.sock (0660 for the group selvage, 0600 where there is none). All arguments
 * are borrowed. */
struct control *control_new(struct ev_loop *loop, const char *run, const char *node,
			    struct children *children, struct err *err);
/* What noded itself is not ready for, in its row; "" nothing. Copied. */
void control_reason(struct control *c, const char *reason);
void control_free(struct control *c);

#endif
