/* The Kubernetes datastore: its access, this node's claims, and what an ADD has to wait for. */
#include "config.h"

#include "felix/felix_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "felix/bgp_saved.h"
#include "felix/claims.h"
#include "felix/ippools.h"
#include "felix/pod_probe.h"
#include "lib/log.h"
#include "store/pods.h"

/* An answer that is older says nothing of a pod that is being added now. */
enum { POD_AGE = 5000, OTHER_POD_AGE = 1000 };

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* ---- access ---- */

void felix_kube_unauthorized(void *arg)
{
	child_kube_refresh(&((struct felix *)arg)->child);
}

int felix_open_kube(struct felix *f, struct ev_loop *loop, const struct store_ops *ops,
		    struct err *err)
{
	struct store_kube_conf conf = { .node = f->child.node };
	struct kube_access *access;

	if (f->child.fds.kube < 0)
		return err_set(err,
			       "%s: datastore: there is no access to the Kubernetes API yet; "
			       "noded's log says why",
			       f->child.conf->file);
	access = child_kube_access(f->child.fds.kube, err);
	close(f->child.fds.kube);
	f->child.fds.kube = -1;
	if (!access)
		return -1;
	conf.access = access;
	f->store = store_kube_open(loop, &conf, ops, f, err);
	kube_access_free(access);
	return f->store ? 0 : -1;
}

void felix_on_kube_access(void *arg, int fd)
{
	struct felix *f = arg;
	struct err err;

	if (!f->store) {
		f->child.fds.kube = fd;
		felix_start_store(f);
		felix_start_claims(f);
		return;
	}
	struct kube_access *access = child_kube_access(fd, &err);

	close(fd);
	if (!access || store_kube_access(f->store, access, &err) < 0)
		log_error("store", "the new access to the Kubernetes API is not used: %s",
			  err.text);
	kube_access_free(access);
}

/* ---- claims ---- */

static void on_blocks(void *arg)
{
	felix_recompute(arg);
}

static void on_retry(void *arg)
{
	struct felix *f = arg;

	if (f->cni)
		cni_server_retry(f->cni);
}

static void on_settled(void *arg, const struct ipam_owner *owner, bool ok)
{
	struct felix *f = arg;

	if (f->cni)
		cni_server_settled(f->cni, owner, ok);
}

static void on_trouble(void *arg)
{
	felix_tell_ready(arg);
}

static void on_release(void *arg, const struct addr *a)
{
	struct felix *f = arg;
	struct err err;

	if (felix_release(f, a, &err) < 0)
		log_warn("ipam", "%s", err.text);
}

int felix_release(struct felix *f, const struct addr *a, struct err *err)
{
	char text[ADDR_STRLEN];
	struct ipam_lease l;

	addr_format(a, text, sizeof(text));
	if (!f->ipam || !ipam_find_addr(f->ipam, a, &l))
		return err_set(err, "%s: no pod of this node holds it", text);
	struct endpoint *ep =
		endpoints_find(f->endpoints, l.owner.network, l.owner.container_id, l.owner.ifname);
	if (ep && ep->ifindex)
		return err_set(err,
			       "%s: interface %s of container %s is alive: the runtime's DEL "
			       "releases it",
			       text, ep->host, ep->container_id);
	if (ipam_release(f->ipam, &l.owner, (uint64_t)time(NULL), err) != IPAM_OK)
		return err_ctx(err, "%s", text);
	if (ep) {
		for (unsigned i = 0; i < ep->naddrs; i++) {
			struct prefix p = prefix_host(&ep->addrs[i]);

			routes_set_pod(f->routes, &p, 0);
		}
		felix_routes_dirty(f);
		if (f->endpoint_dir >= 0)
			endpoint_file_remove(f->endpoint_dir, ep);
		endpoints_remove(f->endpoints, ep);
	}
	felix_leases_changed(f);
	return 0;
}

/* A bgpd that runs already has what it was told; one that has just been started peers as before. */
static void load_bgp(struct felix *f)
{
	struct err err;

	if (f->desired)
		return;
	f->saved_bgp = bgp_saved_load(f->child.fds.state_dir, &err);
	if (!f->saved_bgp && err.code != ENOENT)
		log_warn("felix", "%s; bgpd waits for the API", err.text);
	if (f->saved_bgp && f->bgp)
		bgp_link_config(f->bgp);
}

