/* A kubeconfig to a plan. What a plan's files and plugin give, and the flat form, are in
 * kube_access.c. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/kube_impl.h"
#include "lib/prefix.h"

enum { LIST_MAX_TEXT = 200 };

#define EXEC_API "client.authentication.k8s.io/"

/* A kubeconfig while it is read. */
struct reader {
	struct kube_plan *plan;
	const char *file; /* the path alone */
	const char *context, *user, *cluster;
	struct err *err;
};

/* ---- what a value is ---- */

static const char *scalar(const struct node *n)
{
	return n && n->kind == NODE_SCALAR ? n->text : "";
}

static const char *text_of(const struct node *map, const char *key)
{
	return scalar(node_get(map, key));
}

static bool is_written(const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	if (!n || n->kind == NODE_NULL)
		return false;
	return n->kind == NODE_SCALAR ? *n->text : n->nchildren > 0;
}

/* YAML 1.1's words, as kubectl reads them; in doubt it is yes, which is refused. */
static bool is_true(const struct node *n)
{
	static const char *const no[] = { "false", "no", "off", "n", "" };

	if (!n || n->kind == NODE_NULL)
		return false;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (n->kind == NODE_SCALAR && !strcasecmp(n->text, no[i]))
			return false;
	return true;
}

static int fail_at(const struct reader *r, const struct node *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(const struct reader *r, const struct node *at, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at)
		return err_set(r->err, "%s:%u: %s", r->plan->origin,
			       at->key_line ? at->key_line : at->line, text);
	return err_set(r->err, "%s: %s", r->plan->origin, text);
}

/* A key that holds one text; another kind of value is an error. */
static int check_text(const struct reader *r, const struct node *map, const char *key)
{
	const struct node *n = node_get(map, key);

	if (n && n->kind != NODE_SCALAR && n->kind != NODE_NULL)
		return fail_at(r, n, "%s is %s, expected a text", key, node_kind_name(n->kind));
	return 0;
}

/* ---- named lists ---- */

/* "a, b, c" of the names in a list, for messages. */
static void list_names(const struct node *list, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
		const char *name = text_of(n, "name");

		if (!*name)
			continue;
		if (at + strlen(name) + 8 > size) {
			snprintf(out + at, size - at, ", ...");
			return;
		}
		at += (size_t)snprintf(out + at, size - at, "%s%s", at ? ", " : "", name);
	}
	if (!at)
		snprintf(out, size, "none");
}

/* The item called name of the list at key: its mapping under `inner`, NULL and a word. */
static const struct node *find_named(const struct reader *r, const struct node *root,
				     const char *key, const char *inner, const char *name)
{
	const struct node *list = node_get(root, key);
	char all[LIST_MAX_TEXT];

	if (list && list->kind != NODE_LIST && list->kind != NODE_NULL) {
		fail_at(r, list, "%s is %s, expected a list", key, node_kind_name(list->kind));
		return NULL;
	}
	for (const struct node *n = list ? list->child : NULL; n; n = n->next) {
		if (strcmp(text_of(n, "name"), name))
			continue;
		const struct node *in = node_get(n, inner);

		if (in && in->kind == NODE_MAP)
			return in;
		fail_at(r, n, "%s \"%s\" is empty", inner, name);
		return NULL;
	}
	list_names(list, all, sizeof(all));
	fail_at(r, NULL, "%s \"%s\" does not exist; %s: %s", inner, name, key, all);
	return NULL;
}

/* ---- values ---- */

/* Relative paths are relative to the kubeconfig's folder. */
static const char *resolve_path(const struct reader *r, const char *path)
{
	const char *slash = strrchr(r->file, '/');
	struct arena *a = &r->plan->arena;

	if (!strncmp(path, "./", 2))
		path += 2;
	if (!*path || *path == '/' || !slash)
		return arena_strdup(a, path);
	return arena_printf(a, "%.*s/%s", (int)(slash - r->file), r->file, path);
}

