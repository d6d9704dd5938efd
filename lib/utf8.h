/* Text from outside (a peer's shutdown message, a file name) before it reaches a terminal, a log
 * or a JSON document.
 */
#ifndef SELVAGE_LIB_UTF8_H
#define SELVAGE_LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 sequence at p (1 to 4; RFC 3629 section 4), 0 where there is none.
 * p is NUL-terminated; the NUL itself is a sequence of one byte. */
static inline size_t utf8_len(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	uint8_t lo = 0x80, hi = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	/* The second byte shuts out overlong forms, surrogates and what lies above U+10FFFF. */
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Is the sequence at p a control character (C0, DEL or C1), which must not reach a terminal? */
static inline int utf8_is_control(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

#endif
