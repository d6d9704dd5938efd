/* Inside the codec: the table of path attributes, and what its rows and the message code share.
 *
 * A new attribute is one row in attr_table.c and one test.
 */
#ifndef SELVAGE_BGPD_WIRE_ATTR_H
#define SELVAGE_BGPD_WIRE_ATTR_H

#include "bgpd/wire/wire.h"

enum {
	ATTR_ORIGIN = 1,
	ATTR_AS_PATH = 2,
	ATTR_NEXT_HOP = 3,
	ATTR_MED = 4,
	ATTR_LOCAL_PREF = 5,
	ATTR_ATOMIC_AGGREGATE = 6,
	ATTR_AGGREGATOR = 7,
	ATTR_COMMUNITIES = 8,
	ATTR_ORIGINATOR_ID = 9,
	ATTR_CLUSTER_LIST = 10,
	ATTR_MP_REACH = 14,
	ATTR_MP_UNREACH = 15,
	ATTR_EXT_COMMUNITIES = 16,
	ATTR_AS4_PATH = 17,
	ATTR_AS4_AGGREGATOR = 18,
	ATTR_IPV6_EXT_COMMUNITIES = 25,
	ATTR_LARGE_COMMUNITIES = 32,
	ATTR_OTC = 35,
	ATTR_ROWS = 36,
};

enum {
	AF_OPTIONAL = 0x80,
	AF_TRANSITIVE = 0x40,
	AF_PARTIAL = 0x20,
	AF_EXTENDED = 0x10,
	AF_KIND = AF_OPTIONAL | AF_TRANSITIVE,
};

/* Segment types of AS_PATH: RFC 4271 section 4.3, RFC 5065 section 3. */
enum { SEG_SET = 1, SEG_SEQUENCE, SEG_CONFED_SEQUENCE, SEG_CONFED_SET };

/* UPDATE Message Error subcodes, RFC 4271 section 6.3. */
enum {
	UPD_ATTR_LIST = 1,
	UPD_UNKNOWN_WELL_KNOWN,
	UPD_MISSING_WELL_KNOWN,
	UPD_ATTR_FLAGS,
	UPD_ATTR_LENGTH,
	UPD_ORIGIN,
	UPD_NEXT_HOP = 8,
	UPD_OPTIONAL_ATTR,
	UPD_NETWORK,
	UPD_AS_PATH,
};

/* One UPDATE's path attributes while they are decoded. */
struct attr_decoder {
	const struct bgp_session_ctx *ctx;
	struct attrs *a;
	struct bgp_update *u; /* NULL: our own blob, trusted, without anything to report */
	struct wr scratch;
	uint64_t seen[4]; /* by type code */
	bool has_as4_aggregator;
	bool reach;    /* MP_REACH with a prefix, or of a family that we do not speak */
	bool unsorted; /* unknown attributes came out of order */
	uint8_t last_unknown;
	uint32_t as4_aggregator_as, as4_aggregator_id;
	const uint8_t *next_hop; /* NEXT_HOP's value, looked at only where it counts */
	uint16_t next_hop_len;
	struct blob as4_path;
};

/* Beside the flags in a row. */
enum {
	ROW_INTERNAL = 0x01, /* dropped from external peers */
	ROW_MP = 0x02,	     /* carries prefixes */
};

struct attr_row {
	const char *name; /* NULL: the type is unknown */
	/* Reads the value, whose length the row has checked. NULL, or what is wrong with it (then
	 * nothing was taken). NULL function: checked and passed on as it came. */
	const char *(*decode)(struct attr_decoder *d, const uint8_t *v, unsigned len);
	/* Appends the whole attribute where attrs has it; NULL where others write it. */
	void (*encode)(struct wr *w, const struct attrs *a, const struct bgp_session_ctx *ctx);
	uint16_t len_min, len_max;
	uint8_t len_unit;  /* the length is a multiple of it; 0: any */
	uint8_t flags;	   /* the Optional and Transitive bits as specified, and ROW_* */
	uint8_t malformed; /* enum update_outcome, RFC 7606 section 7 */
	uint8_t bad_flags; /* the same for flags, RFC 7606 section 3 (c) */
	uint8_t subcode;   /* of a NOTIFICATION about its value */
};

extern const struct attr_row attr_table[ATTR_ROWS];

/* Keeps the harshest thing found, the first one of equals (RFC 7606 section 3 (h)). data, which may
 * be NULL, goes into the NOTIFICATION. */
void update_note(struct bgp_update *u, enum update_outcome outcome, uint8_t subcode,
		 const uint8_t *data, size_t data_len, const char *fmt, ...)
	__attribute__((format(printf, 6, 7), cold));

/* Fills e; returns -1. */
int bgp_fail(struct bgp_error *e, uint8_t code, uint8_t subcode, const void *data, size_t data_len,
	     const char *fmt, ...) __attribute__((format(printf, 6, 7), cold));

/* Starts a message; wr_message_end() fills the length in. */
size_t wr_message_begin(struct wr *w, uint8_t type);
void wr_message_end(struct wr *w, size_t start);
/* Attribute header, with the extended length where it is needed (RFC 4271 section 4.3). */
void wr_attr(struct wr *w, uint8_t flags, uint8_t type, size_t len);

/* Are these bytes whole prefixes of at most max_bits (RFC 7606 section 5.3)? */
bool nlri_valid(const uint8_t *p, size_t len, unsigned max_bits, bool add_path);

/* NULL, or what is wrong with the segments: RFC 7606 section 7.2, RFC 7607. width: octets of an AS
 * number. confed: confederation segments are let through. */
const char *as_path_check(const uint8_t *v, unsigned len, unsigned width, bool confed);
/* Appends a path of 2-octet numbers in 4 octets, put together with AS4_PATH (len 0: none) as RFC
 * 6793 section 4.2.3 says. */
void as_path_widen(struct wr *w, struct blob path2, struct blob as4);
/* Appends it in 2 octets, AS_TRANS for what does not fit. */
void as_path_narrow(struct wr *w, struct blob path);
bool as_path_needs_as4(struct blob path); /* an AS number above 65535 is in it */

static inline uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline bool attr_is_mp(uint8_t type)
{
	return type == ATTR_MP_REACH || type == ATTR_MP_UNREACH;
}

#endif
