#include "config.h"

#include "ipam/ipam.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ipam/block.h"
#include "ipam/journal.h"
#include "ipam/lease.h"
#include "lib/arena.h"
#include "lib/log.h"

#define LOCK_FILE "ipam.lock"
enum { DEFAULT_COOLDOWN = 60 };

struct own_block {
	struct ipam_block_conf conf;
	bool ours; /* false: taken away; kept while addresses in it are held or cool down */
	struct block *b;
};

struct ipam {
	struct journal *journal;
	int lock_fd;
	char boot_id[BOOT_ID_LEN];
	uint64_t created;
	struct leases leases;
	struct own_block *blocks;
	unsigned nblocks;
	struct prefix *reserved;
	unsigned nreserved;
	unsigned cooldown;
	bool deferred;
};

/* ---- records ---- */

static void set_key(struct jrec *r, const struct ipam_owner *o)
{
	r->network = o->network;
	r->container_id = o->container_id;
	r->ifname = o->ifname;
}

static struct jrec rec_of_lease(const struct ipam_lease *l)
{
	struct jrec r = { .type = JREC_ALLOC, .state = (uint8_t)l->state, .naddrs = l->naddrs };

	set_key(&r, &l->owner);
	r.namespace_ = l->owner.namespace_;
	r.pod = l->owner.pod;
	r.host_ifname = l->host_ifname;
	r.time = l->since;
	for (unsigned i = 0; i < l->naddrs; i++)
		r.addrs[i] = l->addrs[i];
	return r;
}

static struct jrec rec_of_block(const struct own_block *ob)
{
	return (struct jrec){
		.type = JREC_BLOCK,
		.cidr = ob->conf.cidr,
		.pool = ob->conf.pool,
		.flags = (uint8_t)((ob->conf.allocate ? JBLOCK_ALLOCATE : 0) |
				   (ob->ours ? JBLOCK_OURS : 0)),
	};
}

static void put_freed(void *arg, const struct addr *a, uint64_t freed_at)
{
	struct ipam *ipam = arg;
	struct jrec r = { .type = JREC_FREED, .naddrs = 1, .addrs = { *a }, .time = freed_at };

	journal_append(ipam->journal, &r);
}

/* The whole state as records: blocks first, then what was freed, in order, then the leases. */
static void fill_snapshot(void *arg)
{
	struct ipam *ipam = arg;
	struct lease *l;

	for (unsigned i = 0; i < ipam->nblocks; i++) {
		struct jrec r = rec_of_block(&ipam->blocks[i]);

		journal_append(ipam->journal, &r);
	}
	for (unsigned i = 0; i < ipam->nblocks; i++)
		block_each_freed(ipam->blocks[i].b, put_freed, ipam);
	TAILQ_FOREACH(l, &ipam->leases.order, order)
	{
		struct jrec r = rec_of_lease(&l->pub);

		journal_append(ipam->journal, &r);
	}
}

/* ---- durability ---- */

static int snapshot(struct ipam *ipam, struct err *err)
{
	struct jhdr h = { .created = ipam->created };

	memcpy(h.boot_id, ipam->boot_id, sizeof(h.boot_id));
	return journal_snapshot(ipam->journal, &h, fill_snapshot, ipam, err);
}

static int commit(struct ipam *ipam, bool sync, struct err *err)
{
	if (!journal_pending(ipam->journal, sync))
		return 0;
	if (journal_needs_snapshot(ipam->journal))
		return snapshot(ipam, err);
	if (journal_write(ipam->journal, sync, err) == 0)
		return 0;
	/* The file cannot be trusted any more; a new one may do. */
	struct err again;
	if (snapshot(ipam, &again) < 0)
		return -1;
	log_warn("ipam", "the journal was written anew: %s", err->text);
	return 0;
}

static enum ipam_result commit_now(struct ipam *ipam, struct err *err)
{
	return ipam->deferred || commit(ipam, true, err) == 0 ? IPAM_OK : IPAM_IO;
}

void ipam_sync_begin(struct ipam *ipam)
{
	ipam->deferred = true;
}

int ipam_sync_commit(struct ipam *ipam, struct err *err)
{
	ipam->deferred = false;
	return commit(ipam, true, err);
}

/* ---- blocks ---- */

static struct own_block *block_by_cidr(const struct ipam *ipam, const struct prefix *cidr)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		if (prefix_eq(&ipam->blocks[i].conf.cidr, cidr))
			return &ipam->blocks[i];
	return NULL;
}

/* Blocks of different sizes may overlap for a while (an affinity was replaced): each that contains
 * an address knows whether it is held. */
