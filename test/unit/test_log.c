/* Lines are read back from a file that stands in for standard error. */
#include "config.h"

#include "test/unit/unit.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

static char out[8192];
static FILE *file;
static int kept_stderr;

static void capture(void)
{
	fflush(stderr);
	kept_stderr = dup(STDERR_FILENO);
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	dup2(fileno(file), STDERR_FILENO);
}

/* What was written since capture(), without the time. */
static const char *written(void)
{
	size_t n;

	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	rewind(file);
	n = fread(out, 1, sizeof(out) - 1, file);
	out[n] = '\0';
	fclose(file);
	return out;
}

static const char *after_time(const char *line)
{
	const char *sp = strchr(line, ' ');

	return sp ? sp + 1 : line;
}

START_TEST(a_line_is_logfmt)
{
	regex_t re;

	log_init("bgpd", LOG_INFO);
	capture();
	log_obj(LOG_INFO, "session", "peer", "tor1", "established after %d s", 3);
	written();
	ck_assert_str_eq(after_time(out), "level=info proc=bgpd sub=session peer=tor1 "
					  "msg=\"established after 3 s\"\n");
	ck_assert(!regcomp(&re,
			   "^time=20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
			   "\\.[0-9]{3}Z level=",
			   REG_EXTENDED | REG_NOSUB));
	ck_assert(!regexec(&re, out, 0, NULL, 0));
	regfree(&re);
}
END_TEST

START_TEST(without_subsystem_or_object)
{
	log_init("noded", LOG_INFO);
	capture();
	log_msg(LOG_ERROR, NULL, "x");
	ck_assert_str_eq(after_time(written()), "level=error proc=noded msg=\"x\"\n");
}
END_TEST

static const struct {
	const char *value, *expect;
} quoting[] = {
	{ "plain/10.0.0.1:179", "k=plain/10.0.0.1:179" },
	{ "two words", "k=\"two words\"" },
	{ "", "k=\"\"" },
	{ NULL, "k=\"\"" },
	{ "a=b", "k=\"a=b\"" },
	{ "say \"hi\"", "k=\"say \\\"hi\\\"\"" },
	{ "back\\slash", "k=\"back\\\\slash\"" },
	{ "line\nlevel=error", "k=\"line\\nlevel=error\"" },
	{ "\x1b[31mred", "k=\"\\u001b[31mred\"" },
	{ "tab\there", "k=\"tab\\u0009here\"" },
	{ "del\x7f", "k=\"del\\u007f\"" },
	{ "\xc2\x9b"
	  "csi",
	  "k=\"\\u009bcsi\"" },
	{ "gr\xc3\xbc\xc3\x9f", "k=\"gr\xc3\xbc\xc3\x9f\"" },
	{ "bad\xff\xc3(", "k=\"bad\xef\xbf\xbd\xef\xbf\xbd(\"" },
	{ "over\xc0\xaf", "k=\"over\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "cut\xe2\x82", "k=\"cut\xef\xbf\xbd\xef\xbf\xbd\"" },
};

START_TEST(values_are_quoted_where_needed)
{
	char expect[256];

	log_init("p", LOG_INFO);
	for (size_t i = 0; i < sizeof(quoting) / sizeof(quoting[0]); i++) {
		capture();
		log_obj(LOG_INFO, NULL, "k", quoting[i].value, "m");
		snprintf(expect, sizeof(expect), "level=info proc=p %s msg=\"m\"\n",
			 quoting[i].expect);
		ck_assert_str_eq(after_time(written()), expect);
	}
}
END_TEST

START_TEST(a_long_line_is_cut_but_whole)
{
	static char text[6000];
	size_t n;

	memset(text, 'x', sizeof(text) - 1);
	log_init("p", LOG_INFO);
	capture();
	log_msg(LOG_INFO, NULL, "%s", text);
	n = strlen(written());
	ck_assert_uint_lt(n, 2100);
	ck_assert_str_eq(out + n - 5, "...\"\n");
	capture();
	log_obj(LOG_INFO, NULL, "k", text, "still said");
	written();
	ck_assert_ptr_nonnull(strstr(out, "xxx...\" msg=\"still said\"\n"));
}
END_TEST

START_TEST(levels)
{
	log_init("p", LOG_INFO);
	ck_assert(log_enabled(LOG_INFO, "rib") && !log_enabled(LOG_DEBUG, "rib"));
	log_set_level("rib", LOG_DEBUG);
	ck_assert(log_enabled(LOG_DEBUG, "rib") && !log_enabled(LOG_DEBUG, "session"));
	ck_assert(!log_enabled(LOG_DEBUG, NULL));
	log_set_level("rib", LOG_ERROR);
	ck_assert(!log_enabled(LOG_WARN, "rib") && log_enabled(LOG_WARN, "session"));
	log_set_level(NULL, LOG_WARN);
	ck_assert(log_enabled(LOG_WARN, "rib") && !log_enabled(LOG_INFO, "session"));
	capture();
	log_info("rib", "not said");
	log_debug("rib", "nor this");
	ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(more_subsystems_than_room_is_harmless)
{
	char name[32];

	log_init("p", LOG_INFO);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "sub%d", i);
		log_set_level(name, LOG_DEBUG);
	}
	log_set_level("a name that is much longer than any subsystem's", LOG_DEBUG);
	ck_assert(log_enabled(LOG_DEBUG, "sub0") && log_enabled(LOG_DEBUG, "sub31"));
	ck_assert(!log_enabled(LOG_DEBUG, "sub32"));
}
END_TEST

START_TEST(level_names)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(log_level_parse(names[i]), i);
		ck_assert_str_eq(log_level_name(i), names[i]);
	}
	ck_assert_int_eq(log_level_parse("Info"), -1);
	ck_assert_int_eq(log_level_parse(""), -1);
	ck_assert_str_eq(log_level_name(77), "?");
}
END_TEST

START_TEST(errno_survives_a_line)
{
	log_init("p", LOG_INFO);
	capture();
	errno = ENOTTY;
	log_info(NULL, "x");
	ck_assert_int_eq(errno, ENOTTY);
	written();
}
END_TEST

UNIT_MAIN("log", a_line_is_logfmt, without_subsystem_or_object, values_are_quoted_where_needed,
	  a_long_line_is_cut_but_whole, levels, more_subsystems_than_room_is_harmless, level_names,
	  errno_survives_a_line)
