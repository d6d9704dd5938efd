/* Policies from YAML, and as a text that a test's table can hold:
 *
 *   default/1000 IE {ns=default labels=app == 'web'}
 *   ingress[0] Allow tcp from{nets=10.0.0.0/8} to{ports=80-90,http}
 */
#ifndef SELVAGE_TEST_UNIT_POLICY_TEXT_H
#define SELVAGE_TEST_UNIT_POLICY_TEXT_H

#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "felix/policy/policy.h"
#include "store/model.h"

/* The objects of a file; the test ends with it, so nothing is freed. */
struct objects {
	struct object *v[16];
	unsigned n;
	struct arena arena;
};

static inline void objects_add(void *arg, const struct model_item *item)
{
	struct objects *o = arg;

	ck_assert_uint_lt(o->n, 16);
	ck_assert_msg(item->object != NULL, "%s %s is no object", item->kind_text, item->name);
	o->v[o->n++] = item->object;
}

static inline void objects_read(struct objects *o, const char *text)
{
	struct problems problems = { .arena = &o->arena };
	uint32_t position = 0;
	bool anonymous = false;
	struct doc *docs;
	struct err err;

	ck_assert_msg(!yaml_parse(text, strlen(text), "p.yaml", &o->arena, &docs, &err), "%s\n%s",
		      err.text, text);
	for (struct doc *d = docs; d; d = d->next)
		model_read(d->root, "p.yaml", &position, objects_add, o, &problems, &anonymous);
	ck_assert_msg(!problems.n, "%s", problems.n ? problems.text[0] : "");
}

struct out {
	char text[16384];
	size_t n;
};

static inline void __attribute__((format(printf, 2, 3))) put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(o->text + o->n, sizeof(o->text) - o->n, fmt, ap);

	va_end(ap);
	ck_assert_int_ge(n, 0);
	o->n += (size_t)n;
	ck_assert_uint_lt(o->n, sizeof(o->text));
}

static inline void put_selector(struct out *o, const char *name, const struct policy_selector *s)
{
	ck_assert_int_eq(!s->text, !s->sel);
	if (s->text)
		put(o, " %s=%s", name, s->text);
}

static inline void put_match(struct out *o, const struct match *m)
{
	if (m->namespace_)
		put(o, " ns=%s", m->namespace_);
	put_selector(o, "labels", &m->labels);
	put_selector(o, "nsel", &m->ns);
	put_selector(o, "sa", &m->sa);
	for (uint32_t i = 0; i < m->accounts.n; i++)
		put(o, "%s%s", i ? "," : " accounts=", m->accounts.v[i]);
}

static inline void put_nets(struct out *o, const char *name, const struct policy_nets *n)
{
	char buf[PREFIX_STRLEN];

	for (uint32_t i = 0; i < n->n; i++)
		put(o, "%s%s%s", i ? "," : " ", i ? "" : name,
		    prefix_format(&n->v[i], buf, sizeof(buf)));
}

static inline void put_ports(struct out *o, const char *name, const struct policy_ports *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		put(o, "%s", i ? "," : name);
		if (p->v[i].name)
			put(o, "%s", p->v[i].name);
		else if (p->v[i].lo == p->v[i].hi)
			put(o, "%u", p->v[i].lo);
		else
			put(o, "%u-%u", p->v[i].lo, p->v[i].hi);
	}
}

static inline void put_entity(struct out *o, const char *name, const struct entity *e)
{
	size_t before;

	put(o, " %s{", name);
	before = o->n;
	ck_assert_int_eq(e->has_nets, e->nets.n > 0);
	put_nets(o, "nets=", &e->nets);
	put_nets(o, "!nets=", &e->not_nets);
	if (e->selected)
		put(o, e->match.pods_only ? " pods" : " any");
	put_match(o, &e->match);
	put_selector(o, "!labels", &e->not_labels);
	if (e->service.name)
		put(o, " svc=%s/%s", e->service.namespace_, e->service.name);
	put_ports(o, " ports=", &e->ports);
	put_ports(o, " !ports=", &e->not_ports);
	if (o->n == before) {
		o->n -= strlen(name) + 2;
		o->text[o->n] = 0;
	} else {
		memmove(o->text + before, o->text + before + 1, o->n - before);
		o->n--;
		put(o, "}");
	}
}