/* "<key>-data" in base64 beats the file that "<key>" names. */
static int take_pem(const struct reader *r, const struct node *map, enum kube_file which)
{
	const char *key = kube_file_word(which);
	char data_key[48];

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	if (check_text(r, map, key) || check_text(r, map, data_key))
		return -1;
	const struct node *data = node_get(map, data_key);

	if (!data || !*scalar(data)) {
		r->plan->files[which] = resolve_path(r, text_of(map, key));
		return 0;
	}
	size_t len;
	char *pem = kube_base64_decode(data->text, &len);
	int rc;

	if (!pem)
		return fail_at(r, data, "%s is not base64; is it cut off?", data_key);
	const char *wrong = kube_take_content(r->plan, which, pem, len);

	rc = wrong ? fail_at(r, data, "%s %s", data_key, wrong) : 0;
	kube_wipe_free(pem, len);
	return rc;
}

/* ---- cluster ---- */

const char *kube_server_problem(const char *url)
{
	static const char scheme[] = "https://";
	const char *host = url + sizeof(scheme) - 1, *end, *port;
	struct addr a;
	char text[ADDR_STRLEN + 1];

	if (!strncmp(url, "http://", 7))
		return "is not encrypted; the API is reached by TLS only: write https://";
	if (strncmp(url, scheme, sizeof(scheme) - 1))
		return "is no URL of an API server; write https://HOST:PORT";
	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("@?#\\\"", *p))
			return "has characters that do not belong there; write https://HOST:PORT";
	if (strlen(url) > 512)
		return "is longer than 512 characters";
	end = host + strcspn(host, "/");
	port = host;
	if (*host == '[') {
		size_t n = strcspn(host, "]");

		if (n > ADDR_STRLEN || host + n >= end)
			return "has no IPv6 address in its brackets; write https://[ADDRESS]:PORT";
		snprintf(text, sizeof(text), "%.*s", (int)(n - 1), host + 1);
		if (addr_parse(text, &a) || a.fam != FAM_V6)
			return "has no IPv6 address in its brackets; write https://[ADDRESS]:PORT";
		port = host + n + 1;
	} else {
		port += strcspn(host, ":/");
	}
	if (port == host)
		return "names no host; write https://HOST:PORT";
	if (port == end)
		return NULL;
	long number = *port == ':' ? strtol(port + 1, NULL, 10) : 0;

	if (number < 1 || number > 65535 || port + 1 + strspn(port + 1, "0123456789") != end)
		return "has no valid port; write https://HOST:PORT (an IPv6 address in brackets)";
	return NULL;
}

static int add_server(struct kube_access *a, const char *url, struct err *err, const char *where)
{
	const char *wrong = kube_server_problem(url);
	size_t len = strlen(url);

	if (wrong) /* what stands before an @ is a password */
		return err_set(err, "%s: server %s %s", where, strchr(url, '@') ? "URL" : url,
			       wrong);
	while (len && url[len - 1] == '/')
		len--;
	a->servers[a->nservers++] = arena_strndup(&a->arena, url, len);
	return 0;
}

static int add_servers(struct kube_plan *p, const struct kube_choice *choice, const char *own,
		       struct err *err)
{
	struct kube_access *a = p->access;

	if (!choice || !choice->nservers)
		return add_server(a, own, err, p->origin);
	if (choice->nservers > KUBE_MAX_SERVERS)
		return err_set(err, "datastore.servers: %u servers; at most %d are taken",
			       choice->nservers, KUBE_MAX_SERVERS);
	for (unsigned i = 0; i < choice->nservers; i++)
		if (add_server(a, choice->servers[i], err, "datastore.servers"))
			return -1;
	return 0;
}

static int take_proxy(const struct reader *r, const struct node *cluster)
{
	static const char *const schemes[] = { "http://", "https://", "socks5://", "socks5h://" };
	const struct node *n = node_get(cluster, "proxy-url");
	const char *url = scalar(n);
	struct kube_access *a = r->plan->access;

	if (check_text(r, cluster, "proxy-url") || !*url)
		return n && n->kind != NODE_SCALAR && n->kind != NODE_NULL ? -1 : 0;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(url, schemes[i], strlen(schemes[i]))) {
			a->proxy = arena_strdup(&a->arena, url);
			return 0;
		}
	return fail_at(r, n, "proxy-url is neither http://, https:// nor socks5://");
}

