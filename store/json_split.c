#include "config.h"

#include "store/json_split.h"

#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"

enum state {
	AT_START,
	AT_KEY, /* a key, or the end of the outermost object */
	IN_KEY,
	AT_COLON,
	AT_VALUE,
	IN_VALUE,
	AT_ITEM, /* an element of "items", or the end of the array */
	IN_ITEM,
	AFTER_ITEM,
	AT_END,
	IS_BAD,
};

void json_split_init(struct json_split *s, enum json_split_mode mode)
{
	memset(s, 0, sizeof(*s));
	s->mode = mode;
}

void json_split_free(struct json_split *s)
{
	free(s->held);
	memset(s, 0, sizeof(*s));
}

static enum json_split_event bad(struct json_split *s, const char *why)
{
	s->state = IS_BAD;
	s->why = why;
	return JSON_SPLIT_BAD;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* false: the object would be too long. */
static bool hold(struct json_split *s, const char *from, size_t n)
{
	if (n > JSON_SPLIT_OBJECT_MAX - s->nheld)
		return false;
	if (s->nheld + n > s->cap) {
		while (s->cap < s->nheld + n)
			s->cap = s->cap ? s->cap * 2 : 4096;
		s->held = xrealloc(s->held, s->cap);
	}
	memcpy(s->held + s->nheld, from, n);
	s->nheld += n;
	return true;
}

/* What was held is given out and can go; a rare big object does not keep its room for ever. */
static void release(struct json_split *s)
{
	enum { KEEP = 64 << 10 };

	s->text = NULL;
	s->len = 0;
	if (s->cap > KEEP) {
		free(s->held);
		s->held = NULL;
		s->cap = 0;
	}
	s->nheld = 0;
}

/* The text from `from` to `to` ends an object: told from the piece itself, or with what is held. */
static bool give(struct json_split *s, const char *from, const char *to)
{
	size_t n = (size_t)(to - from);

	if (!s->nheld) {
		if (n > JSON_SPLIT_OBJECT_MAX)
			return false;
		s->text = from;
		s->len = n;
		return true;
	}
	if (!hold(s, from, n))
		return false;
	s->text = s->held;
	s->len = s->nheld;
	return true;
}

static const char *skip_string(struct json_split *s, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (s->escaped)
			s->escaped = false;
		else if (*p == '\\')
			s->escaped = true;
		else if (*p == '"') {
			s->in_string = false;
			return p + 1;
		}
	}
	return p;
}

/* Behind the value's last character, or NULL where it goes on in the next piece. */
static const char *scan_value(struct json_split *s, const char *p, const char *end)
{
	while (p < end) {
		if (s->in_string) {
			p = skip_string(s, p, end);
			if (!s->in_string && !s->depth)
				return p;
			continue;
		}
		switch (*p) {
		case '"':
			s->in_string = true;
			break;
		case '{':
		case '[':
			s->depth++;
			break;
		case '}':
		case ']':
			if (!s->depth)
				return p; /* the end of what holds a number or a word */
			if (!--s->depth)
				return p + 1;
			break;
		default:
			if (!s->depth && (*p == ',' || is_space(*p)))
				return p;
		}
		p++;
	}
	return NULL;
}

static enum json_split_event next_line(struct json_split *s, const char **p, const char *end)
{
	while (*p < end) {
		const char *nl = memchr(*p, '\n', (size_t)(end - *p)), *from = *p;

		if (!nl) {
			*p = end;
			if (!hold(s, from, (size_t)(end - from)))
				return bad(s, "an event is longer than 3 MiB");
			return JSON_SPLIT_MORE;
		}
		*p = nl + 1;
		if (!give(s, from, nl))
			return bad(s, "an event is longer than 3 MiB");
		for (size_t i = 0; i < s->len; i++)
			if (!is_space(s->text[i]))
				return JSON_SPLIT_ITEM;
		release(s);
	}
	return JSON_SPLIT_MORE;
}

