/* DELs that wait for felix: one file each in <run>/spool, its content one encoded M_CNI_DEL packet.
 */
#ifndef SELVAGE_CNI_SPOOL_H
#define SELVAGE_CNI_SPOOL_H

#include "cni/error.h"
#include "lib/msg.h"

/* Durable when it returns 0; the same DEL twice is one file. */
int spool_put(const char *run, const struct m_cni_del *del, struct cni_error *e);

#endif
