/* Calico's selectors: which nodes, pods or namespaces a resource is about, by their labels.
 *
 *   expr   = and { "||" and }          and = op { "&&" op }          op = { "!" } term
 *   term   = "(" expr ")" | "all()" | "global()" | "has(" label ")"
 *          | label ( "==" | "!=" | "contains" | "starts with" | "ends with" ) string
 *          | label ( "in" | "not in" ) "{" [ string { "," string } ] "}"
 *   label  = letters, digits and _ . / -, at most 512
 *   string = anything in "double" or 'single' quotes; there are no escapes
 *
 * An empty text selects everything. "!=" and "not in" hold where the label is absent. "global()"
 * holds for what has no namespace (no label projectcalico.org/namespace).
 */
#ifndef SELVAGE_LIB_SELECTOR_H
#define SELVAGE_LIB_SELECTOR_H

#include <stdbool.h>

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/schema.h"

struct selector;

/* The tree lives in the arena and borrows nothing from text. NULL: "column 7: what was expected".
 * Parentheses may nest 32 deep. */
const struct selector *selector_parse(const char *text, struct arena *arena, struct err *err);

bool selector_matches(const struct selector *s, const struct field_kvs *labels);

#endif
