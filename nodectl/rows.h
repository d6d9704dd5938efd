/* The rows that the daemons answered, sorted by kind, and what the subcommands make of them: pure
 * functions from rows to JSON or text, which the tests call.
 */
#ifndef SELVAGE_NODECTL_ROWS_H
#define SELVAGE_NODECTL_ROWS_H

#include <json-c/json.h>

#include "lib/msg.h"
#include "nodectl/table.h"

struct row_list {
	const void **v;
	unsigned n, cap;
};

struct rows {
	const struct m_ctl_node *node;	 /* NULL where noded was not asked or did not say */
	const struct m_ctl_bgp *bgp;	 /* NULL: bgpd did not answer */
	const struct m_ctl_felix *felix; /* NULL: felix did not answer */
	struct row_list daemons, peers, pools, blocks, endpoints, nodes, issues;
	const char *bgpd_error, *felix_error; /* why it did not answer, or NULL */
};

/* A row_fn of client.h: keeps the row (borrowed until its arena is freed). arg is a struct rows. */
void rows_keep(void *arg, const struct msg *row);
void rows_free(struct rows *r); /* the lists, not the rows */

/* --- status --- */
/* Why the node is not ready; every text is in the arena. */
msg_text_list status_reasons(const struct rows *r, struct arena *a);
bool status_ready(const struct rows *r);
/* Ready, and every configured session is established. */
bool status_fine(const struct rows *r);
struct json_object *status_to_json(const struct rows *r);
void status_to_text(const struct out *to, const struct rows *r, time_t now);

/* --- peers --- */
const char *peer_state_name(unsigned state);
const char *peer_type_name(unsigned type);
bool peer_is_established(const struct m_ctl_peer *p);
struct json_object *peer_to_json(const struct m_ctl_peer *p);
struct json_object *peers_to_json(const struct rows *r);
void peers_to_text(const struct out *to, const struct rows *r, time_t now, unsigned indent);
void peer_to_text(const struct out *to, const struct m_ctl_peer *p, time_t now); /* in full */

/* --- routes, one at a time: there may be a million --- */
struct json_object *route_to_json(const struct m_ctl_route *route);
struct table *routes_table(const struct out *to);
void route_to_table(struct table *t, const struct m_ctl_route *route);

/* --- ipam --- */
struct json_object *ipam_to_json(const struct rows *r); /* {pools, blocks} */
void ipam_to_text(const struct out *to, const struct rows *r, unsigned indent);
/* The same with every node's share, and which pools end soon. */
struct json_object *ipam_all_to_json(const struct rows *r);
void ipam_all_to_text(const struct out *to, const struct rows *r);
struct json_object *issues_to_json(const struct rows *r);
/* released: this is the answer to `ipam release`. */
void issues_to_text(const struct out *to, const struct rows *r, bool released);
/* Findings that are still there. */
unsigned issues_open(const struct rows *r);

/* --- endpoints --- */
struct json_object *endpoints_to_json(const struct rows *r);
void endpoints_to_text(const struct out *to, const struct rows *r);

#endif
