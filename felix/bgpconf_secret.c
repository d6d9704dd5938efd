/* Passwords of sessions: from a Secret to a key that TCP-MD5 takes. No message shows one. */
#include "config.h"

#include <string.h>

#include "felix/bgpconf_impl.h"

enum { KEY_MAX = 80 }; /* RFC 2385 section 4.5 */

/* Where Calico's nodes look; in a directory a namespace is mostly not said at all. */
static const char home[] = "kube-system";

static const struct object *find_secret(const struct compile *c, const char *name, bool *several)
{
	const struct object *found = store_find(c->in->store, KIND_SECRET, home, name);
	unsigned n;
	const struct object *const *v = store_list(c->in->store, KIND_SECRET, &n);

	*several = false;
	for (unsigned i = 0; i < n && !(found && !strcmp(found->namespace_, home)); i++) {
		if (strcmp(v[i]->name, name) != 0)
			continue;
		*several = found != NULL;
		if (found)
			return NULL;
		found = v[i];
	}
	return found;
}

static const struct secret_item *find_item(const struct object *secret, const char *key)
{
	const struct spec_secret *s = secret->spec;
	const struct secret_item *v = s->items.v;

	for (uint32_t i = 0; i < s->items.n; i++)
		if (!strcmp(v[i].key, key))
			return &v[i];
	return NULL;
}

const char *find_password(struct compile *c, const struct object *owner, const char *field,
			  const struct secret_ref *ref, const char *what)
{
	bool several;

	if (!*ref->name && !*ref->key)
		return "";
	const struct object *secret = find_secret(c, ref->name, &several);
	const struct secret_item *item = secret ? find_item(secret, ref->key) : NULL;
	const char *why = NULL, *mend = "";

	if (several) {
		why = "is in several namespaces";
		mend = "keep the one in kube-system";
	} else if (!secret) {
		why = "does not exist";
		mend = "make it";
	} else if (!item) {
		why = "does not have the key";
		mend = "add it, or correct secretKeyRef.key";
	} else if (!item->len) {
		why = "has nothing under the key";
		mend = "set it";
	} else if (item->len > KEY_MAX) {
		why = "has more than the 80 bytes that TCP-MD5 takes under the key";
		mend = "shorten it at both ends";
	} else if (memchr(item->bytes, 0, item->len)) {
		why = "has a zero byte under the key, which a password cannot have";
		mend = "change it at both ends";
	}
	if (why) {
		SAY(c, owner,
		    "spec.%s: Secret \"%s\" (key \"%s\") %s; %s. Until then %s is left out rather "
		    "than run without its password",
		    field, ref->name, ref->key, why, mend, what);
		return NULL;
	}
	if (item->bytes[item->len - 1] == '\n')
		SAY(c, owner,
		    "spec.%s: the value in Secret \"%s\" (key \"%s\") ends with a line break, "
		    "which "
		    "counts as a part of the password; take it away if the other end has none",
		    field, ref->name, ref->key);
	return arena_strndup(&c->out->arena, item->bytes, item->len);
}
