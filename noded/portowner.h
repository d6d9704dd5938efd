/* Who listens on a TCP port of this network namespace, as far as /proc tells.
 */
#ifndef SELVAGE_NODED_PORTOWNER_H
#define SELVAGE_NODED_PORTOWNER_H

#include <stddef.h>
#include <stdint.h>

/* Writes "bird (pid 812)" to buf; -1 where nobody is found. */
int portowner_find(uint16_t port, char *buf, size_t size);

#endif
