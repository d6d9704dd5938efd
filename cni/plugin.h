/* The plugin from its environment to its exit status.
 */
#ifndef SELVAGE_CNI_PLUGIN_H
#define SELVAGE_CNI_PLUGIN_H

/* name: as the program was called. Returns the exit status; all output is on stdout. */
int cni_plugin(const char *name);

#endif