static void hold(struct ipam *ipam, const struct ipam_lease *l)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		for (unsigned k = 0; k < l->naddrs; k++)
			block_take(ipam->blocks[i].b, &l->addrs[k]);
}

static void give_back(struct ipam *ipam, const struct ipam_lease *l, uint64_t now)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		for (unsigned k = 0; k < l->naddrs; k++)
			block_give(ipam->blocks[i].b, &l->addrs[k], now);
}

static struct own_block *add_block(struct ipam *ipam, const struct ipam_block_conf *conf)
{
	struct block *b = block_new(&conf->cidr);
	struct lease *l;
	char text[PREFIX_STRLEN];

	if (!b) {
		log_error("ipam", "block %s is not used: a block has at most %d addresses",
			  prefix_format(&conf->cidr, text, sizeof(text)), 1 << BLOCK_MAX_BITS);
		return NULL;
	}
	ipam->blocks = xrealloc(ipam->blocks, (ipam->nblocks + 1) * sizeof(*ipam->blocks));
	struct own_block *ob = &ipam->blocks[ipam->nblocks++];
	*ob = (struct own_block){ *conf, true, b };
	ob->conf.cidr = prefix_mask(&conf->cidr);
	block_reserve(b, ipam->reserved, ipam->nreserved);
	TAILQ_FOREACH(l, &ipam->leases.order, order)
	for (unsigned i = 0; i < l->pub.naddrs; i++)
		block_take(b, &l->pub.addrs[i]);
	return ob;
}

static void drop_block(struct ipam *ipam, unsigned i)
{
	block_free(ipam->blocks[i].b);
	memmove(&ipam->blocks[i], &ipam->blocks[i + 1],
		(ipam->nblocks - i - 1) * sizeof(*ipam->blocks));
	ipam->nblocks--;
}

static uint32_t held_in(const struct own_block *ob)
{
	struct block_count c;

	block_count(ob->b, 0, 0, &c);
	return c.held;
}

/* Empty blocks that are no longer ours go. Addresses of theirs that were just freed need no
 * cool-down here: whoever owns the block now decides. */
static void drop_lost_blocks(struct ipam *ipam)
{
	for (unsigned i = ipam->nblocks; i-- > 0;) {
		struct own_block *ob = &ipam->blocks[i];

		if (ob->ours || held_in(ob) > 0)
			continue;
		struct jrec r = { .type = JREC_BLOCK_GONE, .cidr = ob->conf.cidr };
		journal_append(ipam->journal, &r);
		drop_block(ipam, i);
	}
}

/* Returns whether anything changed. */
static bool set_block(struct ipam *ipam, const struct ipam_block_conf *conf)
{
	struct prefix cidr = prefix_mask(&conf->cidr);
	struct own_block *ob = block_by_cidr(ipam, &cidr);

	if (ob && ob->ours && ob->conf.allocate == conf->allocate &&
	    prefix_eq(&ob->conf.pool, &conf->pool))
		return false;
	if (!ob)
		ob = add_block(ipam, conf);
	if (!ob)
		return false;
	ob->ours = true;
	ob->conf.allocate = conf->allocate;
	ob->conf.pool = conf->pool;
	return true;
}

static bool is_among(const struct prefix *cidr, const struct ipam_block_conf *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (prefix_eq(cidr, &blocks[i].cidr))
			return true;
	return false;
}

void ipam_set_blocks(struct ipam *ipam, const struct ipam_block_conf *blocks, unsigned n)
{
	bool changed = false;

	for (unsigned i = 0; i < ipam->nblocks; i++) {
		struct own_block *ob = &ipam->blocks[i];

		if (!ob->ours || is_among(&ob->conf.cidr, blocks, n))
			continue;
		ob->ours = false;
		changed = true;
	}
	for (unsigned i = 0; i < n; i++)
		changed |= set_block(ipam, &blocks[i]);
	if (!changed)
		return;

	for (unsigned i = 0; i < ipam->nblocks; i++) {
		struct jrec r = rec_of_block(&ipam->blocks[i]);

		journal_append(ipam->journal, &r);
	}
	drop_lost_blocks(ipam);
	struct err err;
	if (!ipam->deferred && commit(ipam, true, &err) < 0)
		log_error("ipam", "the node's blocks could not be written down: %s", err.text);
}

void ipam_set_reservations(struct ipam *ipam, const struct prefix *p, unsigned n)
{
	ipam->reserved = xrealloc(ipam->reserved, (n ? n : 1) * sizeof(*p));
	if (n)
		memcpy(ipam->reserved, p, n * sizeof(*p));
	ipam->nreserved = n;
	for (unsigned i = 0; i < ipam->nblocks; i++)
		block_reserve(ipam->blocks[i].b, ipam->reserved, n);
}

