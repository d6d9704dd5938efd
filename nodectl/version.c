#include "config.h"

#include "nodectl/json.h"
#include "nodectl/nodectl.h"

int cmd_version(struct call *c)
{
	struct json_object *o;

	if (!c->json) {
		say(&c->to, PLAIN, "%s\n", PACKAGE_STRING);
		return EXIT_FINE;
	}
	o = json_object_new_object();
	j_text(o, "version", PACKAGE_VERSION);
	j_print(c->to.f, o);
	return EXIT_FINE;
}
