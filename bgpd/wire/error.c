#include "bgpd/wire/attr.h"

#include <stdarg.h>
#include <stdio.h>

int bgp_fail(struct bgp_error *e, uint8_t code, uint8_t subcode, const void *data, size_t data_len,
	     const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	e->subcode = subcode;
	e->data_len = (uint8_t)(data_len < sizeof(e->data) ? data_len : sizeof(e->data));
	if (e->data_len)
		memcpy(e->data, data, e->data_len);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* RFC 4271 section 4.5; subcodes of 4271, 4486, 5492, 6608, 7313, 8538, 9234, 9384, 9687. */
static const char *const header_names[] = {
	[1] = "Connection Not Synchronized",
	[2] = "Bad Message Length",
	[3] = "Bad Message Type",
};
static const char *const open_names[] = {
	[1] = "Unsupported Version Number",
	[2] = "Bad Peer AS",
	[3] = "Bad BGP Identifier",
	[4] = "Unsupported Optional Parameter",
	[6] = "Unacceptable Hold Time",
	[7] = "Unsupported Capability",
	[11] = "Role Mismatch",
};
static const char *const update_names[] = {
	[1] = "Malformed Attribute List",     [2] = "Unrecognized Well-known Attribute",
	[3] = "Missing Well-known Attribute", [4] = "Attribute Flags Error",
	[5] = "Attribute Length Error",	      [6] = "Invalid ORIGIN Attribute",
	[8] = "Invalid NEXT_HOP Attribute",   [9] = "Optional Attribute Error",
	[10] = "Invalid Network Field",	      [11] = "Malformed AS_PATH",
};
static const char *const fsm_names[] = {
	[1] = "Unexpected Message in OpenSent",
	[2] = "Unexpected Message in OpenConfirm",
	[3] = "Unexpected Message in Established",
};
static const char *const cease_names[] = {
	[1] = "Maximum Number of Prefixes Reached",
	[2] = "Administrative Shutdown",
	[3] = "Peer De-configured",
	[4] = "Administrative Reset",
	[5] = "Connection Rejected",
	[6] = "Other Configuration Change",
	[7] = "Connection Collision Resolution",
	[8] = "Out of Resources",
	[9] = "Hard Reset",
	[10] = "BFD Down",
};
static const char *const refresh_names[] = { [1] = "Invalid Message Length" };

#define NAMES(list) list, sizeof(list) / sizeof((list)[0])
static const struct {
	const char *name;
	const char *const *sub;
	size_t n;
} codes[] = {
	[BERR_HEADER] = { "Message Header Error", NAMES(header_names) },
	[BERR_OPEN] = { "OPEN Message Error", NAMES(open_names) },
	[BERR_UPDATE] = { "UPDATE Message Error", NAMES(update_names) },
	[BERR_HOLD] = { "Hold Timer Expired", NULL, 0 },
	[BERR_FSM] = { "Finite State Machine Error", NAMES(fsm_names) },
	[BERR_CEASE] = { "Cease", NAMES(cease_names) },
	[BERR_REFRESH] = { "ROUTE-REFRESH Message Error", NAMES(refresh_names) },
	[BERR_SEND_HOLD] = { "Send Hold Timer Expired", NULL, 0 },
};

const char *bgp_error_name(uint8_t code, uint8_t subcode, char *buf, size_t size)
{
	if (code >= sizeof(codes) / sizeof(codes[0]) || !codes[code].name)
		snprintf(buf, size, "error %u/%u", code, subcode);
	else if (subcode < codes[code].n && codes[code].sub[subcode])
		snprintf(buf, size, "%s/%s", codes[code].name, codes[code].sub[subcode]);
	else if (subcode)
		snprintf(buf, size, "%s/%u", codes[code].name, subcode);
	else
		snprintf(buf, size, "%s", codes[code].name);
	return buf;
}
