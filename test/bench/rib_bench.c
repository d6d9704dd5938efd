/* How fast and how large the RIB is: UPDATE bytes in, UPDATE bytes out, nothing else.
 *
 *   rib_bench            all cases
 *   rib_bench one 1000000 170000    one peer in, one out
 *   rib_bench fan 10 100000         each of 10 announces all, 10 others hear the best
 *   rib_bench mesh 500 4            each announces its own 4 prefixes, all hear all
 *
 * Seconds are those of decoding, the RIB and encoding; making the input is not counted. For
 * orientation, BIRD 2.20 as a whole process with its sockets: 1.43 s and 153 MB for the first, 5.7
 * s and 126 MB for the second, 6.3 s for the third.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bgpd/rib/rib.h"
#include "lib/arena.h"

enum { CHUNK = 256 * 1024, BUDGET = 4096, MAX_PEERS = 2048 };

struct end {
	struct rib_peer *rp;
	struct rib_peer_conf conf;
	bool signalled;
	uint64_t bytes_out, messages_in;
};

struct bench {
	struct rib *rib;
	struct end end[MAX_PEERS];
	unsigned n;
	uint8_t chunk[CHUNK];
	size_t len;
	uint8_t scratch[4 * BGP_MAX_EXTENDED];
	double seconds, longest; /* of all work, of the longest turn of it */
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mb(void)
{
	long pages = 0, all = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void track(void *arg, const struct addr *nh, uint32_t ifindex, bool on)
{
	struct bench *b = arg;
	if (on)
		rib_nexthop_state(b->rib, nh, ifindex, true, 0);
}

static void group_set(void *arg, uint32_t id, const struct rib_nexthop *nh, unsigned n)
{
	(void)arg, (void)id, (void)nh, (void)n;
}

static void group_del(void *arg, uint32_t id)
{
	(void)arg, (void)id;
}

static void routes(void *arg, uint32_t group, const struct prefix *p, unsigned n)
{
	(void)arg, (void)group, (void)p, (void)n;
}

static void output(void *arg, struct rib_peer *rp)
{
	(void)arg;
	((struct end *)rib_peer_owner(rp))->signalled = true;
}

static bool may_install(void *arg)
{
	(void)arg;
	return true;
}

static const struct rib_ops ops = { track, group_set, group_del, routes, output, may_install };

static void start(struct bench *b)
{
	struct rib_global g = {
		.asn = 64512, .router_id = 1, .export_mode = EXPORT_ALL, .max_paths = 1
	};
	memset(b, 0, sizeof(*b));
	b->rib = rib_new(&g, &ops, b);
}

static struct end *add_peer(struct bench *b)
{
	struct end *e = &b->end[b->n++];
	struct rib_peer_conf *c = &e->conf;
	c->owner = e;
	c->name = "x";
	c->address = addr_v4(0x0a000000 + b->n);
	c->local = c->local4 = addr_v4(0x0afffffe);
	c->asn = 65000 + b->n;
	c->local_asn = 64512;
	c->id = 0x0a000000 + b->n;
	c->ebgp = c->connected = c->policy = true;
	c->rx = (struct bgp_session_ctx){ .as4 = true,
					  .ebgp = true,
					  .peer_as = c->asn,
					  .families = FAMILY_BIT(FAM_V4),
					  .max_message = BGP_MAX };
	c->tx = c->rx;
	e->rp = rib_peer_up(b->rib, c);
	return e;
}

/* Reads what each peer is sent, as sockets that always have room would. */
static void drain(struct bench *b)
{
	struct iovec iov[64];
	for (unsigned k = 0; k < b->n; k++) {
		struct end *e = &b->end[k];
		while (e->rp && e->signalled) {
			unsigned n = rib_out_peek(b->rib, e->rp, iov, 64);
			size_t sum = 0;
			for (unsigned i = 0; i < n; i++)
				sum += iov[i].iov_len;
			e->signalled = n;
			if (sum)
				rib_out_consume(b->rib, e->rp, sum);
			e->bytes_out += sum;
		}
	}
}

static void turn(struct bench *b, double since)
{
	double t = now() - since;
	b->seconds += t;
	b->longest = t > b->longest ? t : b->longest;
}

static void settle(struct bench *b)
{
	bool more = true;
	while (more) {
		double t = now();
		more = rib_run(b->rib, BUDGET);
		drain(b);
		turn(b, t);
	}
}

/* What arrived on one socket: every message, then a turn of the loop. */
static void feed(struct bench *b, struct end *e)
{
	double t = now();
	for (size_t at = 0; at < b->len;) {
		struct bgp_update u;
		size_t len = (size_t)b->chunk[at + 16] << 8 | b->chunk[at + 17];
		bgp_update_decode(b->chunk + at, len, &e->conf.rx, b->scratch, sizeof(b->scratch),
				  &u);
		rib_update(b->rib, e->rp, &u);
		e->messages_in++;
		at += len;
	}
	b->len = 0;
	rib_run(b->rib, BUDGET);
	drain(b);
	turn(b, t);
}

/* One UPDATE: prefixes first .. first + n, a /24 each, with attribute set number `set`. */
static void put_update(struct bench *b, struct end *e, uint32_t first, unsigned n, uint32_t set)
{
	if (b->len + BGP_MAX > CHUNK)
		feed(b, e);
	uint8_t path[2 + 4 * 4], comm[8], attr[256];
	struct wr w = wr_over(b->chunk + b->len, CHUNK - b->len), aw = wr_over(attr, sizeof(attr));
	path[0] = 2;
	path[1] = 4;
	put_u32(path + 2, e->conf.asn);
	put_u32(path + 6, 100000 + set % 5000);
	put_u32(path + 10, 200000 + set / 5000);
	put_u32(path + 14, 300000 + set % 1000);
	put_u32(comm, 0xfde80000 + set % 65000);
	put_u32(comm + 4, 0xfde90000 + set % 100);
	struct attrs a = { .origin = ORIGIN_IGP,
			   .as_path = { path, sizeof(path) },
			   .communities = { comm, sizeof(comm) } };
	attrs_encode(&aw, &a, &e->conf.rx);
	struct bgp_nexthop nh = { .global = e->conf.address };
	struct update_builder ub;
	update_begin(&ub, &w, &e->conf.rx, FAM_V4, &nh, attr, aw.len);
	for (unsigned k = 0; k < n; k++) {
		struct prefix p = { addr_v4((first + k) << 8), 24 };
		update_add(&ub, &p, 0);
	}
	update_end(&ub);
	b->len += w.len;
}

static void announce(struct bench *b, struct end *e, uint32_t base, uint32_t prefixes,
		     uint32_t sets)
{
	uint64_t done = 0;
	for (uint32_t s = 0; s < sets; s++) {
		uint64_t upto = (uint64_t)prefixes * (s + 1) / sets;
		put_update(b, e, base + (uint32_t)done, (unsigned)(upto - done), s);
		done = upto;
	}
	feed(b, e);
}

static void report(struct bench *b, const char *what, double base_mb)
{
	struct rib_stats st;
	uint64_t out = 0;
	rib_stats(b->rib, &st);
	for (unsigned k = 0; k < b->n; k++)
		out += b->end[k].bytes_out;
	printf("%-28s %7.3f s  longest turn %5.1f ms  %7.1f MB resident, %6.1f MB counted", what,
	       b->seconds, b->longest * 1e3, resident_mb() - base_mb, (double)st.bytes / 1e6);
	if (st.prefixes)
		printf(", %.1f bytes a prefix", (double)st.bytes / (double)st.prefixes);
	printf("; %.1f MB out\n", (double)out / 1e6);
	b->seconds = b->longest = 0;
}

static void down(struct bench *b, struct end *e)
{
	double t = now();
	rib_peer_down(b->rib, e->rp);
	e->rp = NULL;
	turn(b, t);
}

static void one(struct bench *b, uint32_t prefixes, uint32_t sets)
{
	double base = resident_mb();
	start(b);
	struct end *in = add_peer(b);
	add_peer(b);
	settle(b);
	announce(b, in, 0x010000, prefixes, sets);
	settle(b);
	report(b, "one in, one out", base);
	down(b, in);
	settle(b);
	report(b, "  all withdrawn", base);
	rib_free(b->rib);
}

static void fan(struct bench *b, unsigned width, uint32_t prefixes)
{
	double base = resident_mb();
	start(b);
	for (unsigned k = 0; k < 2 * width; k++)
		add_peer(b);
	settle(b);
	/* Sockets are served in turn: each injector gets a piece of its table in. */
	enum { PIECE = 6000 };
	for (uint32_t at = 0; at < prefixes; at += PIECE)
		for (unsigned k = 0; k < width; k++) {
			uint32_t n = prefixes - at < PIECE ? prefixes - at : PIECE;
			announce(b, &b->end[k], 0x010000 + at, n, n / 6 + 1);
		}
	settle(b);
	report(b, "fan in, fan out", base);
	for (unsigned k = 0; k < width; k++)
		down(b, &b->end[k]);
	settle(b);
	report(b, "  all withdrawn", base);
	rib_free(b->rib);
}

static void mesh(struct bench *b, unsigned width, uint32_t prefixes)
{
	double base = resident_mb();
	start(b);
	for (unsigned k = 0; k < 2 * width; k++)
		add_peer(b);
	settle(b);
	for (unsigned k = 0; k < width; k++)
		announce(b, &b->end[k], 0x010000 + k * prefixes, prefixes, 1);
	settle(b);
	report(b, "mesh", base);
	for (unsigned k = 0; k < width; k++)
		down(b, &b->end[k]);
	settle(b);
	report(b, "  all withdrawn", base);
	rib_free(b->rib);
}

int main(int argc, char **argv)
{
	struct bench *b = xcalloc(1, sizeof(*b));
	uint32_t x = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	uint32_t y = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	const char *which = argc > 1 ? argv[1] : "all";
	bool all = strcmp(which, "all") == 0;
	if (x > 15000000 || (strcmp(which, "one") && x > MAX_PEERS / 2)) {
		fprintf(stderr, "rib_bench: too many prefixes or peers\n");
		return 2;
	}
	if (all || !strcmp(which, "one"))
		one(b, x ? x : 1000000, y ? y : 170000);
	if (all || !strcmp(which, "fan"))
		fan(b, x ? x : 10, y ? y : 100000);
	if (all || !strcmp(which, "mesh"))
		mesh(b, x ? x : 500, y ? y : 4);
	free(b);
	return 0;
}