/* What a plugin may be told: the extension of this name, as JSON. */
static void take_exec_config(const struct reader *r, const struct node *cluster)
{
	const struct node *list = node_get(cluster, "extensions");

	for (const struct node *n = list ? list->child : NULL; n; n = n->next)
		if (n->kind == NODE_MAP && !strcmp(text_of(n, "name"), EXEC_API "exec") &&
		    node_get(n, "extension"))
			r->plan->exec_config =
				kube_node_json(&r->plan->arena, node_get(n, "extension"));
}

static int read_cluster(const struct reader *r, const struct node *cluster,
			const struct kube_choice *choice)
{
	const struct node *insecure = node_get(cluster, "insecure-skip-tls-verify");
	struct kube_access *a = r->plan->access;

	if (is_true(insecure))
		return fail_at(r, insecure,
			       "insecure-skip-tls-verify is not taken: the API server is always "
			       "verified; remove it and give certificate-authority-data");
	if (check_text(r, cluster, "server") || check_text(r, cluster, "tls-server-name"))
		return -1;
	if (!*text_of(cluster, "server") && (!choice || !choice->nservers))
		return fail_at(r, cluster, "cluster \"%s\" has no server", r->cluster);
	if (add_servers(r->plan, choice, text_of(cluster, "server"), r->err))
		return -1;
	a->tls_server_name = arena_strdup(&a->arena, text_of(cluster, "tls-server-name"));
	take_exec_config(r, cluster);
	return take_proxy(r, cluster) ? -1 : take_pem(r, cluster, KUBE_CA);
}

/* ---- user ---- */

static int take_args(const struct reader *r, const struct node *exec)
{
	struct kube_exec *x = &r->plan->exec;
	const struct node *args = node_get(exec, "args");

	if (!args || args->kind == NODE_NULL)
		return 0;
	if (args->kind != NODE_LIST)
		return fail_at(r, args, "exec.args is %s, expected a list",
			       node_kind_name(args->kind));
	x->args = arena_array(&r->plan->arena, args->nchildren + 1, sizeof(*x->args));
	for (const struct node *n = args->child; n; n = n->next) {
		if (n->kind != NODE_SCALAR && n->kind != NODE_NULL)
			return fail_at(r, n, "exec.args holds %s, expected texts",
				       node_kind_name(n->kind));
		x->args[x->nargs++] = arena_strdup(&r->plan->arena, scalar(n));
	}
	return 0;
}

static int take_env(const struct reader *r, const struct node *exec)
{
	struct kube_exec *x = &r->plan->exec;
	const struct node *env = node_get(exec, "env");

	if (!env || env->kind == NODE_NULL)
		return 0;
	if (env->kind != NODE_LIST)
		return fail_at(r, env, "exec.env is %s, expected a list of name and value",
			       node_kind_name(env->kind));
	x->env = arena_array(&r->plan->arena, env->nchildren + 1, sizeof(*x->env));
	for (const struct node *n = env->child; n; n = n->next) {
		const char *name = text_of(n, "name");

		if (!*name || strchr(name, '='))
			return fail_at(r, n, "exec.env: an entry has no valid name");
		x->env[x->nenv].name = arena_strdup(&r->plan->arena, name);
		x->env[x->nenv++].value = arena_strdup(&r->plan->arena, text_of(n, "value"));
	}
	return 0;
}

