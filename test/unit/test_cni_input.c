/* Every way in which a runtime's call can be wrong, and what the right ones come to. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cni/input.h"
#include "unit.h"

#define BASE	   "\"cniVersion\":\"1.0.0\",\"name\":\"net\",\"type\":\"selvage\""
#define CONF(more) "{" BASE more "}"

static const struct cni_env add_env = { "ADD", "abc", "/run/netns/p", "eth0", NULL };

static int parse(struct cni_request *r, const struct cni_env *env, const char *conf,
		 struct cni_error *e)
{
	*e = (struct cni_error){ 0 };
	return cni_input(r, env, conf, strlen(conf), e);
}

static void expect_error(const struct cni_env *env, const char *conf, unsigned code,
			 const char *word)
{
	struct cni_request r;
	struct cni_error e;
	int got = parse(&r, env, conf, &e);
	ck_assert_msg(got == -1, "accepted: %s (%s, args %s)", conf, env->command,
		      env->args ? env->args : "none");
	ck_assert_msg(e.code == code, "code %u, not %u: %s", e.code, code, e.msg);
	ck_assert_msg(strstr(e.msg, word), "\"%s\" lacks \"%s\"", e.msg, word);
	ck_assert_ptr_null(strchr(e.msg, '\n'));
	cni_request_free(&r);
}

START_TEST(environment)
{
#define LONG64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	static const struct {
		struct cni_env env;
		const char *word;
	} rows[] = {
		{ { NULL, "a", "/n", "e", NULL }, "CNI_COMMAND" },
		{ { "", "a", "/n", "e", NULL }, "CNI_COMMAND" },
		{ { "GC", "a", "/n", "e", NULL }, "GC" },
		{ { "add", "a", "/n", "e", NULL }, "add" },
		{ { "ADD", NULL, NULL, NULL, NULL }, "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME" },
		{ { "ADD", "a", "", "e", NULL }, "CNI_NETNS" },
		{ { "CHECK", "a", NULL, "", NULL }, "CNI_NETNS, CNI_IFNAME" },
		{ { "DEL", NULL, NULL, NULL, NULL }, "CNI_CONTAINERID, CNI_IFNAME" },
		{ { "ADD", "-a", "/n", "e", NULL }, "CNI_CONTAINERID" },
		{ { "ADD", "a b", "/n", "e", NULL }, "CNI_CONTAINERID" },
		{ { "ADD", "a/../b", "/n", "e", NULL }, "CNI_CONTAINERID" },
		{ { "ADD", LONG64 LONG64 LONG64 LONG64, "/n", "e", NULL }, "CNI_CONTAINERID" },
		{ { "ADD", "a", "/n", ".", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "..", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "a/b", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "a:b", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "a b", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "abcdefghijklmnop", NULL }, "CNI_IFNAME" },
		{ { "ADD", "a", "/n", "e", "FOO=1" }, "FOO" },
		{ { "ADD", "a", "/n", "e", "FOO" }, "KEY=VALUE" },
		{ { "ADD", "a", "/n", "e", "=1" }, "KEY=VALUE" },
		{ { "ADD", "a", "/n", "e", "FOO=1;IgnoreUnknown=0" }, "FOO" },
		{ { "ADD", "a", "/n", "e", "IgnoreUnknown=maybe" }, "IgnoreUnknown" },
		{ { "ADD", "a", "/n", "e", "IP=nonsense" }, "nonsense" },
		{ { "ADD", "a", "/n", "e", "IP=10.0.0.1,10.0.0.2" }, "one family" },
		{ { "ADD", "a", "/n", "e", "IP=127.0.0.1" }, "127.0.0.1" },
		{ { "ADD", "a", "/n", "e", "MAC=02:00:00:00:00" }, "MAC" },
		{ { "ADD", "a", "/n", "e", "MAC=03:00:00:00:00:01" }, "MAC" },
		{ { "ADD", "a", "/n", "e", "MAC=02:00:00:00:00:zz" }, "MAC" },
		{ { "ADD", "a", "/n", "e", "K8S_POD_NAME=a/b" }, "K8S_POD_NAME" },
		{ { "ADD", "a", "/n", "e", "K8S_POD_NAMESPACE=a b" }, "K8S_POD_NAMESPACE" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_error(&rows[i].env, CONF(""), CNI_E_ENV, rows[i].word);
}
END_TEST

START_TEST(configuration)
{
	static const struct {
		const char *conf;
		unsigned code;
		const char *word;
	} rows[] = {
		{ "", CNI_E_DECODE, "no network configuration" },
		{ " \n", CNI_E_DECODE, "no network configuration" },
		{ "{", CNI_E_DECODE, "ends" },
		{ "nonsense", CNI_E_DECODE, "JSON" },
		{ "[]", CNI_E_DECODE, "object" },
		{ "null", CNI_E_DECODE, "object" },
		{ CONF("") "x", CNI_E_DECODE, "JSON" },
		{ CONF("") "{}", CNI_E_DECODE, "JSON" },
		{ "{}", CNI_E_VERSION, "missing" },
		{ "{\"cniVersion\":\"0.1.0\",\"name\":\"n\",\"type\":\"s\"}", CNI_E_VERSION,
		  "0.3.1" },
		{ "{\"cniVersion\":\"0.2.0\",\"name\":\"n\",\"type\":\"s\"}", CNI_E_VERSION,
		  "0.3.1" },
		{ "{\"cniVersion\":\"1.1.0\",\"name\":\"n\",\"type\":\"s\"}", CNI_E_VERSION,
		  "1.0.0" },
		{ "{\"cniVersion\":1,\"name\":\"n\",\"type\":\"s\"}", CNI_E_CONFIG, "cniVersion" },
		{ "{\"cniVersion\":\"1.0.0\",\"type\":\"s\"}", CNI_E_CONFIG, "name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"-\",\"type\":\"s\"}", CNI_E_CONFIG,
		  "name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"a\\u0000b\",\"type\":\"s\"}", CNI_E_CONFIG,
		  "name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"n\"}", CNI_E_CONFIG, "type" },
		{ CONF(",\"run\":\"rel\""), CNI_E_CONFIG, "run" },
		{ CONF(",\"run\":1"), CNI_E_CONFIG, "run" },
		{ CONF(",\"mtu\":\"1500\""), CNI_E_CONFIG, "mtu" },
		{ CONF(",\"mtu\":-1"), CNI_E_CONFIG, "mtu" },
		{ CONF(",\"mtu\":1279"), CNI_E_CONFIG, "mtu" },
		{ CONF(",\"mtu\":65536"), CNI_E_CONFIG, "mtu" },
		{ CONF(",\"ipam\":{\"type\":\"host-local\"}"), CNI_E_CONFIG, "host-local" },
		{ CONF(",\"ipam\":[]"), CNI_E_CONFIG, "ipam" },
		{ CONF(",\"ipam\":{\"ipv4_pools\":\"a\"}"), CNI_E_CONFIG, "ipam.ipv4_pools" },
		{ CONF(",\"ipam\":{\"ipv6_pools\":[1]}"), CNI_E_CONFIG, "ipam.ipv6_pools" },
		{ CONF(",\"ipam\":{\"ipv6_pools\":[\"\"]}"), CNI_E_CONFIG, "ipam.ipv6_pools" },
		{ CONF(",\"ipam\":{\"assign_ipv4\":1}"), CNI_E_CONFIG, "ipam.assign_ipv4" },
		{ CONF(",\"ipam\":{\"assign_ipv6\":\"yes\"}"), CNI_E_CONFIG, "ipam.assign_ipv6" },
		{ CONF(",\"ipam\":{\"assign_ipv4\":false}"), CNI_E_CONFIG, "both are false" },
		{ CONF(",\"dns\":1"), CNI_E_CONFIG, "dns" },
		{ CONF(",\"args\":1"), CNI_E_CONFIG, "args" },
		{ CONF(",\"args\":{\"cni\":1}"), CNI_E_CONFIG, "args.cni" },
		{ CONF(",\"args\":{\"cni\":{\"labels\":{}}}"), CNI_E_CONFIG, "labels" },
		{ CONF(",\"args\":{\"cni\":{\"labels\":[1]}}"), CNI_E_CONFIG, "labels" },
		{ CONF(",\"args\":{\"cni\":{\"labels\":[{\"value\":\"a\"}]}}"), CNI_E_CONFIG,
		  "labels" },
		{ CONF(",\"args\":{\"cni\":{\"ips\":[1]}}"), CNI_E_CONFIG, "ips" },
		{ CONF(",\"runtimeConfig\":[]"), CNI_E_CONFIG, "runtimeConfig" },
		{ CONF(",\"runtimeConfig\":{\"ips\":[\"x\"]}"), CNI_E_CONFIG, "runtimeConfig.ips" },
		{ CONF(",\"runtimeConfig\":{\"ips\":[\"10.0.0.1\",\"10.0.0.2\"]}"), CNI_E_CONFIG,
		  "one family" },
		{ CONF(",\"runtimeConfig\":{\"mac\":\"x\"}"), CNI_E_CONFIG, "runtimeConfig.mac" },
		{ CONF(",\"runtimeConfig\":{\"io.kubernetes.cri.pod-annotations\":{\"a\":1}}"),
		  CNI_E_CONFIG, "pod-annotations" },
		{ CONF(",\"prevResult\":{}"), CNI_E_CONFIG, "prevResult" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_error(&add_env, rows[i].conf, rows[i].code, rows[i].word);
}
END_TEST

START_TEST(too_much_input)
{
	size_t n = CNI_STDIN_MAX + 1;
	char *text = malloc(n + 1);
	struct cni_request r;
	struct cni_error e = { 0 };

	memset(text, ' ', n);
	text[n] = '\0';
	memcpy(text, CONF(""), strlen(CONF("")));
	ck_assert_int_eq(cni_input(&r, &add_env, text, n, &e), -1);
	ck_assert_uint_eq(e.code, CNI_E_DECODE);
	cni_request_free(&r);
	ck_assert_int_eq(cni_input(&r, &add_env, text, n - 1, &e), 0);
	cni_request_free(&r);
	free(text);
}
END_TEST

START_TEST(a_full_add)
{
	static const char conf[] = CONF(
		",\"run\":\"/r\",\"mtu\":9000,\"ipam\":{\"type\":\"selvage-ipam\"},\"unknown\":[1],"
		"\"dns\":{\"nameservers\":[\"10.0.0.53\"]},"
		"\"args\":{\"cni\":{\"labels\":[{\"key\":\"app\",\"value\":\"web\"},{\"key\":\"x\"}"
		"],"
		"\"ips\":[\"10.9.9.9\"]}},"
		"\"runtimeConfig\":{\"ips\":[\"10.0.0.7/"
		"24\",\"fd00::7\"],\"mac\":\"02:00:00:00:00:01\","
		"\"io.kubernetes.cri.pod-annotations\":{\"selvage.io/a\":\"1\",\"other.io/"
		"b\":\"2\"}}");
	struct cni_env env = add_env;
	struct cni_request r;
	struct cni_error e;
	char text[ADDR_STRLEN];

	env.args =
		"K8S_POD_UID=u;FOO=1;IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;"
		"K8S_POD_INFRA_CONTAINER_ID=abc;IP=10.1.1.1";
	ck_assert_msg(!parse(&r, &env, conf, &e), "%s", e.msg);
	ck_assert_int_eq(r.command, CNI_ADD);
	ck_assert_int_eq(r.version, CNI_1_0_0);
	ck_assert_str_eq(r.run, "/r");
	ck_assert_str_eq(r.add.container_id, "abc");
	ck_assert_str_eq(r.add.ifname, "eth0");
	ck_assert_str_eq(r.add.network, "net");
	ck_assert_str_eq(r.add.netns, "/run/netns/p");
	ck_assert_str_eq(r.add.namespace_, "default");
	ck_assert_str_eq(r.add.pod, "web-0");
	ck_assert_str_eq(r.add.mac, "02:00:00:00:00:01");
	ck_assert_uint_eq(r.add.mtu, 9000);
	ck_assert_ptr_nonnull(r.dns);
	ck_assert_uint_eq(r.add.ips.n, 2);
	ck_assert_str_eq(addr_format(&r.add.ips.v[0], text, sizeof(text)), "10.0.0.7");
	ck_assert_str_eq(addr_format(&r.add.ips.v[1], text, sizeof(text)), "fd00::7");
	ck_assert_uint_eq(r.add.labels.n, 2);
	ck_assert_str_eq(r.add.labels.v[0].key, "app");
	ck_assert_str_eq(r.add.labels.v[0].value, "web");
	ck_assert_str_eq(r.add.labels.v[1].value, "");
	ck_assert_uint_eq(r.add.annotations.n, 1);
	ck_assert_str_eq(r.add.annotations.v[0].key, "selvage.io/a");
	cni_request_free(&r);
}
END_TEST

START_TEST(pools_and_families)
{
	enum { V4 = 1 << FAM_V4, V6 = 1 << FAM_V6 };
	static const struct {
		const char *ipam;
		unsigned families;
	} rows[] = {
		{ "{}", 0 },
		{ "{\"assign_ipv4\":\"true\"}", V4 },
		{ "{\"assign_ipv4\":true}", V4 },
		{ "{\"assign_ipv6\":\"true\"}", V4 | V6 },
		{ "{\"assign_ipv4\":\"false\",\"assign_ipv6\":\"true\"}", V6 },
		{ "{\"assign_ipv4\":true,\"assign_ipv6\":true}", V4 | V6 },
		{ "{\"assign_ipv4\":null,\"assign_ipv6\":false}", V4 },
	};
	struct cni_request r;
	struct cni_error e;
	char conf[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(conf, sizeof(conf), "{" BASE ",\"ipam\":%s}", rows[i].ipam);
		ck_assert_msg(!parse(&r, &add_env, conf, &e), "%s", e.msg);
		ck_assert_msg(r.add.families == rows[i].families, "%s: %u", conf, r.add.families);
		ck_assert_uint_eq(r.add.ipv4_pools.n + r.add.ipv6_pools.n, 0);
		cni_request_free(&r);
	}
	ck_assert_msg(!parse(&r, &add_env,
			     CONF(",\"ipam\":{\"ipv4_pools\":[\"a\",\"10.0.0.0/8\"],"
				  "\"ipv6_pools\":[\"c\"]},"
				  "\"runtimeConfig\":{\"io.kubernetes.cri.pod-annotations\":"
				  "{\"cni.projectcalico.org/ipAddrs\":\"[]\"}}"),
			     &e),
		      "%s", e.msg);
	ck_assert_uint_eq(r.add.ipv4_pools.n, 2);
	ck_assert_str_eq(r.add.ipv4_pools.v[0].text, "a");
	ck_assert_str_eq(r.add.ipv4_pools.v[1].text, "10.0.0.0/8");
	ck_assert_uint_eq(r.add.ipv6_pools.n, 1);
	ck_assert_str_eq(r.add.ipv6_pools.v[0].text, "c");
	ck_assert_uint_eq(r.add.annotations.n, 1);
	ck_assert_str_eq(r.add.annotations.v[0].key, "cni.projectcalico.org/ipAddrs");
	cni_request_free(&r);
}
END_TEST

START_TEST(defaults_and_nomad)
{
	struct cni_env env = add_env;
	struct cni_request r;
	struct cni_error e;

	ck_assert_msg(!parse(&r, &env, CONF("") "\n", &e), "%s", e.msg);
	ck_assert_str_eq(r.run, "/run/selvage");
	ck_assert_str_eq(r.add.pod, "");
	ck_assert_str_eq(r.add.namespace_, "");
	ck_assert_str_eq(r.add.mac, "");
	ck_assert_uint_eq(r.add.ips.n + r.add.labels.n + r.add.annotations.n + r.add.mtu, 0);
	cni_request_free(&r);

	env.args = "NOMAD_NAMESPACE=prod;NOMAD_ALLOC_ID=1-2;NOMAD_JOB_ID=web";
	ck_assert_msg(!parse(&r, &env, CONF(""), &e), "%s", e.msg);
	ck_assert_str_eq(r.add.namespace_, "prod");
	ck_assert_str_eq(r.add.pod, "1-2");
	ck_assert_uint_eq(r.add.labels.n, 3);
	ck_assert_str_eq(r.add.labels.v[2].key, "NOMAD_JOB_ID");
	cni_request_free(&r);
}
END_TEST

START_TEST(del_needs_little)
{
	const struct cni_env env = { "DEL", "abc", NULL, "eth0", "FOO=1" };
	struct cni_request r;
	struct cni_error e;

	ck_assert_msg(!parse(&r, &env, CONF(",\"mtu\":\"x\",\"ipam\":1,\"prevResult\":{}"), &e),
		      "%s", e.msg);
	ck_assert_int_eq(r.command, CNI_DEL);
	ck_assert_str_eq(r.add.network, "net");
	cni_request_free(&r);
}
END_TEST

START_TEST(check_reads_prev_result)
{
	static const char conf[] =
		CONF(",\"prevResult\":{\"interfaces\":[{\"name\":\"calix\"},{\"name\":\"eth0\","
		     "\"sandbox\":"
		     "\"/run/netns/p\"},{\"name\":\"tap0\",\"sandbox\":\"/run/netns/p\"}],\"ips\":["
		     "{\"address\":\"10.0.0.7/32\",\"interface\":1},{\"address\":\"10.9.0.1/"
		     "24\",\"interface\":2},"
		     "{\"address\":\"fd00::7/128\"}]}");
	struct cni_env env = add_env, old = add_env;
	struct cni_request r;
	struct cni_error e;
	char text[PREFIX_STRLEN];

	env.command = old.command = "CHECK";
	ck_assert_msg(!parse(&r, &env, conf, &e), "%s", e.msg);
	ck_assert_uint_eq(r.add.expect.n, 2);
	ck_assert_str_eq(prefix_format(&r.add.expect.v[0], text, sizeof(text)), "10.0.0.7/32");
	ck_assert_str_eq(prefix_format(&r.add.expect.v[1], text, sizeof(text)), "fd00::7/128");
	cni_request_free(&r);

	expect_error(&env, CONF(""), CNI_E_CONFIG, "prevResult");
	expect_error(&env, CONF(",\"prevResult\":{\"ips\":[{}]}"), CNI_E_CONFIG, "address");
	expect_error(&env, CONF(",\"prevResult\":{\"ips\":[{\"address\":\"x\"}]}"), CNI_E_CONFIG,
		     "address");
	expect_error(&env, CONF(",\"prevResult\":{\"ips\":1}"), CNI_E_CONFIG, "ips");
	expect_error(&old, "{\"cniVersion\":\"0.3.1\",\"name\":\"n\",\"type\":\"s\"}",
		     CNI_E_VERSION, "CHECK");
}
END_TEST

START_TEST(version_needs_nothing)
{
	const struct cni_env env = { .command = "VERSION" };
	struct cni_request r;
	struct cni_error e;

	ck_assert_msg(!parse(&r, &env, "", &e), "%s", e.msg);
	ck_assert_ptr_null(r.asked);
	cni_request_free(&r);
	ck_assert_msg(!parse(&r, &env, "{\"cniVersion\":\"1.1.0\"}\n", &e), "%s", e.msg);
	ck_assert_str_eq(r.asked, "1.1.0");
	cni_request_free(&r);
	expect_error(&env, "{", CNI_E_DECODE, "ends");
}
END_TEST

START_TEST(errors_answer_in_the_version_asked)
{
	struct cni_request r;
	struct cni_error e;

	ck_assert_int_eq(parse(&r, &add_env, "{\"cniVersion\":\"0.4.0\",\"type\":\"s\"}", &e), -1);
	ck_assert_int_eq(r.version, CNI_0_4_0);
	cni_request_free(&r);
}
END_TEST

UNIT_MAIN("cni_input", environment, configuration, too_much_input, a_full_add, pools_and_families, defaults_and_nomad,
	  del_needs_little, check_reads_prev_result, version_needs_nothing,
	  errors_answer_in_the_version_asked)