static inline void put_protocol(struct out *o, const char *not_, const struct policy_protocol *p)
{
	static const struct {
		uint8_t number;
		const char *name;
	} names[] = {
		{ 1, "icmp" }, { 6, "tcp" }, { 17, "udp" }, { 58, "icmp6" }, { 132, "sctp" }
	};

	if (!p->set)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == p->number) {
			put(o, " %s%s", not_, names[i].name);
			return;
		}
	put(o, " %s%u", not_, p->number);
}

static inline void put_icmp(struct out *o, const char *not_, const struct policy_icmp *i)
{
	if (i->set && i->has_code)
		put(o, " %stype=%u/%u", not_, i->type, i->code);
	else if (i->set)
		put(o, " %stype=%u", not_, i->type);
}

static inline void put_rules(struct out *o, const struct policy_rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		const struct rule *r = &rules->v[i];

		put(o, "\n%s %s", r->name, policy_action_name(r->action));
		if (r->family)
			put(o, " v%d", r->family == FAM_V4 ? 4 : 6);
		put_protocol(o, "", &r->protocol);
		put_protocol(o, "!", &r->not_protocol);
		put_icmp(o, "", &r->icmp);
		put_icmp(o, "!", &r->not_icmp);
		put_entity(o, "from", &r->source);
		put_entity(o, "to", &r->destination);
	}
}

static inline const char *policy_text(struct out *o, const struct policy *p)
{
	size_t at;

	o->n = 0;
	put(o, "%s/", p->tier);
	if (p->order == (double)INFINITY)
		put(o, "- ");
	else
		put(o, "%g ", p->order);
	put(o, "%s%s%s%s%s%s {", p->types[POLICY_INGRESS] ? "I" : "",
	    p->types[POLICY_EGRESS] ? "E" : "", p->staged ? " staged" : "", p->pods ? "" : " hosts",
	    p->not_served ? " !" : "", p->not_served ? p->not_served : "");
	at = o->n;
	put_match(o, &p->subject);
	if (o->n > at) {
		memmove(o->text + at, o->text + at + 1, o->n - at);
		o->n--;
	}
	put(o, "}%s", p->subject_unknown ? " unknown" : "");
	ck_assert(p->subject.pods_only);
	put_rules(o, &p->rules[POLICY_INGRESS]);
	put_rules(o, &p->rules[POLICY_EGRESS]);
	return o->text;
}

/* A row of a table: one document, its text, and what is said of it (NULL: nothing). */
struct policy_row {
	const char *what, *doc, *want, *problem;
};

static inline void check_policy(const struct policy_row *row)
{
	struct objects objects = { 0 };
	struct problems problems = { .arena = &objects.arena };
	struct out *out = arena_alloc(&objects.arena, sizeof(*out));
	struct policy *p;

	objects_read(&objects, row->doc);
	ck_assert_uint_eq(objects.n, 1);
	p = policy_read(objects.v[0], &problems);
	ck_assert_ptr_nonnull(p);
	/* Nothing is borrowed. */
	object_unref(objects.v[0]);
	ck_assert_msg(!p->invalid == !problems.n, "%s: invalid and problems differ", row->what);
	if (!row->problem)
		ck_assert_msg(!p->invalid, "%s: %s", row->what, p->invalid);
	else
		ck_assert_msg(p->invalid && strstr(p->invalid, row->problem),
			      "%s: \"%s\" lacks \"%s\"", row->what, p->invalid ? p->invalid : "",
			      row->problem);
	ck_assert_msg(!strcmp(policy_text(out, p), row->want), "%s:\n%s\nexpected:\n%s", row->what,
		      out->text, row->want);
	policy_unref(p);
	arena_free(&objects.arena);
}

#define CHECK_ROWS(rows)                                                                           \
	for (size_t i_ = 0; i_ < sizeof(rows) / sizeof((rows)[0]); i_++)                           \
	check_policy(&(rows)[i_])

#endif
