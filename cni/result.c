#include "config.h"

#include "cni/result.h"

#include <json.h>

static void put(struct json_object *map, const char *key, struct json_object *value)
{
	json_object_object_add(map, key, value);
}

static void put_text(struct json_object *map, const char *key, const char *text)
{
	put(map, key, json_object_new_string(text));
}

/* Takes root. */
static char *print(struct json_object *root)
{
	char *text = xstrdup(json_object_to_json_string_ext(
		root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return text;
}

static struct json_object *interface(const char *name, const char *mac, const char *sandbox)
{
	struct json_object *o = json_object_new_object();
	put_text(o, "name", name);
	if (mac && *mac)
		put_text(o, "mac", mac);
	if (sandbox)
		put_text(o, "sandbox", sandbox);
	return o;
}

static struct json_object *ip(const struct cni_request *r, const struct m_cni_ip *m, int index)
{
	char text[PREFIX_STRLEN];
	struct json_object *o = json_object_new_object();

	if (r->version < CNI_1_0_0)
		put_text(o, "version", m->address.addr.fam == FAM_V4 ? "4" : "6");
	put(o, "interface", json_object_new_int(index));
	put_text(o, "address", prefix_format(&m->address, text, sizeof(text)));
	if (m->gateway.fam != FAM_NONE)
		put_text(o, "gateway", addr_format(&m->gateway, text, sizeof(text)));
	return o;
}

static struct json_object *default_route(const struct m_cni_ip *m)
{
	char text[ADDR_STRLEN];
	struct json_object *o = json_object_new_object();

	put_text(o, "dst", m->address.addr.fam == FAM_V4 ? "0.0.0.0/0" : "::/0");
	if (m->gateway.fam != FAM_NONE)
		put_text(o, "gw", addr_format(&m->gateway, text, sizeof(text)));
	return o;
}

char *cni_result_add(const struct cni_request *r, const struct m_cni_result *m)
{
	enum { POD = 1 }; /* the pod's place in interfaces */
	struct json_object *root = json_object_new_object(), *ifs = json_object_new_array(),
			   *ips = json_object_new_array(), *routes = json_object_new_array();

	put_text(root, "cniVersion", cni_versions[r->version]);
	json_object_array_add(ifs, interface(m->host_ifname, m->host_mac, NULL));
	json_object_array_add(ifs, interface(r->add.ifname, m->pod_mac, r->add.netns));
	for (uint32_t i = 0; i < m->ips.n; i++) {
		json_object_array_add(ips, ip(r, &m->ips.v[i], POD));
		json_object_array_add(routes, default_route(&m->ips.v[i]));
	}
	put(root, "interfaces", ifs);
	put(root, "ips", ips);
	put(root, "routes", routes);
	put(root, "dns", r->dns ? json_object_get(r->dns) : json_object_new_object());
	return print(root);
}

char *cni_result_version(const struct cni_request *r)
{
	struct json_object *root = json_object_new_object(), *list = json_object_new_array();

	for (int i = 0; i < CNI_NVERSIONS; i++)
		json_object_array_add(list, json_object_new_string(cni_versions[i]));
	put_text(root, "cniVersion", r->asked && *r->asked ? r->asked : cni_versions[CNI_1_0_0]);
	put(root, "supportedVersions", list);
	return print(root);
}

char *cni_result_error(const struct cni_request *r, const struct cni_error *e)
{
	struct json_object *root = json_object_new_object();

	put_text(root, "cniVersion", cni_versions[r->version]);
	put(root, "code", json_object_new_int((int)e->code));
	put_text(root, "msg", e->msg);
	if (e->details[0])
		put_text(root, "details", e->details);
	return print(root);
}
