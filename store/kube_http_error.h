/* What went wrong with a request to the Kubernetes API, in words for a person. Pure. */
#ifndef SELVAGE_STORE_KUBE_HTTP_ERROR_H
#define SELVAGE_STORE_KUBE_HTTP_ERROR_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kube_failure {
	const char *server;
	CURLcode code;
	long verify; /* X509_V_ERR_*, less than 2: none */
	long os_errno;
	const char *detail; /* libcurl's own words, may be "" */
	bool connected;	    /* the request was on its way */
	bool answering;	    /* the answer had begun */
	bool resolved;	    /* the server's name is known */
	uint32_t connect_timeout_ms, timeout_ms;
	bool has_ca, has_proxy;
	const char *tls_server_name;
};
/* One line, starts with the server. */
void kube_failure_text(const struct kube_failure *f, char *out, size_t cap);
/* The connection broke because the network or the peer went away without a word. */
bool kube_failure_silent(const struct kube_failure *f);
/* "403 Forbidden" with what a person can do about it. */
void kube_status_text(const char *server, const char *method, const char *path, unsigned status,
		      char *out, size_t cap);

#endif
