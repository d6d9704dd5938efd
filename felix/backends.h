/* Where Services lead: their ready addresses and ports, for policies that name a Service. Pure.
 */
#ifndef SELVAGE_FELIX_BACKENDS_H
#define SELVAGE_FELIX_BACKENDS_H

#include "felix/policy/calc.h"
#include "store/store.h"

/* Tells the calc graph of every Service that has EndpointSlices, and of those that have none any
 * more. Remembers what it told, so that a second call costs what changed. */
struct backends;
struct backends *backends_new(void);
void backends_free(struct backends *b);
void backends_update(struct backends *b, const struct store *s, struct calc *c);

#endif
