/* node.yaml: what one node is told, read by schema (lib/schema.h), checked as a whole.
 * `man selvage-node.yaml` is made from the same table.
 */
#ifndef SELVAGE_LIB_NODECONF_H
#define SELVAGE_LIB_NODECONF_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/prefix.h"
#include "lib/schema.h"

struct conf_listen {
	struct addr address;
	uint32_t port;
};

struct conf_dynamic {
	struct prefix prefix;
	uint32_t asn, max;
	const char *password_file;
};

/* Decision 12's keys: bgp.defaults here, annotations selvage.io/<key> on a BGPPeer. */
struct conf_bgp_extra {
	uint32_t hold_time, keepalive; /* ms; keepalive 0: a third */
	bool bfd;
	const char *interface;
	const char *role;
	const char *add_path;
	uint32_t long_lived_gr; /* ms */
	uint32_t max_prefixes;
	bool passive;
	uint32_t set; /* bit i: the key of row i of conf_bgp_extra_fields was written */
};

enum datastore_kind { DATASTORE_DIRECTORY, DATASTORE_KUBERNETES };

struct nodeconf {
	struct arena arena; /* owns every string below */
	const char *file;
	struct {
		const char *name;	   /* "" = the host name */
		struct field_list address; /* struct prefix with host bits, one a family */
		struct {
			const char *interface; /* a glob */
			struct prefix cidr;
			struct addr reach;
		} address_from;
	} node;
	struct {
		int kind;
		const char *path, *kubeconfig;
		bool kubeconfig_written;   /* else in-cluster access comes first */
		const char *context;	   /* "" = the kubeconfig's current-context */
		struct field_list servers; /* const char *; instead of the kubeconfig's server */
	} datastore;
	struct {
		uint32_t asn;		  /* 0: BGPConfiguration's */
		struct addr router_id;	  /* FAM_NONE: the node's IPv4 address */
		struct field_list listen; /* struct conf_listen */
		struct conf_bgp_extra defaults;
		int export_mode; /* enum bgp_export of lib/msg.h */
		bool install, require_policy;
		struct field_list dynamic; /* struct conf_dynamic */
		struct {
			uint32_t interval, multiplier;
		} bfd;
	} bgp;
	struct {
		uint32_t mtu; /* 0 = auto */
		uint32_t route_table;
	} dataplane;
	struct {
		const char *dir, *run;
	} state;
	int log_level; /* enum log_level */
	struct {
		const char *listen; /* "" = off */
	} metrics;
	struct field_list
		warnings; /* const char *: keys that this version takes but does not serve */
};

/* The table of BGPPeer annotations and bgp.defaults. */
extern const struct field conf_bgp_extra_fields[];
extern const struct field nodeconf_fields[];

/* Fills e->set from the keys of a mapping (NULL: none). */
void conf_bgp_extra_mark(struct conf_bgp_extra *e, const struct node *map);
/* Puts what is set in `over` into e; strings are borrowed from over. */
void conf_bgp_extra_merge(struct conf_bgp_extra *e, const struct conf_bgp_extra *over);
/* What is wrong with these values together (hold time and keepalive), or NULL. */
const char *conf_bgp_extra_problem(const struct conf_bgp_extra *e);
/* For each key that is set and asks for what this version does not do yet: "role: taken, but
 * this version has no BGP roles yet". */
void conf_bgp_extra_later(const struct conf_bgp_extra *e,
			  void (*cb)(void *arg, const char *key, const char *what), void *arg);

/* Is text a name as Kubernetes has them (RFC 1123 subdomain, at most 253 characters)? */
bool name_is_valid(const char *text);

/* Reads and checks a file, or an open descriptor (file then only names it). NULL when something is
 * wrong: every problem, one a line, is in problems (its arena is the caller's). */
struct nodeconf *nodeconf_load(const char *file, struct problems *problems);
struct nodeconf *nodeconf_load_fd(int fd, const char *file, struct problems *problems);
/* The same from the text itself. Pure. */
struct nodeconf *nodeconf_parse(const char *text, size_t len, const char *file,
				struct problems *problems);
void nodeconf_free(struct nodeconf *conf);

#endif
