/* Names, labels and JSON of Calico's IPAM objects. The values of the first tests were computed with
 * other programs (Python's hashlib and base64) from the rules in facts and Calico's sources. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/ipamobj.h"
#include "store/ipamobj_json.h"
#include "store/kube_decode.h"
#include "test/unit/unit.h"

#define N1_HASH	    "DM7EHBDU4L3ELKRER4A46T6QMKAGARQI4CVWBO26S4I2IDAAW6CA"
#define NODE_A_HASH "EFPMMN5CUEFND6ITUOXOXWWBRQU4ETYKTESPVM6SQWCUXMC2O4DA"
#define N1_FNV	    1668749522u
#define LONG_HASH   "f2d0b24ba4a"

static struct prefix px(const char *text)
{
	struct prefix p;

	ck_assert_int_eq(prefix_parse(text, &p), 0);
	return p;
}

START_TEST(names)
{
	static const struct {
		const char *cidr, *block, *affinity;
	} rows[] = {
		{ "10.0.0.0/26", "10-0-0-0-26", "n1-10-0-0-0-26" },
		{ "192.168.128.192/32", "192-168-128-192-32", "n1-192-168-128-192-32" },
		{ "fd00:0:1::/122", "fd00-0-1---122", "n1-fd00-0-1---122" },
		{ "fd00::1:0/122", "fd00--1-0-122", "n1-fd00--1-0-122" },
	};
	char out[IPAMOBJ_NAME];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = px(rows[i].cidr);

		ck_assert_str_eq(ipamobj_block_name(&p, out), rows[i].block);
		ck_assert_str_eq(ipamobj_affinity_name("n1", &p, out), rows[i].affinity);
	}
}
END_TEST

/* 252 characters stand as they are; from 253 on the host is cut and a hash follows. */
START_TEST(long_names)
{
	struct prefix p = px("10.0.0.0/26");
	char node[260], out[IPAMOBJ_NAME], want[IPAMOBJ_NAME];

	memset(node, 'a', sizeof(node));
	node[252 - 12] = 0; /* "-10-0-0-0-26" has 12 */
	ipamobj_affinity_name(node, &p, out);
	ck_assert_uint_eq(strlen(out), 252);
	ck_assert_str_eq(out + 240, "-10-0-0-0-26");
	node[240] = 'a';
	node[241] = 0;
	ipamobj_affinity_name(node, &p, out);
	ck_assert_uint_eq(strlen(out), 252);
	snprintf(want, sizeof(want), "%.228s-10-0-0-0-26-%s", node, LONG_HASH);
	ck_assert_str_eq(out, want);
}
END_TEST

START_TEST(hashes)
{
	char out[IPAMOBJ_HASH];

	ck_assert_str_eq(ipamobj_hostname_hash("n1", out), N1_HASH);
	ck_assert_str_eq(ipamobj_hostname_hash("node-a.example.com", out), NODE_A_HASH);
	ck_assert_uint_eq(ipamobj_host_hash("n1"), N1_FNV);
	ck_assert_uint_eq(ipamobj_host_hash(""), 2166136261u);
}
END_TEST

START_TEST(handles)
{
	char id[IPAMOBJ_NAME], name[IPAMOBJ_NAME];

	ck_assert_str_eq(ipamobj_handle_id("k8s-pod-network", "0aBc", "eth0", id),
			 "k8s-pod-network.0aBc");
	ck_assert_str_eq(ipamobj_handle_name(id, name), "k8s-pod-network.0abc");
	ck_assert_str_eq(ipamobj_handle_id("net", "c", "net1", id), "net.c.net1");
}
END_TEST

/* ---- JSON ---- */

