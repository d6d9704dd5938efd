/* The supervisor from its command line to its exit status.
 */
#ifndef SELVAGE_NODED_NODED_H
#define SELVAGE_NODED_NODED_H

/* Returns the exit status: 0, 1 = could not start, 2 = usage. */
int noded_main(int argc, char **argv);

#endif
