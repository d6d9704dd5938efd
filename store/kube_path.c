#include "store/kube_path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void append(struct kube_path *p, const char *text, size_t n)
{
	if (p->full || sizeof(p->text) - p->len <= n) {
		p->full = true;
		return;
	}
	memcpy(p->text + p->len, text, n);
	p->len += n;
	p->text[p->len] = 0;
}

/* RFC 3986's unreserved characters stay; everything else becomes %XX. */
static void append_encoded(struct kube_path *p, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";
	static const char hex[] = "0123456789ABCDEF";

	while (*text) {
		size_t n = strspn(text, plain);
		append(p, text, n);
		text += n;
		if (!*text)
			return;
		unsigned char c = (unsigned char)*text++;
		append(p, (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
}

void kube_path_init(struct kube_path *p, const char *raw)
{
	p->len = 0;
	p->text[0] = 0;
	p->query = strchr(raw, '?') != NULL;
	p->full = false;
	append(p, raw, strlen(raw));
}

void kube_path_raw(struct kube_path *p, const char *raw)
{
	append(p, raw, strlen(raw));
}

void kube_path_name(struct kube_path *p, const char *name)
{
	append(p, "/", 1);
	/* A segment of dots alone would climb out of its folder, encoded or not. */
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !*name)
		p->full = true;
	append_encoded(p, name);
}

void kube_path_arg(struct kube_path *p, const char *key, const char *value)
{
	append(p, p->query ? "&" : "?", 1);
	p->query = true;
	append(p, key, strlen(key));
	append(p, "=", 1);
	append_encoded(p, value);
}

void kube_path_arg_u64(struct kube_path *p, const char *key, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	kube_path_arg(p, key, text);
}
