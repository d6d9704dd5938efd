/* The metrics page over HTTP: GET /metrics (Prometheus text format 0.0.4), /healthz, /readyz.
 *
 * libmicrohttpd on felix's loop; it reads nothing but the request line and headers, keeps at most
 * 16 connections, and gives a silent one up after 10 s.
 */
#ifndef SELVAGE_FELIX_METRICS_H
#define SELVAGE_FELIX_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/err.h"
#include "lib/prefix.h"

struct ev_loop;
struct metrics;

struct metrics_ops {
	void (*page)(void *arg, FILE *to); /* all of /metrics */
	/* true: ready. Else each reason on a line. */
	bool (*ready)(void *arg, FILE *why);
};

/* NULL: the address cannot be listened on; err says why. ops is borrowed. */
struct metrics *metrics_open(struct ev_loop *loop, const struct addr *listen, uint16_t port,
			     const struct metrics_ops *ops, void *arg, struct err *err);
void metrics_close(struct metrics *m); /* NULL is allowed */

/* ---- writing the page (pure but for FILE) ---- */

/* "# HELP" and "# TYPE"; type is "gauge" or "counter". */
void metrics_family(FILE *to, const char *name, const char *type, const char *help);
/* One sample with at most two labels; a key that is NULL ends them. Values are escaped. */
void metrics_sample(FILE *to, const char *name, const char *key1, const char *value1,
		    const char *key2, const char *value2, double value);

#endif
