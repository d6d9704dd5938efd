#include "config.h"

#include "lib/nl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/nl_impl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

enum { QUERY_RCVBUF = 1 << 20, DUMP_TRIES = 5 };

int nl_set_rcvbuf(int fd, int bytes)
{
	int got = 0;
	socklen_t len = sizeof(got);

	/* The forced form passes over rmem_max but wants CAP_NET_ADMIN. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len) < 0)
		return 0;
	return got / 2; /* the kernel doubles what was asked, for its own overhead */
}

/* Takes fd, also on failure. */
static struct nl *nl_wrap(int fd, unsigned timeout_s, struct err *err)
{
	static const int options[] = { NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK };
	struct timeval tv = { .tv_sec = timeout_s };
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(sa);
	int on = 1;

	/* Kernels before 4.20 lack the last option; felix needs 5.3 for next hops anyway. */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, SOL_NETLINK, options[i], &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	nl_set_rcvbuf(fd, QUERY_RCVBUF);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && sa.nl_pid == 0) {
		sa = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
			err_sys(err, errno, "cannot bind a netlink socket");
			close(fd);
			return NULL;
		}
		len = sizeof(sa);
		getsockname(fd, (struct sockaddr *)&sa, &len);
	}
	struct nl *nl = xcalloc(1, sizeof(*nl));
	nl->fd = fd;
	nl->portid = sa.nl_pid;
	nl->seq = 1;
	nl->out = xmalloc(NL_REQUEST_MAX);
	nl->in = xmalloc(NL_READ_MAX);
	return nl;
}

struct nl *nl_open(int bus, struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, bus);

	if (fd < 0) {
		err_sys(err, errno, "cannot open a netlink socket of bus %d", bus);
		return NULL;
	}
	return nl_wrap(fd, 10, err);
}

struct nl *nl_open_fd(int fd, struct err *err)
{
	int domain = 0, protocol = -1;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) < 0 || domain != AF_NETLINK ||
	    protocol != NETLINK_ROUTE) {
		err_set(err, "the descriptor passed is not a NETLINK_ROUTE socket");
		close(fd);
		return NULL;
	}
	/* Whoever passed the socket still shares it and could read an answer away: the kernel
	 * answers within the system call, so waiting longer than this helps nobody. */
	return nl_wrap(fd, 1, err);
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	close(nl->fd);
	free(nl->out);
	free(nl->in);
	free(nl);
}

uint32_t nl_portid(const struct nl *nl)
{
	return nl->portid;
}

struct nlmsghdr *nl_request(struct nl *nl, uint16_t type, uint16_t flags, size_t extra,
			    void **extra_out)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl->out);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags | NLM_F_REQUEST;
	void *head = mnl_nlmsg_put_extra_header(nlh, extra);
	if (extra_out)
		*extra_out = head;
	return nlh;
}

int nl_send_raw(struct nl *nl, const void *data, size_t len, struct err *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t n;

	do
		n = sendto(nl->fd, data, len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, errno, "cannot send to the kernel by netlink");
	return 0;
}

ssize_t nl_read_fd(int fd, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from;
	struct iovec iov = { buf, size };
	struct msghdr mh = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t n;

	do
		n = recvmsg(fd, &mh, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if (mh.msg_flags & MSG_TRUNC) {
		errno = EMSGSIZE;
		return -1;
	}
	/* Any process may send to a netlink socket's port; only the kernel's word counts. */
	if (mh.msg_namelen != sizeof(from) || from.nl_pid != 0)
		return 0;
	return n;
}

ssize_t nl_read(struct nl *nl, struct err *err)
{
	for (;;) {
		ssize_t n = nl_read_fd(nl->fd, nl->in, NL_READ_MAX, 0);

		if (n > 0)
			return n;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return err_sys(err, ETIMEDOUT, "the kernel's netlink answer did not come");
		if (n < 0)
			return err_sys(err, errno, "cannot read the kernel's netlink answer");
	}
}

int nl_error_of(const struct nlmsghdr *nlh, const char **text)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh), tlvs;
	int error = 0;

	*text = NULL;
	if (len < sizeof(error))
		return nlh->nlmsg_type == NLMSG_DONE ? 0 : EBADMSG;
	memcpy(&error, mnl_nlmsg_get_payload(nlh), sizeof(error));
	if (nlh->nlmsg_type == NLMSG_DONE) {
		tlvs = sizeof(error);
	} else {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

		if (len < sizeof(*e))
			return EBADMSG;
		tlvs = sizeof(*e);
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len > sizeof(e->msg))
			tlvs += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	}
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS && tlvs < len) {
		const struct nlattr *attr;

		mnl_attr_for_each(attr, nlh, tlvs)
		{
			if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
			    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
				*text = mnl_attr_get_str(attr);
		}
	}
	return error < 0 ? -error : error;
}

int nl_error_set(struct err *err, int errnum, const char *text)
{
	if (text)
		return err_sys(err, errnum, "the kernel says: %s", text);
	return err_sys(err, errnum, "the kernel refuses the request");
}

static void nl_stamp(struct nl *nl, struct nlmsghdr *nlh)
{
	nlh->nlmsg_seq = nl->seq++;
	nlh->nlmsg_pid = nl->portid;
}

