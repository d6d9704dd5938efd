#include "config.h"

#include "store/pods.h"

#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

enum { SLAB = 128, FIRST_SLOTS = 64 };

struct text {
	uint32_t refs, hash;
	char s[];
};

/* Open addressing with linear probing; removal moves what follows, so there are no tombstones. */
struct index {
	void **v;
	uint32_t mask, n; /* mask + 1 slots */
};

/* What stays lies together: between it, the heap that reading a list leaves free can be given back.
 */
struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) uint8_t bytes[];
};

/* Given back and not taken again, by size: multiples of 8, then powers of two. */
struct unused {
	struct unused *next;
};
enum { SMALL_CLASSES = 64, CLASSES = SMALL_CLASSES + 32, FIRST_CHUNK = 4096, LAST_CHUNK = 1 << 18 };

struct slab {
	struct pod v[SLAB];
};

struct pods {
	pods_cb cb;
	void *arg;
	struct index texts, labels, ports, pods;
	struct pod *free; /* linked by namespace_ */
	struct chunk *chunks;
	struct unused *unused[CLASSES];
	size_t bytes;
};

/* ---- memory, counted ---- */

/* The class of a size, and the size that it has there. */
static unsigned class_of(size_t *size)
{
	unsigned c = (unsigned)((*size + 7) / 8);

	if (c < SMALL_CLASSES) {
		*size = c * (size_t)8;
		return c;
	}
	c = 9; /* 2^9 = SMALL_CLASSES * 8 */
	while ((size_t)1 << c < *size)
		c++;
	*size = (size_t)1 << c;
	return SMALL_CLASSES + c - 9;
}

static void *carve(struct pods *t, size_t size)
{
	struct chunk *c = t->chunks;

	if (!c || c->size - c->used < size) {
		size_t want = c ? c->size * 4 : FIRST_CHUNK;

		want = want > LAST_CHUNK ? LAST_CHUNK : want;
		want = want < size ? size : want;
		c = xmalloc(sizeof(*c) + want);
		*c = (struct chunk){ .next = t->chunks, .size = want };
		t->chunks = c;
	}
	c->used += size;
	return c->bytes + c->used - size;
}

static void *take(struct pods *t, size_t size)
{
	unsigned c = class_of(&size);
	struct unused *u = t->unused[c];

	t->bytes += size;
	if (!u)
		return carve(t, size);
	t->unused[c] = u->next;
	return u;
}

static void give(struct pods *t, void *p, size_t size)
{
	unsigned c = class_of(&size);
	struct unused *u = p;

	t->bytes -= size;
	u->next = t->unused[c];
	t->unused[c] = u;
}

/* ---- index ---- */

typedef uint32_t (*hash_of)(const void *item);
typedef bool (*equal_to)(const void *item, const void *key);

static void index_init(struct pods *t, struct index *x)
{
	x->mask = FIRST_SLOTS - 1;
	x->n = 0;
	x->v = xcalloc(FIRST_SLOTS, sizeof(*x->v));
	t->bytes += FIRST_SLOTS * sizeof(*x->v);
}

static void index_insert(struct index *x, void *item, uint32_t hash)
{
	uint32_t i = hash & x->mask;

	while (x->v[i])
		i = (i + 1) & x->mask;
	x->v[i] = item;
}

static void index_resize(struct pods *t, struct index *x, uint32_t slots, hash_of hash)
{
	struct index old = *x;

	x->mask = slots - 1;
	x->v = xcalloc(slots, sizeof(*x->v));
	t->bytes += slots * sizeof(*x->v);
	for (uint32_t i = 0; i <= old.mask; i++)
		if (old.v[i])
			index_insert(x, old.v[i], hash(old.v[i]));
	t->bytes -= ((size_t)old.mask + 1) * sizeof(*old.v);
	free(old.v);
}

static void index_add(struct pods *t, struct index *x, void *item, hash_of hash)
{
	if ((x->n + 1) * 4 > (x->mask + 1) * 3)
		index_resize(t, x, (x->mask + 1) * 2, hash);
	index_insert(x, item, hash(item));
	x->n++;
}

static void *index_find(const struct index *x, uint32_t hash, equal_to equal, const void *key)
{
	for (uint32_t i = hash & x->mask; x->v[i]; i = (i + 1) & x->mask)
		if (equal(x->v[i], key))
			return x->v[i];
	return NULL;
}

