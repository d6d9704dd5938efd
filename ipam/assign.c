/* Leases: which addresses answer a want, who gets them and who gives them back. */
#include "config.h"

#include <stdio.h>

#include "ipam/ipam_impl.h"

static const enum family fams[2] = { FAM_V4, FAM_V6 };

static const char *family_name(enum family fam)
{
	return fam == FAM_V4 ? "IPv4" : "IPv6";
}

static unsigned bit(unsigned fam)
{
	return 1u << fam;
}

/* ---- which blocks may serve ---- */

static const struct ipam_pools *pools_of(const struct ipam_want *w, enum family fam)
{
	return fam == FAM_V4 ? &w->v4 : &w->v6;
}

/* pool NULL: by the block's own `allocate`. */
static bool may_serve(const struct own_block *ob, enum family fam, const struct prefix *pool)
{
	if (!ob->ours || ob->conf.closed || ob->conf.cidr.addr.fam != fam)
		return false;
	return pool ? prefix_covers(pool, &ob->conf.cidr) : ob->conf.allocate;
}

/* Calls for each block that may serve the family, in order of preference, until one returns true. A
 * block under two listed prefixes comes twice, which harms nothing. */
static bool each_block(const struct ipam *ipam, const struct ipam_want *w, enum family fam,
		       bool (*cb)(void *arg, struct own_block *ob), void *arg)
{
	const struct ipam_pools *p = pools_of(w, fam);
	unsigned rounds = p->only ? p->n : 1;

	for (unsigned k = 0; k < rounds; k++)
		for (unsigned i = 0; i < ipam->nblocks; i++)
			if (may_serve(&ipam->blocks[i], fam, p->only ? &p->v[k] : NULL) &&
			    cb(arg, &ipam->blocks[i]))
				return true;
	return false;
}

struct search {
	const struct ipam *ipam;
	uint64_t now;
	struct addr found;
	bool any_block, cooling;
};

static bool search_block(void *arg, struct own_block *ob)
{
	struct search *s = arg;
	struct block_count c;

	s->any_block = true;
	if (block_next(ob->b, s->ipam->cooldown, s->now, &s->found))
		return true;
	block_count(ob->b, s->ipam->cooldown, s->now, &c);
	s->cooling |= c.cooling > 0;
	return false;
}

/* Names one address of a family. IPAM_OUTSIDE: no block may serve it. */
static enum ipam_result find_free(const struct ipam *ipam, const struct ipam_want *w,
				  enum family fam, uint64_t now, struct addr *out)
{
	struct search s = { .ipam = ipam, .now = now };

	if (each_block(ipam, w, fam, search_block, &s)) {
		*out = s.found;
		return IPAM_OK;
	}
	return !s.any_block ? IPAM_OUTSIDE : s.cooling ? IPAM_COOLING : IPAM_EXHAUSTED;
}

static bool contains(const struct own_block *ob, const struct addr *a)
{
	return ob->ours && !ob->conf.closed && prefix_contains(&ob->conf.cidr, a);
}

static const struct own_block *block_of(const struct ipam *ipam, const struct addr *a)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		if (contains(&ipam->blocks[i], a))
			return &ipam->blocks[i];
	return NULL;
}

static bool is_foreign(const struct ipam *ipam, const struct addr *a)
{
	const struct own_block *ob = block_of(ipam, a);

	return ob && block_foreign(ob->b, a);
}

unsigned ipam_short_of(const struct ipam *ipam, const struct ipam_want *w, uint64_t now)
{
	unsigned shortage = 0;
	struct addr a;

	for (unsigned i = 0; i < w->naddrs; i++)
		if (!block_of(ipam, &w->addrs[i]))
			shortage |= bit(w->addrs[i].fam);
	for (unsigned i = 0; i < 2 && !w->naddrs; i++) {
		if (!((w->families | w->if_any) & bit(fams[i])))
			continue;
		enum ipam_result rc = find_free(ipam, w, fams[i], now, &a);
		if (rc != IPAM_OK && (rc != IPAM_OUTSIDE || w->families & bit(fams[i])))
			shortage |= bit(fams[i]);
	}
	return shortage;
}

