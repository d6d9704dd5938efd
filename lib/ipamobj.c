/* Names and labels of Calico's IPAM objects (libcalico-go's ipam_affinity, ipam_block, names). */
#include "config.h"

#include "lib/ipamobj.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Both hashes are in every libcrypto of version 3; one that lacks them gives zeros, which is a
 * label that nobody finds and a name that still is unique enough to conflict instead of overlap. */
static void digest(const EVP_MD *md, const char *text, size_t len, unsigned char out[32])
{
	unsigned n = 0;

	memset(out, 0, 32);
	if (!EVP_Digest(text, len, out, &n, md, NULL) || n != 32)
		memset(out, 0, 32);
}

const char *ipamobj_block_name(const struct prefix *cidr, char out[IPAMOBJ_NAME])
{
	char text[PREFIX_STRLEN];
	char *p;

	prefix_format(cidr, text, sizeof(text));
	for (p = text; *p; p++)
		if (*p == '.' || *p == ':' || *p == '/')
			*p = '-';
	memcpy(out, text, (size_t)(p - text) + 1);
	return out;
}

const char *ipamobj_affinity_name(const char *node, const struct prefix *cidr,
				  char out[IPAMOBJ_NAME])
{
	/* The cut leaves room for two dashes and 11 digits of the hash in 252 characters. */
	enum { LONGEST = 252, HASH = 11, CUT = LONGEST - HASH - 2 };
	char block[IPAMOBJ_NAME], key[2 * IPAMOBJ_NAME];
	size_t nnode = strlen(node), nblock;
	unsigned char sum[32];

	ipamobj_block_name(cidr, block);
	nblock = strlen(block);
	if (nnode + 1 + nblock <= LONGEST) {
		snprintf(out, IPAMOBJ_NAME, "%s-%s", node, block);
		return out;
	}
	int n = snprintf(key, sizeof(key), "%s+%s", node, block);
	size_t nkey = n < 0 ? 0 : (size_t)n < sizeof(key) ? (size_t)n : sizeof(key) - 1;

	digest(EVP_sha256(), key, nkey, sum);
	snprintf(out, IPAMOBJ_NAME, "%.*s-%s-%02x%02x%02x%02x%02x%x", (int)(CUT - nblock), node,
		 block, sum[0], sum[1], sum[2], sum[3], sum[4], sum[5] >> 4);
	return out;
}

const char *ipamobj_hostname_hash(const char *node, char out[IPAMOBJ_HASH])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 section 6 */
	unsigned char sum[32];
	unsigned bits = 0, have = 0, at = 0;

	digest(EVP_sha3_256(), node, strlen(node), sum);
	for (unsigned i = 0; i < sizeof(sum); i++) {
		bits = bits << 8 | sum[i];
		for (have += 8; have >= 5; have -= 5)
			out[at++] = alphabet[bits >> (have - 5) & 31];
		bits &= (1u << have) - 1;
	}
	out[at++] = alphabet[bits << (5 - have) & 31];
	out[at] = 0;
	return out;
}

const char *ipamobj_handle_id(const char *network, const char *container_id, const char *ifname,
			      char out[IPAMOBJ_NAME])
{
	bool usual = !*ifname || !strcmp(ifname, "eth0");

	snprintf(out, IPAMOBJ_NAME, "%s.%s%s%s", network, container_id, usual ? "" : ".",
		 usual ? "" : ifname);
	return out;
}

const char *ipamobj_handle_name(const char *handle_id, char out[IPAMOBJ_NAME])
{
	size_t n = 0;

	for (; handle_id[n] && n < IPAMOBJ_NAME - 1; n++)
		out[n] = handle_id[n] >= 'A' && handle_id[n] <= 'Z' ? (char)(handle_id[n] + 32)
								    : handle_id[n];
	out[n] = 0;
	return out;
}

uint32_t ipamobj_host_hash(const char *node)
{
	uint32_t h = UINT32_C(2166136261);

	/* FNV-1: multiply, then xor. */
	for (; *node; node++) {
		h *= UINT32_C(16777619);
		h ^= (unsigned char)*node;
	}
	return h;
}