static void index_remove(struct pods *t, struct index *x, const void *item, hash_of hash)
{
	uint32_t i = hash(item) & x->mask, hole;

	while (x->v[i] != item)
		i = (i + 1) & x->mask;
	hole = i;
	for (;;) {
		i = (i + 1) & x->mask;
		if (!x->v[i])
			break;
		uint32_t home = hash(x->v[i]) & x->mask;

		/* It may move into the hole unless its home lies between the hole and it. */
		if (((i - home) & x->mask) >= ((i - hole) & x->mask)) {
			x->v[hole] = x->v[i];
			hole = i;
		}
	}
	x->v[hole] = NULL;
	x->n--;
	if (x->mask >= FIRST_SLOTS && x->n * 8 < x->mask + 1)
		index_resize(t, x, (x->mask + 1) / 2, hash);
}

/* FNV-1a. */
static uint32_t mix(uint32_t h, const void *data, size_t n)
{
	for (const unsigned char *p = data; n--; p++)
		h = (h ^ *p) * UINT32_C(16777619);
	return h;
}

static uint32_t hash_text(const char *s)
{
	return mix(UINT32_C(2166136261), s, strlen(s));
}

uint64_t pod_uid_hash(const char *s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
	return h;
}

/* ---- texts ---- */

static uint32_t text_hash(const void *item)
{
	return ((const struct text *)item)->hash;
}

static bool text_equal(const void *item, const void *key)
{
	return !strcmp(((const struct text *)item)->s, key);
}

static struct text *text_of(const char *s)
{
	return (struct text *)(uintptr_t)(s - offsetof(struct text, s));
}

static const char *text_get(struct pods *t, const char *s)
{
	uint32_t hash = hash_text(s);
	struct text *x = index_find(&t->texts, hash, text_equal, s);
	size_t n = strlen(s) + 1;

	if (!x) {
		x = take(t, sizeof(*x) + n);
		x->refs = 0;
		x->hash = hash;
		memcpy(x->s, s, n);
		index_add(t, &t->texts, x, text_hash);
	}
	x->refs++;
	return x->s;
}

static void text_put(struct pods *t, const char *s)
{
	struct text *x = text_of(s);

	if (--x->refs)
		return;
	index_remove(t, &t->texts, x, text_hash);
	give(t, x, sizeof(*x) + strlen(x->s) + 1);
}

/* ---- label sets ---- */

struct labels_key {
	uint16_t n;
	const struct pod_label *v; /* interned texts */
};

static uint32_t labels_hash(const void *item)
{
	return ((const struct pod_labels *)item)->hash;
}

static bool labels_equal(const void *item, const void *key)
{
	const struct pod_labels *l = item;
	const struct labels_key *k = key;

	return l->n == k->n && (!k->n || !memcmp(l->v, k->v, k->n * sizeof(*k->v)));
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct pod_label *)a)->key, ((const struct pod_label *)b)->key);
}

static void drop_texts(struct pods *t, const struct pod_label *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		text_put(t, v[i].key);
		text_put(t, v[i].value);
	}
}

/* v becomes the interned texts. */
static const struct pod_labels *labels_get(struct pods *t, struct pod_label *v, unsigned count)
{
	struct labels_key key = { (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX), v };
	uint32_t hash = UINT32_C(2166136261);

	if (key.n)
		qsort(v, key.n, sizeof(*v), by_key);
	for (unsigned i = 0; i < key.n; i++) {
		v[i].key = text_get(t, v[i].key);
		v[i].value = text_get(t, v[i].value);
		hash = mix(hash, &text_of(v[i].key)->hash, 4);
		hash = mix(hash, &text_of(v[i].value)->hash, 4);
	}
	struct pod_labels *l = index_find(&t->labels, hash, labels_equal, &key);

	if (l) {
		drop_texts(t, v, key.n);
	} else {
		l = take(t, sizeof(*l) + key.n * sizeof(*v));
		l->refs = 0;
		l->hash = hash;
		l->n = key.n;
		if (key.n)
			memcpy(l->v, v, key.n * sizeof(*v));
		index_add(t, &t->labels, l, labels_hash);
	}
	l->refs++;
	return l;
}

static void labels_put(struct pods *t, const struct pod_labels *labels)
{
	struct pod_labels *l = (struct pod_labels *)(uintptr_t)labels;

	if (--l->refs)
		return;
	index_remove(t, &t->labels, l, labels_hash);
	drop_texts(t, l->v, l->n);
	give(t, l, sizeof(*l) + l->n * sizeof(*l->v));
}

/* ---- port sets ---- */

struct ports_key {
	uint16_t n;
	const struct pod_port *v;
};

static uint32_t ports_hash(const void *item)
{
	return ((const struct pod_ports *)item)->hash;
}

static bool ports_equal(const void *item, const void *key)
{
	const struct pod_ports *p = item;
	const struct ports_key *k = key;

	if (p->n != k->n)
		return false;
	for (unsigned i = 0; i < k->n; i++)
		if (p->v[i].port != k->v[i].port || p->v[i].protocol != k->v[i].protocol ||
		    strcmp(p->v[i].name, k->v[i].name) != 0)
			return false;
	return true;
}

