/* Each recovery of a reflector: what happened goes in, the next request and what the copy must do
 * come out. Time is simulated. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "store/reflector.h"
#include "test/unit/unit.h"

/* One step of a story. First what is expected of reflector_next(), then what happens. */
enum happens { OPENED, PAGE, EVENT, FAILED, END, BROKEN, GARBAGE, NOTHING };

struct step {
	const char
		*query; /* words that the request has, separated by blanks; "wait", "-" no look */
	enum happens what;
	const char *version, *more; /* PAGE, EVENT: version; PAGE: the next page's token */
	enum reflector_type type;
	int code;
	double retry_after;
	unsigned acts;	 /* what it must ask for */
	double min, max; /* of the pause before the next request */
};

#define S_OPEN(q, a)                                                                               \
	{                                                                                          \
		.query = q, .what = OPENED, .acts = a                                              \
	}
#define S_PAGE(v, m, a)                                                                            \
	{                                                                                          \
		.query = "-", .what = PAGE, .version = v, .more = m, .acts = a                     \
	}
#define S_EVENT(t, v, a)                                                                           \
	{                                                                                          \
		.query = "-", .what = EVENT, .type = t, .version = v, .acts = a                    \
	}
#define S_INITIAL_END(v)                                                                           \
	{                                                                                          \
		.query = "-", .what = EVENT, .type = REFLECTOR_BOOKMARK, .version = v, .code = 1,  \
		.acts = REFLECTOR_COMMIT                                                           \
	}
#define S_ERROR(c, ra, lo, hi)                                                                     \
	{                                                                                          \
		.query = "-", .what = EVENT, .type = REFLECTOR_ERROR, .version = "", .code = c,    \
		.retry_after = ra, .acts = REFLECTOR_STOP, .min = lo, .max = hi                    \
	}
#define S_FAIL(q, c, ra, a, lo, hi)                                                                \
	{                                                                                          \
		.query = q, .what = FAILED, .code = c, .retry_after = ra, .acts = a, .min = lo,    \
		.max = hi                                                                          \
	}
#define S_END(lo, hi)                                                                              \
	{                                                                                          \
		.query = "-", .what = END, .min = lo, .max = hi                                    \
	}
#define S_BREAK(w, lo, hi)                                                                         \
	{                                                                                          \
		.query = "-", .what = w, .min = lo, .max = hi                                      \
	}
#define S_LOOK(q)                                                                                  \
	{                                                                                          \
		.query = q, .what = NOTHING                                                        \
	}

#define LIST0	"limit=500 resourceVersion=0"
#define FROM(v) "watch=1 allowWatchBookmarks=true timeoutSeconds= resourceVersion=" v
/* The first list and its watch, at version 10. */
#define BEGUN                                                                                      \
	S_OPEN(LIST0, REFLECTOR_BEGIN), S_PAGE("10", "", REFLECTOR_COMMIT), S_OPEN(FROM("10"), 0)

