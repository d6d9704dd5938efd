/* Kubeconfigs as kubectl's users write them: what is taken, what is refused and in which words;
 * what a plugin answers; the flat form.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "lib/kubeconfig.h"
#include "unit.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#define PEM(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"
#define CA		 PEM("CERTIFICATE", "Q0EtQ0VSVElGSUNBVEUh")
#define CERT		 PEM("CERTIFICATE", "Q0xJRU5ULUNFUlQ=")
#define KEY		 PEM("PRIVATE KEY", "U0VDUkVULUtFWQ==")

/* base64 of CA, CERT and KEY above, made with base64(1). */
#define CA_DATA                                                                                    \
	"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClEwRXRRMFZTVkVsR1NVTkJWRVVoCi0tLS0tRU5EIENFUlRJRklD" \
	"QVRFLS0tLS0K"
#define CERT_DATA                                                                                  \
	"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClEweEpSVTVVTFVORlVsUT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUt" \
	"LS0tLQo="
#define KEY_DATA                                                                                   \
	"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tClUwVkRVa1ZVTFV0RldRPT0KLS0tLS1FTkQgUFJJVkFURSBLRVkt" \
	"LS0tLQo="

#define EXEC_V1 "client.authentication.k8s.io/v1"

/* One context c of cluster k and user u, with what a row says of both. */
#define CONFIG(cluster, user)                                                                      \
	"apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                       \
	"contexts: [{name: c, context: {cluster: k, user: u}}]\n"                                  \
	"clusters: [{name: k, cluster: {" cluster "}}]\n"                                          \
	"users: [{name: u, user: {" user "}}]\n"
#define SERVER "server: 'https://a:6443'"

static struct kube_plan *parse_with(const char *text, const struct kube_choice *choice,
				    struct err *err)
{
	return kubeconfig_parse(text, strlen(text), "/etc/k/config", choice, err);
}

static struct kube_plan *parse(const char *text)
{
	struct err err = { 0 };
	struct kube_plan *p = parse_with(text, NULL, &err);

	ck_assert_msg(p != NULL, "%s", err.text);
	return p;
}

static struct kube_access *finish(struct kube_plan *p)
{
	struct err err = { 0 };
	struct kube_access *a = kubeconfig_finish(p, &err);

	ck_assert_msg(a != NULL, "%s", err.text);
	kubeconfig_free(p);
	return a;
}

/* ---- what is taken ---- */

/* The form that kubeadm writes, with keys that only kubectl knows. */
static const char full[] =
	"apiVersion: v1\n"
	"kind: Config\n"
	"preferences: {colors: true}\n"
	"current-context: other\n"
	"clusters:\n"
	"- name: prod\n"
	"  cluster:\n"
	"    server: https://api.example.org:6443/k8s/\n"
	"    certificate-authority-data: " CA_DATA "\n"
	"    certificate-authority: /must/not/be/read\n"
	"    tls-server-name: kubernetes\n"
	"    proxy-url: http://proxy:3128\n"
	"    disable-compression: true\n"
	"    insecure-skip-tls-verify: false\n"
	"    unknown-to-us: {a: [b]}\n"
	"- name: lab\n"
	"  cluster: {server: 'https://[2001:db8::1]:6443'}\n"
	"users:\n"
	"- name: node\n"
	"  user:\n"
	"    client-certificate-data: " CERT_DATA "\n"
	"    client-key-data: >-\n"
	"      LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tClUwVkRVa1ZVTFV0RldRPT0KLS0t\n"
	"      LS1FTkQgUFJJVkFURSBLRVktLS0tLQo=\n"
	"- name: robot\n"
	"  user: {token: ' t0ken '}\n"
	"contexts:\n"
	"- name: prod\n"
	"  context: {cluster: prod, user: node, namespace: ns}\n"
	"- name: other\n"
	"  context: {cluster: lab, user: robot}\n";

