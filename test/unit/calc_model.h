/* A dataplane that only remembers: what the ops told, and what follows from it. It also refuses
 * what a real one could not do: rows for a class or identity that is not there, a switch to what
 * has not been added, a number used again too early.
 */
#ifndef SELVAGE_TEST_CALC_MODEL_H
#define SELVAGE_TEST_CALC_MODEL_H

#include "felix/policy/calc.h"

struct model;
struct model *model_new(void);
void model_free(struct model *m);
/* Whose numbers it gives back. */
void model_of(struct model *m, struct calc *c);
extern const struct calc_ops model_ops;

uint32_t model_ident(const struct model *m, const struct addr *a);
uint32_t model_class(const struct model *m, uint64_t endpoint);
bool model_lookup(const struct model *m, const struct calc_table *t, uint32_t ident, uint8_t proto,
		  uint16_t sport, uint16_t dport, struct calc_row *row);
bool model_empty(const struct model *m);

#endif
