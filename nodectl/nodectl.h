/* The CLI: what every subcommand gets, and the tables from which --help and the man page come.
 */
#ifndef SELVAGE_NODECTL_NODECTL_H
#define SELVAGE_NODECTL_NODECTL_H

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "nodectl/table.h"

/* Exit statuses; scripts depend on them. */
enum { EXIT_FINE = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

/* One call of nodectl. */
struct call {
	const char *rundir;
	bool json;
	const char *in, *out; /* peers of --in and --out, or NULL */
	bool best;
	char **args; /* behind the command's words */
	int nargs;
	time_t now;
	struct out to; /* standard output */
};

struct command {
	const char *words; /* "ipam show" */
	const char *args;  /* for --help; "" none */
	const char *help;  /* one sentence without a full stop */
	int most_args;
	int least_args;
	bool routes;		    /* takes --in, --out and --best */
	int (*run)(struct call *c); /* NULL: comes with a later version */
};

/* Runs one command line and returns the exit status; what main() calls. */
int nodectl_main(int argc, char **argv);

/* The option and command list, for people and as mdoc for man/nodectl.8. */
void nodectl_help(FILE *to);
void nodectl_help_mdoc(FILE *to);

/* One line on standard error: "nodectl: ..."; returns status. */
int complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int cmd_status(struct call *c);
int cmd_peers(struct call *c);
int cmd_routes(struct call *c);
int cmd_ipam_show(struct call *c);
int cmd_ipam_check(struct call *c);
int cmd_ipam_release(struct call *c);
int cmd_endpoints(struct call *c);
int cmd_log(struct call *c);
int cmd_version(struct call *c);

#endif