static enum json_split_event begin_value(struct json_split *s, char c, const char **p)
{
	s->depth = 0;
	s->in_string = s->escaped = false;
	if (s->in_items) {
		s->state = IN_ITEM;
	} else if (c == '[' && !strcmp(s->key, "items")) {
		s->in_items = true;
		s->state = AT_ITEM;
		++*p;
	} else {
		s->state = IN_VALUE;
	}
	return JSON_SPLIT_MORE;
}

static enum json_split_event in_value(struct json_split *s, const char **p, const char *end)
{
	const char *from = *p, *stop = scan_value(s, from, end);
	bool item = s->state == IN_ITEM;

	*p = stop ? stop : end;
	if (!stop) {
		if (!hold(s, from, (size_t)(end - from)))
			return bad(s, "an object is longer than 3 MiB");
		return JSON_SPLIT_MORE;
	}
	if (!give(s, from, stop))
		return bad(s, "an object is longer than 3 MiB");
	if (!s->len)
		return bad(s, "a value is missing");
	s->state = item ? AFTER_ITEM : AT_KEY;
	return item ? JSON_SPLIT_ITEM : JSON_SPLIT_MEMBER;
}

static void in_key(struct json_split *s, const char **p, const char *end)
{
	while (*p < end) {
		char c = *(*p)++;

		if (!s->escaped && c == '"') {
			s->key[s->nkey] = 0;
			s->state = AT_COLON;
			return;
		}
		s->escaped = !s->escaped && c == '\\';
		if (s->nkey < sizeof(s->key) - 1)
			s->key[s->nkey++] = c;
	}
}

/* One character that is no blank, outside of keys and values. */
static enum json_split_event punctuation(struct json_split *s, const char **p)
{
	char c = **p;

	switch ((enum state)s->state) {
	case AT_START:
		if (c != '{')
			return bad(s, "it does not begin with {");
		s->state = AT_KEY;
		break;
	case AT_KEY:
		if (c == '"') {
			s->nkey = 0;
			s->escaped = false;
			s->state = IN_KEY;
		} else if (c == '}') {
			s->state = AT_END;
			++*p;
			return JSON_SPLIT_END;
		} else if (c != ',') {
			return bad(s, "a key is missing");
		}
		break;
	case AT_COLON:
		if (c != ':')
			return bad(s, "a colon is missing");
		s->state = AT_VALUE;
		break;
	case AT_ITEM:
	case AFTER_ITEM:
		if (c == ']') {
			s->in_items = false;
			s->state = AT_KEY;
		} else if (c == ',' && s->state == AFTER_ITEM) {
			s->state = AT_ITEM;
		} else if (s->state == AFTER_ITEM) {
			return bad(s, "a comma is missing between two items");
		} else {
			return begin_value(s, c, p);
		}
		break;
	case AT_VALUE:
		return begin_value(s, c, p);
	default:
		return bad(s, "something stands behind its end");
	}
	++*p;
	return JSON_SPLIT_MORE;
}

enum json_split_event json_split_next(struct json_split *s, const char **p, const char *end)
{
	if (s->text)
		release(s);
	if (s->state == IS_BAD)
		return JSON_SPLIT_BAD;
	if (s->mode == JSON_SPLIT_LINES)
		return next_line(s, p, end);
	while (*p < end) {
		enum json_split_event e = JSON_SPLIT_MORE;

		if (s->state == IN_KEY)
			in_key(s, p, end);
		else if (s->state == IN_VALUE || s->state == IN_ITEM)
			e = in_value(s, p, end);
		else if (is_space(**p))
			++*p;
		else
			e = punctuation(s, p);
		if (e != JSON_SPLIT_MORE)
			return e;
	}
	return JSON_SPLIT_MORE;
}

bool json_split_whole(const struct json_split *s)
{
	if (s->mode == JSON_SPLIT_LINES)
		return s->state != IS_BAD && (!s->nheld || s->text);
	return s->state == AT_END;
}
