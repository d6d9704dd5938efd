#include "config.h"

#include "felix/plumb.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "felix/plumb_impl.h"
#include "felix/sysctl.h"
#include "lib/log.h"

void plumb_host_ifname(const char *namespace_, const char *pod, const char *container_id,
		       const char *ifname, char out[PLUMB_IFNAME])
{
	bool named = pod && pod[0] && strcmp(ifname, "eth0") == 0;
	const char *part[3] = { named ? namespace_ : container_id, ".", named ? pod : ifname };
	unsigned char md[EVP_MAX_MD_SIZE] = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

	for (unsigned i = 0; i < 3 && ok; i++)
		ok = EVP_DigestUpdate(ctx, part[i] ? part[i] : "", strlen(part[i] ? part[i] : ""));
	if (!ok || EVP_DigestFinal_ex(ctx, md, NULL) != 1) {
		/* Two pods would get one name: no pod is better. */
		log_error(
			"plumb",
			"libcrypto has no SHA-1 (a FIPS policy?); names of pod interfaces need it");
		abort();
	}
	EVP_MD_CTX_free(ctx);
	snprintf(out, PLUMB_IFNAME, "cali%02x%02x%02x%02x%02x%x", md[0], md[1], md[2], md[3], md[4],
		 md[5] >> 4);
}

struct addr plumb_gateway(enum family fam)
{
	/* The IPv6 one is what EUI-64 makes of the host end's MAC. */
	static const uint8_t v4[4] = { 169, 254, 1, 1 };
	static const uint8_t v6[16] = { 0xfe, 0x80, 0,	  0,	0,    0,    0,	  0,
					0xec, 0xee, 0xee, 0xff, 0xfe, 0xee, 0xee, 0xee };

	return addr_make(fam, fam == FAM_V4 ? v4 : v6);
}

/* --- the netns behind a socket --- */

static int netns_of(int sock, struct err *err)
{
	int fd = ioctl(sock, SIOCGSKNS);

	if (fd < 0)
		return err_sys(err, errno,
			       "cannot find the network namespace of the passed socket");
	return fd;
}

static int own_netns_stat(struct stat *st, struct err *err)
{
	/* By a socket of our own, for in a chroot there is no /proc. */
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (sock < 0)
		return err_sys(err, errno, "cannot open a netlink socket");
	int fd = netns_of(sock, err);
	close(sock);
	if (fd < 0)
		return -1;
	int rc = fstat(fd, st);
	close(fd);
	return rc < 0 ? err_sys(err, errno, "cannot look at our network namespace") : 0;
}

int plumb_is_own_netns(int pod_sock, struct err *err)
{
	struct stat pod, own;
	int fd = netns_of(pod_sock, err);

	if (fd < 0)
		return -1;
	int rc = fstat(fd, &pod);
	close(fd);
	if (rc < 0)
		return err_sys(err, errno, "cannot look at the pod's network namespace");
	if (own_netns_stat(&own, err) < 0)
		return -1;
	return pod.st_ino == own.st_ino && pod.st_dev == own.st_dev;
}

/* --- links --- */

static int read_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct plumb_link *l = arg;
	const struct nlattr *attr;

	l->ifindex = (uint32_t)ifi->ifi_index;
	l->up = ifi->ifi_flags & IFF_UP;
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
	{
		unsigned type = mnl_attr_get_type(attr);

		if (type == IFLA_ADDRESS && mnl_attr_get_payload_len(attr) == sizeof(l->mac))
			memcpy(l->mac, mnl_attr_get_payload(attr), sizeof(l->mac));
		else if (type == IFLA_LINK && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			l->peer = mnl_attr_get_u32(attr);
		else if (type == IFLA_OPERSTATE && mnl_attr_get_u8(attr) == IF_OPER_UP)
			l->running = true;
	}
	return MNL_CB_OK;
}

int plumb_find(struct nl *nl, const char *name, struct plumb_link *out, struct err *err)
{
	struct nlmsghdr *nlh = nl_request(nl, RTM_GETLINK, 0, sizeof(struct ifinfomsg), NULL);

	memset(out, 0, sizeof(*out));
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	if (nl_get(nl, nlh, read_link, out, err) == 0)
		return 1;
	return err->code == ENODEV ? 0 : -1;
}