static const struct story {
	const char *name;
	bool streaming;
	enum reflector_absence absence;
	struct step steps[14];
} stories[] = {
	{ "a list, then a watch from its version",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_EVENT(REFLECTOR_ADDED, "11", REFLECTOR_PUT),
	    S_EVENT(REFLECTOR_MODIFIED, "12", REFLECTOR_PUT),
	    S_EVENT(REFLECTOR_DELETED, "13", REFLECTOR_DELETE),
	    S_EVENT(REFLECTOR_BOOKMARK, "20", 0), S_EVENT(REFLECTOR_OTHER, "99", 0), S_END(0, 0),
	    S_LOOK(FROM("20")) } },
	{ "pages replace the copy at the last one",
	  false,
	  REFLECTOR_CORE,
	  { S_OPEN(LIST0, REFLECTOR_BEGIN), S_PAGE("10", "a&b=", 0),
	    S_OPEN("limit=500 continue=a%26b%3D", 0), S_PAGE("10", "", REFLECTOR_COMMIT),
	    S_LOOK(FROM("10")) } },
	{ "a page fails: the same page again",
	  false,
	  REFLECTOR_CORE,
	  { S_OPEN(LIST0, REFLECTOR_BEGIN), S_PAGE("10", "tok", 0),
	    S_FAIL("continue=tok", 500, 0, 0, 0, 0.8), S_OPEN("continue=tok", 0),
	    S_PAGE("10", "", REFLECTOR_COMMIT) } },
	{ "a page expired: from the start",
	  false,
	  REFLECTOR_CORE,
	  { S_OPEN(LIST0, REFLECTOR_BEGIN), S_PAGE("10", "tok", 0),
	    S_FAIL("continue=tok", 410, 0, 0, 0, 0),
	    S_OPEN("resourceVersion=10 NotOlderThan", REFLECTOR_BEGIN),
	    S_PAGE("12", "", REFLECTOR_COMMIT), S_LOOK(FROM("12")) } },
	{ "410 to a watch, in an answer: list, never back in time",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_EVENT(REFLECTOR_ADDED, "15", REFLECTOR_PUT), S_END(0, 0),
	    S_FAIL(FROM("15"), 410, 0, 0, 0, 0),
	    S_OPEN("limit=500 resourceVersion=15 NotOlderThan", REFLECTOR_BEGIN),
	    S_PAGE("30", "", REFLECTOR_COMMIT), S_LOOK(FROM("30")) } },
	{ "410 in an event",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(410, 0, 0, 0), S_OPEN("limit=500 NotOlderThan", REFLECTOR_BEGIN) } },
	{ "410 twice: past every cache",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(410, 0, 0, 0), S_OPEN("NotOlderThan", REFLECTOR_BEGIN),
	    S_PAGE("12", "", REFLECTOR_COMMIT), S_OPEN(FROM("12"), 0), S_ERROR(410, 0, 0, 0),
	    S_OPEN("limit=500 resourceVersion=", REFLECTOR_BEGIN),
	    S_PAGE("40", "", REFLECTOR_COMMIT), S_OPEN(FROM("40"), 0),
	    S_EVENT(REFLECTOR_ADDED, "41", REFLECTOR_PUT), S_ERROR(410, 0, 0, 0),
	    S_LOOK("resourceVersion=41 NotOlderThan") } },
	{ "410 for ever: with pauses",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(410, 0, 0, 0), S_FAIL("NotOlderThan", 410, 0, 0, 0, 0),
	    S_FAIL("limit=500 resourceVersion=", 410, 0, 0, 0, 0.8),
	    S_FAIL("limit=500 resourceVersion=", 410, 0, 0, 0, 1.6) } },
	{ "an ERROR event with 500: watch on after a pause",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(500, 0, 0, 0.8), S_OPEN(FROM("10"), 0) } },
	{ "an ERROR event with 429 and its time",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(429, 7, 7, 8), S_OPEN(FROM("10"), 0) } },
	{ "429 with Retry-After",
	  false,
	  REFLECTOR_CORE,
	  { S_FAIL(LIST0, 429, 5, 0, 5, 6), S_OPEN(LIST0, REFLECTOR_BEGIN) } },
	{ "no answer: pauses that double",
	  false,
	  REFLECTOR_CORE,
	  { S_FAIL(LIST0, 0, 0, 0, 0, 0.8), S_FAIL(LIST0, 0, 0, 0, 0, 1.6),
	    S_FAIL(LIST0, 0, 0, 0, 0, 3.2), S_OPEN(LIST0, REFLECTOR_BEGIN) } },
	{ "a server that has not seen the version: past every cache in the end",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_ERROR(410, 0, 0, 0), S_FAIL("NotOlderThan", 504, 0, 0, 0, 0.8),
	    S_OPEN("limit=500 resourceVersion=", REFLECTOR_BEGIN) } },
	{ "a list that is cut: the whole again",
	  false,
	  REFLECTOR_CORE,
	  { S_OPEN(LIST0, REFLECTOR_BEGIN), S_BREAK(BROKEN, 0, 0.8), S_OPEN(LIST0, REFLECTOR_BEGIN),
	    S_PAGE("10", "", REFLECTOR_COMMIT) } },
	{ "a watch that is cut: on from the last whole event",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_EVENT(REFLECTOR_ADDED, "11", REFLECTOR_PUT), S_BREAK(BROKEN, 0, 0.8),
	    S_LOOK(FROM("11")) } },
	{ "a watch that is no JSON: a list",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_BREAK(GARBAGE, 0, 0.8), S_LOOK("limit=500 NotOlderThan") } },
	{ "a watch that ends at once is no clean end",
	  false,
	  REFLECTOR_CORE,
	  { BEGUN, S_BREAK(END, 0, 0.8), S_OPEN(FROM("10"), 0), S_BREAK(END, 0, 1.6) } },
	{ "a kind that is not installed: empty, again in a minute",
	  false,
	  REFLECTOR_CRD,
	  { S_FAIL(LIST0, 404, 0, REFLECTOR_ABSENT, 60, 61),
	    S_FAIL(LIST0, 404, 0, REFLECTOR_ABSENT, 60, 61), BEGUN } },
	{ "404 for what was there is believed the third time",
	  false,
	  REFLECTOR_CRD,
	  { BEGUN, S_EVENT(REFLECTOR_ADDED, "11", REFLECTOR_PUT), S_END(0, 0),
	    S_FAIL(FROM("11"), 404, 0, 0, 0, 0.8), S_FAIL(FROM("11"), 404, 0, 0, 0, 1.6),
	    S_FAIL(FROM("11"), 404, 0, REFLECTOR_ABSENT, 60, 61), S_LOOK(LIST0) } },
	{ "404 of a core kind is a fault",
	  false,
	  REFLECTOR_CORE,
	  { S_FAIL(LIST0, 404, 0, 0, 0, 0.8), S_OPEN(LIST0, REFLECTOR_BEGIN) } },
	{ "403 is a fault, but of an optional kind",
	  false,
	  REFLECTOR_CRD,
	  { S_FAIL(LIST0, 403, 0, 0, 0, 0.8) } },
	{ "403 of an optional kind",
	  false,
	  REFLECTOR_OPTIONAL,
	  { S_FAIL(LIST0, 403, 0, REFLECTOR_ABSENT, 60, 61) } },
	{ "a streaming list, then its own watch",
	  true,
	  REFLECTOR_CORE,
	  { S_OPEN("watch=1 sendInitialEvents=true NotOlderThan", REFLECTOR_BEGIN),
	    S_EVENT(REFLECTOR_ADDED, "3", REFLECTOR_PUT), S_EVENT(REFLECTOR_BOOKMARK, "5", 0),
	    S_INITIAL_END("10"), S_EVENT(REFLECTOR_DELETED, "11", REFLECTOR_DELETE), S_END(0, 0),
	    S_LOOK(FROM("11")) } },
	{ "a server without streaming lists: never again",
	  true,
	  REFLECTOR_CORE,
	  { S_FAIL("sendInitialEvents=true", 422, 0, 0, 0, 0), BEGUN, S_ERROR(410, 0, 0, 0),
	    S_LOOK("limit=500 NotOlderThan") } },
	{ "a streaming list that ends before its end",
	  true,
	  REFLECTOR_CORE,
	  { S_OPEN("sendInitialEvents=true", REFLECTOR_BEGIN),
	    S_EVENT(REFLECTOR_ADDED, "3", REFLECTOR_PUT), S_END(0, 0.8), S_LOOK(LIST0) } },
	{ "a streaming list that is cut: streaming again",
	  true,
	  REFLECTOR_CORE,
	  { S_OPEN("sendInitialEvents=true", REFLECTOR_BEGIN),
	    S_EVENT(REFLECTOR_ADDED, "3", REFLECTOR_PUT), S_BREAK(BROKEN, 0, 0.8),
	    S_OPEN("sendInitialEvents=true", REFLECTOR_BEGIN) } },
	{ "410 after a streaming list: streaming, then a list past every cache",
	  true,
	  REFLECTOR_CORE,
	  { S_OPEN("sendInitialEvents=true", REFLECTOR_BEGIN), S_INITIAL_END("10"),
	    S_ERROR(410, 0, 0, 0),
	    S_OPEN("sendInitialEvents=true resourceVersion=", REFLECTOR_BEGIN),
	    S_ERROR(410, 0, 0, 0), S_LOOK("limit=500 resourceVersion=") } },
	{ "401 is waited out",
	  false,
	  REFLECTOR_CORE,
	  { S_FAIL(LIST0, 401, 0, 0, 0, 0.8), S_OPEN(LIST0, REFLECTOR_BEGIN) } },
};

