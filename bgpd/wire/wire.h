/* BGP messages: bytes to structs and back. Pure: no socket, no clock, no allocation. Structs that a
 * decoder fills borrow from the message's bytes.
 *
 * RFC 4271 (messages), 4760 (multiprotocol), 5492 and 6793 (capabilities, 4-octet AS), 2918
 * (route refresh), 4724 (graceful restart), 7606 (errors in UPDATE), 7607 (AS 0), 8654 (extended
 * messages).
 */
#ifndef SELVAGE_BGPD_WIRE_H
#define SELVAGE_BGPD_WIRE_H

#include "lib/bytes.h"
#include "lib/prefix.h"

enum {
	BGP_HEADER = 19,
	BGP_MAX = 4096,
	BGP_MAX_EXTENDED = 65535,
	BGP_VERSION = 4,
	AS_TRANS = 23456,
	SAFI_UNICAST = 1,
};

enum bgp_msg { BGP_OPEN = 1, BGP_UPDATE, BGP_NOTIFICATION, BGP_KEEPALIVE, BGP_ROUTE_REFRESH };

/* RFC 4271 section 4.5, RFC 4486, RFC 7313 section 5, RFC 9687 section 3 */
enum bgp_err { BERR_HEADER = 1, BERR_OPEN, BERR_UPDATE, BERR_HOLD, BERR_FSM, BERR_CEASE,
	       BERR_REFRESH, BERR_SEND_HOLD };
enum { HEADER_SYNC = 1, HEADER_LENGTH, HEADER_TYPE };
enum { OPEN_VERSION = 1, OPEN_PEER_AS, OPEN_ID, OPEN_PARAM, OPEN_HOLD = 6, OPEN_CAPABILITY,
       OPEN_ROLE = 11 };
enum { CEASE_MAX_PREFIX = 1, CEASE_SHUTDOWN, CEASE_DECONFIGURED, CEASE_RESET, CEASE_REJECTED,
       CEASE_CONFIG, CEASE_COLLISION, CEASE_RESOURCES, CEASE_HARD_RESET };

/* What a decoder found wrong: what the NOTIFICATION says, and a text for the log and nodectl. */
struct bgp_error {
	uint8_t code, subcode;
	uint8_t data[64];
	uint8_t data_len;
	char text[160];
};

/* "Cease/Administrative Shutdown"; never NULL. */
const char *bgp_error_name(uint8_t code, uint8_t subcode, char *buf, size_t size);

/* Looks at what has been received. Returns the whole message's length when `len` bytes hold it, 0
 * when more is needed, -1 on a bad header (e says which NOTIFICATION). max is BGP_MAX, or
 * BGP_MAX_EXTENDED where both sides agreed. The minimum length of each type is checked here. */
int bgp_header_check(const uint8_t *buf, size_t len, size_t max, uint8_t *type,
		     struct bgp_error *e);

/* ---- OPEN ---- */

enum { CAP_MP = 1, CAP_REFRESH = 2, CAP_EXT_NEXTHOP = 5, CAP_EXT_MSG = 6, CAP_ROLE = 9, CAP_GR = 64,
       CAP_AS4 = 65, CAP_ADD_PATH = 69, CAP_ENHANCED_REFRESH = 70, CAP_LLGR = 71 };

/* Bit by family: 1 << FAM_V4, 1 << FAM_V6 (unicast only; other families are passed over). */
typedef uint8_t family_set;
#define FAMILY_BIT(fam) ((family_set)(1u << (fam)))

struct bgp_caps {
	family_set mp;
	bool route_refresh, enhanced_refresh, as4, extended_messages;
	family_set ext_nexthop;            /* RFC 8950: IPv4 over IPv6 next hops */
	bool gr;                           /* RFC 4724 */
	bool gr_restarting, gr_notification; /* R and N (RFC 8538) bits */
	uint16_t gr_time;                  /* s */
	family_set gr_families, gr_forwarding; /* listed; F bit set */
	family_set add_path_send, add_path_receive; /* as the sender of the OPEN says it */
};

struct bgp_open {
	uint32_t asn;       /* from CAP_AS4 where present */
	uint16_t hold_time; /* s */
	uint32_t id;        /* host order */
	struct bgp_caps caps;
};

/* Whole message with its header. Checks version, hold time (0 or >= 3), identifier (not 0), AS (not
 * 0, RFC 7607), parameters (RFC 9072 extended lengths too). Unknown capabilities are passed over.
 * A peer without any CAP_MP speaks IPv4 unicast. 0 or -1 with e. */
int bgp_open_decode(const uint8_t *msg, size_t len, struct bgp_open *out, struct bgp_error *e);
/* Appends a whole OPEN. */
void bgp_open_encode(struct wr *w, const struct bgp_open *open);

/* ---- NOTIFICATION, KEEPALIVE, ROUTE-REFRESH ---- */

