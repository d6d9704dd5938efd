/* A request's path with its query, every value URL-encoded. Pure.
 *
 *   struct kube_path p;
 *   kube_path_init(&p, "/api/v1/namespaces");
 *   kube_path_name(&p, "team a");                      -> /api/v1/namespaces/team%20a
 *   kube_path_raw(&p, "/pods");
 *   kube_path_arg(&p, "fieldSelector", "spec.nodeName=n1"); -> ?fieldSelector=spec.nodeName%3Dn1
 *   kube_path_arg_u64(&p, "limit", 500);               -> &limit=500
 *   if (p.full) ...                                    nothing was cut in silence
 */
#ifndef SELVAGE_STORE_KUBE_PATH_H
#define SELVAGE_STORE_KUBE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KUBE_PATH_MAX 8192

struct kube_path {
	char text[KUBE_PATH_MAX]; /* always terminated */
	size_t len;
	bool query; /* a "?" is there */
	bool full;  /* something did not fit, or a name is "", "." or ".."; do not use the path */
};

/* Begins with a text taken as it is. */
void kube_path_init(struct kube_path *p, const char *raw);
/* Appends a text as it is, before the first argument. */
void kube_path_raw(struct kube_path *p, const char *raw);
/* Appends "/" and a name. */
void kube_path_name(struct kube_path *p, const char *name);
/* Appends key=value to the query; key is taken as it is. */
void kube_path_arg(struct kube_path *p, const char *key, const char *value);
void kube_path_arg_u64(struct kube_path *p, const char *key, uint64_t value);

#endif