static int parse_mac(const char *text, uint8_t mac[6], struct err *err)
{
	unsigned v[6];
	char end;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2],
					 &v[3], &v[4], &v[5], &end) != 6)
		return err_set(err, "\"%s\" is no MAC address; write it as 0a:58:0a:00:00:01",
			       text);
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)v[i];
	if (mac[0] & 1)
		return err_set(err, "%s is a multicast MAC address; its first byte must be even",
			       text);
	return 0;
}

static void format_mac(const uint8_t m[6], char out[PLUMB_MAC_STRLEN])
{
	snprintf(out, PLUMB_MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		 m[4], m[5]);
}

/* Neither end is raised here: IFF_UP on the peer makes the kernel answer ENOTCONN. */
static int create_veth(struct nl *host, int netns, const struct plumb_request *rq,
		       const uint8_t *pod_mac, struct err *err)
{
	static const uint8_t host_mac[6] = HOST_MAC;
	struct nlmsghdr *nlh = nl_request(host, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					  sizeof(struct ifinfomsg), NULL);

	mnl_attr_put_strz(nlh, IFLA_IFNAME, rq->host_ifname);
	mnl_attr_put_u32(nlh, IFLA_MTU, rq->mtu);
	mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(host_mac), host_mac);
	struct nlattr *info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload_tail(nlh);
	memset(ifi, 0, sizeof(*ifi));
	nlh->nlmsg_len += MNL_ALIGN(sizeof(*ifi));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, rq->ifname);
	mnl_attr_put_u32(nlh, IFLA_MTU, rq->mtu);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)netns);
	if (pod_mac)
		mnl_attr_put(nlh, IFLA_ADDRESS, 6, pod_mac);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	if (nl_talk(host, nlh, err) < 0)
		return err_ctx(err, "cannot create %s with its end %s in the pod", rq->host_ifname,
			       rq->ifname);
	return 0;
}

int plumb_del(struct nl *host, const char *host_ifname, struct err *err)
{
	struct nlmsghdr *nlh = nl_request(host, RTM_DELLINK, 0, sizeof(struct ifinfomsg), NULL);

	mnl_attr_put_strz(nlh, IFLA_IFNAME, host_ifname);
	if (nl_talk(host, nlh, err) == 0 || err->code == ENODEV)
		return 0;
	return err_ctx(err, "cannot delete %s", host_ifname);
}

/* --- steps --- */

static void step_failed(void *arg, uint64_t cookie, int errnum, const char *text)
{
	static const char *const what[] = {
		[STEP_LO] = "raise lo",
		[STEP_UP] = "raise the interface",
		[STEP_ADDRESS] = "set the address",
		[STEP_NEIGH] = "set the permanent neighbour",
		[STEP_ROUTE] = "set the route",
		[STEP_LINKLOCAL] = "set the link-local address",
	};
	struct plumb_steps *s = arg;

	if (s->failed)
		return;
	s->failed = true;
	s->err.code = errnum;
	snprintf(s->err.text, sizeof(s->err.text), "%s: cannot %s: %s", s->where, what[cookie],
		 text);
}

void plumb_steps_begin(struct plumb_steps *s, struct nl *nl, const char *where)
{
	s->where = where;
	s->failed = false;
	s->batch = nl_batch_new(nl, step_failed, s);
}

int plumb_steps_end(struct plumb_steps *s, struct err *err)
{
	int rc = nl_batch_flush(s->batch, err);

	nl_batch_free(s->batch);
	if (rc < 0)
		return err_ctx(err, "%s", s->where);
	if (s->failed)
		*err = s->err;
	return s->failed ? -1 : 0;
}

void plumb_step_link_up(struct plumb_steps *s, uint32_t ifindex, enum plumb_step step)
{
	void *head;

	nl_batch_request(s->batch, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &head);
	struct ifinfomsg *ifi = head;
	ifi->ifi_index = (int)ifindex;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	nl_batch_commit(s->batch, step);
}

