/* Any bytes as the answer to a list and as a watch's stream: split in two ways of pieces, parsed,
 * read as objects, pods and IPAM objects. The first byte chooses how.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/ipamobj_json.h"
#include "store/json_split.h"
#include "store/kube_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void on_item(void *arg, const struct model_item *item)
{
	(void)arg;
	must(!item->object || item->object->spec, "an object without a spec");
	object_unref(item->object);
}

static void as_object(struct json_object *o, const char *kind, const char *api, unsigned bit)
{
	struct arena scratch = { 0 };
	struct problems problems = { .arena = &scratch };
	const struct model_kind *k = kube_model_kind(kind, bit);
	uint32_t position = 0;
	bool anonymous;

	must(k != NULL, "a kind that the model does not have");
	struct node *doc = kube_decode_node(o, k, api, false, &scratch);

	must(kube_node_hash(doc) == kube_node_hash(doc), "a hash that changes");
	model_read(doc, "kubernetes", &position, on_item, NULL, &problems, &anonymous);
	arena_free(&scratch);
}

static void as_pod(struct json_object *o)
{
	struct kube_pod *scratch = xmalloc(sizeof(*scratch));
	struct pods *t = pods_new(NULL, NULL);

	if (!kube_decode_pod(o, "n1", false, scratch)) {
		must(scratch->in.nlabels <= KUBE_POD_LABELS && scratch->in.naddrs <= 2,
		     "a pod beyond its tables");
		pods_put(t, &scratch->in);
		must(pods_count(t) == 1, "a pod that is not there");
	}
	pods_free(t);
	free(scratch);
}

static void as_ipam(const char *text, size_t len)
{
	for (int kind = 0; kind <= IPAMOBJ_HANDLE; kind++) {
		struct arena a = { 0 };
		struct err err;
		const void *o = ipamobj_decode((enum ipamobj_kind)kind, text, len, &a, &err);
		char *again = o ? ipamobj_encode((enum ipamobj_kind)kind, o,
						 "crd.projectcalico.org/v1", &err)
				: NULL;

		must(!o || again, "an object that cannot be written");
		if (again)
			must(ipamobj_decode((enum ipamobj_kind)kind, again, strlen(again), &a,
					    &err) != NULL,
			     "what was written cannot be read");
		free(again);
		arena_free(&a);
	}
}

static void as_item(const char *text, size_t len)
{
	static const struct {
		const char *kind, *api;
		unsigned bit;
	} kinds[] = {
		{ "IPPool", "crd.projectcalico.org/v1", API_CALICO },
		{ "BGPPeer", "crd.projectcalico.org/v1", API_CALICO },
		{ "Node", "v1", API_CORE },
		{ "Service", "v1", API_CORE },
		{ "EndpointSlice", "discovery.k8s.io/v1", API_DISCOVERY },
		{ "NetworkPolicy", "networking.k8s.io/v1", API_NETWORKING },
	};
	struct err err;
	struct json_object *o = kube_json_parse(text, len, &err);
	struct kube_event e;

	as_ipam(text, len);
	if (!o)
		return;
	kube_decode_event(o, &e);
	must(e.r.version && e.r.text, "an event without its texts");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		as_object(e.object ? e.object : o, kinds[i].kind, kinds[i].api, kinds[i].bit);
	as_pod(e.object ? e.object : o);
	json_object_put(o);
}

/* How many objects, and a sum over their bytes. */
static uint64_t split(enum json_split_mode mode, const char *text, size_t len, size_t piece,
		      bool read)
{
	struct json_split s;
	uint64_t sum = 0;

	json_split_init(&s, mode);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		const char *p = text + at, *end = p + n;
		enum json_split_event e;

		while ((e = json_split_next(&s, &p, end)) != JSON_SPLIT_MORE &&
		       e != JSON_SPLIT_BAD) {
			for (size_t i = 0; e != JSON_SPLIT_END && i < s.len; i++)
				sum = sum * 31 + (unsigned char)s.text[i];
			sum = sum * 31 + e;
			if (read && e == JSON_SPLIT_ITEM)
				as_item(s.text, s.len);
		}
		if (e == JSON_SPLIT_BAD) {
			sum = sum * 31 + 7;
			break;
		}
	}
	sum += json_split_whole(&s);
	json_split_free(&s);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	enum json_split_mode mode = data[0] == 'w' ? JSON_SPLIT_LINES : JSON_SPLIT_LIST;
	const char *text = (const char *)data + 1;
	size_t piece = 1 + data[0] % 13;

	must(split(mode, text, len - 1, len, true) == split(mode, text, len - 1, piece, false),
	     "other pieces gave other objects");
	return 0;
}
