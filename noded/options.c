#include "config.h"

#include "noded/options.h"

#include <stdio.h>
#include <unistd.h>

static void usage(FILE *to)
{
	fprintf(to,
		"usage: noded [-c FILE] [-n] [-f] | -h | -V\n"
		"\n"
		"  -c FILE  the node's configuration (default " SYSCONFDIR "/selvage/node.yaml)\n"
		"  -n       check the configuration and the resources, say what is wrong, exit\n"
		"  -f       stay in the foreground and log to stderr: always so, taken for habit's "
		"sake\n"
		"  -h       this text\n"
		"  -V       the version\n");
}

enum options_result options_parse(struct options *o, int argc, char **argv)
{
	int opt;
	*o = (struct options){ .file = SYSCONFDIR "/selvage/node.yaml" };

	while ((opt = getopt(argc, argv, "c:nfhV")) != -1) {
		switch (opt) {
		case 'c':
			o->file = optarg;
			break;
		case 'n':
			o->check = true;
			break;
		case 'f':
			break;
		case 'h':
			usage(stdout);
			return OPTIONS_DONE;
		case 'V':
			printf("noded (Selvage) %s\n", PACKAGE_VERSION);
			return OPTIONS_DONE;
		default:
			usage(stderr);
			return OPTIONS_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "noded: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return OPTIONS_USAGE;
	}
	return OPTIONS_RUN;
}
