#include "config.h"

#include "ipam/sync_state.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ipam/journal_format.h"

#define FIRST_LINE "selvage blocks 1"

/* Each line is put before what came before it lies: built in one growing text. */
struct text {
	char *p;
	size_t len, cap;
	struct arena *a;
};

static void line(struct text *t, const char *s)
{
	size_t n = strlen(s);

	if (t->len + n + 2 > t->cap) {
		size_t cap = 2 * (t->len + n) + 256;
		char *p = arena_alloc(t->a, cap);

		if (t->len)
			memcpy(p, t->p, t->len);
		t->p = p;
		t->cap = cap;
	}
	memcpy(t->p + t->len, s, n);
	t->len += n;
	t->p[t->len++] = '\n';
	t->p[t->len] = 0;
}

char *sync_state_encode(const struct sync_state *st, struct arena *a, size_t *len)
{
	struct text t = { .a = a };
	char cidr[PREFIX_STRLEN], pool[PREFIX_STRLEN], addr[ADDR_STRLEN];

	line(&t, FIRST_LINE);
	line(&t, arena_printf(a, "node %s", st->node));
	line(&t, arena_printf(a, "instance %s", st->instance));
	for (unsigned i = 0; i < st->nblocks; i++) {
		const struct sync_state_block *b = &st->blocks[i];

		line(&t, arena_printf(a, "block %s pool %s%s",
				      prefix_format(&b->cidr, cidr, sizeof(cidr)),
				      prefix_format(&b->pool, pool, sizeof(pool)),
				      b->allocate ? " allocate" : ""));
	}
	for (unsigned i = 0; i < st->nforeign; i++)
		line(&t, arena_printf(a, "foreign %s",
				      addr_format(&st->foreign[i], addr, sizeof(addr))));
	line(&t, arena_printf(a, "end %08" PRIx32, crc32c(0, t.p, t.len)));
	*len = t.len;
	return t.p;
}

static int parse_block(struct sync_state *st, const char *rest)
{
	char cidr[PREFIX_STRLEN + 1], pool[PREFIX_STRLEN + 1], flag[16] = "";
	struct sync_state_block *b = &st->blocks[st->nblocks];
	int n = sscanf(rest, "%50s pool %50s %15s", cidr, pool, flag);

	if (n < 2 || prefix_parse(cidr, &b->cidr) < 0 || prefix_parse(pool, &b->pool) < 0 ||
	    prefix_has_host_bits(&b->cidr) || !prefix_covers(&b->pool, &b->cidr))
		return -1;
	if (n == 3 && strcmp(flag, "allocate") != 0)
		return -1;
	b->allocate = n == 3;
	st->nblocks++;
	return 0;
}

/* What a later version adds is not in a file of version 1: an unknown line is an error. */
static int parse_line(struct sync_state *st, char *l)
{
	char *rest = strchr(l, ' ');

	if (!rest)
		return -1;
	*rest++ = 0;
	if (strcmp(l, "block") == 0)
		return parse_block(st, rest);
	if (strcmp(l, "foreign") == 0)
		return addr_parse(rest, &st->foreign[st->nforeign++]);
	if (strcmp(l, "node") == 0)
		st->node = rest;
	else if (strcmp(l, "instance") == 0)
		st->instance = rest;
	else
		return -1;
	return 0;
}

static int check_end(const char *text, size_t len, size_t *body)
{
	char want[16];
	size_t at = len;

	if (len < 14 || text[len - 1] != '\n')
		return -1;
	for (at = len - 1; at > 0 && text[at - 1] != '\n';)
		at--;
	snprintf(want, sizeof(want), "end %08" PRIx32 "\n", crc32c(0, text, at));
	*body = at;
	return len - at == strlen(want) && memcmp(text + at, want, len - at) == 0 ? 0 : -1;
}

int sync_state_decode(const char *text, size_t len, struct sync_state *out, struct err *err)
{
	size_t body, nlines = 0;
	int number = 0;

	memset(out, 0, sizeof(*out));
	out->node = out->instance = "";
	if (memchr(text, 0, len) || check_end(text, len, &body) < 0)
		return err_set(err, "the list of blocks is torn or damaged (its last line does not "
				    "fit the rest): it is read anew from the API");
	char *copy = arena_strndup(&out->arena, text, body), *save = NULL;
	for (size_t i = 0; i < body; i++)
		nlines += text[i] == '\n';
	out->blocks = arena_array(&out->arena, nlines, sizeof(*out->blocks));
	out->foreign = arena_array(&out->arena, nlines, sizeof(*out->foreign));
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		bool good = number++ == 0 ? strcmp(l, FIRST_LINE) == 0 : parse_line(out, l) == 0;

		if (good)
			continue;
		sync_state_free(out);
		return err_set(err,
			       "the list of blocks: line %d cannot be read; it was written by "
			       "another version",
			       number);
	}
	return 0;
}

void sync_state_free(struct sync_state *st)
{
	arena_free(&st->arena);
	memset(st, 0, sizeof(*st));
}
