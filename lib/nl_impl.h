/* Shared by lib/nl*.c alone. */
#ifndef SELVAGE_LIB_NL_IMPL_H
#define SELVAGE_LIB_NL_IMPL_H

#include "lib/nl.h"

#include <sys/types.h>

struct nl {
	int fd;
	uint32_t portid, seq;
	uint8_t *out; /* NL_REQUEST_MAX bytes: the request being filled */
	uint8_t *in;  /* NL_READ_MAX bytes: the datagram read last */
};

/* The kernel fills dumps up to 32 KiB a datagram; one link with many functions can be larger. */
enum { NL_READ_MAX = 64 * 1024 };

int nl_send_raw(struct nl *nl, const void *data, size_t len, struct err *err);
/* One datagram of the kernel into nl->in: its length, or -1. */
ssize_t nl_read(struct nl *nl, struct err *err);
/* One datagram from fd; 0 for one that another process sent, -1 with errno. */
ssize_t nl_read_fd(int fd, void *buf, size_t size, int flags);
/* The errno of an NLMSG_ERROR or NLMSG_DONE message (0 = acknowledged); *text is the kernel's
 * extended message or NULL, valid as long as the message is. */
int nl_error_of(const struct nlmsghdr *nlh, const char **text);
int nl_error_set(struct err *err, int errnum, const char *text);
/* Asks for a receive buffer of that many bytes; what the kernel gave is returned. */
int nl_set_rcvbuf(int fd, int bytes);

#endif
