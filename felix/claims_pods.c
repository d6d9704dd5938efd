/* What Calico writes into a pod's annotations: its addresses, before kubelet reports them, so that
 * the policies of other nodes know them; emptied at DEL. The container's id stays.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "felix/claims_impl.h"
#include "lib/log.h"
#include "store/ipam_api.h"

#define NOTE "cni.projectcalico.org/"

static void on_patched(void *arg, enum ipamobj_result result, const char *why)
{
	(void)arg;
	/* A pod that is gone needs none; who may not write them lacks a convenience. */
	if (result == IPAMOBJ_REFUSED)
		log_warn("ipam", "a pod's annotations cannot be written: %s", why);
}

static void append(char *text, size_t size, const struct addr *a)
{
	struct prefix p = prefix_host(a);
	size_t at = strlen(text);

	if (at && at + 1 < size)
		text[at++] = ',';
	if (at + PREFIX_STRLEN <= size)
		prefix_format(&p, text + at, size - at);
}

void claims_note_pod(struct claims *c, const struct ipam_owner *o, const struct addr *addrs,
		     unsigned naddrs)
{
	char one[PREFIX_STRLEN] = "", all[2 * PREFIX_STRLEN + 1] = "";
	const struct store_annotation v[] = {
		{ NOTE "podIP", one },
		{ NOTE "podIPs", all },
		{ NOTE "containerID", o->container_id },
	};
	unsigned n = sizeof(v) / sizeof(*v) - (o->container_id ? 0 : 1);

	if (!*o->pod || !*o->namespace_)
		return;
	for (unsigned i = 0; i < naddrs; i++)
		append(all, sizeof(all), &addrs[i]);
	if (naddrs)
		append(one, sizeof(one), &addrs[0]);
	store_patch(c->conf.store, STORE_PATCH_POD_STATUS, o->namespace_, o->pod, "", v, n,
		    on_patched, NULL);
}
