/* Any bytes are read as node.yaml, as a file of the resource folder and as a selector. Each either
 * gives something whole or says why not.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/nodeconf.h"
#include "lib/selector.h"
#include "store/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void as_node_yaml(const char *text, size_t len)
{
	struct arena arena = { 0 };
	struct problems p = { .arena = &arena };
	struct nodeconf *c = nodeconf_parse(text, len, "node.yaml", &p);

	must(!c == (p.n > 0), "node.yaml: a problem and a configuration, or neither");
	if (c) {
		must(c->node.name && c->datastore.path && c->state.dir && c->state.run,
		     "node.yaml: a text is NULL");
		must(c->bgp.defaults.hold_time == 0 || c->bgp.defaults.hold_time >= 3000,
		     "node.yaml: a hold time that RFC 4271 does not allow");
	}
	nodeconf_free(c);
	arena_free(&arena);
}

static void check_docs(const struct file_docs *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct object *o = d->v[i];

		must(o->kind < KIND_COUNT && o->spec, "resources: an object without a spec");
		must(name_is_valid(o->name), "resources: an object with a bad name");
		must(o->kind != KIND_IPPOOL ||
			     ((const struct spec_ippool *)o->spec)->block_size >=
				     ((const struct spec_ippool *)o->spec)->cidr.len,
		     "resources: a pool smaller than a block");
	}
}

/* The second reading has the first one's objects to fall back on: what was whole stays whole. */
static void as_resources(const char *text, size_t len)
{
	struct table table = { 0 };
	struct file_docs none = { 0 }, first, again, broken;

	file_read(&first, "f.yaml", text, len, &none, &table);
	check_docs(&first);
	for (unsigned i = 0; i < first.n; i++)
		table_add(&table, first.v[i]);
	table_seal(&table, NULL, NULL);
	file_read(&again, "f.yaml", text, len, &first, &table);
	check_docs(&again);
	must(again.n >= first.n, "resources: an object was lost in the second reading");
	file_read(&broken, "f.yaml", "[", 1, &again, &table);
	must(broken.n >= table.kinds[KIND_IPPOOL].n, "resources: a broken file lost its objects");
	file_free(&first);
	file_free(&again);
	file_free(&broken);
	table_clear(&table);
}

static void as_selector(const char *text)
{
	static struct field_kv kv[] = { { "a", "b" }, { "c", "" } };
	static const struct field_kvs labels = { 2, kv };
	struct arena arena = { 0 };
	struct err err;
	const struct selector *s = selector_parse(text, &arena, &err);

	if (s)
		selector_matches(s, &labels);
	else
		must(!strncmp(err.text, "column ", 7), "selector: an error without its place");
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = xmalloc(len + 1);

	memcpy(text, data, len);
	text[len] = 0;
	as_selector(text);
	if (len && text[0] == 'n')
		as_node_yaml(text, len);
	else
		as_resources(text, len);
	free(text);
	return 0;
}
