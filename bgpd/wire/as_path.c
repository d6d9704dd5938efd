#include "bgpd/wire/attr.h"

#include <stdio.h>

/* A walk over segments; stops where a segment does not fit, so that an unchecked value does no
 * harm either. */
struct segments {
	const uint8_t *p, *end;
	unsigned width; /* octets of an AS number */
	uint8_t type, count;
	const uint8_t *as;
};

static struct segments segments_of(struct blob path, unsigned width)
{
	return (struct segments){
		path.p, path.len ? path.p + path.len : path.p, width, 0, 0, NULL
	};
}

static bool segment_next(struct segments *s)
{
	size_t left = (size_t)(s->end - s->p);

	if (left < 2 || left - 2 < (size_t)s->p[1] * s->width)
		return false;
	s->type = s->p[0];
	s->count = s->p[1];
	s->as = s->p + 2;
	s->p = s->as + (size_t)s->count * s->width;
	return true;
}

static bool is_confed(uint8_t type)
{
	return type == SEG_CONFED_SEQUENCE || type == SEG_CONFED_SET;
}

static unsigned segment_length(const struct segments *s)
{
	return s->type == SEG_SEQUENCE ? s->count : s->type == SEG_SET ? 1 : 0;
}

const char *as_path_check(const uint8_t *v, unsigned len, unsigned width, bool confed)
{
	const uint8_t *end = v + len;

	while (v < end) {
		unsigned left = (unsigned)(end - v);

		if (left < 2)
			return "an octet is left over behind the last segment";
		if (v[0] < SEG_SET || v[0] > SEG_CONFED_SET)
			return "a segment of unknown type";
		if (v[0] >= SEG_CONFED_SEQUENCE && !confed)
			return "a confederation segment, but the peer is in no confederation of "
			       "ours";
		if (v[1] == 0)
			return "a segment without an AS number";
		if (left - 2 < v[1] * width)
			return "a segment runs past the end";
		left = v[1];
		v += 2;
		if (width == 4) {
			for (; left; left--, v += 4)
				if (!(v[0] | v[1] | v[2] | v[3]))
					return "AS number 0";
		} else {
			for (; left; left--, v += 2)
				if (!(v[0] | v[1]))
					return "AS number 0";
		}
	}
	return NULL;
}

static unsigned path_length(struct blob path, unsigned width)
{
	struct segments s = segments_of(path, width);
	unsigned n = 0;

	while (segment_next(&s))
		n += segment_length(&s);
	return n;
}

unsigned as_path_length(struct blob path)
{
	return path_length(path, 4);
}

uint32_t as_path_first(struct blob path)
{
	struct segments s = segments_of(path, 4);

	while (segment_next(&s))
		if (!is_confed(s.type))
			return s.type == SEG_SEQUENCE && s.count ? get_u32(s.as) : 0;
	return 0;
}

unsigned as_path_count(struct blob path, uint32_t asn)
{
	struct segments s = segments_of(path, 4);
	unsigned n = 0;

	while (segment_next(&s))
		for (unsigned i = 0; i < s.count; i++)
			n += get_u32(s.as + i * 4) == asn;
	return n;
}

/* Appends the first `count` numbers of a 2-octet segment; returns where it starts. */
static size_t put_wide(struct wr *w, const struct segments *s, unsigned count)
{
	size_t at = w->len;

	wr_u8(w, s->type);
	wr_u8(w, (uint8_t)count);
	for (unsigned i = 0; i < count; i++)
		wr_u32(w, get_u16(s->as + i * 2));
	return at;
}

/* AS4_PATH's part; its first sequence goes on in the last one that was written (at `last`), so
 * that one path has one form. Confederation segments do not belong there: RFC 6793 section 6. */
static void put_as4(struct wr *w, struct blob as4, size_t start, size_t last)
{
	struct segments s = segments_of(as4, 4);
	bool first = w->len > start;

	while (segment_next(&s)) {
		if (is_confed(s.type))
			continue;
		if (first && !w->full && s.type == SEG_SEQUENCE && w->buf[last] == SEG_SEQUENCE &&
		    w->buf[last + 1] + s.count <= 255) {
			w->buf[last + 1] = (uint8_t)(w->buf[last + 1] + s.count);
		} else {
			wr_u8(w, s.type);
			wr_u8(w, s.count);
		}
		wr_bytes(w, s.as, (size_t)s.count * 4);
		first = false;
	}
}

