/* Any bytes are read as a kubeconfig, as a plugin's answer, as a PEM file and as the flat form of
 * an access. Each either gives something whole or says why not; what is whole survives the flat
 * form.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char base[] =
	"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
	"clusters: [{name: k, cluster: {server: 'https://a', certificate-authority: f}}]\n"
	"users: [{name: u, user: {client-certificate: f, client-key: f, exec: {command: x, "
	"provideClusterInfo: true, apiVersion: client.authentication.k8s.io/v1}}}]\n";

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* What every user of an access relies on. */
static void check_access(const struct kube_access *a)
{
	must(a->nservers >= 1 && a->nservers <= KUBE_MAX_SERVERS, "an access without a server");
	for (unsigned i = 0; i < a->nservers; i++)
		must(!kube_server_problem(a->servers[i]), "an access with a bad server");
	must(!*a->cert_pem == !*a->key_pem, "a certificate or a key alone");
	for (const char *p = a->token; *p; p++)
		must(*p > ' ' && *p <= '~', "a token that would break a header");
}

static void round_trip(struct kube_access *a)
{
	struct err err = { 0 };
	size_t len;
	uint8_t *flat = kube_access_encode(a, &len);
	struct kube_access *b = kube_access_decode(flat, len, &err);

	check_access(a);
	must(b && kube_access_equal(a, b), "the flat form is not the access");
	kube_access_free(b);
	free(flat);
}

/* Takes p. */
static void finish(struct kube_plan *p)
{
	struct err err = { 0 };
	struct kube_access *a;

	must(strlen(kubeconfig_exec_info(p)) > 0, "no text for the plugin");
	a = kubeconfig_finish(p, &err);
	must(a || *err.text, "no access and no reason");
	if (a)
		round_trip(a);
	kube_access_free(a);
	kubeconfig_free(p);
}

static void as_kubeconfig(const char *text, size_t len)
{
	struct err err = { 0 };
	struct kube_plan *p = kubeconfig_parse(text, len, "/k", NULL, &err);

	must(p || *err.text, "kubeconfig: neither a plan nor a reason");
	if (p)
		finish(p);
}

static void as_contents(const char *text, size_t len)
{
	struct err err = { 0 };
	struct kube_plan *p = kubeconfig_parse(base, sizeof(base) - 1, "/k", NULL, &err);

	must(p != NULL, err.text);
	for (int i = 0; i < KUBE_NFILES; i++) {
		*err.text = '\0';
		must(!kubeconfig_set_file(p, (enum kube_file)i, text, len, &err) || *err.text,
		     "a file that is wrong without a reason");
	}
	*err.text = '\0';
	must(!kubeconfig_set_exec(p, text, len, &err) || *err.text,
	     "an answer that is wrong without a reason");
	finish(p);
}

static void as_flat(const uint8_t *data, size_t len)
{
	struct err err = { 0 };
	struct kube_access *a = kube_access_decode(data, len, &err);

	must(a || *err.text, "flat form: neither an access nor a reason");
	if (a) {
		size_t again;
		uint8_t *flat = kube_access_encode(a, &again);

		must(again == len && !memcmp(flat, data, len), "two flat forms of one access");
		free(flat);
	}
	kube_access_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = xmalloc(len + 1);

	memcpy(text, data, len);
	text[len] = 0;
	if (len && text[0] == 'S')
		as_flat(data, len);
	as_kubeconfig(text, len);
	as_contents(text, len);
	must(kube_time_parse(text) >= -1, "a time before all times");
	free(text);
	return 0;
}
