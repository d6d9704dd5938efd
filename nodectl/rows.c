#include "config.h"

#include "nodectl/rows.h"

#include <stdlib.h>

static void keep(struct row_list *list, const void *row)
{
	if (list->n == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 16;
		list->v = xrealloc(list->v, list->cap * sizeof(*list->v));
	}
	list->v[list->n++] = row;
}

void rows_keep(void *arg, const struct msg *row)
{
	struct rows *r = arg;

	switch (row->type) {
	case M_CTL_NODE:
		r->node = row->body;
		break;
	case M_CTL_BGP:
		r->bgp = row->body;
		break;
	case M_CTL_FELIX:
		r->felix = row->body;
		break;
	case M_CTL_DAEMON:
		keep(&r->daemons, row->body);
		break;
	case M_CTL_PEER:
		keep(&r->peers, row->body);
		break;
	case M_CTL_POOL:
		keep(&r->pools, row->body);
		break;
	case M_CTL_BLOCK:
		keep(&r->blocks, row->body);
		break;
	case M_CTL_NODE_USE:
		keep(&r->nodes, row->body);
		break;
	case M_CTL_ISSUE:
		keep(&r->issues, row->body);
		break;
	case M_CTL_ENDPOINT:
		keep(&r->endpoints, row->body);
		break;
	default: /* a row that a newer daemon adds */
		break;
	}
}

void rows_free(struct rows *r)
{
	free(r->daemons.v);
	free(r->peers.v);
	free(r->pools.v);
	free(r->blocks.v);
	free(r->endpoints.v);
	free(r->nodes.v);
	free(r->issues.v);
}
