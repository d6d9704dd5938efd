/* How a Kubernetes API is reached: a kubeconfig (or the in-cluster files) read by kubectl's rules,
 * and its flat form, which noded hands to felix in a memfd.
 *
 * Pure: reads no file and starts no process. kubeconfig_parse() or kubeconfig_incluster() gives a
 * plan that names the files to read and the plugin to run; the caller fills them in with
 * kubeconfig_set_file() and kubeconfig_set_exec(); kubeconfig_finish() gives the access. Messages
 * name files, contexts, users and clusters, never a secret. Source: the kubeconfig v1 format and
 * client.authentication.k8s.io/v1 and v1beta1 as kubectl reads them.
 */
#ifndef SELVAGE_LIB_KUBECONFIG_H
#define SELVAGE_LIB_KUBECONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/err.h"

/* The whole access to one cluster. Texts are never NULL: "" where absent. */
struct kube_access {
	struct arena arena;   /* owns every text */
	unsigned nservers;    /* at least 1, at most KUBE_MAX_SERVERS */
	const char **servers; /* "https://host[:port][/path]", no trailing slash, in order of use */
	const char *ca_pem;   /* "": the system's roots */
	const char *cert_pem, *key_pem; /* both or neither */
	const char *token;		/* bearer; no white space */
	const char *tls_server_name;	/* "": the server's host */
	const char *proxy;		/* URL, may hold a password: never log it; "" none */
	const char *namespace_, *context, *user; /* as in the kubeconfig; for messages */
	uint64_t expires; /* of token or certificate by the plugin's word; s since epoch, 0 none */
};

enum { KUBE_MAX_SERVERS = 16, KUBE_MAX_FILE = 1 << 20, KUBE_MAX_ENCODED = 4 << 20 };

/* Overwrites the secrets, then frees; NULL is allowed. */
void kube_access_free(struct kube_access *a);
/* Do both say the same in every field? NULL is equal to NULL only. */
bool kube_access_equal(const struct kube_access *a, const struct kube_access *b);

/* The flat form. Gives malloc()ed bytes (the caller's, to be overwritten with explicit_bzero()
 * before free()) and their number in *len. */
uint8_t *kube_access_encode(const struct kube_access *a, size_t *len);
/* NULL: the bytes are not of kube_access_encode() of this version; err says what is wrong. */
struct kube_access *kube_access_decode(const void *data, size_t len, struct err *err);

/* ---- from a kubeconfig to an access ---- */

/* What a plan may ask for. */
enum kube_file { KUBE_CA, KUBE_CERT, KUBE_KEY, KUBE_TOKEN, KUBE_NAMESPACE, KUBE_NFILES };

struct kube_env {
	const char *name, *value;
};

struct kube_exec {
	const char *api_version; /* "client.authentication.k8s.io/v1" or ".../v1beta1" */
	const char *command;	 /* absolute, or a bare name to be found in PATH */
	unsigned nargs;
	const char **args; /* without the command itself */
	unsigned nenv;
	struct kube_env *env;
	const char *hint; /* installHint */
};

struct kube_plan {
	struct arena arena;
	const char *origin;		/* for messages: the kubeconfig's path, or "in-cluster" */
	const char *files[KUBE_NFILES]; /* absolute paths to read; "" none */
	bool has_exec;
	struct kube_exec exec;
	/* lib/kubeconfig.c's own */
	struct kube_access *access; /* what is known so far; kubeconfig_finish() gives it away */
	bool provide_cluster_info;  /* the plugin wants to know the cluster */
	const char *exec_config;    /* JSON of the cluster's extension for plugins; "" none */
};

struct kube_choice {
	const char *context;	    /* NULL or "": current-context */
	unsigned nservers;	    /* 0: the kubeconfig's own */
	const char *const *servers; /* https:// each; checked here too */
};

/* Reads a kubeconfig. file is its absolute path: relative paths inside are relative to its folder.
 * NULL: err says file (with line where there is one), what is wrong and what to do. */
struct kube_plan *kubeconfig_parse(const char *text, size_t len, const char *file,
				   const struct kube_choice *choice, struct err *err);
/* In a pod: host and port as in KUBERNETES_SERVICE_HOST and _PORT; dir holds token, ca.crt and
 * namespace (/var/run/secrets/kubernetes.io/serviceaccount). */
struct kube_plan *kubeconfig_incluster(const char *host, const char *port, const char *dir,
				       const struct kube_choice *choice, struct err *err);
/* Overwrites the secrets, then frees; NULL is allowed. */
void kubeconfig_free(struct kube_plan *p);

/* What a file is for, in words: "certificate-authority". */
const char *kube_file_word(enum kube_file which);
/* The content of p->files[which]: copied and checked (PEM of the right kind, a token without
 * white space inside). -1: err names the file and what is wrong. */
int kubeconfig_set_file(struct kube_plan *p, enum kube_file which, const char *text, size_t len,
			struct err *err);
/* The value of KUBERNETES_EXEC_INFO for the plugin; in the plan's arena. After the files are set:
 * the plugin may want the CA. */
const char *kubeconfig_exec_info(struct kube_plan *p);
/* What the plugin wrote to its stdout: an ExecCredential. -1: err says what is wrong with it. */
int kubeconfig_set_exec(struct kube_plan *p, const char *json, size_t len, struct err *err);
/* The access, once: the caller's, to be freed with kube_access_free(); afterwards only the plan's
 * paths and plugin can be used. NULL: a part is missing, or certificate and key do not come
 * together. */
struct kube_access *kubeconfig_finish(struct kube_plan *p, struct err *err);

/* https://host[:port][/path], the only form that is taken: NULL, or what is wrong with it in words
 * that follow the URL. */
const char *kube_server_problem(const char *url);

/* "2026-01-31T09:00:00Z", with fraction or offset, to s since the epoch; -1 where it is none. */
int64_t kube_time_parse(const char *text);

#endif