static int take_exec(const struct reader *r, const struct node *exec)
{
	struct kube_plan *p = r->plan;
	const char *api = text_of(exec, "apiVersion"), *command = text_of(exec, "command");

	if (exec->kind != NODE_MAP)
		return fail_at(r, exec, "exec is %s, expected a mapping",
			       node_kind_name(exec->kind));
	if (strcmp(api, EXEC_API "v1") && strcmp(api, EXEC_API "v1beta1"))
		return fail_at(r, exec,
			       "exec.apiVersion is \"%s\"; expected " EXEC_API
			       "v1 or v1beta1 (newer plugins speak them)",
			       api);
	if (!*command)
		return fail_at(r, exec, "exec has no command");
	if (!strcmp(text_of(exec, "interactiveMode"), "Always"))
		return fail_at(r, node_get(exec, "interactiveMode"),
			       "exec.interactiveMode is Always, but nobody sits before a node; use "
			       "a plugin that asks nothing, or a client certificate");
	p->has_exec = true;
	p->provide_cluster_info = is_true(node_get(exec, "provideClusterInfo"));
	p->exec.api_version = arena_strdup(&p->arena, api);
	/* A bare name is searched for in PATH. */
	p->exec.command =
		strchr(command, '/') ? resolve_path(r, command) : arena_strdup(&p->arena, command);
	p->exec.hint = arena_strdup(&p->arena, text_of(exec, "installHint"));
	return take_args(r, exec) ? -1 : take_env(r, exec);
}

