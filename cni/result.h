/* The answers on standard output, in the version that was asked for. Pure: structs in, JSON out.
 */
#ifndef SELVAGE_CNI_RESULT_H
#define SELVAGE_CNI_RESULT_H

#include "cni/input.h"

/* Each returns a text for one puts(); free() it. */
char *cni_result_add(const struct cni_request *r, const struct m_cni_result *m);
char *cni_result_version(const struct cni_request *r);
char *cni_result_error(const struct cni_request *r, const struct cni_error *e);

#endif