/* Each word of the list stands in the query, as a whole argument where it has a value. */
static bool has_words(const char *query, const char *words)
{
	char copy[256], text[sizeof(((struct reflector_next *)0)->query) + 2];
	char *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", words);
	snprintf(text, sizeof(text), "%s&", query);
	while ((word = strsep(&rest, " ")) != NULL) {
		const char *at = strstr(text, word);
		size_t n = strlen(word);
		bool open = !strcmp(word, "timeoutSeconds=");

		if (!at || (strchr(word, '=') && !open && at[n] != '&'))
			return false;
	}
	return true;
}

static unsigned happen(struct reflector *r, const struct step *s, double *now)
{
	const struct reflector_event e = {
		.type = s->type,
		.version = s->version,
		.initial_end = s->type == REFLECTOR_BOOKMARK && s->code,
		.code = s->code,
		.retry_after = s->retry_after,
		.text = "words",
	};

	switch (s->what) {
	case OPENED:
		return reflector_opened(r, *now);
	case PAGE:
		return reflector_page(r, *now, s->version, s->more);
	case EVENT:
		return reflector_event(r, *now, &e);
	case FAILED:
		return reflector_failed(r, *now, s->code, s->retry_after, "words");
	case END:
		/* max 0: it had lasted as watches do. */
		*now += s->max > 0 ? 0 : 400;
		return reflector_end(r, *now, NULL, false);
	case BROKEN:
	case GARBAGE:
		return reflector_end(r, *now, "it broke", s->what == GARBAGE);
	case NOTHING:
		break;
	}
	return 0;
}

