/* The way to the daemons: over noded's control socket, one connection a daemon.
 */
#ifndef SELVAGE_NODECTL_CLIENT_H
#define SELVAGE_NODECTL_CLIENT_H

#include "lib/ipc.h"

enum answer {
	ANSWER_OK,
	ANSWER_REFUSED,	    /* the daemon said M_CTL_ERROR: err is its text */
	ANSWER_UNREACHABLE, /* err: which socket or daemon, why, what to do */
};

/* One row; it lives in the arena that ctl_ask() was given. */
typedef void row_fn(void *arg, const struct msg *row);

/* Asks one daemon and hands each row to on_row. query is NULL for CTL_NODED. */
enum answer ctl_ask(const char *rundir, enum ctl_target target, const struct m_ctl_query *query,
		    struct arena *arena, row_fn *on_row, void *arg, struct err *err);

/* Sends noded one command that it answers with END or ERROR; over ctl.sock only. */
enum answer ctl_command(const char *rundir, enum msg_type type, const void *body, struct err *err);

#endif
