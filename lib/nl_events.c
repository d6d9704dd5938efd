#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/arena.h"
#include "lib/log.h"
#include "lib/nl_impl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* One route event is charged 1,280 bytes: the first size holds about 800. */
enum { EVENT_RCVBUF = 1 << 20, EVENT_RCVBUF_MAX = 1 << 26, EVENT_SLICE = 512 };

struct nl_events {
	struct ev_loop *loop;
	ev_io io;
	const struct nl_events_ops *ops;
	void *arg;
	int rcvbuf;
	uint8_t buf[NL_READ_MAX] __attribute__((aligned(8)));
};

/* Our own requests come back to us as events; at 200,000 routes they would fill any buffer. Links
 * and addresses are let through: they are few, and who keeps a table of links has to see those that
 * its own process made and deleted. */
static int ignore_port(int fd, int bus, uint32_t portid)
{
	/* The filter loads in network order what stands in the host's. */
	const uint32_t exempt[4] = { htons(RTM_NEWLINK), htons(RTM_DELLINK), htons(RTM_NEWADDR),
				     htons(RTM_DELADDR) };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(portid), 0, 6),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exempt[0], 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exempt[1], 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exempt[2], 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, exempt[3], 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	/* On other buses those numbers mean other things. */
	if (bus != NETLINK_ROUTE)
		code[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static void events_overflow(struct nl_events *ev)
{
	if (ev->rcvbuf < EVENT_RCVBUF_MAX)
		ev->rcvbuf *= 2;
	int got = nl_set_rcvbuf(ev->io.fd, ev->rcvbuf);
	log_warn("nl", "kernel events were lost; the buffer is now %d KiB, reading all again",
		 got / 1024);
	ev->ops->on_lost(ev->arg);
}

static void events_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct nl_events *ev = w->data;

	(void)loop;
	(void)revents;
	for (unsigned i = 0; i < EVENT_SLICE; i++) {
		ssize_t n = nl_read_fd(w->fd, ev->buf, sizeof(ev->buf), MSG_DONTWAIT);
		if (n < 0) {
			if (errno == ENOBUFS || errno == EMSGSIZE) {
				events_overflow(ev);
				continue;
			}
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				log_error("nl", "cannot read kernel events: errno %d", errno);
			return;
		}
		int left = (int)n;
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)ev->buf;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			if (nlh->nlmsg_type >= NLMSG_MIN_TYPE)
				ev->ops->on_event(ev->arg, nlh);
	}
}

struct nl_events *nl_events_open(struct ev_loop *loop, int bus, const int *groups,
				 uint32_t ignore_portid, const struct nl_events_ops *ops, void *arg,
				 struct err *err)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, bus);

	if (fd < 0) {
		err_sys(err, errno, "cannot open a netlink event socket");
		return NULL;
	}
	nl_set_rcvbuf(fd, EVENT_RCVBUF);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err_sys(err, errno, "cannot bind a netlink event socket");
		goto fail;
	}
	if (ignore_portid && ignore_port(fd, bus, ignore_portid) < 0) {
		err_sys(err, errno, "cannot set the filter of a netlink event socket");
		goto fail;
	}
	for (; *groups; groups++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, groups, sizeof(*groups)) <
		    0) {
			err_sys(err, errno, "cannot join netlink event group %d", *groups);
			goto fail;
		}
	}
	struct nl_events *ev = xcalloc(1, sizeof(*ev));
	ev->loop = loop;
	ev->ops = ops;
	ev->arg = arg;
	ev->rcvbuf = EVENT_RCVBUF;
	ev_io_init(&ev->io, events_ready, fd, EV_READ);
	ev->io.data = ev;
	ev_io_start(loop, &ev->io);
	return ev;
fail:
	close(fd);
	return NULL;
}

void nl_events_close(struct nl_events *ev)
{
	if (!ev)
		return;
	ev_io_stop(ev->loop, &ev->io);
	close(ev->io.fd);
	free(ev);
}