void as_path_widen(struct wr *w, struct blob path2, struct blob as4)
{
	unsigned n2 = path_length(path2, 2), n4 = path_length(as4, 4);
	struct segments s = segments_of(path2, 2);
	bool merge = n4 > 0 && n2 >= n4;
	unsigned take = merge ? n2 - n4 : n2;
	size_t start = w->len, last = start;

	while (segment_next(&s)) {
		if (merge && !take)
			break;
		last = put_wide(w, &s, s.type == SEG_SEQUENCE && take < s.count ? take : s.count);
		take -= segment_length(&s) < take ? segment_length(&s) : take;
	}
	if (merge)
		put_as4(w, as4, start, last);
}

bool as_path_needs_as4(struct blob path)
{
	struct segments s = segments_of(path, 4);

	while (segment_next(&s))
		for (unsigned i = 0; i < s.count; i++)
			if (get_u32(s.as + i * 4) > UINT16_MAX)
				return true;
	return false;
}

void as_path_narrow(struct wr *w, struct blob path)
{
	struct segments s = segments_of(path, 4);

	while (segment_next(&s)) {
		wr_u8(w, s.type);
		wr_u8(w, s.count);
		for (unsigned i = 0; i < s.count; i++) {
			uint32_t as = get_u32(s.as + i * 4);

			wr_u16(w, as > UINT16_MAX ? AS_TRANS : (uint16_t)as);
		}
	}
}

static void put_repeated(struct wr *w, uint32_t asn, unsigned count)
{
	while (count--)
		wr_u32(w, asn);
}

size_t as_path_prepend(struct blob path, uint32_t asn, unsigned times, uint8_t *out, size_t cap)
{
	struct wr w = wr_over(out, cap < UINT16_MAX ? cap : UINT16_MAX);
	bool joins = path.len >= 2 && path.p[0] == SEG_SEQUENCE;
	unsigned old = joins ? path.p[1] : 255;
	unsigned inside = times < 255 - old ? times : 255 - old;

	/* What overflows the first segment goes into new ones before it: RFC 4271 section 5.1.2. */
	for (unsigned left = times - inside; left;) {
		unsigned n = left % 255 ? left % 255 : 255;

		wr_u8(&w, SEG_SEQUENCE);
		wr_u8(&w, (uint8_t)n);
		put_repeated(&w, asn, n);
		left -= n;
	}
	if (inside) {
		wr_u8(&w, SEG_SEQUENCE);
		wr_u8(&w, (uint8_t)(old + inside));
		put_repeated(&w, asn, inside);
		path.p += 2;
		path.len = (uint16_t)(path.len - 2);
	}
	if (path.len)
		wr_bytes(&w, path.p, path.len);
	return w.full ? 0 : w.len;
}

/* Appends to a text that is cut, with "...", where it is full. */
struct text {
	char *buf;
	size_t size, len;
};

static void text_add(struct text *t, const char *piece, size_t n)
{
	static const char dots[] = "...";

	if (t->len >= t->size)
		return;
	if (t->len + n < t->size) {
		memcpy(t->buf + t->len, piece, n);
		t->len += n;
		t->buf[t->len] = '\0';
		return;
	}
	if (t->size > sizeof(dots)) {
		size_t at = t->len < t->size - sizeof(dots) ? t->len : t->size - sizeof(dots);

		memcpy(t->buf + at, dots, sizeof(dots));
	}
	t->len = t->size;
}

static void text_as(struct text *t, uint32_t as)
{
	char num[12];
	int n = snprintf(num, sizeof(num), "%u", as);

	text_add(t, num, (size_t)n);
}

const char *as_path_format(struct blob path, char *buf, size_t size)
{
	static const struct {
		const char *open, *between, *close;
	} style[] = {
		[SEG_SET] = { "{", ",", "}" },
		[SEG_SEQUENCE] = { "", " ", "" },
		[SEG_CONFED_SEQUENCE] = { "(", " ", ")" },
		[SEG_CONFED_SET] = { "[", ",", "]" },
	};
	struct segments s = segments_of(path, 4);
	struct text t = { buf, size, 0 };

	if (size)
		buf[0] = '\0';
	while (segment_next(&s)) {
		if (s.type < SEG_SET || s.type > SEG_CONFED_SET)
			continue;
		if (t.len)
			text_add(&t, " ", 1);
		text_add(&t, style[s.type].open, strlen(style[s.type].open));
		for (unsigned i = 0; i < s.count; i++) {
			if (i)
				text_add(&t, style[s.type].between, 1);
			text_as(&t, get_u32(s.as + i * 4));
		}
		text_add(&t, style[s.type].close, strlen(style[s.type].close));
	}
	return buf;
}
