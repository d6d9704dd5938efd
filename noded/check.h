/* `noded -n`: is this configuration fit to be started with?
 */
#ifndef SELVAGE_NODED_CHECK_H
#define SELVAGE_NODED_CHECK_H

#include "noded/setup.h"

/* After setup_conf(). Lets felix read the resources; prints each problem, or "FILE: ok". Returns
 * the exit status. */
int check_run(struct setup *s);
/* Prints a daemon's M_FATAL text, each line of it after "noded: NAME: ". */
void check_print(const char *name, const char *text);

#endif