void felix_start_claims(struct felix *f)
{
	struct claims_conf conf = {
		.loop = f->child.loop,
		.store = f->store,
		.ipam = f->ipam,
		.endpoints = f->endpoints,
		.node = f->child.node,
		.state_dir = f->child.fds.state_dir,
		.blocks = on_blocks,
		.retry = on_retry,
		.settled = on_settled,
		.release = on_release,
		.trouble = on_trouble,
		.arg = f,
	};
	struct err err;

	if (f->child.conf->datastore.kind != DATASTORE_KUBERNETES || !f->store || !f->ipam ||
	    f->claims)
		return;
	f->probe = pod_probe_new(f->store, on_retry, f);
	conf.probe = f->probe;
	f->claims = claims_new(&conf, &err);
	if (!f->claims) {
		felix_set_why(f, f->journal_why, err.text);
		return;
	}
	claims_restore(f->claims);
	load_bgp(f);
	claims_update(f->claims, f->addrs, f->naddrs);
}

void felix_leases_changed(void *arg)
{
	struct felix *f = arg;

	if (f->claims)
		claims_leases_changed(f->claims);
}

/* ---- an ADD ---- */

/* A static pod's UID, which has no dashes, is not that of its mirror in the API. */
static bool is_of(const struct pod *p, const char *uid)
{
	return !*uid || !strchr(uid, '-') || p->uid == pod_uid_hash(uid);
}

/* What the API says of the pod, whose annotations count; NULL where the runtime passed them. */
static enum cni_turn find_pod(struct felix *f, const struct cni_ask *ask, const struct pod **out)
{
	const struct m_cni_add *add = ask->add;
	const struct pod_known *k;

	*out = NULL;
	if (!f->claims || !*add->pod || add->annotations.n)
		return CNI_GO;
	*out = store_pod_find(f->store, add->namespace_, add->pod);
	if (*out && is_of(*out, add->uid))
		return CNI_GO;
	/* kubelet may be faster than our watch, which then still shows the pod of before. */
	k = pod_probe_get(f->probe, add->namespace_, add->pod, POD_AGE, now_ms());
	if (k && k->result == IPAMOBJ_OK && !is_of(&k->pod, add->uid))
		k = pod_probe_get(f->probe, add->namespace_, add->pod, OTHER_POD_AGE, now_ms());
	if (!k) {
		err_set(ask->err, "pod %s/%s is being read from the API", add->namespace_,
			add->pod);
		return CNI_WAIT;
	}
	*out = k->result == IPAMOBJ_OK ? &k->pod : NULL;
	if (!*out)
		log_warn("cni", "pod %s/%s: the API %s; its annotations do not count",
			 add->namespace_, add->pod,
			 k->result == IPAMOBJ_NOT_FOUND ? "does not know it" : "cannot be asked");
	return CNI_GO;
}

/* As nodectl shows them, and as they were when the pod was added. */
static void take_labels(struct cni_ask *ask, const struct pod *p)
{
	msg_kv_list *l = arena_alloc(ask->arena, sizeof(*l));

	l->n = p->labels->n;
	l->v = arena_array(ask->arena, l->n + 1u, sizeof(*l->v));
	for (unsigned i = 0; i < l->n; i++)
		l->v[i] = (struct msg_kv){ p->labels->v[i].key, p->labels->v[i].value };
	ask->labels = l;
}

enum cni_turn felix_admit(void *arg, struct cni_ask *ask)
{
	struct felix *f = arg;
	struct ippools_out out = { 0 };
	struct ippools_in in = {
		.store = f->store,
		.node = f->child.node,
		.add = ask->add,
		.claims = f->claims != NULL,
	};

	/* Before the API was read the pools are unknown: the blocks of before serve everybody. */
	if (!felix_synced(f))
		return CNI_GO;
	if (find_pod(f, ask, &in.pod) == CNI_WAIT)
		return CNI_WAIT;
	if (ippools_want(&in, ask->arena, &out, ask->err) < 0) {
		ask->code = out.code;
		return CNI_REFUSE;
	}
	if (in.pod && in.pod->labels->n)
		take_labels(ask, in.pod);
	for (unsigned i = 0; i < out.nnotes; i++)
		log_info("cni", "%s", out.notes[i]);
	ask->want = out.want;
	ask->mac = out.mac;
	return CNI_GO;
}

enum cni_turn felix_claim(void *arg, struct cni_ask *ask, unsigned families)
{
	struct felix *f = arg;

	return f->claims ? claims_want(f->claims, families, &ask->want, ask->err) : CNI_REFUSE;
}

enum cni_turn felix_settle(void *arg, struct cni_ask *ask, const struct ipam_lease *lease)
{
	struct felix *f = arg;

	(void)ask;
	return f->claims ? claims_settle(f->claims, &lease->owner, lease) : CNI_GO;
}
