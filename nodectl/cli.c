#include "config.h"

#include "nodectl/nodectl.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define RUNDIR_DEFAULT "/run/selvage"

enum { OPT_IN = 256, OPT_OUT, OPT_BEST, OPT_VERSION };

static const struct {
	const char *name, *arg; /* arg NULL: none */
	int letter;		/* below 256: also as -letter */
	const char *help;
} options[] = {
	{ "rundir", "RUNDIR", 's', "the folder of noded's sockets; default " RUNDIR_DEFAULT },
	{ "json", NULL, 'j', "print JSON with stable field names" },
	{ "help", NULL, 'h', "print this list" },
	{ "version", NULL, OPT_VERSION, "print the version" },
	{ "in", "PEER", OPT_IN, "routes: what this peer sent" },
	{ "out", "PEER", OPT_OUT, "routes: what this peer was sent" },
	{ "best", NULL, OPT_BEST, "routes: only what was chosen" },
};
enum { NOPTIONS = sizeof(options) / sizeof(options[0]) };

static const struct command commands[] = {
	{ "status", "", "is the node ready, and if not, why", 0, 0, false, cmd_status },
	{ "peers", "[NAME]", "BGP sessions, or all about one", 1, 0, false, cmd_peers },
	{ "routes", "[--in PEER | --out PEER | --best] [PREFIX]",
	  "BGP routes; a bare address shows the route that it takes", 1, 0, true, cmd_routes },
	{ "ipam show", "", "address pools, this node's blocks, and what each node holds", 0, 0,
	  false, cmd_ipam_show },
	{ "ipam check", "", "do journal, interfaces, the API's blocks and the pods agree", 0, 0,
	  false, cmd_ipam_check },
	{ "ipam release", "[ADDRESS]",
	  "mend what check finds and what is safe to mend; or only this address", 1, 0, false,
	  cmd_ipam_release },
	{ "endpoints", "", "the pods of this node", 0, 0, false, cmd_endpoints },
	{ "log", "LEVEL [SUBSYSTEM]",
	  "set the log level (error, warn, info, debug) until the next restart", 2, 1, false,
	  cmd_log },
	{ "version", "", "print the version", 0, 0, false, cmd_version },
	{ "endpoint add", "", NULL, 0, 0, false, NULL },
	{ "endpoint del", "", NULL, 0, 0, false, NULL },
	{ "policy list", "", NULL, 0, 0, false, NULL },
	{ "policy why", "", NULL, 0, 0, false, NULL },
	{ "doctor", "", NULL, 0, 0, false, NULL },
	{ "observe", "", NULL, 0, 0, false, NULL },
	{ "drain", "", NULL, 0, 0, false, NULL },
	{ "undrain", "", NULL, 0, 0, false, NULL },
};
enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

int complain(int status, const char *fmt, ...)
{
	struct out to = { stderr, false };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(&to, PLAIN, "nodectl: %s\n", text);
	return status;
}

void nodectl_help(FILE *to)
{
	char left[80];

	fprintf(to, "usage: nodectl [-s RUNDIR] [-j] COMMAND [ARGUMENT ...]\n\nCommands:\n");
	for (int i = 0; i < NCOMMANDS; i++) {
		if (!commands[i].run)
			continue;
		fprintf(to, "  %s%s%s\n        %s\n", commands[i].words,
			commands[i].args[0] ? " " : "", commands[i].args, commands[i].help);
	}
	fprintf(to, "\nOptions:\n");
	for (int i = 0; i < NOPTIONS; i++) {
		if (options[i].letter < 256)
			snprintf(left, sizeof(left), "-%c, --%s %s", options[i].letter,
				 options[i].name, options[i].arg ? options[i].arg : "");
		else
			snprintf(left, sizeof(left), "    --%s %s", options[i].name,
				 options[i].arg ? options[i].arg : "");
		fprintf(to, "  %-22s  %s\n", left, options[i].help);
	}
	fprintf(to, "\nExit status: 0 fine, 1 something is wrong, 2 usage, 3 a daemon cannot be "
		    "reached.\n");
}

void nodectl_help_mdoc(FILE *to)
{
	fprintf(to, ".Ss Options\n.Bl -tag -width Ds\n");
	for (int i = 0; i < NOPTIONS; i++) {
		fprintf(to, ".It ");
		if (options[i].letter < 256)
			fprintf(to, "Fl %c , ", options[i].letter);
		fprintf(to, "Fl Fl %s", options[i].name);
		if (options[i].arg)
			fprintf(to, " Ar %s", options[i].arg);
		fprintf(to, "\n%s.\n", options[i].help);
	}
	fprintf(to, ".El\n.Ss Commands\n.Bl -tag -width Ds\n");
	for (int i = 0; i < NCOMMANDS; i++)
		if (commands[i].run)
			fprintf(to, ".It Cm %s%s%s\n%s.\n", commands[i].words,
				commands[i].args[0] ? " " : "", commands[i].args, commands[i].help);
	fprintf(to, ".El\n");
}