/* What kubectl takes or took, and a node must not have or cannot use. */
static int refuse_user(const struct reader *r, const struct node *user)
{
	static const struct {
		const char *key, *why;
	} refused[] = {
		{ "username", "basic authentication, which no API server takes since 1.19; use a "
			      "client certificate, a token or exec" },
		{ "password", "basic authentication, which no API server takes since 1.19; use a "
			      "client certificate, a token or exec" },
		{ "auth-provider", "which kubectl dropped in 1.26; use the exec plugin of that "
				   "provider" },
		{ "as", "impersonation; give the node an identity of its own" },
		{ "as-uid", "impersonation; give the node an identity of its own" },
		{ "as-groups", "impersonation; give the node an identity of its own" },
		{ "as-user-extra", "impersonation; give the node an identity of its own" },
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (is_written(user, refused[i].key))
			return fail_at(r, node_get(user, refused[i].key), "user \"%s\" has %s, %s",
				       r->user, refused[i].key, refused[i].why);
	return 0;
}

static int take_token(const struct reader *r, const struct node *user)
{
	const struct node *n = node_get(user, "token");
	const char *token = scalar(n);

	if (check_text(r, user, "tokenFile") || check_text(r, user, "token"))
		return -1;
	r->plan->files[KUBE_TOKEN] = resolve_path(r, text_of(user, "tokenFile"));
	if (*r->plan->files[KUBE_TOKEN] || !*token)
		return 0;
	const char *wrong = kube_take_content(r->plan, KUBE_TOKEN, token, strlen(token));

	return wrong ? fail_at(r, n, "token %s", wrong) : 0;
}

static int read_user(const struct reader *r, const struct node *user)
{
	struct kube_plan *p = r->plan;
	const struct node *exec = node_get(user, "exec");

	if (refuse_user(r, user) || take_token(r, user) || take_pem(r, user, KUBE_CERT) ||
	    take_pem(r, user, KUBE_KEY))
		return -1;
	bool cert = *p->access->cert_pem || *p->files[KUBE_CERT];
	bool key = *p->access->key_pem || *p->files[KUBE_KEY];
	bool token = *p->access->token || *p->files[KUBE_TOKEN];

	if (cert != key)
		return fail_at(r, user, "user \"%s\" has a client-%s, but no client-%s", r->user,
			       cert ? "certificate" : "key", cert ? "key" : "certificate");
	/* As with kubectl, a token that is written beats the plugin's. */
	if (exec && exec->kind != NODE_NULL && !token)
		return take_exec(r, exec);
	if (!token && !cert)
		return fail_at(r, user,
			       "user \"%s\" has no credentials; give a client certificate with its "
			       "key, token, tokenFile or exec",
			       r->user);
	return 0;
}

/* ---- the whole ---- */

static struct kube_plan *plan_new(const char *origin)
{
	struct kube_plan *p = xcalloc(1, sizeof(*p));
	struct kube_access *a = kube_access_new();

	p->access = a;
	p->origin = arena_strdup(&p->arena, origin);
	p->exec_config = "";
	p->exec = (struct kube_exec){ .api_version = "", .command = "", .hint = "" };
	for (int i = 0; i < KUBE_NFILES; i++)
		p->files[i] = "";
	return p;
}

static int read_root(struct reader *r, const struct node *root, const struct kube_choice *choice)
{
	struct kube_access *a = r->plan->access;
	char all[LIST_MAX_TEXT];

	if (root->kind != NODE_MAP)
		return fail_at(r, root, "is %s, expected a kubeconfig (kind: Config)",
			       node_kind_name(root->kind));
	if (is_written(root, "kind") && strcmp(text_of(root, "kind"), "Config"))
		return fail_at(r, node_get(root, "kind"),
			       "kind is \"%s\", expected a kubeconfig (kind: Config)",
			       text_of(root, "kind"));
	r->context = choice && choice->context ? choice->context : "";
	if (!*r->context)
		r->context = text_of(root, "current-context");
	if (!*r->context) {
		list_names(node_get(root, "contexts"), all, sizeof(all));
		return fail_at(r, NULL,
			       "has no current-context; set it, or datastore.context in node.yaml, "
			       "to one of: %s",
			       all);
	}
	const struct node *context = find_named(r, root, "contexts", "context", r->context);

	if (!context)
		return -1;
	r->cluster = text_of(context, "cluster");
	r->user = text_of(context, "user");
	a->context = arena_strdup(&a->arena, r->context);
	a->user = arena_strdup(&a->arena, r->user);
	a->namespace_ = arena_strdup(&a->arena, text_of(context, "namespace"));
	if (!*r->cluster || !*r->user)
		return fail_at(r, context, "context \"%s\" names no %s", r->context,
			       *r->cluster ? "user" : "cluster");
	const struct node *cluster = find_named(r, root, "clusters", "cluster", r->cluster);
	const struct node *user = cluster ? find_named(r, root, "users", "user", r->user) : NULL;

	if (!user || read_cluster(r, cluster, choice))
		return -1;
	return read_user(r, user);
}

struct kube_plan *kubeconfig_parse(const char *text, size_t len, const char *file,
				   const struct kube_choice *choice, struct err *err)
{
	struct arena scratch = { 0 };
	struct doc *docs = NULL;
	char origin[300];
	int rc;

	snprintf(origin, sizeof(origin), "kubeconfig %s", file);
	struct kube_plan *p = plan_new(origin);
	struct reader r = { .plan = p, .file = file, .err = err };

	if (len > KUBE_MAX_FILE)
		rc = err_set(err, "%s: is longer than 1 MiB; that is no kubeconfig", origin);
	else if (yaml_parse(text, len, origin, &scratch, &docs, err))
		rc = -1;
	else if (!docs)
		rc = err_set(err, "%s: is empty", origin);
	else
		rc = read_root(&r, docs->root, choice);
	for (struct doc *d = docs; d; d = d->next)
		kube_wipe_node(d->root);
	arena_free(&scratch);
	if (!rc)
		return p;
	kubeconfig_free(p);
	return NULL;
}

struct kube_plan *kubeconfig_incluster(const char *host, const char *port, const char *dir,
				       const struct kube_choice *choice, struct err *err)
{
	static const struct {
		enum kube_file which;
		const char *name;
	} files[] = { { KUBE_TOKEN, "token" },
		      { KUBE_CA, "ca.crt" },
		      { KUBE_NAMESPACE, "namespace" } };
	struct kube_plan *p = plan_new("in-cluster access");
	const char *open = strchr(host, ':') ? "[" : "", *shut = *open ? "]" : "";

	p->access->context = "in-cluster";
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		p->files[files[i].which] = arena_printf(&p->arena, "%s/%s", dir, files[i].name);
	const char *url = arena_printf(&p->arena, "https://%s%s%s:%s", open, host, shut, port);

	if (!add_servers(p, choice, url, err))
		return p;
	kubeconfig_free(p);
	return NULL;
}

void kubeconfig_free(struct kube_plan *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->exec.nenv; i++)
		kube_wipe_text(p->exec.env[i].value);
	for (unsigned i = 0; i < p->exec.nargs; i++)
		kube_wipe_text(p->exec.args[i]);
	kube_access_free(p->access);
	arena_free(&p->arena);
	free(p);
}