START_TEST(data_beats_files)
{
	struct kube_choice choice = { .context = "prod" };
	struct err err = { 0 };
	struct kube_plan *p = parse_with(full, &choice, &err);

	ck_assert_msg(p != NULL, "%s", err.text);
	for (int i = 0; i < KUBE_NFILES; i++)
		ck_assert_str_eq(p->files[i], "");
	ck_assert(!p->has_exec);
	struct kube_access *a = finish(p);

	ck_assert_uint_eq(a->nservers, 1);
	ck_assert_str_eq(a->servers[0], "https://api.example.org:6443/k8s");
	ck_assert_str_eq(a->ca_pem, CA);
	ck_assert_str_eq(a->cert_pem, CERT);
	ck_assert_str_eq(a->key_pem, KEY);
	ck_assert_str_eq(a->token, "");
	ck_assert_str_eq(a->tls_server_name, "kubernetes");
	ck_assert_str_eq(a->proxy, "http://proxy:3128");
	ck_assert_str_eq(a->namespace_, "ns");
	ck_assert_str_eq(a->context, "prod");
	ck_assert_str_eq(a->user, "node");
	ck_assert_uint_eq(a->expires, 0);
	kube_access_free(a);
}
END_TEST

START_TEST(current_context_and_servers_of_ours)
{
	static const char *const servers[] = { "https://10.0.0.1:6443", "https://[::1]/" };
	struct kube_choice choice = { .context = "", .nservers = 2, .servers = servers };
	struct err err = { 0 };
	struct kube_access *a = finish(parse(full));

	ck_assert_str_eq(a->servers[0], "https://[2001:db8::1]:6443");
	ck_assert_str_eq(a->context, "other");
	ck_assert_str_eq(a->token, "t0ken");
	kube_access_free(a);

	a = finish(parse_with(full, &choice, &err));
	ck_assert_uint_eq(a->nservers, 2);
	ck_assert_str_eq(a->servers[0], "https://10.0.0.1:6443");
	ck_assert_str_eq(a->servers[1], "https://[::1]");
	kube_access_free(a);
}
END_TEST

START_TEST(files_are_named)
{
	struct err err = { 0 };
	struct kube_plan *p = parse(CONFIG(SERVER ", certificate-authority: ca.pem",
					   "client-certificate: ../pki/n.pem, client-key: /k.pem, "
					   "tokenFile: t, token: old"));

	ck_assert_str_eq(p->files[KUBE_CA], "/etc/k/ca.pem");
	ck_assert_str_eq(p->files[KUBE_CERT], "/etc/k/../pki/n.pem");
	ck_assert_str_eq(p->files[KUBE_KEY], "/k.pem");
	ck_assert_str_eq(p->files[KUBE_TOKEN], "/etc/k/t");
	/* As kubelet's: both in one file, texts before them, line ends of another system. */
	static const char both[] = "subject: CN=x\r\n-----BEGIN CERTIFICATE-----\r\nQUFB\r\n"
				   "-----END CERTIFICATE-----\r\n" KEY CERT KEY;

	ck_assert_int_eq(kubeconfig_set_file(p, KUBE_CA, CA CERT, strlen(CA CERT), &err), 0);
	ck_assert_int_eq(kubeconfig_set_file(p, KUBE_CERT, both, strlen(both), &err), 0);
	ck_assert_int_eq(kubeconfig_set_file(p, KUBE_KEY, both, strlen(both), &err), 0);
	ck_assert_int_eq(kubeconfig_set_file(p, KUBE_TOKEN, "new\n", 4, &err), 0);
	struct kube_access *a = finish(p);

	ck_assert_str_eq(a->ca_pem, CA CERT);
	ck_assert_str_eq(a->cert_pem, PEM("CERTIFICATE", "QUFB") CERT);
	ck_assert_str_eq(a->key_pem, KEY);
	ck_assert_str_eq(a->token, "new");
	kube_access_free(a);
}
END_TEST