static void tell(const struct story *story, uint64_t seed)
{
	struct reflector_next *next = malloc(sizeof(*next));
	bool streaming = story->streaming;
	struct reflector_conf conf = { "", "", story->absence, &streaming, seed };
	struct reflector r;
	double now = 1000;

	reflector_init(&r, &conf);
	for (unsigned i = 0; i < 14 && story->steps[i].query; i++) {
		const struct step *s = &story->steps[i];

		if (strcmp(s->query, "-") != 0) {
			reflector_next(&r, now, next);
			ck_assert_msg(next->want == REFLECTOR_REQUEST, "%s, step %u: no request",
				      story->name, i);
			ck_assert_msg(has_words(next->query, s->query), "%s, step %u: %s, want %s",
				      story->name, i, next->query, s->query);
			ck_assert_int_eq(next->mode == REFLECTOR_WATCH,
					 strstr(next->query, "watch=1") != NULL);
			reflector_next(&r, now, next);
			ck_assert_int_eq(next->want, REFLECTOR_BUSY);
		}
		unsigned acts = happen(&r, s, &now);

		ck_assert_msg(acts == s->acts, "%s, step %u: acts %u, want %u", story->name, i,
			      acts, s->acts);
		if (s->what == NOTHING || s->what == OPENED || s->what == PAGE ||
		    (s->what == EVENT && s->type != REFLECTOR_ERROR))
			continue;
		double pause = r.wait_until > now ? r.wait_until - now : 0;

		ck_assert_msg(pause >= s->min - 1e-6 && pause <= s->max + 1e-6,
			      "%s, step %u: a pause of %f s", story->name, i, pause);
		if (pause > 0) {
			struct reflector copy = r;

			reflector_next(&copy, now, next);
			ck_assert_int_eq(next->want, REFLECTOR_WAIT);
			ck_assert(next->until == r.wait_until);
		}
		now = r.wait_until > now ? r.wait_until : now;
	}
	reflector_free(&r);
	free(next);
}

START_TEST(recoveries)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		for (uint64_t seed = 0; seed < 50; seed++)
			tell(&stories[i], seed * 7919);
}
END_TEST

/* timeoutSeconds is random in 300..600, and a watch that outlives it by 30 s is given up. */
START_TEST(timeouts)
{
	struct reflector_next next;
	unsigned lowest = 9999, highest = 0;
	bool streaming = false;

	for (uint64_t seed = 1; seed < 2000; seed++) {
		struct reflector_conf conf = { "", "", REFLECTOR_CORE, &streaming, seed };
		struct reflector r;
		unsigned seconds = 0;

		reflector_init(&r, &conf);
		reflector_next(&r, 0, &next);
		reflector_opened(&r, 0);
		reflector_page(&r, 0, "1", "");
		reflector_next(&r, 0, &next);
		ck_assert_int_eq(sscanf(strstr(next.query, "timeoutSeconds="), "timeoutSeconds=%u",
					&seconds),
				 1);
		ck_assert(next.timeout == seconds + 30.0);
		lowest = seconds < lowest ? seconds : lowest;
		highest = seconds > highest ? seconds : highest;
	}
	ck_assert(lowest >= 300 && lowest < 303 && highest <= 600 && highest > 597);
}
END_TEST

