/* The API's JSON to objects, pods and events. One object at a time; only the fields that are in use
 * are kept. No loop, no socket.
 */
#ifndef SELVAGE_STORE_KUBE_DECODE_H
#define SELVAGE_STORE_KUBE_DECODE_H

#include <json-c/json.h>

#include "store/model.h"
#include "store/pods.h"
#include "store/reflector.h"

/* Strict JSON in UTF-8, one value. NULL and err when it is none. json_object_put() frees it. */
struct json_object *kube_json_parse(const char *text, size_t len, struct err *err);
/* A member's text, "" where there is none; borrowed from the object. NULL objects are empty. */
const char *kube_json_text(struct json_object *map, const char *key);
struct json_object *kube_json_get(struct json_object *map, const char *key);
/* "2026-01-31T09:00:00Z" to s since the epoch, 0 where it is none. */
uint64_t kube_json_time(const char *text);

/* A Status as the API's errors are: what it says for people into why (cut); its reason is borrowed.
 * A body that is no Status gives its first words. Returns its code, 0 none. */
int kube_json_status(struct json_object *status, char *why, size_t size, const char **reason);

struct kube_event {
	struct reflector_event r; /* texts live as long as json */
	struct json_object *object;
	char why[256];
};
/* A watch's line, parsed. */
void kube_decode_event(struct json_object *line, struct kube_event *out);

/* An object of the API as model_read() wants it: apiVersion and kind filled in, metadata with
 * labels and the annotations of Calico and Selvage (those in projectcalico.org/metadata joined),
 * the spec's known fields. k: its row in model_kinds. metadata_only: no spec. */
struct node *kube_decode_node(struct json_object *o, const struct model_kind *k, const char *api,
			      bool metadata_only, struct arena *arena);
/* 64 bits over everything in it. */
uint64_t kube_node_hash(const struct node *n);
const struct model_kind *kube_model_kind(const char *text, unsigned api);

enum { KUBE_POD_LABELS = 256, KUBE_POD_PORTS = 128, KUBE_POD_NOTES = 16 };
struct kube_pod {
	struct pod_in in;
	struct pod_label labels[KUBE_POD_LABELS];
	struct pod_port ports[KUBE_POD_PORTS];
	struct pod_note notes[KUBE_POD_NOTES];
};
/* Texts are borrowed from the object. all_notes: keep the annotations whatever its node is. -1: it
 * has no name. What does not fit the tables above is left out. */
int kube_decode_pod(struct json_object *o, const char *own_node, bool all_notes,
		    struct kube_pod *out);

#endif
