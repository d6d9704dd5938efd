#include "store/kube_http_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* OpenSSL's X509_V_ERR_* as CURLINFO_SSL_VERIFYRESULT gives them. A wrong host name has none of
 * its own: libcurl finds it. */
enum {
	V_NO_ISSUER = 2,
	V_NOT_YET_VALID = 9,
	V_EXPIRED = 10,
	V_SELF_SIGNED_LEAF = 18,
	V_SELF_SIGNED_ROOT = 19,
	V_NO_LOCAL_ISSUER = 20,
	V_LEAF_UNVERIFIED = 21,
};

struct text {
	char *out;
	size_t cap;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->out, t->cap, fmt, ap);
	va_end(ap);
	size_t used = n < 0 ? 0 : (size_t)n < t->cap ? (size_t)n : t->cap - 1;
	t->out += used;
	t->cap -= used;
}

/* Seconds as a person says them: "5 s", "0.2 s". */
static void put_seconds(struct text *t, uint32_t ms)
{
	if (ms % 1000)
		put(t, "%.1f s", ms / 1000.0);
	else
		put(t, "%u s", ms / 1000);
}

static void put_detail(struct text *t, const struct kube_failure *f)
{
	char line[CURL_ERROR_SIZE];

	snprintf(line, sizeof(line), "%s", f->detail[0] ? f->detail : curl_easy_strerror(f->code));
	for (char *p = line; *p; p++) {
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	}
	put(t, "%s", line);
}

static void put_certificate(struct text *t, const struct kube_failure *f)
{
	if (strstr(f->detail, "subject name")) {
		if (f->tls_server_name[0])
			put(t,
			    "its certificate is not for the name %s (tls-server-name of the "
			    "kubeconfig)",
			    f->tls_server_name);
		else
			put(t, "its certificate is not for this host name or address; use a name "
			       "that it holds, or set tls-server-name");
		return;
	}
	switch (f->verify) {
	case V_EXPIRED:
		put(t, "its certificate has expired; renew it, or set this node's clock right");
		return;
	case V_NOT_YET_VALID:
		put(t, "its certificate is not valid yet; set this node's clock right");
		return;
	case V_NO_ISSUER:
	case V_SELF_SIGNED_LEAF:
	case V_SELF_SIGNED_ROOT:
	case V_NO_LOCAL_ISSUER:
	case V_LEAF_UNVERIFIED:
		if (f->has_ca)
			put(t, "its certificate is not signed by the CA in the kubeconfig; take "
			       "certificate-authority from this cluster");
		else
			put(t, "its certificate is not signed by a CA of this system, and the "
			       "kubeconfig names none; set certificate-authority");
		return;
	default:
		break;
	}
	put(t, "its certificate cannot be verified: ");
	put_detail(t, f);
}

static void put_no_connection(struct text *t, const struct kube_failure *f)
{
	switch (f->os_errno) {
	case ECONNREFUSED:
		put(t, "connection refused; is the API server running there?");
		return;
	case EHOSTUNREACH:
	case ENETUNREACH:
		put(t, "no route to it");
		return;
	case ETIMEDOUT:
		put(t, "no answer to the attempt to connect");
		return;
	default:
		put(t, "no connection: ");
		if (f->os_errno)
			put(t, "%s", strerror((int)f->os_errno));
		else
			put_detail(t, f);
	}
}

static void put_timeout(struct text *t, const struct kube_failure *f)
{
	if (f->connected) {
		put(t, f->answering ? "the answer did not end within " : "no answer within ");
		put_seconds(t, f->timeout_ms);
		return;
	}
	put(t,
	    f->resolved ? "no connection with TLS within " : "its name was not resolved within ");
	put_seconds(t, f->connect_timeout_ms);
}

bool kube_failure_silent(const struct kube_failure *f)
{
	static const int silent[] = { ETIMEDOUT, EHOSTUNREACH, ENETUNREACH };

	/* Of an error inside of TLS, libcurl tells the number in its text only. */
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		if (f->os_errno == silent[i] || strstr(f->detail, strerror(silent[i])))
			return true;
	}
	return false;
}

static void put_lost(struct text *t, const struct kube_failure *f)
{
	put(t, f->answering ? "the connection was lost in the middle of the answer"
			    : "the connection was lost before an answer came");
	if (kube_failure_silent(f))
		put(t, ": it is silent or out of reach");
	else if (strstr(f->detail, "alert")) {
		put(t, ": ");
		put_detail(t, f);
	}
}

static void put_tls(struct text *t, const struct kube_failure *f)
{
	if (strstr(f->detail, "wrong version number"))
		put(t, "it does not speak TLS there; is the port right?");
	else if (strstr(f->detail, "unsupported protocol") || strstr(f->detail, "protocol version"))
		put(t, "it speaks no TLS 1.2 or newer");
	else {
		put(t, "the TLS handshake failed: ");
		put_detail(t, f);
	}
}

void kube_failure_text(const struct kube_failure *f, char *out, size_t cap)
{
	struct text t = { out, cap };

	put(&t, "%s: ", f->server);
	switch (f->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		put(&t, "its name cannot be resolved; mend DNS, or use the server's address");
		break;
	case CURLE_COULDNT_RESOLVE_PROXY:
		put(&t, "the name of the kubeconfig's proxy-url cannot be resolved");
		break;
	case CURLE_COULDNT_CONNECT:
		put_no_connection(&t, f);
		if (f->has_proxy)
			put(&t, " (through the kubeconfig's proxy-url)");
		break;
	case CURLE_OPERATION_TIMEDOUT:
		put_timeout(&t, f);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		put_certificate(&t, f);
		break;
	case CURLE_SSL_CONNECT_ERROR:
		put_tls(&t, f);
		break;
	case CURLE_SSL_CERTPROBLEM:
		put(&t, "the kubeconfig's client certificate or key cannot be used: ");
		put_detail(&t, f);
		break;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		put(&t, "the kubeconfig's certificate-authority cannot be read: ");
		put_detail(&t, f);
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_PARTIAL_FILE:
		if (f->connected)
			put_lost(&t, f);
		else
			put_detail(&t, f);
		break;
	default:
		put_detail(&t, f);
	}
}

static const struct {
	unsigned status;
	const char *text;
} statuses[] = {
	{ 400, "Bad Request" },
	{ 401, "Unauthorized: it does not take the kubeconfig's credentials" },
	{ 403, "Forbidden: the identity in use lacks this right (see rbac.yaml)" },
	{ 404, "Not Found" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 422, "Unprocessable Entity" },
	{ 429, "Too Many Requests" },
	{ 500, "Internal Server Error" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};

void kube_status_text(const char *server, const char *method, const char *path, unsigned status,
		      char *out, size_t cap)
{
	struct text t = { out, cap };
	/* Queries hold selectors and long continue tokens that tell a person nothing. */
	int shown = (int)strcspn(path, "?");

	put(&t, "%s: %s %.*s: %u", server, method, shown > 200 ? 200 : shown, path, status);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (statuses[i].status == status)
			put(&t, " %s", statuses[i].text);
	}
	if (status >= 300 && status < 400)
		put(&t, " a redirect, which is not followed; name the API server itself");
}
