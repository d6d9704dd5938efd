#include "config.h"

#include "felix/nft_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/nl.h"

enum { SEND_ROOM = 8 << 20, RECEIVE_ROOM = 1 << 20, READ_MAX = 64 * 1024 };

struct nft_sock {
	int fd;	    /* transactions */
	int sndbuf; /* what the kernel was last asked for */
	struct nl
		*ask; /* questions: a dump that was given up never stands in a transaction's way */
	uint8_t in[READ_MAX] __attribute__((aligned(8)));
};

static void socket_room(int fd, int force, int plain, int bytes)
{
	/* The forced form passes over the system's limit but wants CAP_NET_ADMIN. */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

struct nft_sock *nft_sock_open(struct err *err)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0) {
		err_sys(err, errno, "cannot open a netlink socket for nftables");
		return NULL;
	}
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err_sys(err, errno, "cannot bind a netlink socket for nftables");
		close(fd);
		return NULL;
	}
	/* Short answers: the message that failed is not sent back whole. */
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	socket_room(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_ROOM);
	socket_room(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_ROOM);
	struct nl *ask = nl_open(NETLINK_NETFILTER, err);
	if (!ask) {
		close(fd);
		return NULL;
	}
	struct nft_sock *s = xcalloc(1, sizeof(*s));
	s->fd = fd;
	s->sndbuf = SEND_ROOM;
	s->ask = ask;
	return s;
}

void nft_sock_close(struct nft_sock *s)
{
	if (!s)
		return;
	close(s->fd);
	nl_close(s->ask);
	free(s);
}

struct answers {
	bool acked, failed, lost;
	uint32_t seq;
	struct err err;
};

static void answer(const struct nb *b, const struct nlmsghdr *nlh, struct answers *a)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	const char *text = NULL;

	if (nlh->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e) ||
	    nlh->nlmsg_seq >= b->n)
		return;
	if (!e->error) {
		a->acked = true;
		return;
	}
	if (a->failed)
		return;
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS && nlh->nlmsg_flags & NLM_F_CAPPED)
		mnl_attr_for_each(attr, nlh, sizeof(*e))
		{
			if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
			    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				text = mnl_attr_get_str(attr);
		}
	a->failed = true;
	a->seq = nlh->nlmsg_seq;
	if (text)
		err_sys(&a->err, -e->error, "the kernel refuses: %s", text);
	else
		err_sys(&a->err, -e->error, "the kernel refuses");
}

/* The kernel has answered all before sendto() returns. */
static void read_answers(struct nft_sock *s, const struct nb *b, struct answers *a)
{
	for (;;) {
		ssize_t n = recv(s->fd, s->in, sizeof(s->in), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) {
			a->lost = true; /* more errors than fit; the first ones are still there */
			continue;
		}
		if (n <= 0)
			return;
		int left = (int)n;
		const struct nlmsghdr *in = (const struct nlmsghdr *)s->in;
		for (; mnl_nlmsg_ok(in, left); in = mnl_nlmsg_next(in, &left))
			answer(b, in, a);
	}
}

int nft_sock_commit(struct nft_sock *s, const struct nb *b, uint64_t *cookie, struct err *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct answers a = { 0 };
	ssize_t n;

	*cookie = b->cookies[0];
	read_answers(s, &(const struct nb){ 0 }, &a); /* what nobody waits for any more */
	a = (struct answers){ 0 };
	if (b->used > (size_t)s->sndbuf - s->sndbuf / 4) {
		s->sndbuf = (int)(b->used + b->used / 2);
		socket_room(s->fd, SO_SNDBUFFORCE, SO_SNDBUF, s->sndbuf);
	}
	do
		n = sendto(s->fd, b->data, b->used, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, errno, "cannot send %zu bytes to nftables", b->used);
	read_answers(s, b, &a);
	if (a.failed) {
		*cookie = b->cookies[a.seq];
		*err = a.err;
		return -1;
	}
	if (a.lost)
		return err_sys(err, ENOBUFS, "nftables' answers do not fit the socket's buffer");
	if (!a.acked)
		return err_set(err, "nftables did not acknowledge a transaction");
	return 0;
}

static struct nlmsghdr *question(struct nft_sock *s, uint16_t type, uint8_t family)
{
	void *head;

	struct nlmsghdr *nlh = nl_request(s->ask, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), 0,
					  sizeof(struct nfgenmsg), &head);
	struct nfgenmsg *g = head;
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return nlh;
}

static int generation_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == NFTA_GEN_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0) {
			*(uint32_t *)arg = ntohl(mnl_attr_get_u32(attr));
			return MNL_CB_OK;
		}
	}
	return MNL_CB_ERROR;
}

int nft_sock_generation(struct nft_sock *s, uint32_t *gen, struct err *err)
{
	return nl_get(s->ask, question(s, NFT_MSG_GETGEN, AF_UNSPEC), generation_cb, gen, err);
}

int nft_sock_dump(struct nft_sock *s, uint16_t type, enum family fam, const char *set,
		  int (*cb)(const struct nlmsghdr *, void *), void (*restart)(void *), void *arg,
		  struct err *err)
{
	struct nlmsghdr *nlh = question(s, type, fam == FAM_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6);

	/* The table's name is attribute 1 of all of these. */
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_OUR_TABLE);
	if (set)
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	if (nl_dump(s->ask, nlh, cb, restart, arg, err) == 0 || err->code == ENOENT)
		return 0;
	return err_ctx(err, "cannot list nftables' rules");
}

static void put_key(struct nlmsghdr *nlh, uint16_t attr, const void *key, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, attr);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, key);
	mnl_attr_nest_end(nlh, nest);
}

int nft_sock_elem(struct nft_sock *s, enum family fam, const char *set, const struct nb_elem *e,
		  int (*cb)(const struct nlmsghdr *, void *), void *arg, struct err *err)
{
	struct nlmsghdr *nlh =
		question(s, NFT_MSG_GETSETELEM, fam == FAM_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6);

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_OUR_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	struct nlattr *list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	put_key(nlh, NFTA_SET_ELEM_KEY, e->key, e->len);
	if (e->has_end)
		put_key(nlh, NFTA_SET_ELEM_KEY_END, e->end, e->len);
	mnl_attr_nest_end(nlh, elem);
	mnl_attr_nest_end(nlh, list);
	return nl_get(s->ask, nlh, cb, arg, err);
}
