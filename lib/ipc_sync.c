#include "config.h"

#include "lib/ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/ipc_packet.h"
#include "lib/msg_def.h"

int packet_send(int fd, const void *data, size_t len, const int *fds, unsigned nfds, int flags)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MSG_MAX_FDS)] = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	if (nfds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	while (sendmsg(fd, &mh, flags | MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void take_fds(struct packet *p, struct msghdr *mh)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
			if (p->nfds < MSG_MAX_FDS)
				p->fds[p->nfds++] = fd;
			else
				close(fd);
		}
	}
}

void packet_close_fds(struct packet *p)
{
	while (p->nfds)
		close(p->fds[--p->nfds]);
}

int packet_recv(int fd, void *buf, size_t cap, int flags, struct packet *p)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MSG_MAX_FDS)];
	struct iovec iov = { buf, cap };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	p->nfds = 0;
	do {
		mh.msg_control = control;
		mh.msg_controllen = sizeof(control);
		n = recvmsg(fd, &mh, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(p, &mh);
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		packet_close_fds(p);
		return -EMSGSIZE;
	}
	p->len = (size_t)n;
	if (n)
		return 1;
	packet_close_fds(p);
	return 0;
}

int packet_check_fds(unsigned type, unsigned nfds, struct err *err)
{
	const struct msg_def *def = msg_def(type);

	if (def && nfds >= def->min_fds && nfds <= def->max_fds)
		return 0;
	return err_set(err, "%s with %u descriptors", msg_name(type), nfds);
}

int ipc_sync_connect(const char *path, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	if (strlen(path) >= sizeof(sun.sun_path))
		return err_sys(err, ENAMETOOLONG, "%s: a socket's path has at most %zu characters",
			       path, sizeof(sun.sun_path) - 1);
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, errno, "%s: socket", path);
	if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	saved = errno;
	close(fd);
	return err_sys(err, saved, "%s", path);
}

int ipc_sync_send(int fd, enum msg_type type, const void *body, const int *fds, unsigned nfds,
		  struct err *err)
{
	struct wr w;
	int rc;

	if (packet_check_fds(type, nfds, err))
		return -1;
	w = wr_over(xmalloc(MSG_MAX), MSG_MAX);
	msg_encode(&w, type, body);
	rc = w.full ? -EMSGSIZE : packet_send(fd, w.buf, w.len, fds, nfds, 0);
	free(w.buf);
	return rc ? err_sys(err, -rc, "%s", msg_name(type)) : 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until fd is readable or the moment `until` has come. */
static int wait_readable(int fd, int64_t until)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t left;
	int n;

	for (;;) {
		left = until - now_ms();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return 0;
		if (!n)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int recv_packet(int fd, void *buf, int64_t until, struct packet *p)
{
	bool reset = false;
	int rc;

	for (;;) {
		rc = wait_readable(fd, until);
		if (rc)
			return rc;
		rc = packet_recv(fd, buf, MSG_MAX, MSG_DONTWAIT, p);
		/* An end that closed with our messages unread gives ECONNRESET once, before what
		 * it had sent: that may hold the reason. */
		if (rc == -ECONNRESET && !reset)
			reset = true;
		else if (rc != -EAGAIN)
			return rc;
	}
}

int ipc_sync_recv(int fd, struct arena *arena, struct msg *out, int timeout_ms, struct err *err)
{
	uint8_t *buf = xmalloc(MSG_MAX);
	struct packet p;
	int rc;

	rc = recv_packet(fd, buf, now_ms() + timeout_ms, &p);
	if (rc < 0) {
		err_sys(err, -rc, "no answer");
	} else if (rc) {
		out->fds = NULL;
		out->nfds = 0;
		if (p.nfds) {
			rc = err_set(err, "an answer with descriptors");
			packet_close_fds(&p);
		} else if (msg_decode(buf, p.len, arena, out, err)) {
			rc = -1;
		}
	}
	free(buf);
	return rc < 0 ? -1 : rc;
}