void plumb_step_address(struct plumb_steps *s, uint32_t ifindex, const struct addr *a, unsigned len,
			enum plumb_step step)
{
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(s->batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE,
						sizeof(struct ifaddrmsg), &head);
	struct ifaddrmsg *ifa = head;
	ifa->ifa_family = (unsigned char)family_af(a->fam);
	ifa->ifa_prefixlen = (unsigned char)len;
	ifa->ifa_index = ifindex;
	ifa->ifa_scope = step == STEP_LINKLOCAL ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	/* The address is ours by IPAM; a second of duplicate detection would only delay the pod. */
	ifa->ifa_flags = a->fam == FAM_V6 ? IFA_F_NODAD : 0;
	nl_put_addr(nlh, IFA_LOCAL, a);
	nl_put_addr(nlh, IFA_ADDRESS, a);
	nl_batch_commit(s->batch, step);
}

void plumb_step_neigh(struct plumb_steps *s, uint32_t ifindex, const struct addr *a,
		      const uint8_t mac[6])
{
	void *head;

	struct nlmsghdr *nlh = nl_batch_request(
		s->batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), &head);
	struct ndmsg *ndm = head;
	ndm->ndm_family = (unsigned char)family_af(a->fam);
	ndm->ndm_ifindex = (int)ifindex;
	ndm->ndm_state = NUD_PERMANENT;
	nl_put_addr(nlh, NDA_DST, a);
	mnl_attr_put(nlh, NDA_LLADDR, 6, mac);
	nl_batch_commit(s->batch, STEP_NEIGH);
}

/* --- the host's end --- */

static bool wants(const struct plumb_request *rq, enum family fam)
{
	for (unsigned i = 0; i < rq->naddrs; i++)
		if (rq->addrs[i].fam == fam)
			return true;
	return false;
}

static int host_sysctls(const struct plumb_request *rq, struct err *err)
{
	static const struct {
		const char *family, *dir, *name;
		int value;
	} table[] = {
		{ "ipv4", "conf", "forwarding", 1 },
		{ "ipv4", "conf", "proxy_arp", 1 },
		/* A pod answers for its own addresses only. */
		{ "ipv4", "conf", "rp_filter", 1 },
		{ "ipv4", "neigh", "proxy_delay", 0 },
		{ "ipv6", "conf", "disable_ipv6", 0 },
		{ "ipv6", "conf", "forwarding", 1 },
		{ "ipv6", "conf", "proxy_ndp", 1 },
		{ "ipv6", "conf", "accept_dad", 0 },
		{ "ipv6", "conf", "accept_ra", 0 },
		/* 1 = none: the link-local address is set by hand, at once and always the same. */
		{ "ipv6", "conf", "addr_gen_mode", 1 },
		{ "ipv6", "neigh", "proxy_delay", 0 },
	};
	char path[96];

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bool v6 = strcmp(table[i].family, "ipv6") == 0;

		if (v6 && !wants(rq, FAM_V6))
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s/%s", table[i].family, table[i].dir,
			 rq->host_ifname, table[i].name);
		if (sysctl_set(path, table[i].value, err) < 0)
			return -1;
	}
	/* A pod without an IPv6 address shall not reach the node by link-local ones either. */
	if (!wants(rq, FAM_V6) && sysctl_has_ipv6())
		return sysctl_set_if("ipv6", rq->host_ifname, "disable_ipv6", 1, err);
	return 0;
}

/* Addresses of the pod get permanent neighbours: the first packet to it waits for nobody. */
static int host_end(struct nl *host, uint32_t ifindex, const uint8_t pod_mac[6],
		    const struct plumb_request *rq, struct err *err)
{
	struct plumb_steps s;

	plumb_steps_begin(&s, host, rq->host_ifname);
	plumb_step_link_up(&s, ifindex, STEP_UP);
	if (wants(rq, FAM_V6)) {
		struct addr gw = plumb_gateway(FAM_V6);

		plumb_step_address(&s, ifindex, &gw, 64, STEP_LINKLOCAL);
	}
	for (unsigned i = 0; i < rq->naddrs; i++)
		plumb_step_neigh(&s, ifindex, &rq->addrs[i], pod_mac);
	return plumb_steps_end(&s, err);
}

/* Two things come a moment after the kernel's answer, and what is sent before them is dropped: the
 * end that was raised first gets its queue when the link watch comes round (asking for the link
 * hurries that on newer kernels), and an IPv6 address its local route from a work queue. */
