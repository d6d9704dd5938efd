/* Netlink over libmnl: the one place that talks to a netlink socket.
 *
 * Two kinds of socket. A *query* socket sends requests and reads their answers, one exchange at a
 * time, blocking for milliseconds (the kernel answers in the system call). An *event* socket is on
 * the loop, subscribed to groups; when it overflows (ENOBUFS) it grows its buffer and says so, and
 * the owner dumps again. Interrupted dumps (NLM_F_DUMP_INTR) are repeated, at most 5 times.
 */
#ifndef SELVAGE_LIB_NL_H
#define SELVAGE_LIB_NL_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/err.h"
#include "lib/prefix.h"

struct ev_loop;
struct nl;

/* bus: NETLINK_ROUTE, NETLINK_NETFILTER. NULL on failure. Asks for NETLINK_CAP_ACK,
 * NETLINK_EXT_ACK and NETLINK_GET_STRICT_CHK. */
struct nl *nl_open(int bus, struct err *err);
/* Over a descriptor that another process opened (the plugin's, inside a pod's netns). Takes fd. */
struct nl *nl_open_fd(int fd, struct err *err);
void nl_close(struct nl *nl);
uint32_t nl_portid(const struct nl *nl);

/* A request to be filled with mnl_attr_put*: in a buffer of this socket, valid until the next
 * nl_request(). extra: the fixed header behind nlmsghdr, zeroed, returned through *extra_out. */
struct nlmsghdr *nl_request(struct nl *nl, uint16_t type, uint16_t flags, size_t extra,
			    void **extra_out);
enum { NL_REQUEST_MAX = 16384 };

/* Sends it and waits for the ACK. 0, or -1: err->code is the kernel's errno, the text its extended
 * message where it gives one. */
int nl_talk(struct nl *nl, struct nlmsghdr *nlh, struct err *err);
/* The same for a GET: cb gets the one answer. */
int nl_get(struct nl *nl, struct nlmsghdr *nlh, int (*cb)(const struct nlmsghdr *, void *),
	   void *arg, struct err *err);
/* A dump; restart(arg), where given, is called before a repetition so that the owner forgets what
 * it got. cb returns MNL_CB_OK, or MNL_CB_ERROR to stop (then -1). */
int nl_dump(struct nl *nl, struct nlmsghdr *nlh, int (*cb)(const struct nlmsghdr *, void *),
	    void (*restart)(void *), void *arg, struct err *err);

/* Many requests in few system calls: messages are collected and sent in batches of up to 100 (or 64
 * KiB) with one ACK, at the last; each message that fails is reported through on_error with
 * the cookie it was added with. */
struct nl_batch;
struct nl_batch *
nl_batch_new(struct nl *nl,
	     void (*on_error)(void *arg, uint64_t cookie, int errnum, const char *text), void *arg);
/* As nl_request(), straight into the batch; end with nl_batch_commit(). Sends a full batch first.
 */
struct nlmsghdr *nl_batch_request(struct nl_batch *b, uint16_t type, uint16_t flags, size_t extra,
				  void **extra_out);
void nl_batch_commit(struct nl_batch *b, uint64_t cookie);
/* Sends what is left and reads all answers. -1 where the socket itself failed. */
int nl_batch_flush(struct nl_batch *b, struct err *err);
void nl_batch_free(struct nl_batch *b);

/* --- events --- */
struct nl_events;
struct nl_events_ops {
	void (*on_event)(void *arg, const struct nlmsghdr *nlh);
	void (*on_lost)(void *arg); /* events were lost: dump again */
};
/* groups: RTNLGRP_* numbers, ended by 0. Messages whose nlmsg_pid is ignore_portid (our own query
 * socket; 0 = none) are dropped in the kernel by a classic BPF filter, but for those about links
 * and addresses, which come whoever caused them. */
struct nl_events *nl_events_open(struct ev_loop *loop, int bus, const int *groups,
				 uint32_t ignore_portid, const struct nl_events_ops *ops, void *arg,
				 struct err *err);
void nl_events_close(struct nl_events *ev);

/* --- addresses as attributes --- */
void nl_put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *a);
/* AF_INET or AF_INET6; 0 for FAM_NONE. */
int family_af(unsigned fam);
enum family family_from_af(int af);
int nl_attr_addr(const struct nlattr *attr, struct addr *out); /* by length: 4 or 16; -1 else */

#endif
