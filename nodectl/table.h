/* Text for people: colours where a terminal wants them, and tables whose columns are aligned.
 */
#ifndef SELVAGE_NODECTL_TABLE_H
#define SELVAGE_NODECTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "lib/arena.h"
#include "lib/prefix.h"

enum colour { PLAIN, GOOD, WARN, BAD, BOLD, DIM };

struct out {
	FILE *f;
	bool colour;
};

/* Colours on a terminal, unless NO_COLOR (no-color.org) is set and not empty or TERM is "dumb". */
struct out out_to(FILE *f);

/* Prints in a colour. What came from outside is made harmless: control characters and broken UTF-8
 * become "?". */
void say(const struct out *to, enum colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum { TABLE_COLUMNS = 10, TABLE_ROWS = 500 };

struct column {
	const char *head;
	bool right; /* numbers */
};

/* Up to TABLE_ROWS rows are held to find the widths; a longer table is printed in such parts,
 * whose columns only ever grow. */
struct table {
	const struct out *to;
	const struct column *columns; /* ends with head NULL */
	unsigned ncolumns, nrows, next, indent;
	unsigned width[TABLE_COLUMNS];
	bool head_printed;
	struct arena arena;
	struct {
		const char *text;
		enum colour colour;
	} cells[TABLE_ROWS][TABLE_COLUMNS];
};

/* The table is borrowed by nobody; free it with table_end(). */
struct table *table_new(const struct out *to, const struct column *columns, unsigned indent);
/* The next cell, from left to right; the row ends by itself. */
void cell(struct table *t, enum colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_end(struct table *t); /* prints and frees */

/* --- words for values; each returns buf --- */
enum { WORD = 64 };
/* "3s", "4m10s", "5h02m", "12d03h" from then to now; "-" for then 0. */
const char *age(char buf[WORD], time_t now, uint64_t then);
const char *bytes_text(char buf[WORD], uint64_t n); /* "1.2 MiB"; "-" for 0 */
/* How many addresses a network has: a number up to 2^32, "2^80" beyond. */
const char *size_text(char buf[WORD], const struct prefix *net, uint64_t size);
const char *addr_text(char buf[WORD], const struct addr *a);
const char *prefix_text(char buf[WORD], const struct prefix *p);
/* An endpoint's address: without "/32" or "/128". */
const char *host_text(char buf[WORD], const struct prefix *p);
const char *or_dash(const char *text);

#endif