void ipam_set_cooldown(struct ipam *ipam, unsigned seconds)
{
	ipam->cooldown = seconds;
}

static const struct own_block *nth_listed(const struct ipam *ipam, unsigned nth, unsigned *count)
{
	*count = 0;
	for (unsigned i = 0; i < ipam->nblocks; i++) {
		const struct own_block *ob = &ipam->blocks[i];

		if (!ob->ours && held_in(ob) == 0)
			continue;
		if ((*count)++ == nth)
			return ob;
	}
	return NULL;
}

unsigned ipam_block_count(const struct ipam *ipam)
{
	unsigned n;

	nth_listed(ipam, UINT32_MAX, &n);
	return n;
}

void ipam_block_use(const struct ipam *ipam, unsigned i, uint64_t now, struct ipam_block_use *out)
{
	unsigned n;
	struct block_count c;
	const struct own_block *ob = nth_listed(ipam, i, &n);

	memset(out, 0, sizeof(*out));
	if (!ob)
		return;
	block_count(ob->b, ipam->cooldown, now, &c);
	out->cidr = ob->conf.cidr;
	out->pool = ob->conf.pool;
	out->size = c.size;
	out->used = c.held;
	out->cooling = c.cooling;
	out->free = ob->ours && ob->conf.allocate ? c.free : 0;
}

/* ---- replay ---- */

static void owner_of_rec(const struct jrec *r, struct ipam_owner *o)
{
	*o = (struct ipam_owner){ r->network, r->container_id, r->ifname, r->namespace_, r->pod };
}

static int replay_alloc(struct ipam *ipam, const struct ipam_owner *o, const struct jrec *r,
			struct err *err)
{
	char text[ADDR_STRLEN];

	if (leases_find(&ipam->leases, o))
		return err_set(err,
			       "container %s has a lease already: two programs have written "
			       "this journal",
			       o->container_id);
	for (unsigned i = 0; i < r->naddrs; i++)
		if (leases_find_addr(&ipam->leases, &r->addrs[i]))
			return err_set(err,
				       "%s is held already: two programs have written this "
				       "journal",
				       addr_format(&r->addrs[i], text, sizeof(text)));
	struct lease *l = leases_add(&ipam->leases, o, r->addrs, r->naddrs);
	l->pub.state = r->state == IPAM_READY ? IPAM_READY : IPAM_PENDING;
	l->pub.since = r->time;
	lease_set_host(l, r->host_ifname);
	hold(ipam, &l->pub);
	return 0;
}

static void replay_block(struct ipam *ipam, const struct jrec *r)
{
	struct ipam_block_conf conf = { r->cidr, r->pool, r->flags & JBLOCK_ALLOCATE };
	struct own_block *ob;

	set_block(ipam, &conf);
	if ((ob = block_by_cidr(ipam, &conf.cidr)))
		ob->ours = r->flags & JBLOCK_OURS;
}

static void replay_freed(struct ipam *ipam, const struct jrec *r)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		if (!block_held(ipam->blocks[i].b, &r->addrs[0]))
			block_give(ipam->blocks[i].b, &r->addrs[0], r->time);
}

static int replay(void *arg, const struct jrec *r, struct err *err)
{
	struct ipam *ipam = arg;
	struct ipam_owner o;
	struct own_block *ob;

	owner_of_rec(r, &o);
	struct lease *l = leases_find(&ipam->leases, &o);
	switch ((enum jrec_type)r->type) {
	case JREC_BLOCK:
		replay_block(ipam, r);
		break;
	case JREC_BLOCK_GONE:
		if ((ob = block_by_cidr(ipam, &r->cidr)))
			drop_block(ipam, (unsigned)(ob - ipam->blocks));
		break;
	case JREC_ALLOC:
		return replay_alloc(ipam, &o, r, err);
	case JREC_READY:
		if (l) {
			l->pub.state = IPAM_READY;
			lease_set_host(l, r->host_ifname);
		}
		break;
	case JREC_RELEASE:
		if (l) {
			give_back(ipam, &l->pub, r->time);
			leases_remove(&ipam->leases, l);
		}
		break;
	case JREC_FREED:
		replay_freed(ipam, r);
		break;
	}
	return 0;
}

/* ---- open and close ---- */

