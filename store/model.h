/* One YAML document to objects: which kinds there are, their fields, and what one object must hold
 * to be taken. Pure.
 */
#ifndef SELVAGE_STORE_MODEL_H
#define SELVAGE_STORE_MODEL_H

#include "store/store.h"

/* What one document gave. object NULL: it is broken (the problems say how), but kind, namespace and
 * name tell which object it was meant to be; kind KIND_COUNT: only the name does. */
struct model_item {
	enum kind kind;
	const char *kind_text, *group, *namespace_, *name;
	struct object *object; /* the callback owns this reference */
};

typedef void (*model_cb)(void *arg, const struct model_item *item);

/* Reads one document; a List gives an item for each of its own. position counts the objects of the
 * file and goes on. Returns 0, or -1 when something was added to problems. A document that does not
 * even have a name gives problems and no item, and sets *anonymous. Texts in the item live as long
 * as its object, or those of a broken one until the callback returns. */
int model_read(const struct node *root, const char *file, uint32_t *position, model_cb cb,
	       void *arg, struct problems *problems, bool *anonymous);

/* ---- the tables ---- */

enum api {
	API_CALICO = 1,
	API_CORE = 2,
	API_NETWORKING = 4,
	API_POLICY = 8,
	API_DISCOVERY = 16,
};

struct model_kind {
	const char *text; /* "IPPool" */
	unsigned apis;	  /* enum api, one or more */
	enum kind kind;	  /* KIND_COUNT: accepted and passed over */
	bool namespaced;
	const struct field *fields; /* of spec; NULL: kept as a tree */
	size_t size;
	/* A kind of Kubernetes' own: the table begins at the document's root, and what it does not
	 * have is passed over, for the API's objects carry much that a node need not know. */
	bool whole;
	size_t keep; /* of a whole kind: how much of the front of size is the spec */
	/* What the table cannot say. spec is what the table filled, node the document's spec (of a
	 * whole kind: the document), o has everything but its spec. -1 when it added problems. Of a
	 * whole kind, texts and lists in spec go when it returns: what is to stay is copied to the
	 * object's arena. */
	int (*finish)(void *spec, const struct node *node, struct object *o,
		      struct problems *problems);
};

extern const struct model_kind model_kinds[]; /* ends with text NULL */

/* store/model_core.c: Service, EndpointSlice and Secret. */
struct service_read {
	struct spec_service s;
	const char *cluster_ip, *policy, *asked;
	struct field_list cluster_ips, external_ips, families; /* const char * */
	struct field_list ingress;			       /* struct ingress_read */
};
struct slice_read {
	struct spec_endpointslice s;
	int address_type;
	struct field_list endpoints; /* struct endpoint_read */
};
struct secret_read {
	struct spec_secret s;
	const struct node *data, *string_data;
};
extern const struct field service_fields[], slice_fields[], secret_fields[];
int finish_service(void *spec, const struct node *doc, struct object *o, struct problems *p);
int finish_slice(void *spec, const struct node *doc, struct object *o, struct problems *p);
int finish_secret(void *spec, const struct node *doc, struct object *o, struct problems *p);

#endif
