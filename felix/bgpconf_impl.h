/* What the two files of bgpconf share. */
#ifndef SELVAGE_FELIX_BGPCONF_IMPL_H
#define SELVAGE_FELIX_BGPCONF_IMPL_H

#include "felix/bgpconf.h"

struct compile {
	const struct bgpconf_input *in;
	struct bgpconf *out;
	const struct object *self;		       /* this node's document, or NULL */
	const struct spec_bgpconfiguration *def, *own; /* "default" and "node.<name>", or NULL */
	struct addr addr[3];			       /* the node's, by enum family */
	unsigned peers_cap;
};

#define SAY(c, o, ...)                                                                             \
	problem_line(&(c)->out->problems,                                                          \
		     arena_printf(&(c)->out->arena, "%s: %s \"%s\": %s", (o)->origin,              \
				  (o)->kind_text, (o)->name,                                       \
				  arena_printf(&(c)->out->arena, __VA_ARGS__)))

/* A node's AS number and BGP port as its documents say. */
uint32_t node_asn(const struct compile *c, const struct object *node);
uint16_t node_port(const struct compile *c, const char *node);
const struct spec_bgpconfiguration *bgp_configuration(const struct store *s, const char *name);

void compile_peers(struct compile *c);

/* The password that owner's spec.<field> names; "" where it names none. NULL: it cannot be had, and
 * why was said; what names what stays down for it. */
const char *find_password(struct compile *c, const struct object *owner, const char *field,
			  const struct secret_ref *ref, const char *what);

#endif