START_TEST(in_cluster)
{
	static const struct {
		const char *host, *url;
	} rows[] = {
		{ "10.96.0.1", "https://10.96.0.1:443" },
		{ "fd00::1", "https://[fd00::1]:443" },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < LEN(rows); i++) {
		struct kube_plan *p = kubeconfig_incluster(rows[i].host, "443", "/sa", NULL, &err);

		ck_assert_msg(p != NULL, "%s", err.text);
		ck_assert_str_eq(p->files[KUBE_TOKEN], "/sa/token");
		ck_assert_str_eq(p->files[KUBE_CA], "/sa/ca.crt");
		ck_assert_str_eq(p->files[KUBE_NAMESPACE], "/sa/namespace");
		ck_assert_int_eq(kubeconfig_set_file(p, KUBE_TOKEN, "tok", 3, &err), 0);
		ck_assert_int_eq(kubeconfig_set_file(p, KUBE_CA, CA, strlen(CA), &err), 0);
		ck_assert_int_eq(kubeconfig_set_file(p, KUBE_NAMESPACE, "sys", 3, &err), 0);
		struct kube_access *a = finish(p);

		ck_assert_str_eq(a->servers[0], rows[i].url);
		ck_assert_str_eq(a->namespace_, "sys");
		kube_access_free(a);
	}
	ck_assert_ptr_null(kubeconfig_incluster("a b", "443", "/sa", NULL, &err));
	ck_assert_ptr_null(kubeconfig_incluster("a", "https", "/sa", NULL, &err));
}
END_TEST

/* ---- what is refused ---- */

START_TEST(refused)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "kubeconfig /etc/k/config: is empty" },
		{ "a: [", "kubeconfig /etc/k/config:" },
		{ "just text", "expected a kubeconfig" },
		{ "kind: Pod\n", "/etc/k/config:1: kind is \"Pod\"" },
		{ "kind: Config\ncontexts: [{name: a}, {name: b}]\n",
		  "has no current-context; set it, or datastore.context in node.yaml, to one of: "
		  "a, b" },
		{ "current-context: x\ncontexts: [{name: a}, {name: b}]\n",
		  "kubeconfig /etc/k/config: context \"x\" does not exist; contexts: a, b" },
		{ "current-context: x\n", "context \"x\" does not exist; contexts: none" },
		{ "current-context: x\ncontexts: {x: 1}\n", "contexts is a mapping" },
		{ "current-context: x\ncontexts: [{name: x}]\n", ":2: context \"x\" is empty" },
		{ "current-context: x\ncontexts: [{name: x, context: {cluster: k}}]\n",
		  "context \"x\" names no user" },
		{ "current-context: x\ncontexts: [{name: x, context: {cluster: k, user: u}}]\n"
		  "clusters: [{name: z}]\n",
		  "cluster \"k\" does not exist; clusters: z" },
		{ "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
		  "clusters: [{name: k, cluster: {server: 'https://a'}}]\n",
		  "user \"u\" does not exist; users: none" },
		{ CONFIG("tls-server-name: a", "token: t"), "cluster \"k\" has no server" },
		{ CONFIG("server: 'http://a:8080'", "token: t"),
		  "server http://a:8080 is not encrypted" },
		{ CONFIG("server: 'a:6443'", "token: t"), "server a:6443 is no URL" },
		{ CONFIG(SERVER ", insecure-skip-tls-verify: true", "token: t"),
		  ":5: insecure-skip-tls-verify is not taken" },
		{ CONFIG(SERVER ", insecure-skip-tls-verify: Yes", "token: t"),
		  "insecure-skip-tls-verify is not taken" },
		{ CONFIG(SERVER ", proxy-url: 'ftp://x'", "token: t"), "proxy-url is neither" },
		{ CONFIG(SERVER ", certificate-authority-data: 'QQ=x'", "token: t"),
		  "certificate-authority-data is not base64" },
		{ CONFIG(SERVER ", certificate-authority-data: QUJD", "token: t"),
		  "certificate-authority-data holds no certificate in PEM" },
		{ CONFIG(SERVER ", certificate-authority: [a]", "token: t"),
		  "certificate-authority is a list" },
		{ CONFIG(SERVER, "foo: bar"), "user \"u\" has no credentials" },
		{ CONFIG(SERVER, "username: admin, password: pw"),
		  "user \"u\" has username, basic authentication" },
		{ CONFIG(SERVER, "auth-provider: {name: gcp}, token: t"),
		  "user \"u\" has auth-provider, which kubectl dropped" },
		{ CONFIG(SERVER, "token: t, as: admin"), "has as, impersonation" },
		{ CONFIG(SERVER, "client-certificate: c.pem"),
		  "user \"u\" has a client-certificate, but no client-key" },
		{ CONFIG(SERVER, "client-key-data: " KEY_DATA),
		  "user \"u\" has a client-key, but no client-certificate" },
		{ CONFIG(SERVER, "client-key-data: " CERT_DATA ", client-certificate: a"),
		  "client-key-data holds no private key in PEM" },
		{ CONFIG(SERVER, "token: 'a b'"), "token holds white space" },
		{ CONFIG(SERVER, "exec: {command: x}"), "exec.apiVersion is \"\"" },
		{ CONFIG(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, "
				 "command: x}"),
		  "exec.apiVersion is \"client.authentication.k8s.io/v1alpha1\"" },
		{ CONFIG(SERVER, "exec: {apiVersion: " EXEC_V1 "}"), "exec has no command" },
		{ CONFIG(SERVER, "exec: {apiVersion: " EXEC_V1 ", command: x, args: y}"),
		  "exec.args is a single value, expected a list" },
		{ CONFIG(SERVER, "exec: {apiVersion: " EXEC_V1 ", command: x, env: [{value: y}]}"),
		  "exec.env: an entry has no valid name" },
		{ CONFIG(SERVER,
			 "exec: {apiVersion: " EXEC_V1 ", command: x, interactiveMode: Always}"),
		  "exec.interactiveMode is Always" },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err err = { 0 };

		ck_assert_msg(parse_with(rows[i].text, NULL, &err) == NULL, "taken: %s",
			      rows[i].text);
		ck_assert_msg(strstr(err.text, rows[i].want), "row %zu: \"%s\", want \"%s\"", i,
			      err.text, rows[i].want);
		ck_assert_msg(!strchr(err.text, '\n'), "several lines: %s", err.text);
	}
}
END_TEST

