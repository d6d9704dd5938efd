#include "config.h"

#include "bgpd/ifaces.h"

#include <stdlib.h>

static void clear(struct iface *i)
{
	free(i->name);
	free(i->addresses);
}

void ifaces_set(struct ifaces *t, const struct m_iface *m)
{
	struct iface *i = NULL;
	for (unsigned k = 0; k < t->n && !i; k++)
		if (t->v[k].ifindex == m->ifindex)
			i = &t->v[k];
	if (i) {
		clear(i);
	} else {
		t->v = xrealloc(t->v, (t->n + 1) * sizeof(*t->v));
		i = &t->v[t->n++];
	}
	*i = (struct iface){ .ifindex = m->ifindex,
			     .name = xstrdup(m->name),
			     .up = m->up,
			     .fresh = true,
			     .n = m->addresses.n };
	if (i->n) {
		i->addresses = xcalloc(i->n, sizeof(*i->addresses));
		memcpy(i->addresses, m->addresses.v, i->n * sizeof(*i->addresses));
	}
}

static void drop(struct ifaces *t, unsigned k)
{
	clear(&t->v[k]);
	t->v[k] = t->v[--t->n];
}

void ifaces_del(struct ifaces *t, uint32_t ifindex)
{
	for (unsigned k = 0; k < t->n; k++)
		if (t->v[k].ifindex == ifindex) {
			drop(t, k);
			return;
		}
}

void ifaces_stale(struct ifaces *t)
{
	for (unsigned k = 0; k < t->n; k++)
		t->v[k].fresh = false;
}

unsigned ifaces_sweep(struct ifaces *t)
{
	unsigned dropped = 0;
	for (unsigned k = 0; k < t->n;) {
		if (t->v[k].fresh) {
			k++;
			continue;
		}
		drop(t, k);
		dropped++;
	}
	return dropped;
}

void ifaces_free(struct ifaces *t)
{
	for (unsigned k = 0; k < t->n; k++)
		clear(&t->v[k]);
	free(t->v);
	*t = (struct ifaces){ 0 };
}

const struct iface *ifaces_by_name(const struct ifaces *t, const char *name)
{
	for (unsigned k = 0; k < t->n; k++)
		if (!strcmp(t->v[k].name, name))
			return &t->v[k];
	return NULL;
}

const struct iface *ifaces_by_index(const struct ifaces *t, uint32_t ifindex)
{
	for (unsigned k = 0; k < t->n; k++)
		if (t->v[k].ifindex == ifindex)
			return &t->v[k];
	return NULL;
}

static bool owns(const struct iface *i, const struct addr *a)
{
	for (unsigned k = 0; k < i->n; k++)
		if (addr_eq(&i->addresses[k].addr, a))
			return true;
	return false;
}

const struct iface *ifaces_owner(const struct ifaces *t, const struct addr *own)
{
	for (unsigned k = 0; k < t->n; k++)
		if (owns(&t->v[k], own))
			return &t->v[k];
	return NULL;
}

static bool on_link(const struct iface *i, const struct addr *a)
{
	for (unsigned k = 0; k < i->n; k++) {
		struct prefix net = prefix_mask(&i->addresses[k]);
		if (net.len < family_bits(net.addr.fam) && prefix_contains(&net, a))
			return true;
	}
	return false;
}

const struct iface *ifaces_link_of(const struct ifaces *t, const struct addr *a, uint32_t ifindex)
{
	if (addr_is_linklocal(a) && a->fam == FAM_V6) {
		const struct iface *i = ifaces_by_index(t, ifindex);
		return i && i->up ? i : NULL;
	}
	if (ifaces_owner(t, a))
		return NULL;
	for (unsigned k = 0; k < t->n; k++)
		if (t->v[k].up && (!ifindex || t->v[k].ifindex == ifindex) && on_link(&t->v[k], a))
			return &t->v[k];
	return NULL;
}

struct addr iface_address(const struct iface *i, enum family fam)
{
	struct addr local = { 0 };
	for (unsigned k = 0; i && k < i->n; k++) {
		const struct addr *a = &i->addresses[k].addr;
		if (a->fam != fam || addr_is_martian(a))
			continue;
		if (!addr_is_linklocal(a))
			return *a;
		if (!local.fam)
			local = *a;
	}
	return local;
}
