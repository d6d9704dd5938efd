#include "config.h"

#include "felix/pod_probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/arena.h"
#include "store/ipam_api.h"

enum { ENTRIES = 512 };

struct entry {
	TAILQ_ENTRY(entry) next;
	struct pod_probe *probe;
	char *namespace_, *name;
	struct arena arena; /* of known */
	struct pod_known known;
	uint64_t at; /* when it was asked */
	bool answered, asked;
};

TAILQ_HEAD(entries, entry);

struct pod_probe {
	struct store *store;
	struct entries entries; /* oldest question first */
	unsigned n;
	void (*known)(void *arg);
	void *arg;
};

static void entry_free(struct entry *e)
{
	TAILQ_REMOVE(&e->probe->entries, e, next);
	e->probe->n--;
	arena_free(&e->arena);
	free(e->namespace_);
	free(e->name);
	free(e);
}

static const struct pod_notes *copy_notes(struct arena *arena, const struct pod_notes *notes)
{
	struct pod_notes *out;

	if (!notes)
		return NULL;
	out = arena_alloc(arena, sizeof(*out) + notes->n * sizeof(notes->v[0]));
	out->n = notes->n;
	for (unsigned i = 0; i < notes->n; i++)
		out->v[i] = (struct pod_note){ arena_strdup(arena, notes->v[i].key),
					       arena_strdup(arena, notes->v[i].value) };
	return out;
}

static void keep(struct entry *e, const struct pod *pod)
{
	static const struct pod_labels no_labels;
	static const struct pod_ports no_ports;
	struct pod *p = &e->known.pod;

	*p = *pod;
	p->namespace_ = e->namespace_;
	p->name = e->name;
	p->node = arena_strdup(&e->arena, pod->node);
	p->service_account = arena_strdup(&e->arena, pod->service_account);
	p->labels = &no_labels;
	p->ports = &no_ports;
	p->notes = copy_notes(&e->arena, pod->notes);
}

static void on_pod(void *arg, enum ipamobj_result result, const struct pod *pod, const char *why)
{
	struct entry *e = arg;
	struct pod_probe *p = e->probe;

	(void)why;
	arena_reset(&e->arena);
	e->known = (struct pod_known){ .result = result };
	if (result == IPAMOBJ_OK)
		keep(e, pod);
	e->asked = false;
	e->answered = true;
	p->known(p->arg);
}

static struct entry *find(const struct pod_probe *p, const char *namespace_, const char *name)
{
	struct entry *e;

	TAILQ_FOREACH(e, &p->entries, next)
	if (!strcmp(e->name, name) && !strcmp(e->namespace_, namespace_))
		return e;
	return NULL;
}

/* The oldest answer makes room; what is under way has to come home first. */
static void make_room(struct pod_probe *p)
{
	struct entry *e;

	if (p->n < ENTRIES)
		return;
	TAILQ_FOREACH(e, &p->entries, next)
	if (!e->asked) {
		entry_free(e);
		return;
	}
}

static struct entry *add(struct pod_probe *p, const char *namespace_, const char *name)
{
	struct entry *e;

	make_room(p);
	e = xcalloc(1, sizeof(*e));
	e->probe = p;
	e->namespace_ = xstrdup(namespace_);
	e->name = xstrdup(name);
	TAILQ_INSERT_TAIL(&p->entries, e, next);
	p->n++;
	return e;
}

const struct pod_known *pod_probe_get(struct pod_probe *p, const char *namespace_, const char *name,
				      uint64_t max_age, uint64_t now)
{
	struct entry *e = find(p, namespace_, name);

	if (e && e->asked)
		return NULL;
	if (e && e->answered && now - e->at <= max_age)
		return &e->known;
	if (!e)
		e = add(p, namespace_, name);
	e->asked = true;
	e->at = now;
	TAILQ_REMOVE(&p->entries, e, next);
	TAILQ_INSERT_TAIL(&p->entries, e, next);
	store_get_pod(p->store, namespace_, name, on_pod, e);
	return NULL;
}

struct pod_probe *pod_probe_new(struct store *store, void (*known)(void *arg), void *arg)
{
	struct pod_probe *p = xcalloc(1, sizeof(*p));

	TAILQ_INIT(&p->entries);
	p->store = store;
	p->known = known;
	p->arg = arg;
	return p;
}

void pod_probe_free(struct pod_probe *p)
{
	struct entry *e;

	if (!p)
		return;
	while ((e = TAILQ_FIRST(&p->entries)))
		entry_free(e);
	free(p);
}