START_TEST(no_secret_in_a_message)
{
	static const char *const texts[] = {
		CONFIG(SERVER, "token: 'HUSH HUSH'"),
		CONFIG(SERVER, "username: x, password: HUSH"),
		CONFIG("server: 'https://me:HUSH@a'", "token: t"),
		CONFIG(SERVER ", proxy-url: 'ftp://me:HUSH@p'", "token: t"),
		CONFIG(SERVER, "client-key-data: 'HUSH!', client-certificate: a"),
		CONFIG(SERVER, "token: HUSH, token: HUSH"),
	};

	for (size_t i = 0; i < LEN(texts); i++) {
		struct err err = { 0 };

		ck_assert_ptr_null(parse_with(texts[i], NULL, &err));
		ck_assert_msg(err.text[0] && !strstr(err.text, "HUSH"), "%s", err.text);
	}
}
END_TEST

START_TEST(file_contents)
{
	static const struct {
		enum kube_file which;
		const char *text, *want; /* NULL: fine */
	} rows[] = {
		{ KUBE_CA, CA, NULL },
		{ KUBE_CA, KEY CA, NULL },
		{ KUBE_CA, "", "certificate-authority: the file /etc/k/ca holds no certificate" },
		{ KUBE_CA, KEY, "holds no certificate" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\nQUFB\n", "is cut off" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\nQUF!\n-----END CERTIFICATE-----\n",
		  "damaged" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\nQUF\n-----END CERTIFICATE-----\n",
		  "damaged" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\nQQ==QUFB\n-----END CERTIFICATE-----\n",
		  "damaged" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "damaged" },
		{ KUBE_CA, "-----BEGIN CERTIFICATE-----\nQUFB\n-----END PRIVATE KEY-----\n",
		  "cut off" },
		{ KUBE_KEY, PEM("RSA PRIVATE KEY", "QUFB"), NULL },
		{ KUBE_KEY, PEM("EC PARAMETERS", "QUFB") PEM("EC PRIVATE KEY", "QUFB"), NULL },
		{ KUBE_KEY, CERT, "client-key: the file /etc/k/key holds no private key" },
		{ KUBE_KEY, PEM("PUBLIC KEY", "QUFB"), "holds no private key" },
		{ KUBE_KEY, PEM("ENCRYPTED PRIVATE KEY", "QUFB"), "encrypted with a passphrase" },
		{ KUBE_KEY,
		  PEM("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES,1\n\nQUFB"),
		  "encrypted with a passphrase" },
		/* Short first lines of a key are no header. */
		{ KUBE_KEY, PEM("PRIVATE KEY", "P\nroc"), NULL },
		{ KUBE_TOKEN, "\n abc.def-_\n", NULL },
		{ KUBE_TOKEN, "", "tokenFile: the file /etc/k/t is empty" },
		{ KUBE_TOKEN, " \n", "is empty" },
		{ KUBE_TOKEN, "a\nb", "holds white space" },
		{ KUBE_TOKEN, "a\xc3\xa4", "holds white space or other characters" },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err err = { 0 };
		struct kube_plan *p = parse(CONFIG(SERVER ", certificate-authority: ca",
						   "client-certificate: c, client-key: key, "
						   "tokenFile: t"));
		int r = kubeconfig_set_file(p, rows[i].which, rows[i].text, strlen(rows[i].text),
					    &err);

		ck_assert_msg(r == (rows[i].want ? -1 : 0), "row %zu: %d %s", i, r, err.text);
		ck_assert_msg(!rows[i].want || strstr(err.text, rows[i].want), "row %zu: %s", i,
			      err.text);
		kubeconfig_free(p);
	}
}
END_TEST

