/* noded's command line.
 */
#ifndef SELVAGE_NODED_OPTIONS_H
#define SELVAGE_NODED_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *file;
	bool check; /* -n */
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_USAGE };

/* OPTIONS_DONE: -h or -V has been answered on stdout. OPTIONS_USAGE: what is wrong is on stderr. */
enum options_result options_parse(struct options *o, int argc, char **argv);

#endif