struct bgp_notification {
	uint8_t code, subcode;
	const uint8_t *data;
	size_t data_len;
	char shutdown_text[256]; /* RFC 9003: UTF-8 made safe for a terminal, "" where none */
};

int bgp_notification_decode(const uint8_t *msg, size_t len, struct bgp_notification *out,
			    struct bgp_error *e);
void bgp_notification_encode(struct wr *w, uint8_t code, uint8_t subcode, const void *data,
			     size_t data_len);
void bgp_keepalive_encode(struct wr *w);

struct bgp_refresh {
	uint8_t fam; /* FAM_NONE: a family we do not speak; to be passed over */
	uint8_t safi, subtype;
};
int bgp_refresh_decode(const uint8_t *msg, size_t len, struct bgp_refresh *out,
		       struct bgp_error *e);
void bgp_refresh_encode(struct wr *w, uint8_t fam, uint8_t subtype);

/* ---- UPDATE ---- */

struct blob {
	const uint8_t *p;
	uint16_t len;
};

enum { ORIGIN_IGP, ORIGIN_EGP, ORIGIN_INCOMPLETE };

/* Path attributes, decoded. Blobs hold the attribute's value; as_path with 4-octet AS numbers
 * whatever the session speaks. */
struct attrs {
	uint8_t origin;
	bool has_med, has_local_pref, atomic_aggregate, has_aggregator, has_originator;
	uint32_t med, local_pref;
	uint32_t aggregator_as, aggregator_id;
	uint32_t originator;      /* RFC 4456, host order */
	struct blob as_path;      /* segments: u8 type, u8 count, u32 AS x count */
	struct blob communities;  /* u32 each */
	struct blob ext_communities; /* 8 octets each */
	struct blob large_communities; /* 12 octets each (RFC 8092) */
	struct blob cluster_list; /* u32 each */
	struct blob unknown;      /* optional transitive attributes unknown to us, whole, Partial set */
};

struct bgp_nexthop {
	struct addr global;    /* the link-local one where the peer has no other */
	struct addr linklocal; /* the second address of an IPv6 next hop, or FAM_NONE */
};

/* NLRI of one family, still in wire form; walk it with nlri_next(). Already validated. */
struct nlri {
	uint8_t fam;
	bool add_path;
	const uint8_t *p;
	size_t len;
};

/* RFC 7606: what a malformed UPDATE leads to, from mild to harsh. */
enum update_outcome {
	UPDATE_OK,
	UPDATE_DISCARD,  /* attributes were dropped (logged); the routes stand */
	UPDATE_WITHDRAW, /* treat every announced route as withdrawn */
	UPDATE_RESET,    /* send error's NOTIFICATION */
};

struct bgp_update {
	enum update_outcome outcome;
	struct bgp_error error;      /* for DISCARD and WITHDRAW: the text; RESET: all of it */
	struct nlri withdrawn[2];    /* the message's own field, MP_UNREACH; len 0 where absent */
	struct nlri reach[2];        /* the message's own field, MP_REACH */
	struct bgp_nexthop nexthop[2]; /* of each reach */
	family_set end_of_rib;       /* RFC 4724: this UPDATE is an End-of-RIB */
	/* The attribute bytes without MP_REACH and MP_UNREACH where they are contiguous: the key
	 * of the cache that lets a repeated block skip decoding; len 0 where it cannot be used. Equal
	 * blocks mean equal attrs within one bgp_session_ctx. */
	struct blob raw;
	struct attrs attrs;          /* valid when there is a reach and the outcome is not RESET */
};

/* What both sides agreed, and who the peer is. */
struct bgp_session_ctx {
	bool as4;      /* AS numbers have 4 octets in AS_PATH */
	bool ebgp;     /* LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST are dropped from external peers */
	bool check_first_as; /* eBGP: the leftmost AS is peer_as, else treat-as-withdraw */
	uint32_t peer_as;
	family_set families; /* agreed */
	family_set add_path; /* we receive path ids for these */
	family_set ext_nexthop;
	size_t max_message; /* BGP_MAX or BGP_MAX_EXTENDED */
};

/* Decodes a whole UPDATE. scratch (at least 2 * BGP_MAX_EXTENDED bytes) receives what has to be
 * rewritten (2-octet AS_PATHs merged with AS4_PATH, unknown attributes); it must live as long as
 * `out` is used. Never fails in another way than through out->outcome. Next hops are checked
 * for syntax and martians here, for reachability by the RIB. */
void bgp_update_decode(const uint8_t *msg, size_t len, const struct bgp_session_ctx *ctx,
		       uint8_t *scratch, size_t scratch_len, struct bgp_update *out);

/* The next prefix, host bits cleared; false at the end. path_id may be NULL (0 without add-path).
 * Multicast, loopback and link-local prefixes are passed over: RFC 4271 section 6.3. */
bool nlri_next_any(struct nlri *n, struct prefix *out, uint32_t *path_id);

