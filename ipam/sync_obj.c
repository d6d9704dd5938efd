#include "config.h"

#include "ipam/sync_obj.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(struct arena *a, const char *t)
{
	return t && t[0] ? arena_strdup(a, t) : "";
}

static struct ipamobj_meta copy_meta(struct arena *a, const struct ipamobj_meta *m)
{
	return (struct ipamobj_meta){ text(a, m->name), text(a, m->uid),
				      text(a, m->resource_version), text(a, m->raw), m->created };
}

static void *copy_array(struct arena *a, const void *v, size_t n, size_t extra, size_t size)
{
	void *p = arena_array(a, n + extra, size);

	if (n)
		memcpy(p, v, n * size);
	return p;
}

static struct ipamobj_attr copy_attr(struct arena *a, const struct ipamobj_attr *at)
{
	struct ipamobj_attr out = { text(a, at->handle_id), at->nsecondary, NULL,
				    text(a, at->released_at), text(a, at->raw) };

	out.secondary = arena_array(a, at->nsecondary, sizeof(*out.secondary));
	for (uint32_t i = 0; i < at->nsecondary; i++)
		out.secondary[i] = (struct ipamobj_kv){ text(a, at->secondary[i].key),
							text(a, at->secondary[i].value) };
	return out;
}

static struct ipamobj_block *copy_lists(struct arena *a, const struct ipamobj_block *b,
					size_t extra)
{
	struct ipamobj_block *c = arena_alloc(a, sizeof(*c));

	*c = *b;
	c->allocations = copy_array(a, b->allocations, b->size, 0, sizeof(*b->allocations));
	c->unallocated =
		copy_array(a, b->unallocated, b->nunallocated, extra, sizeof(*b->unallocated));
	c->seqs = copy_array(a, b->seqs, b->nseqs, extra, sizeof(*b->seqs));
	c->attrs = copy_array(a, b->attrs, b->nattrs, extra, sizeof(*b->attrs));
	return c;
}

struct ipamobj_block *obj_copy_block(struct arena *a, const struct ipamobj_block *b)
{
	struct ipamobj_block *c = copy_lists(a, b, 0);

	c->meta = copy_meta(a, &b->meta);
	c->affinity = text(a, b->affinity);
	c->claim_time = text(a, b->claim_time);
	for (uint32_t i = 0; i < c->nattrs; i++)
		c->attrs[i] = copy_attr(a, &b->attrs[i]);
	return c;
}

struct ipamobj_affinity *obj_copy_affinity(struct arena *a, const struct ipamobj_affinity *f)
{
	struct ipamobj_affinity *c = arena_alloc(a, sizeof(*c));

	*c = *f;
	c->meta = copy_meta(a, &f->meta);
	c->node = text(a, f->node);
	c->type = text(a, f->type);
	c->instance = text(a, f->instance);
	return c;
}

struct ipamobj_handle *obj_copy_handle(struct arena *a, const struct ipamobj_handle *h)
{
	struct ipamobj_handle *c = arena_alloc(a, sizeof(*c));

	*c = *h;
	c->meta = copy_meta(a, &h->meta);
	c->handle_id = text(a, h->handle_id);
	c->blocks = copy_array(a, h->blocks, h->nblocks, 0, sizeof(*h->blocks));
	return c;
}

struct ipamobj_block *obj_edit_block(struct arena *a, const struct ipamobj_block *b)
{
	return copy_lists(a, b, b->size);
}

