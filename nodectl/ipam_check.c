#include "config.h"

#include "nodectl/client.h"
#include "nodectl/json.h"
#include "nodectl/nodectl.h"
#include "nodectl/rows.h"

struct json_object *issues_to_json(const struct rows *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < r->issues.n; i++) {
		const struct m_ctl_issue *is = r->issues.v[i];
		struct json_object *o = json_object_new_object();

		j_text(o, "kind", is->kind);
		j_text(o, "object", is->object);
		j_text(o, "text", is->text);
		j_text(o, "mend", is->mend);
		json_object_object_add(o, "mended", json_object_new_boolean(is->mended));
		json_object_array_add(list, o);
	}
	return list;
}

unsigned issues_open(const struct rows *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->issues.n; i++)
		n += !((const struct m_ctl_issue *)r->issues.v[i])->mended;
	return n;
}

void issues_to_text(const struct out *to, const struct rows *r, bool released)
{
	unsigned open = issues_open(r), mendable = 0;

	for (unsigned i = 0; i < r->issues.n; i++) {
		const struct m_ctl_issue *is = r->issues.v[i];

		say(to, is->mended ? GOOD : BAD, "%s", is->mended ? "mended   " : "WRONG    ");
		say(to, PLAIN, "%s: %s\n", is->object, is->text);
		if (!is->mended && *is->mend)
			say(to, PLAIN, "         mend: %s\n", is->mend);
		mendable += !is->mended && *is->mend;
	}
	if (r->issues.n == 0)
		say(to, GOOD, "journal, interfaces, blocks and pods agree\n");
	else if (released)
		say(to, open ? WARN : GOOD, "%u mended, %u left\n", r->issues.n - open, open);
	else
		say(to, WARN, "%u found, of which `nodectl ipam release` mends %u\n", open,
		    mendable);
}

static int ask(struct call *c, enum ctl_what what, const char *name)
{
	struct m_ctl_query q = { .what = (uint8_t)what, .name = name };
	struct arena arena = { 0 };
	struct rows r = { 0 };
	struct err err;
	int status;
	enum answer a = ctl_ask(c->rundir, CTL_FELIX, &q, &arena, rows_keep, &r, &err);

	if (a != ANSWER_OK) {
		status = complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s",
				  err.text);
	} else {
		status = issues_open(&r) ? EXIT_WRONG : EXIT_FINE;
		if (c->json)
			j_print(c->to.f, issues_to_json(&r));
		else
			issues_to_text(&c->to, &r, what == CTL_IPAM_RELEASE);
	}
	rows_free(&r);
	arena_free(&arena);
	return status;
}

int cmd_ipam_check(struct call *c)
{
	return ask(c, CTL_IPAM_CHECK, "");
}

int cmd_ipam_release(struct call *c)
{
	return ask(c, CTL_IPAM_RELEASE, c->nargs ? c->args[0] : "");
}