/* ---- choosing ---- */

struct listing {
	const struct ipam *ipam;
	uint64_t now;
	char text[400];
	size_t at;
};

static bool list_block(void *arg, struct own_block *ob)
{
	struct listing *l = arg;
	char cidr[PREFIX_STRLEN], foreign[48] = "";
	struct block_count c;

	block_count(ob->b, l->ipam->cooldown, l->now, &c);
	if (c.foreign)
		snprintf(foreign, sizeof(foreign), ", %u held by other writers", c.foreign);
	l->at +=
		(size_t)snprintf(l->text + l->at, sizeof(l->text) - l->at,
				 "%s%s: %u held, %u cooling down, %u reserved%s", l->at ? "; " : "",
				 prefix_format(&ob->conf.cidr, cidr, sizeof(cidr)), c.held,
				 c.cooling, c.reserved, foreign);
	return l->at > sizeof(l->text) - 160;
}

static enum ipam_result say_exhausted(const struct ipam *ipam, const struct ipam_want *w,
				      enum family fam, uint64_t now, enum ipam_result rc,
				      struct err *err)
{
	struct listing l = { .ipam = ipam, .now = now };

	if (rc == IPAM_OUTSIDE) {
		err_set(err,
			"this node has no %s block of %s to give an address from: nodectl ipam "
			"show lists what it has",
			family_name(fam),
			pools_of(w, fam)->only ? "the pools that may serve" : "any pool");
		return IPAM_EXHAUSTED;
	}
	each_block(ipam, w, fam, list_block, &l);
	err_set(err, "no free %s address in this node's blocks (%s)", family_name(fam), l.text);
	return rc;
}

static enum ipam_result choose(const struct ipam *ipam, const struct ipam_want *w, uint64_t now,
			       struct addr out[2], unsigned *n, struct err *err)
{
	*n = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (!((w->families | w->if_any) & bit(fams[i])))
			continue;
		enum ipam_result rc = find_free(ipam, w, fams[i], now, &out[*n]);
		if (rc == IPAM_OK)
			(*n)++;
		else if (rc != IPAM_OUTSIDE || w->families & bit(fams[i]))
			return say_exhausted(ipam, w, fams[i], now, rc, err);
	}
	if (*n > 0)
		return IPAM_OK;
	err_set(err, "this node has no block of any pool to give an address from: "
		     "nodectl ipam show lists what it has");
	return IPAM_EXHAUSTED;
}

static enum ipam_result say_taken(const struct lease *l, const struct addr *a, struct err *err)
{
	char text[ADDR_STRLEN];
	const struct ipam_owner *o = &l->pub.owner;

	addr_format(a, text, sizeof(text));
	if (o->pod[0])
		err_set(err, "address %s is held by pod %s/%s (container %s, %s)", text,
			o->namespace_, o->pod, o->container_id, o->ifname);
	else
		err_set(err, "address %s is held by container %s, %s", text, o->container_id,
			o->ifname);
	return IPAM_TAKEN;
}

static enum ipam_result check_count(const struct addr *addrs, unsigned n, struct err *err)
{
	if (n > 2 || (n == 2 && addrs[0].fam == addrs[1].fam)) {
		err_set(err, "at most one address of each family can be asked for");
		return IPAM_OUTSIDE;
	}
	return IPAM_OK;
}

static enum ipam_result check_exact(const struct ipam *ipam, const struct ipam_want *w,
				    struct err *err)
{
	char text[ADDR_STRLEN];

	if (check_count(w->addrs, w->naddrs, err) != IPAM_OK)
		return IPAM_OUTSIDE;
	for (unsigned i = 0; i < w->naddrs; i++) {
		const struct addr *a = &w->addrs[i];
		const struct lease *l = leases_find_addr(&ipam->leases, a);

		if (l)
			return say_taken(l, a, err);
		addr_format(a, text, sizeof(text));
		if (!block_of(ipam, a)) {
			err_set(err, "address %s lies in no block of this node", text);
			return IPAM_OUTSIDE;
		}
		if (is_foreign(ipam, a)) {
			err_set(err,
				"address %s is held by another writer of its IPAMBlock: nodectl "
				"ipam show names the handle",
				text);
			return IPAM_TAKEN;
		}
	}
	return IPAM_OK;
}

