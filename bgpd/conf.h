/* felix's configuration: gathered between M_BGP_BEGIN and M_BGP_END, then applied as a difference.
 */
#ifndef SELVAGE_BGPD_CONF_H
#define SELVAGE_BGPD_CONF_H

#include "bgpd/bgpd.h"

struct config *config_new(struct bgpd *b);
/* M_BGP_BEGIN, _PEER, _ORIGIN, _POOLS, _END. */
void config_msg(struct config *c, const struct msg *m);
/* The channel ended in the middle: what was gathered is forgotten. */
void config_abort(struct config *c);
void config_free(struct config *c);

#endif
