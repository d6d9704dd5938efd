#include "config.h"

#include "felix/felix_impl.h"

#include <stdio.h>
#include <string.h>

#include "felix/claims.h"
#include "lib/log.h"

unsigned felix_reasons(const struct felix *f, const char *list[FELIX_REASONS])
{
	unsigned n = 0;

	if (*f->store_why)
		list[n++] = f->store_why;
	else if (f->store && !felix_synced(f))
		list[n++] = "the Kubernetes API has not been read yet (see errors)";
	if (*f->address_why)
		list[n++] = f->address_why;
	if (*f->sysctl_why)
		list[n++] = f->sysctl_why;
	if (*f->journal_why)
		list[n++] = f->journal_why;
	if (f->claims && *claims_why(f->claims))
		list[n++] = claims_why(f->claims);
	if (f->desired && f->desired->fatal)
		list[n++] = "the datastore's pools or blocks contradict each other (see errors); "
			    "the blocks of before stay in use";
	else if (f->desired && f->desired->npools > 0 && f->desired->nallocate == 0)
		list[n++] = "this node has no block of any pool to give addresses from";
	return n;
}

void felix_tell_ready(struct felix *f)
{
	const char *list[FELIX_REASONS];
	char text[1024] = "";
	size_t at = 0;

	if (!f->up)
		return;
	unsigned n = felix_reasons(f, list);
	for (unsigned i = 0; i < n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? "; " : "",
				       list[i]);
	child_ready(&f->child, n == 0, text);
}

void felix_set_why(struct felix *f, char why[512], const char *text)
{
	if (strcmp(why, text) == 0)
		return;
	snprintf(why, 512, "%s", text);
	if (*why)
		log_error("felix", "%s", why);
	felix_tell_ready(f);
}