/* How many of argv's words the row's words take; 0: it is another command. */
static int match(const struct command *cmd, int argc, char **argv)
{
	const char *space = strchr(cmd->words, ' ');
	size_t n = space ? (size_t)(space - cmd->words) : strlen(cmd->words);

	if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], cmd->words, n))
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

/* "ipam" alone or with a wrong second word: says what could stand there. */
static int no_command(int argc, char **argv)
{
	char known[200] = "";
	size_t n = strlen(argv[0]), len;

	for (int i = 0; i < NCOMMANDS; i++) {
		if (!commands[i].run || strncmp(commands[i].words, argv[0], n) ||
		    commands[i].words[n] != ' ')
			continue;
		len = strlen(known);
		snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
			 commands[i].words);
	}
	if (known[0])
		return complain(EXIT_USAGE, "\"%s%s%s\" is no command; expected %s", argv[0],
				argc > 1 ? " " : "", argc > 1 ? argv[1] : "", known);
	return complain(EXIT_USAGE, "\"%s\" is no command; nodectl --help lists them", argv[0]);
}

static bool is_later(const struct command *cmd, const char *word)
{
	size_t n = strlen(word);

	return !cmd->run && !strncmp(cmd->words, word, n) &&
	       (cmd->words[n] == ' ' || !cmd->words[n]);
}

static int run(struct call *c, int argc, char **argv)
{
	const struct command *cmd = NULL;
	int words = 0;

	for (int i = 0; i < NCOMMANDS && !words; i++) {
		cmd = &commands[i];
		words = match(cmd, argc, argv);
	}
	/* "policy", whose every command comes later, is known too. */
	for (int i = 0; i < NCOMMANDS && !words && strcmp(argv[0], "ipam"); i++)
		if (is_later(&commands[i], argv[0]))
			return complain(EXIT_USAGE, "%s: not in this version", argv[0]);
	if (!words)
		return no_command(argc, argv);
	if (!cmd->run)
		return complain(EXIT_USAGE, "%s: not in this version", cmd->words);
	c->args = argv + words;
	c->nargs = argc - words;
	if (c->nargs > cmd->most_args || c->nargs < cmd->least_args)
		return complain(EXIT_USAGE, "usage: nodectl %s %s", cmd->words, cmd->args);
	if (!cmd->routes && (c->in || c->out || c->best))
		return complain(EXIT_USAGE, "--in, --out and --best belong to routes, not to %s",
				cmd->words);
	return cmd->run(c);
}

/* The table in getopt's two forms. */
static void make_getopt(struct option *longs, char *shorts)
{
	*shorts++ = ':';
	for (int i = 0; i < NOPTIONS; i++) {
		longs[i] = (struct option){ options[i].name,
					    options[i].arg ? required_argument : no_argument, NULL,
					    options[i].letter };
		if (options[i].letter >= 256)
			continue;
		*shorts++ = (char)options[i].letter;
		if (options[i].arg)
			*shorts++ = ':';
	}
	*shorts = '\0';
	longs[NOPTIONS] = (struct option){ 0 };
}

/* -1: go on; else the exit status. */
static int read_options(struct call *c, int argc, char **argv, bool *version)
{
	struct option longs[NOPTIONS + 1];
	char shorts[2 * NOPTIONS + 2];
	int opt;

	make_getopt(longs, shorts);
	while ((opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			c->rundir = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			nodectl_help(c->to.f);
			return EXIT_FINE;
		case OPT_VERSION:
			*version = true;
			break;
		case OPT_IN:
			c->in = optarg;
			break;
		case OPT_OUT:
			c->out = optarg;
			break;
		case OPT_BEST:
			c->best = true;
			break;
		case ':':
			return complain(EXIT_USAGE, "%s needs a value; nodectl --help says which",
					argv[optind - 1]);
		default:
			return complain(EXIT_USAGE, "unknown option %s; nodectl --help lists them",
					argv[optind - 1]);
		}
	}
	return -1;
}

int nodectl_main(int argc, char **argv)
{
	struct call c = { .rundir = RUNDIR_DEFAULT, .now = time(NULL), .to = out_to(stdout) };
	bool version = false;
	int status = read_options(&c, argc, argv, &version);

	if (status >= 0)
		return status;
	if (version)
		return cmd_version(&c);
	if (optind == argc)
		return complain(EXIT_USAGE, "which command? nodectl --help lists them");
	status = run(&c, argc - optind, argv + optind);
	if (fflush(stdout) || ferror(stdout))
		return complain(EXIT_WRONG, "standard output cannot be written");
	return status;
}
