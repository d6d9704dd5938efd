/* What the readers of the several kinds share. Only felix/policy/ includes this. */
#ifndef SELVAGE_FELIX_POLICY_READ_IMPL_H
#define SELVAGE_FELIX_POLICY_READ_IMPL_H

#include "felix/policy/policy.h"

enum {
	RULES_MAX = 65536, /* of one direction: what one document may make of rules */
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMPV6 = 58,
	PROTO_SCTP = 132,
	PROTO_UDPLITE = 136,
};

/* One object that is being read. */
struct reading {
	const struct object *o;
	const struct node *spec;  /* a mapping, empty where there is none */
	const char *what;	  /* "NetworkPolicy default/web" */
	const char *path;	  /* "NetworkPolicy default/web: spec" */
	struct arena *keep;	  /* of the result: what stays */
	struct arena scratch;	  /* what goes when it is read */
	struct problems problems; /* in scratch */
};

struct rule_list {
	struct rule *v; /* in scratch */
	uint32_t n, cap;
};

/* Says what is wrong at a node (NULL: at the document's spec). WRONG is -1, too. */
#define SAY(r, at, ...)                                                                            \
	problem_add(&(r)->problems, (r)->o->file, (at) ? (at) : (r)->spec, __VA_ARGS__)
#define WRONG(r, at, ...) (SAY(r, at, __VA_ARGS__), -1)

/* Paths for messages, in scratch: "path.key", "path.key[2]". Most are never read, so they are put
 * together by hand. */
const char *path_key(struct reading *r, const char *path, const char *key);
const char *path_item(struct reading *r, const char *path, const char *key, uint32_t index);

/* Begins with the object; display is kept in keep. */
void reading_begin(struct reading *r, const struct object *o, struct arena *keep);
/* Hands the problems to `to`; the first of them, kept, or NULL. Frees scratch. */
const char *reading_end(struct reading *r, struct problems *to);
const char *keep_text(const struct reading *r, const char *text);
struct field_kvs keep_kvs(const struct reading *r, const struct field_kvs *kvs);

/* A key's value; NULL where it is absent or null. */
const struct node *got(const struct node *map, const char *key);
/* A list's first item; NULL and *n 0 where it is absent, null or empty. -1: it is no list, or an
 * item of it is null. */
int got_list(struct reading *r, const struct node *map, const char *key, const char *path,
	     const struct node **first, uint32_t *n);
/* Only these keys may be there, and it is a mapping. */
int known_keys(struct reading *r, const struct node *map, const struct field *fields,
	       const char *path);

/* ---- values; all return 0, or -1 when they said what is wrong ---- */

enum selector_of { OF_LABELS, OF_NAMESPACE, OF_ACCOUNT };
/* Calico's language; node NULL or blank: nothing is asked. */
int read_selector(struct reading *r, const struct node *node, const char *path, enum selector_of of,
		  struct policy_selector *out);
/* Kubernetes' LabelSelector. Empty selects everything: of labels nothing is asked then; of a
 * namespace that there is one. */
int read_label_selector(struct reading *r, const struct node *node, const char *path,
			enum selector_of of, struct policy_selector *out);
/* map's key, a list of prefixes. bare: an address without a length is taken too. */
int read_nets(struct reading *r, const struct node *map, const char *key, const char *path,
	      bool bare, struct policy_nets *out);
int read_net(struct reading *r, const struct node *node, const char *path, bool bare,
	     struct prefix *out);
void nets_keep(const struct reading *r, struct prefix *v, uint32_t n, struct policy_nets *out);
int read_number(struct reading *r, const struct node *node, const char *path, long min, long max,
		uint16_t *out);
/* A number or a name. */
int read_port(struct reading *r, const struct node *node, const char *path, bool range,
	      struct policy_port *out);
/* Sorts and joins; v is of scratch. */
void ports_keep(const struct reading *r, struct policy_port *v, uint32_t n,
		struct policy_ports *out);
int read_protocol(struct reading *r, const struct node *node, const char *path,
		  struct policy_protocol *out);
static inline bool has_ports(uint8_t protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP;
}

/* ---- rules ---- */

/* A copy; false where there are too many. */
bool rule_push(struct reading *r, struct rule_list *l, const struct rule *rule);
void rules_keep(const struct rule_list *l, struct policy_rules *out);
void rules_free(struct policy_rules *rules);
/* "ingress[2]", kept. */
const char *rule_name(const struct reading *r, enum policy_direction d, uint32_t index);

/* One row a protocol of what a rule's list of ports says; used by both Kubernetes' kinds. */
struct port_group {
	bool said, all;
	struct policy_port *v; /* of scratch */
	uint32_t n, cap;
};
enum { GROUP_TCP, GROUP_UDP, GROUP_SCTP, GROUPS };
extern const uint8_t group_protocol[GROUPS];
void group_add(struct reading *r, struct port_group *g, const struct policy_port *port);
/* A rule for each of ends (none: any) and each group that is said (none: any protocol). rule has
 * what is common. -1: there are too many. */
int rules_cross(struct reading *r, struct rule_list *l, enum policy_direction d,
		const struct rule *rule, const struct entity *ends, uint32_t nends,
		struct port_group groups[GROUPS]);

/* ---- the kinds; each fills p, and has said what is wrong ---- */

/* Ingress and egress of `types`, "Ingress" and "Egress"; absent or empty: unset. Unreadable: both,
 * and said. 1 where it is set. */
int read_types(struct reading *r, const char *key, bool types[POLICY_DIRECTIONS]);
/* The document has rules there, or something that cannot be read as rules. */
bool has_rules(const struct reading *r, enum policy_direction d);
/* What a staged policy is about to do; one that will delete has no effect. */
void read_staged_action(struct reading *r, struct policy *p);
void read_calico(struct reading *r, struct policy *p);
void read_profile(struct reading *r, struct policy *p);
void read_kubernetes(struct reading *r, struct policy *p);
/* Rules that are broken alone are closed at once, and said. true: the rest is broken too. */
bool read_cluster(struct reading *r, struct policy *p);

#endif
