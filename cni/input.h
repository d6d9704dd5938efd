/* What a runtime asks of the plugin: environment and standard input, checked as a whole before
 * anything is touched. Pure: text in, a struct or an error out.
 */
#ifndef SELVAGE_CNI_INPUT_H
#define SELVAGE_CNI_INPUT_H

#include <stddef.h>

#include "cni/error.h"
#include "lib/msg.h"

struct json_object;

enum { CNI_STDIN_MAX = 1 << 20 };

enum cni_command { CNI_ADD, CNI_DEL, CNI_CHECK, CNI_VERSION };

/* In their order: what came later compares greater. */
enum cni_version { CNI_0_3_1, CNI_0_4_0, CNI_1_0_0, CNI_NVERSIONS };
extern const char *const cni_versions[CNI_NVERSIONS];

/* The variables as getenv() gives them; NULL = not set. */
struct cni_env {
	const char *command, *container_id, *netns, *ifname, *args;
};

struct cni_request {
	struct arena arena;	  /* owns every string and list in add */
	struct json_object *conf; /* NULL for a VERSION without input */
	enum cni_command command;
	enum cni_version version;
	const char *asked;	 /* cniVersion as written; borrowed from conf; NULL: none */
	const char *run;	 /* state.run of node.yaml */
	struct json_object *dns; /* borrowed from conf, or NULL */
	struct m_cni_add add;	 /* CNI_DEL: only its ids and network are set */
};

/* 0, or -1 with the error to print. Call cni_request_free() in both cases; after an error, version
 * is the one to answer in. */
int cni_input(struct cni_request *r, const struct cni_env *env, const char *text, size_t len,
	      struct cni_error *e);
void cni_request_free(struct cni_request *r);

/* cni/args.c: CNI_ARGS into what it sets of r->add. */
int cni_args(struct cni_request *r, const char *args, struct cni_error *e);
/* cni/args.c: one address of an `ips` list or IP= ("10.0.0.1" or "10.0.0.1/32"); where names its
 * place in messages. */
int cni_add_ip(struct cni_request *r, const char *text, unsigned code, const char *where,
	       struct cni_error *e);
/* cni/args.c: aa:bb:cc:dd:ee:ff, a unicast address. */
int cni_set_mac(struct cni_request *r, const char *text, unsigned code, const char *where,
		struct cni_error *e);
void cni_add_kv(struct cni_request *r, msg_kv_list *list, const char *key, const char *value);

#endif
