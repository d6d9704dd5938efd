#include "config.h"

#include "ipam/ipam_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/log.h"

#define LOCK_FILE    "ipam.lock"
#define DAMAGED_FILE "ipam.journal.damaged"
enum { DEFAULT_COOLDOWN = 60 };

/* ---- records ---- */

void ipam_rec_key(struct jrec *r, const struct ipam_owner *o)
{
	r->network = o->network;
	r->container_id = o->container_id;
	r->ifname = o->ifname;
}

struct jrec ipam_rec_of_lease(const struct ipam_lease *l)
{
	struct jrec r = { .type = JREC_ALLOC, .state = (uint8_t)l->state, .naddrs = l->naddrs };

	ipam_rec_key(&r, &l->owner);
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
		struct jrec r = ipam_rec_of_lease(&l->pub);

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

int ipam_commit(struct ipam *ipam, bool sync, struct err *err)
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

enum ipam_result ipam_commit_now(struct ipam *ipam, struct err *err)
{
	return ipam->deferred || ipam_commit(ipam, true, err) == 0 ? IPAM_OK : IPAM_IO;
}

void ipam_sync_begin(struct ipam *ipam)
{
	ipam->deferred = true;
}

int ipam_sync_commit(struct ipam *ipam, struct err *err)
{
	ipam->deferred = false;
	return ipam_commit(ipam, true, err);
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
void ipam_hold(struct ipam *ipam, const struct ipam_lease *l)
{
	for (unsigned i = 0; i < ipam->nblocks; i++)
		for (unsigned k = 0; k < l->naddrs; k++)
			block_take(ipam->blocks[i].b, &l->addrs[k]);
}

void ipam_give_back(struct ipam *ipam, const struct ipam_lease *l, uint64_t now)
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
	for (unsigned i = 0; i < ipam->nforeign; i++)
		block_set_foreign(b, &ipam->foreign[i], true);
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

void ipam_drop_lost_blocks(struct ipam *ipam)
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
	    ob->conf.closed == conf->closed && prefix_eq(&ob->conf.pool, &conf->pool))
		return false;
	if (!ob)
		ob = add_block(ipam, conf);
	if (!ob)
		return false;
	ob->ours = true;
	ob->conf.allocate = conf->allocate;
	ob->conf.closed = conf->closed;
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
	ipam_drop_lost_blocks(ipam);
	struct err err;
	if (!ipam->deferred && ipam_commit(ipam, true, &err) < 0)
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

void ipam_set_foreign(struct ipam *ipam, const struct addr *a, bool foreign)
{
	unsigned at = 0;

	while (at < ipam->nforeign && !addr_eq(&ipam->foreign[at], a))
		at++;
	if ((at < ipam->nforeign) == foreign)
		return;
	if (foreign) {
		ipam->foreign = xrealloc(ipam->foreign, (at + 1) * sizeof(*ipam->foreign));
		ipam->foreign[at] = *a;
		ipam->nforeign++;
	} else {
		ipam->foreign[at] = ipam->foreign[--ipam->nforeign];
	}
	for (unsigned i = 0; i < ipam->nblocks; i++)
		block_set_foreign(ipam->blocks[i].b, a, foreign);
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
	out->used = c.held + c.foreign;
	out->foreign = c.foreign;
	out->ours = ob->ours;
	out->cooling = c.cooling;
	out->free = ob->ours && ob->conf.allocate ? c.free : 0;
}

uint64_t ipam_free_count(const struct ipam *ipam, enum family fam, const struct prefix *pool,
			 uint64_t now)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ipam->nblocks; i++) {
		const struct own_block *ob = &ipam->blocks[i];
		struct block_count c;

		if (!ob->ours || ob->conf.cidr.addr.fam != fam)
			continue;
		if (pool ? !prefix_covers(pool, &ob->conf.cidr) : !ob->conf.allocate)
			continue;
		block_count(ob->b, ipam->cooldown, now, &c);
		n += c.free;
	}
	return n;
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
	ipam_hold(ipam, &l->pub);
	return 0;
}

static void replay_block(struct ipam *ipam, const struct jrec *r)
{
	struct ipam_block_conf conf = { .cidr = r->cidr,
					.pool = r->pool,
					.allocate = r->flags & JBLOCK_ALLOCATE };
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
			ipam_give_back(ipam, &l->pub, r->time);
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
		ipam_give_back(ipam, &l->pub, now);
		leases_add(&ipam->voided, &l->pub.owner, l->pub.addrs, l->pub.naddrs);
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
		return ipam_commit(ipam, true, err);
	forget_leases(ipam, now);
	ipam_drop_lost_blocks(ipam);
	return snapshot(ipam, err);
}

struct ipam *ipam_open_ops(int dirfd, const char *boot_id, uint64_t now,
			   const struct journal_ops *ops, size_t min_size, struct err *err)
{
	struct ipam *ipam = xcalloc(1, sizeof(*ipam));

	ipam->lock_fd = -1;
	ipam->cooldown = DEFAULT_COOLDOWN;
	leases_init(&ipam->leases);
	leases_init(&ipam->voided);
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
	free(ipam->foreign);
	leases_free(&ipam->leases);
	leases_free(&ipam->voided);
	journal_free(ipam->journal);
	if (ipam->lock_fd >= 0)
		close(ipam->lock_fd);
	free(ipam);
}

int ipam_set_aside(int dirfd, struct err *err)
{
	struct ipam lock = { .lock_fd = -1 };
	int rc = take_lock(&lock, dirfd, err);

	if (rc == 0 && (renameat(dirfd, JOURNAL_FILE, dirfd, DAMAGED_FILE) < 0 || fsync(dirfd) < 0))
		rc = err_sys(err, errno, "state.dir: " JOURNAL_FILE " cannot be set aside");
	if (lock.lock_fd >= 0)
		close(lock.lock_fd);
	return rc;
}