static const char block_json[] =
	"{\"apiVersion\":\"crd.projectcalico.org/"
	"v1\",\"kind\":\"IPAMBlock\",\"metadata\":{\"name\":"
	"\"10-0-0-0-30\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"creationTimestamp\":"
	"\"2026-01-31T09:00:00Z\",\"annotations\":{\"x\":\"y\"}},\"spec\":{\"affinity\":\"host:"
	"n1\","
	"\"allocations\":[0,null,1,null],\"attributes\":[{\"handle_id\":\"h\",\"secondary\":{"
	"\"pod\":\"a\",\"namespace\":\"b\"},\"future\":3},{\"releasedAt\":\"t\"}],\"cidr\":"
	"\"10.0.0.0/30\",\"deleted\":false,\"sequenceNumber\":1700000000000000001,"
	"\"sequenceNumberForAllocation\":{\"0\":1700000000000000000},\"strictAffinity\":false,"
	"\"unallocated\":[3,1],\"later\":{\"a\":1}}}";

START_TEST(block_read)
{
	struct arena a = { 0 };
	struct err err;
	const struct ipamobj_block *b =
		ipamobj_decode(IPAMOBJ_BLOCK, block_json, strlen(block_json), &a, &err);

	ck_assert_msg(b != NULL, "%s", err.text);
	ck_assert_str_eq(b->meta.name, "10-0-0-0-30");
	ck_assert_str_eq(b->meta.resource_version, "7");
	ck_assert_uint_eq(b->meta.created, 1769850000);
	ck_assert_str_eq(b->affinity, "host:n1");
	ck_assert_uint_eq(b->size, 4);
	ck_assert_int_eq(b->allocations[0], 0);
	ck_assert_int_eq(b->allocations[1], -1);
	ck_assert_int_eq(b->allocations[2], 1);
	ck_assert_uint_eq(b->nunallocated, 2);
	ck_assert_uint_eq(b->unallocated[0], 3);
	ck_assert_str_eq(b->attrs[0].handle_id, "h");
	ck_assert_uint_eq(b->attrs[0].nsecondary, 2);
	ck_assert_str_eq(b->attrs[1].released_at, "t");
	ck_assert_str_eq(b->attrs[1].handle_id, "");
	ck_assert(b->sequence == UINT64_C(1700000000000000001));
	ck_assert_uint_eq(b->nseqs, 1);
	ck_assert(b->seqs[0].seq == UINT64_C(1700000000000000000));
	arena_free(&a);
}
END_TEST

/* What was read comes back the same, with the fields that nobody here knows. */
START_TEST(block_kept)
{
	struct arena a = { 0 };
	struct err err;
	const void *b = ipamobj_decode(IPAMOBJ_BLOCK, block_json, strlen(block_json), &a, &err);
	char *text = ipamobj_encode(IPAMOBJ_BLOCK, b, "crd.projectcalico.org/v1", &err);
	struct json_object *was = kube_json_parse(block_json, strlen(block_json), &err);
	struct json_object *is = kube_json_parse(text, strlen(text), &err);
	struct json_object *notes = kube_json_get(kube_json_get(is, "metadata"), "annotations");

	ck_assert_str_eq(kube_json_text(notes, "projectcalico.org/metadata"),
			 "{\"creationTimestamp\":null}");
	json_object_object_del(notes, "projectcalico.org/metadata");
	ck_assert_msg(json_object_equal(was, is), "%s", text);
	json_object_put(was);
	json_object_put(is);
	free(text);
	arena_free(&a);
}
END_TEST

START_TEST(affinity_written)
{
	struct ipamobj_affinity f = {
		.meta = { .name = "n1-10-0-0-0-26", .uid = "", .resource_version = "", .raw = "" },
		.node = "n1",
		.type = "host",
		.cidr = px("10.0.0.0/26"),
		.state = IPAMOBJ_PENDING,
		.instance = "i1",
	};
	struct err err;

	for (int v1 = 1; v1 >= 0; v1--) {
		char *text = ipamobj_encode(
			IPAMOBJ_AFFINITY, &f,
			v1 ? "crd.projectcalico.org/v1" : "projectcalico.org/v3", &err);
		struct json_object *o = kube_json_parse(text, strlen(text), &err);
		struct json_object *meta = kube_json_get(o, "metadata");
		struct json_object *spec = kube_json_get(o, "spec");
		struct json_object *labels = kube_json_get(meta, "labels");

		ck_assert_str_eq(kube_json_text(labels, "projectcalico.org/hostname-hash"),
				 N1_HASH);
		ck_assert_str_eq(kube_json_text(labels, "projectcalico.org/affinity-type"), "host");
		ck_assert_str_eq(kube_json_text(labels, "projectcalico.org/ip-version"), "4");
		ck_assert_str_eq(kube_json_text(spec, "state"), "pending");
		/* A text in the one group, a boolean in the other. */
		ck_assert_int_eq(json_object_get_type(kube_json_get(spec, "deleted")),
				 v1 ? json_type_string : json_type_boolean);
		ck_assert_ptr_null(kube_json_get(meta, "resourceVersion"));
		ck_assert_str_eq(
			kube_json_text(kube_json_get(meta, "annotations"), "selvage.io/instance"),
			"i1");
		json_object_put(o);
		free(text);
	}
}
END_TEST

