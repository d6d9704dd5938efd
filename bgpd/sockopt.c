#include "config.h"

#include "bgpd/sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
/* After netinet/in.h: the kernel's header has TCP_MD5SIG's struct whatever libc's age. */
#include <linux/tcp.h>

#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

int sockopt_md5(int fd, const struct addr *peer, const char *password, struct err *err)
{
	struct tcp_md5sig key = { 0 };
	struct sockaddr_storage ss;
	size_t len = password ? strlen(password) : 0;
	if (len > sizeof(key.tcpm_key))
		return err_set(err, "the password has %zu bytes; TCP-MD5 takes at most %zu", len,
			       sizeof(key.tcpm_key));
	addr_to_sockaddr(peer, 0, 0, &ss);
	memcpy(&key.tcpm_addr, &ss, sizeof(key.tcpm_addr));
	key.tcpm_keylen = (uint16_t)len;
	if (len)
		memcpy(key.tcpm_key, password, len);
	int rc = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key));
	int saved = errno;
	explicit_bzero(&key, sizeof(key));
	if (rc < 0 && !len && (saved == ENOENT || saved == ENOPROTOOPT))
		return 0;
	return rc < 0 ? err_sys(err, saved, "cannot set the TCP-MD5 key") : 0;
}

int sockopt_ttl(int fd, unsigned fam, int ttl, struct err *err)
{
	int rc = fam == FAM_V4 ? setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl))
			       : setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl));
	return rc < 0 ? err_sys(err, errno, "cannot set TTL %d", ttl) : 0;
}

int sockopt_gtsm(int fd, unsigned fam, unsigned hops, struct err *err)
{
	int least = 256 - (int)hops;
	int rc = fam == FAM_V4
			 ? setsockopt(fd, IPPROTO_IP, IP_MINTTL, &least, sizeof(least))
			 : setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least, sizeof(least));
	if (rc < 0)
		return err_sys(err, errno, "cannot demand TTL %d", least);
	return sockopt_ttl(fd, fam, 255, err);
}

void sockopt_common(int fd, unsigned fam)
{
	int one = 1, cs6 = IPTOS_CLASS_CS6;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fam == FAM_V4)
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &cs6, sizeof(cs6));
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &cs6, sizeof(cs6));
}

enum family sockopt_family(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return FAM_NONE;
	return domain == AF_INET ? FAM_V4 : domain == AF_INET6 ? FAM_V6 : FAM_NONE;
}