static const struct pod_ports *ports_get(struct pods *t, const struct pod_port *v, unsigned count)
{
	const struct ports_key key = { (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX), v };
	uint32_t hash = UINT32_C(2166136261);

	for (unsigned i = 0; i < key.n; i++) {
		hash = mix(hash, v[i].name, strlen(v[i].name) + 1);
		hash = mix(hash, &v[i].port, sizeof(v[i].port));
		hash = mix(hash, &v[i].protocol, 1);
	}
	struct pod_ports *p = index_find(&t->ports, hash, ports_equal, &key);

	if (!p) {
		p = take(t, sizeof(*p) + key.n * sizeof(*v));
		p->refs = 0;
		p->hash = hash;
		p->n = key.n;
		for (unsigned i = 0; i < key.n; i++) {
			memset(&p->v[i], 0, sizeof(p->v[i]));
			p->v[i].name = text_get(t, v[i].name);
			p->v[i].port = v[i].port;
			p->v[i].protocol = v[i].protocol;
		}
		index_add(t, &t->ports, p, ports_hash);
	}
	p->refs++;
	return p;
}

static void ports_put(struct pods *t, const struct pod_ports *ports)
{
	struct pod_ports *p = (struct pod_ports *)(uintptr_t)ports;

	if (--p->refs)
		return;
	index_remove(t, &t->ports, p, ports_hash);
	for (unsigned i = 0; i < p->n; i++)
		text_put(t, p->v[i].name);
	give(t, p, sizeof(*p) + p->n * sizeof(*p->v));
}

/* ---- notes: few, and each pod's own ---- */

static const struct pod_notes *notes_get(struct pods *t, const struct pod_note *v, unsigned n)
{
	struct pod_notes *x;

	if (!n)
		return NULL;
	x = take(t, sizeof(*x) + n * sizeof(*v));
	x->n = (uint16_t)n;
	for (unsigned i = 0; i < n; i++)
		x->v[i] = (struct pod_note){ text_get(t, v[i].key), text_get(t, v[i].value) };
	return x;
}

static void notes_put(struct pods *t, const struct pod_notes *notes)
{
	struct pod_notes *x = (struct pod_notes *)(uintptr_t)notes;

	if (!x)
		return;
	for (unsigned i = 0; i < x->n; i++) {
		text_put(t, x->v[i].key);
		text_put(t, x->v[i].value);
	}
	give(t, x, sizeof(*x) + x->n * sizeof(*x->v));
}

static bool notes_equal(const struct pod_notes *a, const struct pod_notes *b)
{
	if (!a || !b)
		return a == b;
	return a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof(*a->v));
}

/* ---- pods ---- */

struct pod_key {
	const char *namespace_, *name;
};

static uint32_t key_hash(const char *namespace_, const char *name)
{
	return hash_text(namespace_) * 31 + hash_text(name);
}

static uint32_t pod_hash(const void *item)
{
	const struct pod *p = item;

	return text_of(p->namespace_)->hash * 31 + text_of(p->name)->hash;
}

static bool pod_equal(const void *item, const void *key)
{
	const struct pod *p = item;
	const struct pod_key *k = key;

	return !strcmp(p->name, k->name) && !strcmp(p->namespace_, k->namespace_);
}

static struct pod *find(const struct pods *t, const char *namespace_, const char *name)
{
	const struct pod_key key = { namespace_, name };

	return index_find(&t->pods, key_hash(namespace_, name), pod_equal, &key);
}

const struct pod *pods_find(const struct pods *t, const char *namespace_, const char *name)
{
	return find(t, namespace_, name);
}

static struct pod *slot(struct pods *t)
{
	struct pod *p;

	if (!t->free) {
		struct slab *s = carve(t, sizeof(*s));

		t->bytes += sizeof(*s);
		for (unsigned i = 0; i < SLAB; i++) {
			s->v[i].namespace_ = (const char *)t->free;
			t->free = &s->v[i];
		}
	}
	p = t->free;
	t->free = (struct pod *)(uintptr_t)p->namespace_;
	return p;
}

static void fill(struct pods *t, struct pod *p, const struct pod_in *in)
{
	unsigned n = in->naddrs > 2 ? 2 : in->naddrs;

	memset(p, 0, sizeof(*p));
	p->namespace_ = text_get(t, in->namespace_);
	p->name = text_get(t, in->name);
	p->node = text_get(t, in->node);
	p->service_account = text_get(t, in->service_account);
	p->labels = labels_get(t, in->labels, in->nlabels);
	p->ports = ports_get(t, in->ports, in->nports);
	p->notes = notes_get(t, in->notes, in->nnotes);
	p->uid = pod_uid_hash(in->uid);
	for (unsigned i = 0; i < n; i++) {
		memcpy(p->addr[i], in->addrs[i].b, 16);
		p->fam[i] = in->addrs[i].fam;
	}
	p->naddrs = n & 3;
	p->phase = in->phase & 7;
	p->terminating = in->terminating;
	p->host_network = in->host_network;
	p->seen = 1;
}

