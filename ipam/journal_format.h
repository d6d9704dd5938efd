/* The journal's bytes (pure): a file header, then records, then zeros to the file's end.
 *
 * Header, 128 bytes: magic "SELVIPAM", u16 version, u64 first sequence, u64 created, 40 bytes
 * boot_id, zeros, u32 CRC32C of what stands before it. Record: u32 magic, u32 length of the whole
 * record, u32 CRC32C of all its other bytes, u64 sequence, u64 durable, u8 type, body. Integers are
 * big-endian. `durable` is the highest sequence that was known to be on the disk when the record
 * was written: it tells damage to what had been durable from the unfinished last write of a crash,
 * whose sectors may reach the disk in any order.
 */
#ifndef SELVAGE_IPAM_JOURNAL_FORMAT_H
#define SELVAGE_IPAM_JOURNAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/prefix.h"

enum { JOURNAL_VERSION = 1, JHDR_SIZE = 128, JREC_HEAD = 29, JREC_MAX = 4096, BOOT_ID_LEN = 37 };

enum jrec_type {
	JREC_BLOCK = 1,	 /* cidr, pool, flags: the node has this block, or its flags changed */
	JREC_BLOCK_GONE, /* cidr: it is known no more */
	JREC_ALLOC,	 /* owner, addrs, time, state, host_ifname */
	JREC_READY,	 /* owner's key, host_ifname */
	JREC_RELEASE,	 /* owner's key, time */
	JREC_FREED,	 /* addrs[0], time: free, in the order in which they were freed */
};

enum { JBLOCK_ALLOCATE = 1, JBLOCK_OURS = 2 };

/* What a type does not list above is neither written nor read. Strings are never NULL. */
struct jrec {
	uint8_t type; /* enum jrec_type */
	uint64_t seq, durable;
	const char *network, *container_id, *ifname; /* owner's key */
	const char *namespace_, *pod;		     /* owner */
	const char *host_ifname;
	uint8_t state;
	unsigned naddrs;
	struct addr addrs[2];
	uint64_t time; /* s since the epoch */
	struct prefix cidr, pool;
	uint8_t flags; /* JBLOCK_* */
};

struct jhdr {
	uint16_t version;
	uint64_t first_seq, created;
	char boot_id[BOOT_ID_LEN];
};

/* CRC32C (Castagnoli, as in RFC 3720 section B.4); crc: 0, or the value so far. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

void jhdr_encode(const struct jhdr *h, uint8_t out[JHDR_SIZE]);
/* 0; -1: no header of ours, or damaged. A version other than JOURNAL_VERSION decodes. */
int jhdr_decode(const uint8_t *buf, size_t len, struct jhdr *out);

/* Returns the record's length; 0: it does not fit into cap or JREC_MAX. */
size_t jrec_encode(const struct jrec *r, uint8_t *buf, size_t cap);
/* Returns the length of the valid record that begins at buf, 0 where there is none. Strings are
 * borrowed from buf. */
size_t jrec_decode(const uint8_t *buf, size_t len, struct jrec *out);

/* Walks the records of a whole file image. */
struct jscan {
	const uint8_t *buf;
	size_t len, off;   /* off: where the next record is expected */
	uint64_t next_seq; /* and its sequence */
};
void jscan_init(struct jscan *s, const uint8_t *buf, size_t len, const struct jhdr *h);
bool jscan_next(struct jscan *s, struct jrec *out);

enum jend {
	JEND_CLEAN,   /* zeros to the end */
	JEND_TORN,    /* an unfinished last write: cut from s->off on */
	JEND_DAMAGED, /* the record at s->off had been durable: a later one says so */
};
/* What follows the last good record, once jscan_next() has returned false. */
enum jend jscan_end(const struct jscan *s);

#endif