START_TEST(not_understood)
{
	static const struct {
		enum ipamobj_kind kind;
		const char *text, *why;
	} rows[] = {
		{ IPAMOBJ_BLOCK, "{", "no JSON" },
		{ IPAMOBJ_BLOCK, "null", "no JSON" },
		{ IPAMOBJ_BLOCK, "{} x", "no JSON" },
		{ IPAMOBJ_BLOCK, "{\"spec\":{\"cidr\":\"10.0.0.1/30\"}}", "no CIDR" },
		{ IPAMOBJ_BLOCK, "{\"spec\":{\"cidr\":\"10.0.0.0\"}}", "no CIDR" },
		{ IPAMOBJ_BLOCK, "{\"spec\":{\"cidr\":\"10.0.0.0/8\"}}", "too big" },
		{ IPAMOBJ_BLOCK, "{\"spec\":{\"cidr\":\"10.0.0.0/31\",\"allocations\":[null]}}",
		  "1 allocations for 2" },
		{ IPAMOBJ_BLOCK, "{\"spec\":{\"cidr\":\"10.0.0.0/31\",\"allocations\":[null,0]}}",
		  "allocation 1 has no attributes" },
		{ IPAMOBJ_BLOCK,
		  "{\"spec\":{\"cidr\":\"10.0.0.0/31\",\"allocations\":[null,null],"
		  "\"unallocated\":[2]}}",
		  "beyond its end" },
		{ IPAMOBJ_AFFINITY, "{\"spec\":{\"cidr\":\"10.0.0.0/26\",\"state\":\"maybe\"}}",
		  "maybe" },
		{ IPAMOBJ_HANDLE, "{\"spec\":{\"block\":{\"x\":1}}}", "no CIDR" },
	};
	struct arena a = { 0 };
	struct err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_ptr_null(
			ipamobj_decode(rows[i].kind, rows[i].text, strlen(rows[i].text), &a, &err));
		ck_assert_msg(strstr(err.text, rows[i].why) != NULL, "%s: %s", rows[i].text,
			      err.text);
	}
	arena_free(&a);
}
END_TEST

/* Older objects: no type, no state, "deleted" of either kind. */
START_TEST(affinity_read)
{
	static const char *const texts[] = {
		"{\"spec\":{\"cidr\":\"10.0.0.0/26\",\"node\":\"n\",\"deleted\":\"true\"}}",
		"{\"spec\":{\"cidr\":\"10.0.0.0/"
		"26\",\"node\":\"n\",\"deleted\":true,\"state\":\"\"}}",
	};
	struct arena a = { 0 };
	struct err err;

	for (size_t i = 0; i < 2; i++) {
		const struct ipamobj_affinity *f =
			ipamobj_decode(IPAMOBJ_AFFINITY, texts[i], strlen(texts[i]), &a, &err);

		ck_assert_msg(f != NULL, "%s", err.text);
		ck_assert_str_eq(f->type, "host");
		ck_assert_int_eq(f->state, IPAMOBJ_CONFIRMED);
		ck_assert(f->deleted);
	}
	arena_free(&a);
}
END_TEST

UNIT_MAIN("ipamobj", names, long_names, hashes, handles, block_read, block_kept, affinity_written,
	  not_understood, affinity_read)