static void empty(struct pods *t, const struct pod *p)
{
	labels_put(t, p->labels);
	ports_put(t, p->ports);
	notes_put(t, p->notes);
	text_put(t, p->namespace_);
	text_put(t, p->name);
	text_put(t, p->node);
	text_put(t, p->service_account);
}

/* Interned parts are equal where their pointers are. */
static bool same(const struct pod *a, const struct pod *b)
{
	return a->node == b->node && a->service_account == b->service_account &&
	       a->labels == b->labels && a->ports == b->ports && a->uid == b->uid &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr)) &&
	       !memcmp(a->fam, b->fam, sizeof(a->fam)) && a->naddrs == b->naddrs &&
	       a->phase == b->phase && a->terminating == b->terminating &&
	       a->host_network == b->host_network && notes_equal(a->notes, b->notes);
}

static void drop(struct pods *t, struct pod *p)
{
	index_remove(t, &t->pods, p, pod_hash);
	if (t->cb)
		t->cb(t->arg, p, NULL);
	empty(t, p);
	p->namespace_ = (const char *)t->free;
	t->free = p;
}

void pods_put(struct pods *t, const struct pod_in *in)
{
	struct pod *p = find(t, in->namespace_, in->name), fresh, was;

	if (p && p->uid != pod_uid_hash(in->uid)) {
		drop(t, p);
		p = NULL;
	}
	fill(t, &fresh, in);
	if (!p) {
		p = slot(t);
		*p = fresh;
		index_add(t, &t->pods, p, pod_hash);
		if (t->cb)
			t->cb(t->arg, NULL, p);
		return;
	}
	if (same(p, &fresh)) {
		empty(t, &fresh);
		p->seen = 1;
		return;
	}
	was = *p;
	*p = fresh;
	if (t->cb)
		t->cb(t->arg, &was, p);
	empty(t, &was);
}

void pods_delete(struct pods *t, const char *namespace_, const char *name)
{
	struct pod *p = find(t, namespace_, name);

	if (p)
		drop(t, p);
}

void pods_begin(struct pods *t)
{
	for (uint32_t i = 0; i <= t->pods.mask; i++)
		if (t->pods.v[i])
			((struct pod *)t->pods.v[i])->seen = 0;
}

void pods_commit(struct pods *t)
{
	struct pod **gone = xcalloc(t->pods.n, sizeof(struct pod *));
	uint32_t n = 0;

	/* Removal moves what stands in the index, so it comes after the walk. */
	for (uint32_t i = 0; i <= t->pods.mask; i++) {
		struct pod *p = t->pods.v[i];

		if (p && !p->seen)
			gone[n++] = p;
	}
	for (uint32_t i = 0; i < n; i++)
		drop(t, gone[i]);
	free(gone);
}

unsigned pods_count(const struct pods *t)
{
	return t->pods.n;
}

void pods_each(const struct pods *t, void (*cb)(void *arg, const struct pod *p), void *arg)
{
	for (uint32_t i = 0; i <= t->pods.mask; i++)
		if (t->pods.v[i])
			cb(arg, t->pods.v[i]);
}

size_t pods_bytes(const struct pods *t)
{
	return t->bytes;
}

struct pods *pods_new(pods_cb cb, void *arg)
{
	struct pods *t = xcalloc(1, sizeof(*t));

	t->bytes = sizeof(*t);
	t->cb = cb;
	t->arg = arg;
	index_init(t, &t->texts);
	index_init(t, &t->labels);
	index_init(t, &t->ports);
	index_init(t, &t->pods);
	return t;
}

void pods_free(struct pods *t)
{
	if (!t)
		return;
	free(t->pods.v);
	free(t->labels.v);
	free(t->ports.v);
	free(t->texts.v);
	for (struct chunk *c = t->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(t);
}

/* ---- one pod ---- */

struct addr pod_addr(const struct pod *p, unsigned i)
{
	return addr_make(p->fam[i], p->addr[i]);
}

const char *pod_label_get(const struct pod *p, const char *key)
{
	unsigned lo = 0, hi = p->labels->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		int c = strcmp(p->labels->v[mid].key, key);

		if (!c)
			return p->labels->v[mid].value;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *pod_note_get(const struct pod *p, const char *key)
{
	for (unsigned i = 0; p->notes && i < p->notes->n; i++)
		if (!strcmp(p->notes->v[i].key, key))
			return p->notes->v[i].value;
	return NULL;
}
