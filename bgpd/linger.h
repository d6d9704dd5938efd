/* Closing without losing the NOTIFICATION: close() with unread data makes the kernel send RST,
 * which may overtake what we wrote. A lingering socket is shut for writing and read until the peer
 * closes, for a second at most.
 */
#ifndef SELVAGE_BGPD_LINGER_H
#define SELVAGE_BGPD_LINGER_H

struct ev_loop;
struct linger_list;

struct linger_list *linger_new(struct ev_loop *loop);
/* Takes fd. */
void linger_add(struct linger_list *l, int fd);
/* Closes what still lingers. */
void linger_free(struct linger_list *l);

#endif