static inline bool nlri_next(struct nlri *n, struct prefix *out, uint32_t *path_id)
{
	const uint8_t *p = n->p;
	uint32_t word, mask;

	if (!n->len)
		return false;
	/* The bulk of a full table in a few instructions: IPv4 with four octets to load, a
	 * first one that is neither loopback nor above class C. */
	if (n->fam != FAM_V4 || n->add_path || n->len < 5 || p[1] >= 224 || p[1] == 127)
		return nlri_next_any(n, out, path_id);
	mask = (uint32_t)(0xffffffff00000000u >> p[0]);
	word = ((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]) & mask;
	*out = (struct prefix){ .addr = { .fam = FAM_V4 }, .len = p[0] };
	out->addr.b[0] = (uint8_t)(word >> 24);
	out->addr.b[1] = (uint8_t)(word >> 16);
	out->addr.b[2] = (uint8_t)(word >> 8);
	out->addr.b[3] = (uint8_t)word;
	n->len -= 1 + ((p[0] + 7u) >> 3);
	n->p += 1 + ((p[0] + 7u) >> 3);
	if (path_id)
		*path_id = 0;
	return true;
}

/* Path attributes but for NEXT_HOP and the MP ones, in the order of their type codes as RFC 4271
 * section 5 recommends, those unknown to us last; AS_PATH in ctx's width (with AS4_PATH and
 * AS4_AGGREGATOR where needed). LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are written as attrs
 * says: whoever exports has cleared them for eBGP. */
void attrs_encode(struct wr *w, const struct attrs *a, const struct bgp_session_ctx *ctx);

/* Decodes what attrs_encode() wrote with as4 set: for interned blobs. Trusts its input. */
void attrs_decode_own(const uint8_t *p, size_t len, struct attrs *out);

/* One family's UPDATE builder: attributes once, then prefixes until the message is full.
 *   update_begin(&b, w, ctx, fam, nexthop, attr, attr_len);
 *   while (update_add(&b, &prefix, id)) ...;
 *   update_end(&b);
 * IPv4 with an IPv4 next hop uses the classic fields, everything else MP_REACH. */
struct update_builder {
	struct wr *w;
	size_t start, max, limit, nlri_len_at, attr_len_at, mp_len_at;
	const uint8_t *attr; /* what follows MP_REACH */
	size_t attr_len;
	uint8_t fam;
	bool mp, add_path, withdraw;
	unsigned count;
};
/* attr: bytes from attrs_encode(), borrowed until update_end(). w needs room for ctx->max_message
 * more bytes. */
void update_begin(struct update_builder *b, struct wr *w, const struct bgp_session_ctx *ctx,
		  uint8_t fam, const struct bgp_nexthop *nh, const uint8_t *attr, size_t attr_len);
void withdraw_begin(struct update_builder *b, struct wr *w, const struct bgp_session_ctx *ctx,
		    uint8_t fam);
/* false: no room left in this message, the prefix was not added. false for the first prefix of a
 * message: these attributes fit in no message of this session; the route cannot be announced and
 * has to be withdrawn (RFC 4271 section 9.2). */
bool update_add(struct update_builder *b, const struct prefix *p, uint32_t path_id);
void update_end(struct update_builder *b); /* a message without a prefix is taken back */
void end_of_rib_encode(struct wr *w, uint8_t fam);

/* ---- AS paths and communities (values as in struct attrs) ---- */

/* Length for the decision: a set counts 1 (RFC 4271 section 9.1.2.2), confederation segments 0 (RFC
 * 5065 section 5.3). */
unsigned as_path_length(struct blob path);
/* Leftmost AS of a first AS_SEQUENCE; 0 for an empty path or one that starts with a set. */
uint32_t as_path_first(struct blob path);
unsigned as_path_count(struct blob path, uint32_t asn); /* how often asn is in it */
/* Writes path with asn prepended `times` to out; returns the length, 0 where it does not fit. */
size_t as_path_prepend(struct blob path, uint32_t asn, unsigned times, uint8_t *out, size_t cap);
/* "65001 65002 {65003,65004}" */
const char *as_path_format(struct blob path, char *buf, size_t size);
/* "65001:100", with RFC 1997's and 8326's well-known names: "no-export", "graceful-shutdown" ... */
const char *community_format(uint32_t c, char *buf, size_t size);
const char *large_community_format(const uint8_t *p12, char *buf, size_t size);
const char *ext_community_format(const uint8_t *p8, char *buf, size_t size);
bool community_has(struct blob communities, uint32_t c);
enum { COMM_GRACEFUL_SHUTDOWN = (int)0xFFFF0000, COMM_NO_EXPORT = (int)0xFFFFFF01,
       COMM_NO_ADVERTISE = (int)0xFFFFFF02, COMM_NO_EXPORT_SUBCONFED = (int)0xFFFFFF03 };

#endif