struct ipamobj_block *obj_new_block(struct arena *a, const struct prefix *cidr, const char *node,
				    bool strict, uint64_t unix_ns)
{
	struct ipamobj_block *b = arena_alloc(a, sizeof(*b));
	char name[IPAMOBJ_NAME];

	b->meta = (struct ipamobj_meta){ arena_strdup(a, ipamobj_block_name(cidr, name)), "", "",
					 "", 0 };
	b->cidr = prefix_mask(cidr);
	b->affinity = arena_printf(a, "host:%s", node);
	b->claim_time = obj_rfc3339(a, unix_ns / 1000000000);
	b->size = b->nunallocated = (uint32_t)prefix_size(cidr);
	b->allocations = arena_array(a, b->size, sizeof(*b->allocations));
	b->unallocated = arena_array(a, b->size, sizeof(*b->unallocated));
	for (uint32_t i = 0; i < b->size; i++) {
		b->allocations[i] = -1;
		b->unallocated[i] = i;
	}
	b->sequence = unix_ns;
	b->strict_affinity = strict;
	return b;
}

const struct ipamobj_attr *obj_attr(const struct ipamobj_block *b, uint32_t ordinal)
{
	int32_t i = b->allocations[ordinal];

	return i < 0 || (uint32_t)i >= b->nattrs ? NULL : &b->attrs[i];
}

const char *obj_secondary(const struct ipamobj_attr *at, const char *key)
{
	for (uint32_t i = 0; i < at->nsecondary; i++)
		if (strcmp(at->secondary[i].key, key) == 0)
			return at->secondary[i].value;
	return "";
}

bool obj_block_sane(const struct ipamobj_block *b)
{
	if (b->size != prefix_size(&b->cidr) || b->nunallocated > b->size)
		return false;
	for (uint32_t i = 0; i < b->size; i++)
		if (b->allocations[i] >= (int32_t)b->nattrs)
			return false;
	for (uint32_t i = 0; i < b->nunallocated; i++)
		if (b->unallocated[i] >= b->size || b->allocations[b->unallocated[i]] >= 0)
			return false;
	return true;
}

bool obj_block_empty(const struct ipamobj_block *b)
{
	for (uint32_t i = 0; i < b->size; i++)
		if (b->allocations[i] >= 0)
			return false;
	return true;
}

bool obj_is_host(const char *affinity, const char *node)
{
	return strncmp(affinity, "host:", 5) == 0 && strcmp(affinity + 5, node) == 0;
}

static void drop_attr(struct ipamobj_block *b, int32_t gone)
{
	for (uint32_t i = 0; i < b->size; i++)
		if (b->allocations[i] == gone)
			return;
	memmove(&b->attrs[gone], &b->attrs[gone + 1],
		(b->nattrs - (uint32_t)gone - 1) * sizeof(*b->attrs));
	b->nattrs--;
	for (uint32_t i = 0; i < b->size; i++)
		b->allocations[i] -= b->allocations[i] > gone;
}

static void drop_seq(struct ipamobj_block *b, uint32_t ordinal)
{
	for (uint32_t i = b->nseqs; i-- > 0;)
		if (b->seqs[i].ordinal == ordinal)
			b->seqs[i] = b->seqs[--b->nseqs];
}

static void drop_unallocated(struct ipamobj_block *b, uint32_t ordinal)
{
	for (uint32_t i = b->nunallocated; i-- > 0;) {
		if (b->unallocated[i] != ordinal)
			continue;
		memmove(&b->unallocated[i], &b->unallocated[i + 1],
			(b->nunallocated - i - 1) * sizeof(*b->unallocated));
		b->nunallocated--;
	}
}

void obj_free_ordinal(struct ipamobj_block *b, uint32_t ordinal)
{
	int32_t was = b->allocations[ordinal];

	b->allocations[ordinal] = -1;
	if (was >= 0)
		drop_attr(b, was);
	drop_seq(b, ordinal);
	drop_unallocated(b, ordinal);
	b->unallocated[b->nunallocated++] = ordinal;
}

void obj_take_ordinal(struct ipamobj_block *b, uint32_t ordinal, const struct ipamobj_attr *at)
{
	drop_unallocated(b, ordinal);
	drop_seq(b, ordinal);
	b->allocations[ordinal] = (int32_t)b->nattrs;
	b->attrs[b->nattrs++] = *at;
	/* The number before this update, as Calico writes it. */
	b->seqs[b->nseqs++] = (struct ipamobj_seq){ ordinal, b->sequence };
}

