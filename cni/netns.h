/* The pod's network namespace, entered once and left again.
 */
#ifndef SELVAGE_CNI_NETNS_H
#define SELVAGE_CNI_NETNS_H

#include "cni/error.h"

/* A NETLINK_ROUTE socket that belongs to the namespace at path, in which IPv6 has been allowed
 * (felix cannot write that sysctl, and the kernel refuses addresses without it). -1: no such
 * namespace (CNI_E_CONTAINER), the caller's own, or no permission. */
int netns_socket(const char *path, struct cni_error *e);

#endif