START_TEST(a_missing_part_is_no_access)
{
	struct err err = { 0 };
	struct kube_plan *p = parse(CONFIG(SERVER, "tokenFile: t"));

	ck_assert_ptr_null(kubeconfig_finish(p, &err));
	kubeconfig_free(p);
	p = parse(CONFIG(SERVER, "client-certificate: c, client-key: k"));
	ck_assert_int_eq(kubeconfig_set_file(p, KUBE_CERT, CERT, strlen(CERT), &err), 0);
	ck_assert_ptr_null(kubeconfig_finish(p, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "do not come together"));
	kubeconfig_free(p);
}
END_TEST

/* ---- URLs and times ---- */

START_TEST(server_urls)
{
	static const struct {
		const char *url;
		bool fine;
	} rows[] = {
		{ "https://a", true },
		{ "https://a:1", true },
		{ "https://a.b:65535/x/y", true },
		{ "https://10.0.0.1:6443", true },
		{ "https://[fe80::1]:6443/", true },
		{ "https://[fe80::1]", true },
		{ "https://", false },
		{ "https:///x", false },
		{ "https://:6443", false },
		{ "https://a:0", false },
		{ "https://a:65536", false },
		{ "https://a:64x", false },
		{ "https://a:", false },
		{ "https://fe80::1:6443", false },
		{ "https://[fe80::1", false },
		{ "https://[10.0.0.1]:1", false },
		{ "https://[]:1", false },
		{ "https://[::1]6443", false },
		{ "https://u:p@a", false },
		{ "https://a?x", false },
		{ "https://a b", false },
		{ "http://a", false },
		{ "a:6443", false },
		{ "", false },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		const char *wrong = kube_server_problem(rows[i].url);

		ck_assert_msg(!wrong == rows[i].fine, "%s: %s", rows[i].url,
			      wrong ? wrong : "taken");
	}
}
END_TEST

