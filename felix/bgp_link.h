/* The channel to bgpd: configuration, interfaces and next hops go there; learned routes come back.
 *
 * A new channel gets everything; after that differences: the whole configuration again when it
 * changed, an interface when it changed, a next hop when its answer changed.
 */
#ifndef SELVAGE_FELIX_BGP_LINK_H
#define SELVAGE_FELIX_BGP_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "felix/links.h"
#include "lib/msg.h"

struct ev_loop;
struct ipc;
struct nl;
struct routes;
struct bgp_link;

struct bgp_link_conf {
	struct ev_loop *loop;
	struct nl *nl;
	struct routes *routes;
	/* Sends BEGIN .. END to ipc. false: there is no configuration to send yet;
	 * bgp_link_config() comes when there is. */
	bool (*send_config)(void *arg, struct ipc *ipc);
	/* Calls cb for each link that bgpd should know. */
	void (*each_link)(void *arg, void (*cb)(void *cb_arg, const struct link *l), void *cb_arg);
	/* Routes have changed and are to be flushed from an idle watcher. */
	void (*routes_dirty)(void *arg);
	void *arg;
};

struct bgp_link *bgp_link_new(const struct bgp_link_conf *conf); /* conf's pointers are borrowed */
void bgp_link_free(struct bgp_link *b);

void bgp_link_channel(struct bgp_link *b, int fd); /* takes fd; an older channel is dropped */
void bgp_link_config(struct bgp_link *b);	   /* the configuration has changed */
void bgp_link_iface(struct bgp_link *b, const struct link *l);
void bgp_link_iface_gone(struct bgp_link *b, uint32_t ifindex);
/* Links or routes have changed: next hops are looked up again soon. */
void bgp_link_recheck(struct bgp_link *b);
/* For routes_ops.on_failed. */
void bgp_link_failed(struct bgp_link *b, const struct prefix *p, unsigned n, const char *why);

/* Asks the kernel where packets to a go. false: nowhere. metric: the matching route's. */
bool bgp_link_lookup(struct nl *nl, const struct addr *a, uint32_t *metric);

#endif