static bool has_addr(void *arg, struct own_block *ob)
{
	return contains(ob, arg);
}

/* Is what a pending lease holds what is wanted now? */
static bool lease_answers(const struct ipam *ipam, const struct ipam_lease *l,
			  const struct ipam_want *w)
{
	unsigned have = 0, found = 0;

	for (unsigned k = 0; k < l->naddrs; k++) {
		struct addr a = l->addrs[k];

		have |= bit(a.fam);
		for (unsigned i = 0; i < w->naddrs; i++)
			found += addr_eq(&a, &w->addrs[i]);
		if (is_foreign(ipam, &a))
			return false;
		if (!w->naddrs && !each_block(ipam, w, (enum family)a.fam, has_addr, &a))
			return false;
	}
	if (w->naddrs)
		return found == w->naddrs && found == l->naddrs;
	return !(w->families & ~have) && !(have & ~(w->families | w->if_any));
}

/* ---- leases ---- */

static bool release_lease(struct ipam *ipam, struct lease *l, uint64_t now)
{
	struct jrec r = { .type = JREC_RELEASE, .time = now };

	ipam_rec_key(&r, &l->pub.owner);
	if (!journal_append(ipam->journal, &r))
		return false;
	ipam_give_back(ipam, &l->pub, now);
	leases_remove(&ipam->leases, l);
	return true;
}

/* Made, written and held; on a failure it is gone again. */
static enum ipam_result enter(struct ipam *ipam, struct lease *l, struct err *err)
{
	struct jrec r = ipam_rec_of_lease(&l->pub);

	if (!journal_append(ipam->journal, &r)) {
		leases_remove(&ipam->leases, l);
		err_set(err, "the names of this attachment are too long (over %d bytes together)",
			JREC_MAX);
		return IPAM_IO;
	}
	ipam_hold(ipam, &l->pub);
	if (ipam_commit_now(ipam, err) == IPAM_OK)
		return IPAM_OK;
	/* Not answered, so not held; the record that undoes it goes with the next write. Time 0:
	 * nobody has used the address, so it need not cool down. */
	release_lease(ipam, l, 0);
	return IPAM_IO;
}

enum ipam_result ipam_assign(struct ipam *ipam, const struct ipam_owner *owner,
			     const struct ipam_want *want, uint64_t now, struct ipam_lease *out,
			     struct err *err)
{
	struct lease *l = leases_find(&ipam->leases, owner);
	struct addr addrs[2] = { want->addrs[0], want->addrs[1] };
	unsigned n = want->naddrs;

	if (l && l->pub.state == IPAM_READY) {
		*out = l->pub;
		err_set(err, "container %s has interface %s already", owner->container_id,
			owner->ifname);
		return IPAM_EXISTS;
	}
	if (l && lease_answers(ipam, &l->pub, want)) {
		*out = l->pub;
		return ipam_commit_now(ipam, err);
	}
	if (l && !release_lease(ipam, l, now)) {
		err_set(err, "the names of this attachment are too long");
		return IPAM_IO;
	}

	enum ipam_result rc =
		n ? check_exact(ipam, want, err) : choose(ipam, want, now, addrs, &n, err);
	if (rc != IPAM_OK)
		return rc;
	l = leases_add(&ipam->leases, owner, addrs, n);
	l->pub.since = now;
	rc = enter(ipam, l, err);
	if (rc == IPAM_OK)
		*out = l->pub;
	return rc;
}

enum ipam_result ipam_ready(struct ipam *ipam, const struct ipam_owner *owner,
			    const char *host_ifname, struct err *err)
{
	struct lease *l = leases_find(&ipam->leases, owner);

	if (!l) {
		err_set(err, "container %s, %s holds no address", owner->container_id,
			owner->ifname);
		return IPAM_OUTSIDE;
	}
	l->pub.state = IPAM_READY;
	lease_set_host(l, host_ifname);
	struct jrec r = { .type = JREC_READY, .host_ifname = l->host_ifname };
	ipam_rec_key(&r, &l->pub.owner);
	journal_append(ipam->journal, &r);
	if (ipam->deferred)
		return IPAM_OK;
	/* Written, not waited for: a kill does not lose it, and after a power cut the pod is gone.
	 */
	return ipam_commit(ipam, false, err) == 0 ? IPAM_OK : IPAM_IO;
}