START_TEST(times)
{
	static const struct {
		const char *text;
		int64_t want; /* of date -u -d TEXT +%s */
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2000-02-29T12:00:00Z", 951825600 },
		{ "2026-01-31T09:00:00Z", 1769850000 },
		{ "2026-01-31T09:00:00.123456Z", 1769850000 },
		{ "2026-01-31T11:00:00+02:00", 1769850000 },
		{ "2026-01-31T01:30:00-07:30", 1769850000 },
		{ "2100-03-01T00:00:00Z", 4107542400 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "2026-01-31", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-01-00T00:00:00Z", -1 },
		{ "2026-01-01T24:00:00Z", -1 },
		{ "2026-01-01T00:00:00", -1 },
		{ "2026-01-01T00:00:00.Z", -1 },
		{ "2026-01-01T00:00:00+0200", -1 },
		{ "1969-12-31T23:59:59Z", -1 },
		{ "soon", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < LEN(rows); i++)
		ck_assert_msg(kube_time_parse(rows[i].text) == rows[i].want, "%s: %lld",
			      rows[i].text, (long long)kube_time_parse(rows[i].text));
}
END_TEST

/* ---- the plugin ---- */

#define EXEC_USER                                                                                  \
	"exec: {apiVersion: " EXEC_V1 ", command: bin/get, args: [a, 'b c', 3], "                  \
	"env: [{name: A, value: x=y}, {name: B}], provideClusterInfo: true, "                      \
	"interactiveMode: Never, installHint: 'apt install get'}"

START_TEST(exec_is_planned)
{
	struct kube_plan *p = parse(
		CONFIG(SERVER ", tls-server-name: 'a\"b', certificate-authority-data: " CA_DATA
			      ", extensions: [{name: client.authentication.k8s.io/exec, "
			      "extension: {n: 1, s: '1', b: true, l: [x, null]}}]",
		       EXEC_USER));

	ck_assert(p->has_exec);
	ck_assert_str_eq(p->exec.api_version, EXEC_V1);
	ck_assert_str_eq(p->exec.command, "/etc/k/bin/get");
	ck_assert_uint_eq(p->exec.nargs, 3);
	ck_assert_str_eq(p->exec.args[1], "b c");
	ck_assert_str_eq(p->exec.args[2], "3");
	ck_assert_uint_eq(p->exec.nenv, 2);
	ck_assert_str_eq(p->exec.env[0].name, "A");
	ck_assert_str_eq(p->exec.env[0].value, "x=y");
	ck_assert_str_eq(p->exec.env[1].value, "");
	ck_assert_str_eq(p->exec.hint, "apt install get");
	ck_assert_str_eq(
		kubeconfig_exec_info(p),
		"{\"apiVersion\":\"" EXEC_V1 "\",\"kind\":\"ExecCredential\",\"spec\":{"
		"\"cluster\":{\"server\":\"https://a:6443\",\"tls-server-name\":\"a\\\"b\","
		"\"certificate-authority-data\":\"" CA_DATA "\","
		"\"config\":{\"n\":1,\"s\":\"1\",\"b\":true,\"l\":[\"x\",null]}},"
		"\"interactive\":false}}");
	kubeconfig_free(p);

	/* A bare name is for PATH; a token that is written makes the plugin needless. */
	p = parse(CONFIG(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, "
				 "command: get}"));
	ck_assert_str_eq(p->exec.command, "get");
	ck_assert_str_eq(kubeconfig_exec_info(p),
			 "{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"kind\":"
			 "\"ExecCredential\",\"spec\":{\"interactive\":false}}");
	kubeconfig_free(p);
	p = parse(CONFIG(SERVER, "token: t, " EXEC_USER));
	ck_assert(!p->has_exec);
	kubeconfig_free(p);
}
END_TEST

#define ANSWER(status)                                                                             \
	"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC_V1                                   \
	"\",\"spec\":{},\"status\":{" status "}}\n"

START_TEST(exec_answers)
{
	static const struct {
		const char *json, *token, *cert;
		uint64_t expires;
		const char *wrong;
	} rows[] = {
		{ ANSWER("\"token\":\"abc\""), "abc", "", 0, NULL },
		{ ANSWER("\"token\":\"abc\",\"expirationTimestamp\":\"2026-01-31T09:00:00Z\""),
		  "abc", "", 1769850000, NULL },
		{ ANSWER("\"expirationTimestamp\":null,\n\t\"token\" : \"a\\u0062c\""), "abc", "",
		  0, NULL },
		{ ANSWER("\"clientCertificateData\":\"-----BEGIN "
			 "CERTIFICATE-----\\nQUFB\\n-----END "
			 "CERTIFICATE-----\\n\",\"clientKeyData\":\"-----BEGIN PRIVATE KEY-----\\n"
			 "QUFB\\n-----END PRIVATE KEY-----\\n\""),
		  "", PEM("CERTIFICATE", "QUFB"), 0, NULL },
		{ "", NULL, NULL, 0, "it printed nothing" },
		{ "Error: no session", NULL, NULL, 0, "is no ExecCredential" },
		{ "{\"kind\":", NULL, NULL, 0, "its answer:" },
		{ "{\"kind\":\"Status\"}", NULL, NULL, 0, "is no ExecCredential" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"v2\",\"status\":{}}", NULL, NULL,
		  0, "is not of apiVersion " EXEC_V1 },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC_V1 "\"}", NULL, NULL, 0,
		  "has no status" },
		{ ANSWER(""), NULL, NULL, 0, "has neither token nor certificate" },
		{ ANSWER("\"token\":{}"), NULL, NULL, 0, "status.token of its answer is no text" },
		{ ANSWER("\"token\":\"a\\nb\""), NULL, NULL, 0, "holds white space" },
		{ ANSWER("\"token\":\"a\",\"expirationTimestamp\":\"soon\""), NULL, NULL, 0,
		  "status.expirationTimestamp of its answer is no time" },
		{ ANSWER("\"clientKeyData\":\"-----BEGIN PRIVATE KEY-----\\nQUFB\\n-----END "
			 "PRIVATE "
			 "KEY-----\\n\""),
		  NULL, NULL, 0, "without the other" },
	};

	for (size_t i = 0; i < LEN(rows); i++) {
		struct err err = { 0 };
		struct kube_plan *p = parse(CONFIG(SERVER, EXEC_USER));
		int r = kubeconfig_set_exec(p, rows[i].json, strlen(rows[i].json), &err);

		ck_assert_msg(r == (rows[i].wrong ? -1 : 0), "row %zu: %s", i, err.text);
		if (rows[i].wrong) {
			ck_assert_msg(strstr(err.text, rows[i].wrong), "row %zu: %s", i, err.text);
			kubeconfig_free(p);
			continue;
		}
		struct kube_access *a = finish(p);

		ck_assert_str_eq(a->token, rows[i].token);
		ck_assert_str_eq(a->cert_pem, rows[i].cert);
		ck_assert_uint_eq(a->expires, rows[i].expires);
		kube_access_free(a);
	}
}
END_TEST

/* ---- the flat form ---- */

START_TEST(flat_form)
{
	static const char *const servers[] = { "https://a", "https://b", "https://c" };
	struct kube_choice choice = { .context = "prod", .nservers = 3, .servers = servers };
	struct err err = { 0 };
	struct kube_access *a = finish(parse_with(full, &choice, &err)), *b;
	size_t len;

	a->expires = 0x123456789abcull;
	uint8_t *data = kube_access_encode(a, &len);

	b = kube_access_decode(data, len, &err);
	ck_assert_msg(b != NULL, "%s", err.text);
	ck_assert(kube_access_equal(a, b));
	ck_assert_uint_eq(b->nservers, 3);
	ck_assert_str_eq(b->servers[2], "https://c");
	ck_assert_str_eq(b->key_pem, KEY);
	ck_assert_uint_eq(b->expires, 0x123456789abcull);
	/* Equality looks at every field. */
	b->expires++;
	ck_assert(!kube_access_equal(a, b));
	b->expires--;
	b->servers[2] = "https://d";
	ck_assert(!kube_access_equal(a, b));
	b->servers[2] = "https://c";
	b->token = "x";
	ck_assert(!kube_access_equal(a, b) && !kube_access_equal(a, NULL) &&
		  kube_access_equal(NULL, NULL));
	b->token = "";
	kube_access_free(b);

	/* Any cut, and anything behind, is told. */
	for (size_t n = 0; n < len; n++)
		ck_assert_ptr_null(kube_access_decode(data, n, &err));
	uint8_t *more = xcalloc(1, len + 1);

	memcpy(more, data, len);
	ck_assert_ptr_null(kube_access_decode(more, len + 1, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "1 bytes too many"));
	more[0] ^= 1;
	ck_assert_ptr_null(kube_access_decode(more, len, &err));
	free(more);
	free(data);
	kube_access_free(a);
}
END_TEST

UNIT_MAIN("kubeconfig", data_beats_files, current_context_and_servers_of_ours, files_are_named,
	  in_cluster, refused, no_secret_in_a_message, file_contents, a_missing_part_is_no_access,
	  server_urls, times, exec_is_planned, exec_answers, flat_form)
