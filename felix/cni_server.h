/* cni.sock: pods come and go.
 *
 * Requests that arrive in one loop turn are served together, so that all their journal records
 * share one sync. ADD: address pending and durable -> interface -> route in the kernel -> ready ->
 * answer. DEL: route and interface gone -> release durable -> answer. Killed anywhere, the next
 * felix finds either a pending lease without a link (released) or a link (kept until its DEL).
 */
#ifndef SELVAGE_FELIX_CNI_SERVER_H
#define SELVAGE_FELIX_CNI_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "felix/endpoints.h"
#include "lib/err.h"

struct ev_loop;
struct nl;
struct routes;
struct cni_server;

/* CNI's error codes (SPEC section 5) that felix answers with; 100 and more are ours. */
enum cni_code {
	CNI_CODE_UNKNOWN_CONTAINER = 3,
	CNI_CODE_ENVIRONMENT = 4,
	CNI_CODE_IO = 5,
	CNI_CODE_CONFIG = 7,
	CNI_CODE_NOT_AVAILABLE = 50, /* felix cannot add pods now */
	CNI_CODE_EXHAUSTED = 100,
	CNI_CODE_TAKEN = 101,	/* the address asked for is held by another */
	CNI_CODE_OUTSIDE = 102, /* the address asked for is not this node's to give */
	CNI_CODE_EXISTS = 103,	/* this attachment was made already */
	CNI_CODE_PLUMB = 104,	/* the kernel refused the interface or a route */
	CNI_CODE_DIFFERS = 105, /* CHECK: not as it was made */
};

struct cni_server_conf {
	struct ev_loop *loop;
	struct nl *nl;
	struct routes *routes;
	struct ipam *ipam; /* NULL: there is no journal; ADD is refused, DEL removes nothing */
	struct endpoints *endpoints;
	int endpoint_dir; /* of endpoint_files_open(), or -1 */
	int spool_dir;	  /* or -1 */
	/* May a pod be added now? false: err says why not. */
	bool (*may_add)(void *arg, struct err *err);
	uint32_t (*mtu)(void *arg);
	void *arg;
};

/* All of conf is borrowed. listen_fd is taken; -1: none. Deletions that wait in the spool are done
 * before this returns. */
struct cni_server *cni_server_new(const struct cni_server_conf *conf, int listen_fd);
void cni_server_free(struct cni_server *s);
/* Serves one connected plugin; takes fd. (What accept() does; for tests.) */
void cni_server_client(struct cni_server *s, int fd);

#endif
