/* What lib/kubeconfig.c and lib/kube_access.c share.
 */
#ifndef SELVAGE_LIB_KUBE_IMPL_H
#define SELVAGE_LIB_KUBE_IMPL_H

#include "lib/kubeconfig.h"
#include "lib/node.h"

/* Every text "", room for KUBE_MAX_SERVERS. */
struct kube_access *kube_access_new(void);

/* Checks a content and puts it into the access. NULL, or what is wrong in words that follow the
 * name of what it came from. */
const char *kube_take_content(struct kube_plan *p, enum kube_file which, const char *text,
			      size_t len);

/* malloc()ed bytes with a NUL behind them (the caller's, for kube_wipe_free()), or NULL. White
 * space is passed over. */
char *kube_base64_decode(const char *text, size_t *len);
char *kube_base64_encode(struct arena *arena, const char *data, size_t len);

/* A tree as JSON text; plain scalars that are JSON literals stay what they are. */
const char *kube_node_json(struct arena *arena, const struct node *n);

void kube_wipe_text(const char *text); /* text must be writable memory or "" */
void kube_wipe_free(char *data, size_t len);
void kube_wipe_node(struct node *n); /* the texts below it */

#endif
