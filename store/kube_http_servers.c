#include "store/kube_http_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SUSPECT_MS = 1000, /* no connection for so long: others are asked first */
	PROBE_DOUBLINGS = 6,
	CALM_MS = 120000, /* without a failure for so long, pauses begin anew */
};

static struct kube_server *server_new(const char *url)
{
	struct kube_server *s = xcalloc(1, sizeof(*s));
	s->refs = 1;
	s->url = xstrdup(url);
	s->up = true;
	const char *host = s->url + strlen("https://");
	size_t n = strcspn(host, "/");
	s->folder = host + n;
	const char *end = host + n, *colon = end;
	while (colon > host && *colon != ':' && *colon != ']')
		colon--;
	if (colon > host && *colon == ':') {
		s->port = xstrdup(colon + 1);
		s->port[end - colon - 1] = 0;
		end = colon;
	} else {
		s->port = xstrdup("443");
	}
	s->host = xstrdup(host);
	s->host[end - host] = 0;
	return s;
}

struct kube_server *server_ref(struct kube_server *s)
{
	s->refs++;
	return s;
}

void server_unref(struct kube_server *s)
{
	if (!s || --s->refs)
		return;
	free(s->url);
	free(s->host);
	free(s->port);
	free(s);
}

void servers_clear(struct kube_servers *s)
{
	for (unsigned i = 0; i < s->n; i++)
		server_unref(s->list[i]);
	s->n = 0;
}

static struct kube_server *find(const struct kube_servers *s, const char *url)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (strcmp(s->list[i]->url, url) == 0)
			return s->list[i];
	}
	return NULL;
}

bool servers_set(struct kube_servers *s, unsigned n, const char *const *urls)
{
	struct kube_servers next = *s;
	bool changed = false;

	next.n = 0;
	for (unsigned i = 0; i < n && next.n < KUBE_MAX_SERVERS; i++) {
		if (find(&next, urls[i]))
			continue;
		struct kube_server *known = find(s, urls[i]);
		if (next.n >= s->n || s->list[next.n] != known)
			changed = true;
		next.list[next.n++] = known ? server_ref(known) : server_new(urls[i]);
	}
	changed = changed || next.n != s->n;
	servers_clear(s);
	*s = next;
	return changed;
}

int servers_index(const struct kube_servers *s, const struct kube_server *one)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (s->list[i] == one)
			return (int)i;
	}
	return -1;
}

static bool suspect(const struct kube_server *s, uint64_t now_ms)
{
	return s->connecting && now_ms - s->connecting_since > SUSPECT_MS;
}

int servers_pick(const struct kube_servers *s, uint32_t tried, uint64_t now_ms)
{
	int best = -1, best_rank = 0;

	for (unsigned i = 0; i < s->n; i++) {
		unsigned at = (s->first + i) % s->n;
		const struct kube_server *one = s->list[at];
		if (tried & 1U << at)
			continue;
		int rank = one->up ? suspect(one, now_ms) ? 2 : 3 : 1;
		if (rank > best_rank) {
			best = (int)at;
			best_rank = rank;
		}
	}
	return best;
}

void server_ok(struct kube_server *s, uint64_t epoch_ms)
{
	s->up = true;
	s->fresh = false;
	s->probe_at = 0;
	s->last_contact = epoch_ms;
	s->error[0] = 0;
}

void server_failed(struct kube_servers *all, struct kube_server *s, const char *text,
		   uint64_t now_ms, uint32_t random)
{
	if (s->failures && now_ms - s->failed_at >= CALM_MS)
		s->failures = 0;
	/* Many requests that fail together are one failure. */
	if (s->up || s->probing || !s->probe_at) {
		uint64_t pause = (uint64_t)all->probe_ms << s->failures;
		if (s->failures < PROBE_DOUBLINGS)
			s->failures++;
		/* From half to the whole, so that a thousand nodes do not knock at once. */
		s->probe_at = now_ms + pause / 2 + (pause / 2 * random >> 32) + 1;
	}
	s->failed_at = now_ms;
	s->up = false;
	s->fresh = true;
	snprintf(s->error, sizeof(s->error), "%s", text);
}

void server_connect_begin(struct kube_server *s, uint64_t now_ms)
{
	if (!s->connecting++)
		s->connecting_since = now_ms;
}

void server_connect_end(struct kube_server *s, bool connected, uint64_t now_ms)
{
	s->connecting--;
	if (connected)
		s->connecting_since = now_ms;
}

struct kube_server *servers_probe(const struct kube_servers *s, uint64_t now_ms, uint64_t *wait_ms)
{
	*wait_ms = UINT64_MAX;
	/* A server alone is asked by every request anyway. */
	for (unsigned i = 0; i < s->n && s->n > 1; i++) {
		struct kube_server *one = s->list[i];
		if (one->up || one->probing || !one->probe_at)
			continue;
		if (one->probe_at <= now_ms) {
			*wait_ms = 0;
			return one;
		}
		if (one->probe_at - now_ms < *wait_ms)
			*wait_ms = one->probe_at - now_ms;
	}
	return NULL;
}
