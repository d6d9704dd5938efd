/* Calico's IPAM objects from and to JSON (lib/ipamobj.h has them as structs). Reading is tolerant
 * of what it does not know; writing begins with the object as it was read, so that fields of other
 * writers stay. No loop, no socket.
 */
#ifndef SELVAGE_STORE_IPAMOBJ_JSON_H
#define SELVAGE_STORE_IPAMOBJ_JSON_H

#include "lib/ipamobj.h"

/* "IPAMBlock", "ipamblocks". */
const char *ipamobj_kind_text(enum ipamobj_kind kind);
const char *ipamobj_plural(enum ipamobj_kind kind);

/* A struct ipamobj_<kind> in the arena, or NULL and why: an object whose parts contradict each
 * other (an index beyond the attributes, another number of addresses than its CIDR has) is not
 * taken. */
const void *ipamobj_decode(enum ipamobj_kind kind, const char *text, size_t len,
			   struct arena *arena, struct err *err);
/* Of a PartialObjectMetadata or any other object: its metadata alone. NULL and why. */
const struct ipamobj_meta *ipamobj_decode_meta(const char *text, size_t len, struct arena *arena,
					       struct err *err);
/* The JSON to POST or PUT, malloc()ed. api: "crd.projectcalico.org/v1" or "projectcalico.org/v3".
 * NULL and why where object->meta.raw is no JSON. */
char *ipamobj_encode(enum ipamobj_kind kind, const void *object, const char *api, struct err *err);

#endif