/* ---- times ---- */

struct civil {
	int64_t year;
	unsigned month, day, hour, minute, second;
};

/* The proleptic Gregorian calendar counted from 1 March 0000, so that leap days end a year. */
static struct civil civil_of(uint64_t unix_s)
{
	int64_t z = (int64_t)(unix_s / 86400) + 719468;
	int64_t era = z / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153, s = (unsigned)(unix_s % 86400);
	struct civil c = { .day = doy - (153 * mp + 2) / 5 + 1,
			   .month = mp < 10 ? mp + 3 : mp - 9,
			   .hour = s / 3600,
			   .minute = s / 60 % 60,
			   .second = s % 60 };

	c.year = (int64_t)yoe + era * 400 + (c.month <= 2);
	return c;
}

char *obj_rfc3339(struct arena *a, uint64_t unix_s)
{
	struct civil c = civil_of(unix_s);

	return arena_printf(a, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02uZ", c.year, c.month, c.day,
			    c.hour, c.minute, c.second);
}

char *obj_timestamp(struct arena *a, uint64_t unix_s)
{
	struct civil c = civil_of(unix_s);

	return arena_printf(a, "%04" PRId64 "-%02u-%02u %02u:%02u:%02u +0000 UTC", c.year, c.month,
			    c.day, c.hour, c.minute, c.second);
}

uint64_t obj_parse_rfc3339(const char *t)
{
	unsigned y, mo, d, h, mi, s;

	if (sscanf(t, "%4u-%2u-%2uT%2u:%2u:%2u", &y, &mo, &d, &h, &mi, &s) != 6 || y < 1970 ||
	    mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60)
		return 0;
	unsigned year = y - (mo <= 2), era = year / 400, yoe = year - era * 400;
	unsigned doy = (153 * (mo > 2 ? mo - 3 : mo + 9) + 2) / 5 + d - 1;
	uint64_t days = (uint64_t)era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;

	return days * 86400 + h * 3600 + mi * 60 + s;
}

/* ---- names ---- */

static unsigned fields_of(const char *name, bool *digits)
{
	unsigned n = 1;

	*digits = true;
	for (; *name; name++) {
		n += *name == '-';
		*digits &= *name == '-' || (*name >= '0' && *name <= '9');
	}
	return n;
}

bool obj_name_to_cidr(const char *name, struct prefix *out)
{
	char t[PREFIX_STRLEN];
	size_t len = strlen(name);
	char *last;
	bool digits;
	unsigned fields = fields_of(name, &digits);

	if (len >= sizeof(t))
		return false;
	memcpy(t, name, len + 1);
	if (!(last = strrchr(t, '-')))
		return false;
	*last = '/';
	/* "1-2-3-4-24" could only be IPv6 with "::", which makes an empty field. */
	char dot = digits && fields == 5 && !strstr(name, "--") ? '.' : ':';
	for (char *p = t; p < last; p++)
		if (*p == '-')
			*p = dot;
	return prefix_parse(t, out) == 0 && !prefix_has_host_bits(out);
}

uint32_t obj_hash(const char *t)
{
	uint32_t h = 2166136261u;

	for (; *t; t++)
		h = (h ^ (uint8_t)*t) * 16777619u;
	return h;
}

/* ---- sets of texts ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void text_set_add(struct text_set *s, const char *t)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n++] = xstrdup(t);
}

void text_set_sort(struct text_set *s)
{
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_text);
}

bool text_set_has(const struct text_set *s, const char *t)
{
	return s->n && bsearch(&t, s->v, s->n, sizeof(*s->v), by_text);
}

void text_set_free(struct text_set *s)
{
	for (unsigned i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	memset(s, 0, sizeof(*s));
}
