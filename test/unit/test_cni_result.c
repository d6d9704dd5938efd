/* The plugin's answers, parsed again as a runtime would, for every version. */
#include "config.h"

#include <json.h>
#include <string.h>

#include "cni/result.h"
#include "unit.h"

static struct json_object *at(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;
	ck_assert_msg(json_object_object_get_ex(o, key, &v), "no key %s", key);
	return v;
}

static const char *text_at(struct json_object *o, const char *key)
{
	return json_object_get_string(at(o, key));
}

static bool has(struct json_object *o, const char *key)
{
	return json_object_object_get_ex(o, key, NULL);
}

/* Takes text. */
static struct json_object *parse(char *text)
{
	struct json_object *o = json_tokener_parse(text);
	ck_assert_msg(o != NULL, "no JSON: %s", text);
	ck_assert_ptr_null(strchr(text, '\n'));
	free(text);
	return o;
}

static struct json_object *add_result(enum cni_version v, struct json_object *dns)
{
	static struct m_cni_ip ips[2];
	struct cni_request r = { .version = v, .dns = dns };
	struct m_cni_result m = {
		"cali0123456789a", "ee:ee:ee:ee:ee:ee", "02:00:00:00:00:01", 1500, { 2, ips }
	};

	r.add.ifname = "eth0";
	r.add.netns = "/run/netns/a\"b";
	prefix_parse("10.0.0.7/32", &ips[0].address);
	addr_parse("169.254.1.1", &ips[0].gateway);
	prefix_parse("fd00::7/128", &ips[1].address);
	addr_parse("fe80::1", &ips[1].gateway);
	return parse(cni_result_add(&r, &m));
}

static void check_add(enum cni_version v)
{
	static const char *const families[] = { "4", "6" },
				 *const addresses[] = { "10.0.0.7/32", "fd00::7/128" },
				 *const gws[] = { "169.254.1.1", "fe80::1" },
				 *const dsts[] = { "0.0.0.0/0", "::/0" };
	struct json_object *o = add_result(v, NULL), *ifs = at(o, "interfaces"),
			   *ips = at(o, "ips"), *routes = at(o, "routes");

	ck_assert_str_eq(text_at(o, "cniVersion"), cni_versions[v]);
	ck_assert_uint_eq(json_object_array_length(ifs), 2);
	struct json_object *host = json_object_array_get_idx(ifs, 0),
			   *pod = json_object_array_get_idx(ifs, 1);
	ck_assert_str_eq(text_at(host, "name"), "cali0123456789a");
	ck_assert_str_eq(text_at(host, "mac"), "ee:ee:ee:ee:ee:ee");
	ck_assert(!has(host, "sandbox"));
	ck_assert_str_eq(text_at(pod, "name"), "eth0");
	ck_assert_str_eq(text_at(pod, "mac"), "02:00:00:00:00:01");
	ck_assert_str_eq(text_at(pod, "sandbox"), "/run/netns/a\"b");
	/* mtu of an interface came with 1.1.0. */
	ck_assert(!has(pod, "mtu"));
	ck_assert_uint_eq(json_object_array_length(ips), 2);
	ck_assert_uint_eq(json_object_array_length(routes), 2);
	for (size_t i = 0; i < 2; i++) {
		struct json_object *ip = json_object_array_get_idx(ips, i),
				   *route = json_object_array_get_idx(routes, i);
		ck_assert_str_eq(text_at(ip, "address"), addresses[i]);
		ck_assert_str_eq(text_at(ip, "gateway"), gws[i]);
		ck_assert_int_eq(json_object_get_int(at(ip, "interface")), 1);
		ck_assert_int_eq(has(ip, "version"), v < CNI_1_0_0);
		if (v < CNI_1_0_0)
			ck_assert_str_eq(text_at(ip, "version"), families[i]);
		ck_assert_str_eq(text_at(route, "dst"), dsts[i]);
		ck_assert_str_eq(text_at(route, "gw"), gws[i]);
	}
	ck_assert(json_object_is_type(at(o, "dns"), json_type_object));
	json_object_put(o);
}

START_TEST(add_in_every_version)
{
	for (int v = 0; v < CNI_NVERSIONS; v++)
		check_add((enum cni_version)v);
}
END_TEST

START_TEST(dns_is_passed_on)
{
	struct json_object *dns =
		json_tokener_parse("{\"nameservers\":[\"10.0.0.53\"],\"domain\":\"x\"}");
	struct json_object *o = add_result(CNI_1_0_0, dns);
	ck_assert_int_eq(json_object_equal(at(o, "dns"), dns), 1);
	json_object_put(o);
	json_object_put(dns);
}
END_TEST

START_TEST(version)
{
	struct cni_request r = { .asked = "1.1.0" };
	struct json_object *o = parse(cni_result_version(&r)), *list = at(o, "supportedVersions");

	ck_assert_str_eq(text_at(o, "cniVersion"), "1.1.0");
	ck_assert_str_eq(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
			 "[\"0.3.1\",\"0.4.0\",\"1.0.0\"]");
	json_object_put(o);
	r.asked = NULL;
	o = parse(cni_result_version(&r));
	ck_assert_str_eq(text_at(o, "cniVersion"), "1.0.0");
	json_object_put(o);
}
END_TEST

START_TEST(error)
{
	struct cni_request r = { .version = CNI_0_4_0 };
	struct cni_error e = { 0 };

	ck_assert_int_eq(cni_fail(&e, CNI_E_AGAIN, "a \"quoted\" %s", "word"), -1);
	struct json_object *o = parse(cni_result_error(&r, &e));
	ck_assert_str_eq(text_at(o, "cniVersion"), "0.4.0");
	ck_assert_int_eq(json_object_get_int(at(o, "code")), 11);
	ck_assert_str_eq(text_at(o, "msg"), "a \"quoted\" word");
	ck_assert(!has(o, "details"));
	json_object_put(o);
	strcpy(e.details, "more");
	o = parse(cni_result_error(&r, &e));
	ck_assert_str_eq(text_at(o, "details"), "more");
	json_object_put(o);
}
END_TEST

UNIT_MAIN("cni_result", add_in_every_version, dns_is_passed_on, version, error)