static bool nl_is_answer(const struct nl *nl, const struct nlmsghdr *nlh, uint32_t seq)
{
	return nlh->nlmsg_seq == seq && nlh->nlmsg_pid == nl->portid;
}

static int nl_exchange(struct nl *nl, struct nlmsghdr *nlh,
		       int (*cb)(const struct nlmsghdr *, void *), void *arg, struct err *err)
{
	nl_stamp(nl, nlh);
	uint32_t seq = nlh->nlmsg_seq;
	if (nl_send_raw(nl, nlh, nlh->nlmsg_len, err) < 0)
		return -1;
	for (;;) {
		ssize_t n = nl_read(nl, err);
		if (n < 0)
			return -1;
		int left = (int)n;
		const struct nlmsghdr *in = (const struct nlmsghdr *)nl->in;
		for (; mnl_nlmsg_ok(in, left); in = mnl_nlmsg_next(in, &left)) {
			const char *text;

			if (!nl_is_answer(nl, in, seq))
				continue;
			if (in->nlmsg_type == NLMSG_ERROR) {
				int e = nl_error_of(in, &text);
				return e ? nl_error_set(err, e, text) : 0;
			}
			if (in->nlmsg_type < NLMSG_MIN_TYPE || !cb)
				continue;
			if (cb(in, arg) < 0)
				return err_set(err, "the kernel's answer is not understood");
			return 0;
		}
	}
}

int nl_talk(struct nl *nl, struct nlmsghdr *nlh, struct err *err)
{
	nlh->nlmsg_flags |= NLM_F_ACK;
	return nl_exchange(nl, nlh, NULL, NULL, err);
}

int nl_get(struct nl *nl, struct nlmsghdr *nlh, int (*cb)(const struct nlmsghdr *, void *),
	   void *arg, struct err *err)
{
	return nl_exchange(nl, nlh, cb, arg, err);
}

struct dump_state {
	bool done, interrupted, stopped;
	int errnum;
	const char *text;
};

static void nl_dump_part(struct nl *nl, uint32_t seq, ssize_t n, struct dump_state *st,
			 int (*cb)(const struct nlmsghdr *, void *), void *arg)
{
	const struct nlmsghdr *in = (const struct nlmsghdr *)nl->in;
	int left = (int)n;

	for (; mnl_nlmsg_ok(in, left); in = mnl_nlmsg_next(in, &left)) {
		if (!nl_is_answer(nl, in, seq))
			continue;
		if (in->nlmsg_flags & NLM_F_DUMP_INTR)
			st->interrupted = true;
		if (in->nlmsg_type == NLMSG_DONE || in->nlmsg_type == NLMSG_ERROR) {
			st->done = true;
			st->errnum = nl_error_of(in, &st->text);
			return;
		}
		/* A dump that its reader gave up is still read to its end: until then the kernel
		 * refuses the next one on this socket. */
		if (in->nlmsg_type >= NLMSG_MIN_TYPE && !st->stopped && cb(in, arg) < 0)
			st->stopped = true;
	}
}

int nl_dump(struct nl *nl, struct nlmsghdr *nlh, int (*cb)(const struct nlmsghdr *, void *),
	    void (*restart)(void *), void *arg, struct err *err)
{
	nlh->nlmsg_flags |= NLM_F_DUMP;
	for (unsigned try = 0; try < DUMP_TRIES; try++) {
		struct dump_state st = { 0 };

		if (try > 0 && restart)
			restart(arg);
		nl_stamp(nl, nlh);
		uint32_t seq = nlh->nlmsg_seq;
		if (nl_send_raw(nl, nlh, nlh->nlmsg_len, err) < 0)
			return -1;
		while (!st.done) {
			ssize_t n = nl_read(nl, err);
			if (n < 0)
				return -1;
			nl_dump_part(nl, seq, n, &st, cb, arg);
		}
		if (st.stopped)
			return err_set(err, "the kernel's list is not understood");
		if (st.errnum && st.errnum != EINTR)
			return nl_error_set(err, st.errnum, st.text);
		if (!st.interrupted && !st.errnum)
			return 0;
	}
	return err_sys(err, EINTR, "the kernel's list changed during each of %d readings",
		       DUMP_TRIES);
}

void nl_put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a)
{
	mnl_attr_put(nlh, type, family_bytes(a->fam), a->b);
}

int family_af(unsigned fam)
{
	return fam == FAM_V4 ? AF_INET : fam == FAM_V6 ? AF_INET6 : 0;
}

enum family family_from_af(int af)
{
	return af == AF_INET ? FAM_V4 : af == AF_INET6 ? FAM_V6 : FAM_NONE;
}

int nl_attr_addr(const struct nlattr *attr, struct addr *out)
{
	unsigned len = mnl_attr_get_payload_len(attr);

	*out = (struct addr){ .fam = len == 4 ? FAM_V4 : len == 16 ? FAM_V6 : FAM_NONE };
	if (out->fam == FAM_NONE)
		return -1;
	memcpy(out->b, mnl_attr_get_payload(attr), len);
	return 0;
}