static int wait_ready(struct nl *host, struct nl *pod, const struct plumb_request *rq,
		      struct err *err)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 };
	bool running = false, local = false;
	struct plumb_link l;

	for (unsigned i = 0; i < 200; i++) {
		/* Routes are asked for without a lock, links under the one that the work waits for.
		 */
		local = local || plumb_pod_ready(pod, rq);
		if (local && !running) {
			int rc = plumb_find(host, rq->host_ifname, &l, err);

			if (rc <= 0)
				return rc < 0 ? -1 : err_set(err, "%s went away", rq->host_ifname);
			running = l.running;
		}
		if (running && local)
			return 0;
		nanosleep(&pause, NULL);
	}
	/* It will come round some time; the pod is no worse than with any other plugin. */
	log_warn("plumb", "%s is not yet ready 20 ms after it was raised", rq->host_ifname);
	return 0;
}

static int configure(struct nl *host, struct nl *pod, const struct plumb_request *rq,
		     struct plumb_result *out, struct err *err)
{
	static const uint8_t host_mac[6] = HOST_MAC;
	struct plumb_link h, p;

	if (host_sysctls(rq, err) < 0)
		return -1;
	int rc = plumb_find(host, rq->host_ifname, &h, err);
	if (rc > 0)
		rc = plumb_find(pod, rq->ifname, &p, err);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, "the new interface vanished");
	if (host_end(host, h.ifindex, p.mac, rq, err) < 0 || plumb_pod(pod, &p, rq, err) < 0 ||
	    wait_ready(host, pod, rq, err) < 0)
		return -1;
	out->host_ifindex = h.ifindex;
	format_mac(p.mac, out->pod_mac);
	format_mac(host_mac, out->host_mac);
	return 0;
}

static struct nl *open_pod(const struct plumb_request *rq, struct err *err)
{
	int own = plumb_is_own_netns(rq->pod_sock, err);

	if (own < 0)
		return NULL;
	if (own) {
		err_set(err, "the pod's network namespace is the host's own; refused");
		return NULL;
	}
	int fd = fcntl(rq->pod_sock, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		err_sys(err, errno, "cannot keep the passed socket");
		return NULL;
	}
	return nl_open_fd(fd, err);
}

static int add_with(struct nl *host, struct nl *pod, const struct plumb_request *rq,
		    struct plumb_result *out, struct err *err)
{
	struct plumb_link l;
	struct err ignored;
	uint8_t mac[6];
	bool has_mac = rq->mac && rq->mac[0];

	if (has_mac && parse_mac(rq->mac, mac, err) < 0)
		return -1;
	int rc = plumb_find(pod, rq->ifname, &l, err);
	if (rc > 0)
		return err_set(err, "the pod already has an interface %s", rq->ifname);
	if (rc < 0 || plumb_del(host, rq->host_ifname, err) < 0)
		return -1;
	int netns = netns_of(rq->pod_sock, err);
	if (netns < 0)
		return -1;
	rc = create_veth(host, netns, rq, has_mac ? mac : NULL, err);
	close(netns);
	if (rc < 0)
		return -1;
	if (configure(host, pod, rq, out, err) < 0) {
		plumb_del(host, rq->host_ifname, &ignored);
		return -1;
	}
	return 0;
}

int plumb_add(struct nl *host, const struct plumb_request *rq, struct plumb_result *out,
	      struct err *err)
{
	memset(out, 0, sizeof(*out));
	struct nl *pod = open_pod(rq, err);
	if (!pod)
		return -1;
	int rc = add_with(host, pod, rq, out, err);
	nl_close(pod);
	return rc;
}

int plumb_check(struct nl *host, const struct plumb_request *rq, struct err *err)
{
	struct plumb_link h, p;

	int rc = plumb_find(host, rq->host_ifname, &h, err);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(err, "the host has no interface %s", rq->host_ifname);
	if (!h.up)
		return err_set(err, "%s is down on the host", rq->host_ifname);
	struct nl *pod = open_pod(rq, err);
	if (!pod)
		return -1;
	rc = plumb_find(pod, rq->ifname, &p, err);
	if (rc == 0)
		rc = err_set(err, "the pod has no interface %s", rq->ifname);
	else if (rc > 0 && p.ifindex != h.peer)
		rc = err_set(err, "%s of the pod is not the other end of %s", rq->ifname,
			     rq->host_ifname);
	else if (rc > 0)
		rc = plumb_pod_check(pod, &p, rq, err);
	nl_close(pod);
	return rc < 0 ? -1 : 0;
}
