#include "config.h"

#include "lib/log.h"

#include "nodectl/client.h"
#include "nodectl/nodectl.h"

int cmd_log(struct call *c)
{
	int level = log_level_parse(c->args[0]);
	struct m_log_level body = { c->nargs > 1 ? c->args[1] : "", 0 };
	struct err err;
	enum answer a;

	if (level < 0)
		return complain(EXIT_USAGE,
				"\"%s\" is no log level; expected error, warn, info or "
				"debug",
				c->args[0]);
	body.level = (uint8_t)level;
	a = ctl_command(c->rundir, M_LOG_LEVEL, &body, &err);
	if (a == ANSWER_OK)
		return EXIT_FINE;
	return complain(a == ANSWER_UNREACHABLE ? EXIT_UNREACHABLE : EXIT_WRONG, "%s", err.text);
}