/* The owner has a lease: is it this one? */
static enum ipam_result adopt_again(struct ipam *ipam, struct lease *l, const struct addr *addrs,
				    unsigned naddrs, const char *host_ifname, struct err *err)
{
	unsigned found = 0;

	for (unsigned i = 0; i < naddrs; i++)
		for (unsigned k = 0; k < l->pub.naddrs; k++)
			found += addr_eq(&l->pub.addrs[k], &addrs[i]);
	if (found != naddrs || found != l->pub.naddrs) {
		err_set(err, "container %s, %s holds other addresses already",
			l->pub.owner.container_id, l->pub.owner.ifname);
		return IPAM_EXISTS;
	}
	if (l->pub.state == IPAM_READY)
		return IPAM_OK;
	return ipam_ready(ipam, &l->pub.owner, host_ifname, err);
}

enum ipam_result ipam_adopt(struct ipam *ipam, const struct ipam_owner *owner,
			    const struct addr *addrs, unsigned naddrs, const char *host_ifname,
			    uint64_t since, struct err *err)
{
	struct lease *l = leases_find(&ipam->leases, owner);

	if (naddrs == 0 || check_count(addrs, naddrs, err) != IPAM_OK) {
		err_set(err,
			"container %s, %s: one address of each family at most, and one at "
			"least, can be taken over",
			owner->container_id, owner->ifname);
		return IPAM_OUTSIDE;
	}
	for (unsigned i = 0; i < naddrs; i++) {
		const struct lease *holder = leases_find_addr(&ipam->leases, &addrs[i]);

		if (holder && holder != l)
			return say_taken(holder, &addrs[i], err);
	}
	if (l)
		return adopt_again(ipam, l, addrs, naddrs, host_ifname, err);
	for (unsigned i = 0; i < naddrs; i++)
		ipam_set_foreign(ipam, &addrs[i], false);
	l = leases_add(&ipam->leases, owner, addrs, naddrs);
	l->pub.state = IPAM_READY;
	l->pub.since = since;
	lease_set_host(l, host_ifname);
	return enter(ipam, l, err);
}

enum ipam_result ipam_release(struct ipam *ipam, const struct ipam_owner *owner, uint64_t now,
			      struct err *err)
{
	struct lease *l = leases_find(&ipam->leases, owner);

	if (l && !release_lease(ipam, l, now)) {
		err_set(err, "the names of this attachment are too long");
		return IPAM_IO;
	}
	if (l)
		ipam_drop_lost_blocks(ipam);
	/* Also where the owner is unknown: an earlier release may not have reached the disk. */
	return ipam_commit_now(ipam, err);
}

bool ipam_find(const struct ipam *ipam, const struct ipam_owner *owner, struct ipam_lease *out)
{
	const struct lease *l = leases_find(&ipam->leases, owner);

	if (l)
		*out = l->pub;
	return l != NULL;
}

bool ipam_find_addr(const struct ipam *ipam, const struct addr *a, struct ipam_lease *out)
{
	const struct lease *l = leases_find_addr(&ipam->leases, a);

	if (l)
		*out = l->pub;
	return l != NULL;
}

void ipam_each(const struct ipam *ipam, void (*cb)(void *arg, const struct ipam_lease *l),
	       void *arg)
{
	const struct lease *l;

	TAILQ_FOREACH(l, &ipam->leases.order, order)
	cb(arg, &l->pub);
}

void ipam_each_voided(const struct ipam *ipam, void (*cb)(void *arg, const struct ipam_lease *l),
		      void *arg)
{
	const struct lease *l;

	TAILQ_FOREACH(l, &ipam->voided.order, order)
	cb(arg, &l->pub);
}