static int take_lock(struct ipam *ipam, int dirfd, struct err *err)
{
	ipam->lock_fd = openat(dirfd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (ipam->lock_fd < 0)
		return err_sys(err, errno, "state.dir: " LOCK_FILE);
	if (flock(ipam->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK) {
		err_set(err, "state.dir: " LOCK_FILE " is held by another process: each node needs "
			     "a state.dir of its own");
		err->code = EBUSY;
		return -1;
	}
	return err_sys(err, errno, "state.dir: " LOCK_FILE);
}

/* After a reboot no pod of before exists, whatever the journal says. */
static void forget_leases(struct ipam *ipam, uint64_t now)
{
	struct lease *l;

	if (ipam->leases.n)
		log_info("ipam",
			 "the machine was started anew: the leases of %u pods of before are "
			 "void",
			 ipam->leases.n);
	while ((l = TAILQ_FIRST(&ipam->leases.order))) {
		give_back(ipam, &l->pub, now);
		leases_remove(&ipam->leases, l);
	}
}

static int open_journal(struct ipam *ipam, const char *boot_id, uint64_t now, struct err *err)
{
	struct jhdr h;
	int rc = journal_load(ipam->journal, &h, replay, ipam, err);

	if (rc < 0)
		return -1;
	ipam->created = rc ? h.created : now;
	snprintf(ipam->boot_id, sizeof(ipam->boot_id), "%s", boot_id);
	if (rc && strcmp(h.boot_id, ipam->boot_id) == 0)
		/* What a killed process wrote may be in the page cache only. */
		return commit(ipam, true, err);
	forget_leases(ipam, now);
	drop_lost_blocks(ipam);
	return snapshot(ipam, err);
}

struct ipam *ipam_open_ops(int dirfd, const char *boot_id, uint64_t now,
			   const struct journal_ops *ops, size_t min_size, struct err *err)
{
	struct ipam *ipam = xcalloc(1, sizeof(*ipam));

	ipam->lock_fd = -1;
	ipam->cooldown = DEFAULT_COOLDOWN;
	leases_init(&ipam->leases);
	ipam->journal = journal_new(dirfd, ops, min_size);
	if (take_lock(ipam, dirfd, err) == 0 && open_journal(ipam, boot_id, now, err) == 0)
		return ipam;
	ipam_close(ipam);
	return NULL;
}

struct ipam *ipam_open(int dirfd, const char *boot_id, uint64_t now, struct err *err)
{
	return ipam_open_ops(dirfd, boot_id, now, NULL, 0, err);
}

void ipam_close(struct ipam *ipam)
{
	if (!ipam)
		return;
	for (unsigned i = 0; i < ipam->nblocks; i++)
		block_free(ipam->blocks[i].b);
	free(ipam->blocks);
	free(ipam->reserved);
	leases_free(&ipam->leases);
	journal_free(ipam->journal);
	if (ipam->lock_fd >= 0)
		close(ipam->lock_fd);
	free(ipam);
}

/* ---- leases ---- */

static bool gives(const struct own_block *ob, enum family fam)
{
	return ob->ours && ob->conf.allocate && ob->conf.cidr.addr.fam == fam;
}

static const char *family_name(enum family fam)
{
	return fam == FAM_V4 ? "IPv4" : "IPv6";
}

static enum ipam_result say_exhausted(const struct ipam *ipam, enum family fam, uint64_t now,
				      struct err *err)
{
	char list[400] = "";
	size_t at = 0;

	for (unsigned i = 0; i < ipam->nblocks && at < sizeof(list) - 100; i++) {
		const struct own_block *ob = &ipam->blocks[i];
		char text[PREFIX_STRLEN];
		struct block_count c;

		if (!gives(ob, fam))
			continue;
		block_count(ob->b, ipam->cooldown, now, &c);
		at += (size_t)snprintf(
			list + at, sizeof(list) - at, "%s%s: %u held, %u cooling down, %u reserved",
			at ? "; " : "", prefix_format(&ob->conf.cidr, text, sizeof(text)), c.held,
			c.cooling, c.reserved);
	}
	err_set(err, "no free %s address in this node's blocks (%s)", family_name(fam), list);
	return IPAM_EXHAUSTED;
}

/* Names one address of a family. IPAM_OUTSIDE: the node has no block of it. */
static enum ipam_result find_free(struct ipam *ipam, enum family fam, uint64_t now,
				  struct addr *out)
{
	bool has = false;

	for (unsigned i = 0; i < ipam->nblocks; i++) {
		if (!gives(&ipam->blocks[i], fam))
			continue;
		has = true;
		if (block_next(ipam->blocks[i].b, ipam->cooldown, now, out))
			return IPAM_OK;
	}
	return has ? IPAM_EXHAUSTED : IPAM_OUTSIDE;
}

static enum ipam_result choose(struct ipam *ipam, unsigned families, uint64_t now,
			       struct addr out[2], unsigned *n, struct err *err)
{
	static const enum family fams[2] = { FAM_V4, FAM_V6 };

	*n = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (!(families & 1u << fams[i]))
			continue;
		enum ipam_result rc = find_free(ipam, fams[i], now, &out[*n]);
		if (rc == IPAM_EXHAUSTED)
			return say_exhausted(ipam, fams[i], now, err);
		if (rc == IPAM_OK)
			(*n)++;
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

static bool is_ours(const struct ipam *ipam, const struct addr *a)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		if (ipam->blocks[i].ours && prefix_contains(&ipam->blocks[i].conf.cidr, a))
			return true;
	return false;
}

static enum ipam_result check_wanted(const struct ipam *ipam, const struct addr *want,
				     unsigned nwant, struct err *err)
{
	char text[ADDR_STRLEN];

	if (nwant > 2 || (nwant == 2 && want[0].fam == want[1].fam)) {
		err_set(err, "at most one address of each family can be asked for");
		return IPAM_OUTSIDE;
	}
	for (unsigned i = 0; i < nwant; i++) {
		const struct lease *l = leases_find_addr(&ipam->leases, &want[i]);

		if (l)
			return say_taken(l, &want[i], err);
		if (!is_ours(ipam, &want[i])) {
			err_set(err, "address %s lies in no block of this node",
				addr_format(&want[i], text, sizeof(text)));
			return IPAM_OUTSIDE;
		}
	}
	return IPAM_OK;
}

static bool lease_has(const struct ipam_lease *l, const struct addr *want, unsigned nwant)
{
	unsigned found = 0;

	for (unsigned i = 0; i < nwant; i++)
		for (unsigned k = 0; k < l->naddrs; k++)
			found += addr_eq(&l->addrs[k], &want[i]);
	return found == nwant && (nwant == 0 || nwant == l->naddrs);
}

static bool release_lease(struct ipam *ipam, struct lease *l, uint64_t now)
{
	struct jrec r = { .type = JREC_RELEASE, .time = now };

	set_key(&r, &l->pub.owner);
	if (!journal_append(ipam->journal, &r))
		return false;
	give_back(ipam, &l->pub, now);
	leases_remove(&ipam->leases, l);
	return true;
}

enum ipam_result ipam_assign(struct ipam *ipam, const struct ipam_owner *owner, unsigned families,
			     const struct addr *want, unsigned nwant, uint64_t now,
			     struct ipam_lease *out, struct err *err)
{
	struct lease *l = leases_find(&ipam->leases, owner);
	struct addr addrs[2];
	unsigned n;

	if (l && l->pub.state == IPAM_READY) {
		*out = l->pub;
		err_set(err, "container %s has interface %s already", owner->container_id,
			owner->ifname);
		return IPAM_EXISTS;
	}
	if (l && lease_has(&l->pub, want, nwant)) {
		*out = l->pub;
		return commit_now(ipam, err);
	}
	if (l && !release_lease(ipam, l, now)) {
		err_set(err, "the names of this attachment are too long");
		return IPAM_IO;
	}

	enum ipam_result rc = nwant ? check_wanted(ipam, want, nwant, err)
				    : choose(ipam, families, now, addrs, &n, err);
	if (rc != IPAM_OK)
		return rc;
	l = nwant ? leases_add(&ipam->leases, owner, want, nwant)
		  : leases_add(&ipam->leases, owner, addrs, n);
	l->pub.since = now;
	struct jrec r = rec_of_lease(&l->pub);
	if (!journal_append(ipam->journal, &r)) {
		leases_remove(&ipam->leases, l);
		err_set(err, "the names of this attachment are too long (over %d bytes together)",
			JREC_MAX);
		return IPAM_IO;
	}
	hold(ipam, &l->pub);
	if (commit_now(ipam, err) != IPAM_OK) {
		/* Not answered, so not held; the record that undoes it goes with the next write.
		 * Time 0: nobody has used the address, so it need not cool down. */
		release_lease(ipam, l, 0);
		return IPAM_IO;
	}
	*out = l->pub;
	return IPAM_OK;
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
	set_key(&r, &l->pub.owner);
	journal_append(ipam->journal, &r);
	if (ipam->deferred)
		return IPAM_OK;
	/* Written, not waited for: a kill does not lose it, and after a power cut the pod is gone.
	 */
	return commit(ipam, false, err) == 0 ? IPAM_OK : IPAM_IO;
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
		drop_lost_blocks(ipam);
	/* Also where the owner is unknown: an earlier release may not have reached the disk. */
	return commit_now(ipam, err);
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