START_TEST(selectors)
{
	struct reflector_next next;
	bool streaming = true;
	struct reflector_conf conf = { "a=b", "spec.nodeName=n 1", REFLECTOR_CORE, &streaming, 1 };
	struct reflector r;

	reflector_init(&r, &conf);
	reflector_next(&r, 0, &next);
	ck_assert_int_eq(next.query[0], '?');
	ck_assert(has_words(next.query, "labelSelector=a%3Db fieldSelector=spec.nodeName%3Dn%201"));
}
END_TEST

/* A watch that stands from version 10, at time 0. */
static void begin(struct reflector *r, bool *streaming)
{
	struct reflector_conf conf = { "", "", REFLECTOR_CORE, streaming, 1 };
	struct reflector_next next;

	*streaming = false;
	reflector_init(r, &conf);
	reflector_next(r, 0, &next);
	reflector_opened(r, 0);
	reflector_page(r, 0, "10", "");
	reflector_next(r, 0, &next);
	reflector_opened(r, 0);
}

/* An etcd that was restored counts from lower numbers: nothing ever comes, and nothing is wrong. */
START_TEST(silent_watch)
{
	const struct reflector_event mark = { .type = REFLECTOR_BOOKMARK, .version = "12" };
	struct reflector_next next;
	struct reflector r;
	bool streaming;

	begin(&r, &streaming);
	reflector_end(&r, 300, NULL, false);
	reflector_next(&r, 300, &next);
	ck_assert_int_eq(next.want, REFLECTOR_REQUEST);
	ck_assert_int_eq(next.mode, REFLECTOR_LIST);
	ck_assert_msg(!strstr(next.query, "resourceVersion=1") &&
			      !strstr(next.query, "resourceVersion=0"),
		      "%s", next.query);
	reflector_free(&r);

	begin(&r, &streaming);
	reflector_event(&r, 60, &mark);
	reflector_end(&r, 300, NULL, false);
	reflector_next(&r, 300, &next);
	ck_assert(has_words(next.query, FROM("12")));
	reflector_free(&r);
}
END_TEST

/* The same at the start of a streaming list: 504 in an event. */
START_TEST(streaming_from_the_future)
{
	const struct reflector_event error = { .type = REFLECTOR_ERROR,
					       .version = "",
					       .code = 504,
					       .text = "Too large resource version" };
	struct reflector_next next;
	struct reflector r;
	bool streaming;

	begin(&r, &streaming);
	streaming = true;
	reflector_end(&r, 1, "what came was no JSON", true);
	for (unsigned i = 0; i < 3; i++) {
		double now = 100 * (i + 1);

		reflector_next(&r, now, &next);
		ck_assert_int_eq(next.want, REFLECTOR_REQUEST);
		ck_assert(i > 0 || strstr(next.query, "resourceVersion=10"));
		if (!strstr(next.query, "resourceVersion=10"))
			break;
		ck_assert_msg(i < 2, "%s", next.query);
		reflector_opened(&r, now);
		reflector_event(&r, now, &error);
	}
	reflector_free(&r);
}
END_TEST

START_TEST(hurry)
{
	struct reflector_next next;
	bool streaming = false;
	struct reflector_conf conf = { "", "", REFLECTOR_CORE, &streaming, 1 };
	struct reflector r;

	reflector_init(&r, &conf);
	reflector_next(&r, 10, &next);
	reflector_failed(&r, 10, 401, 100, "no");
	ck_assert(r.trouble && !r.synced);
	reflector_next(&r, 10, &next);
	ck_assert_int_eq(next.want, REFLECTOR_WAIT);
	reflector_hurry(&r);
	reflector_next(&r, 10, &next);
	ck_assert_int_eq(next.want, REFLECTOR_REQUEST);
	reflector_opened(&r, 10);
	reflector_page(&r, 10, "1", "");
	ck_assert(!r.trouble && r.synced);
}
END_TEST

UNIT_MAIN("reflector", silent_watch, streaming_from_the_future, recoveries, timeouts, selectors,
	  hurry)
