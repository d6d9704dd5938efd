/* cni.sock: pods come and go.
 *
 * Requests that arrive in one loop turn are served together, so that all their journal records
 * share one sync. ADD: address pending and durable -> interface -> route in the kernel -> ready ->
 * answer. DEL: route and interface gone -> release durable -> answer. Killed anywhere, the next
 * felix finds either a pending lease without a link (released) or a link (kept until its DEL).
 *
 * An ADD can wait without holding up the loop: its plugin stays connected, and it is tried again
 * when the owner says that something has changed. Three hooks ask the owner, each may be NULL (as
 * the directory store needs it):
 *
 *   admit --GO--> address --found--> durable --> settle --GO--> interface, route, answer
 *     |              |  none                       |
 *    WAIT       claim: WAIT, REFUSE               WAIT .. cni_server_settled(ok)
 *     `-- cni_server_retry() --'                   `----- not ok: given up, another address
 *
 * A waiting ADD ends without an address when its plugin goes, when a DEL or a newer ADD of the same
 * attachment comes, and at the deadline.
 */
#ifndef SELVAGE_FELIX_CNI_SERVER_H
#define SELVAGE_FELIX_CNI_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "felix/endpoints.h"
#include "ipam/ipam.h"
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
	CNI_CODE_AGAIN = 11,
	CNI_CODE_NOT_AVAILABLE = 50, /* felix cannot add pods now */
	CNI_CODE_EXHAUSTED = 100,
	CNI_CODE_TAKEN = 101,	/* the address asked for is held by another */
	CNI_CODE_OUTSIDE = 102, /* the address asked for is not this node's to give */
	CNI_CODE_EXISTS = 103,	/* this attachment was made already */
	CNI_CODE_PLUMB = 104,	/* the kernel refused the interface or a route */
	CNI_CODE_DIFFERS = 105, /* CHECK: not as it was made */
};

enum cni_turn { CNI_GO, CNI_WAIT, CNI_REFUSE };

/* One ADD before its owner. Set anew before each admit(); what that leaves is what claim() and
 * settle() see. */
struct cni_ask {
	const struct m_cni_add *add;
	struct arena *arena; /* for what the fields below point at; emptied before each admit() */
	/* At first: the addresses that the runtime asks for, else each family that the node has
	 * blocks for. */
	struct ipam_want want;
	const char *mac;	   /* at first add->mac */
	const msg_kv_list *labels; /* of the endpoint; at first add->labels */
	/* REFUSE: what is answered. WAIT: what is answered if it takes too long; say what is waited
	 * for. code 0: CNI_CODE_NOT_AVAILABLE and CNI_CODE_AGAIN. */
	uint32_t code;
	struct err *err;
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
	/* Who is this pod, and which address may it have? NULL: GO. */
	enum cni_turn (*admit)(void *arg, struct cni_ask *ask);
	/* No address of these families (bits, ipam_short_of()) can be given; ask->code and ask->err
	 * are set to that answer. WAIT: a block is being claimed. GO counts as REFUSE. NULL:
	 * refused. Called again at each try. */
	enum cni_turn (*claim)(void *arg, struct cni_ask *ask, unsigned families);
	/* This lease is durable; must anything be written elsewhere before it is used? WAIT:
	 * cni_server_settled() comes. Called again where an ADD is repeated. NULL: GO. */
	enum cni_turn (*settle)(void *arg, struct cni_ask *ask, const struct ipam_lease *lease);
	/* After a turn in which addresses were assigned or released. NULL allowed. */
	void (*leases_changed)(void *arg);
	double wait; /* s until the deadline, from arrival; 0: 10 (the plugin waits 30) */
};

/* All of conf is borrowed. listen_fd is taken; -1: none. Deletions that wait in the spool are done
 * before this returns. */
struct cni_server *cni_server_new(const struct cni_server_conf *conf, int listen_fd);
void cni_server_free(struct cni_server *s);
/* Something that ADDs wait for has changed (a pod is known, a block claimed or refused): each that
 * admit() or claim() parked is tried again, in order of arrival, in the next loop turn. Cheap where
 * none waits. From within a hook it means once more after this turn. */
void cni_server_retry(struct cni_server *s);
/* The end of settle()'s WAIT, in the next loop turn. false: the addresses are lost to another
 * writer (tell ipam_set_foreign() first); they are given up and others assigned. An owner that does
 * not wait is passed over. */
void cni_server_settled(struct cni_server *s, const struct ipam_owner *owner, bool ok);
/* How many ADDs wait now. */
unsigned cni_server_waiting(const struct cni_server *s);
/* Serves one connected plugin; takes fd. (What accept() does; for tests.) */
void cni_server_client(struct cni_server *s, int fd);

#endif
