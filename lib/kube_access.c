/* What the files and the plugin of a kubeconfig give, and the flat form of an access. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/kube_impl.h"

enum { MAGIC = 0x53564b41 /* "SVKA" */, FORMAT = 1 };

/* ---- memory that held secrets ---- */

void kube_wipe_text(const char *text)
{
	if (text && *text)
		explicit_bzero((char *)text, strlen(text));
}

void kube_wipe_free(char *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

void kube_wipe_node(struct node *n)
{
	kube_wipe_text(n->text);
	for (struct node *x = n->child; x; x = x->next)
		kube_wipe_node(x);
}

struct kube_access *kube_access_new(void)
{
	struct kube_access *a = xcalloc(1, sizeof(*a));

	a->servers = arena_array(&a->arena, KUBE_MAX_SERVERS, sizeof(*a->servers));
	a->ca_pem = a->cert_pem = a->key_pem = a->token = "";
	a->tls_server_name = a->proxy = a->namespace_ = a->context = a->user = "";
	return a;
}

void kube_access_free(struct kube_access *a)
{
	if (!a)
		return;
	kube_wipe_text(a->key_pem);
	kube_wipe_text(a->token);
	kube_wipe_text(a->proxy);
	arena_free(&a->arena);
	free(a);
}

/* ---- base64 (RFC 4648 section 4) and JSON ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

char *kube_base64_decode(const char *text, size_t *len)
{
	char *out = xmalloc(strlen(text) / 4 * 3 + 4);
	uint32_t bits = 0;
	unsigned n = 0, pad = 0;

	*len = 0;
	for (; *text; text++) {
		int d = digit(*text);

		if (isspace((unsigned char)*text))
			continue;
		if ((*text != '=' && d < 0) || (pad && d >= 0) || (*text == '=' && n < 2))
			goto bad;
		pad += d < 0;
		bits = bits << 6 | (d < 0 ? 0 : (uint32_t)d);
		if (++n < 4)
			continue;
		for (int i = 2; i >= 0; i--)
			out[(*len)++] = (char)(bits >> (8 * i));
		bits = n = 0;
	}
	if (n || pad > 2)
		goto bad;
	*len -= pad;
	out[*len] = '\0';
	return out;
bad:
	kube_wipe_free(out, *len);
	return NULL;
}

char *kube_base64_encode(struct arena *arena, const char *data, size_t len)
{
	char *out = arena_alloc(arena, (len + 2) / 3 * 4 + 1), *p = out;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t v = (uint32_t)(uint8_t)data[i] << 16;

		v |= left > 1 ? (uint32_t)(uint8_t)data[i + 1] << 8 : 0;
		v |= left > 2 ? (uint8_t)data[i + 2] : 0;
		*p++ = alphabet[v >> 18];
		*p++ = alphabet[v >> 12 & 63];
		*p++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*p++ = left > 2 ? alphabet[v & 63] : '=';
	}
	return out;
}

static const char *json_string(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, strlen(text) * 6 + 3), *p = out;

	*p++ = '"';
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			*p++ = '\\';
		if (c < ' ')
			p += snprintf(p, 7, "\\u%04x", c);
		else
			*p++ = (char)c;
	}
	*p++ = '"';
	return out;
}

/* A number as JSON writes it; what YAML has besides is sent as text. */
static bool is_json_number(const char *p)
{
	p += *p == '-';
	size_t whole = strspn(p, "0123456789");

	if (!whole || (whole > 1 && *p == '0'))
		return false;
	p += whole;
	if (*p == '.') {
		size_t n = strspn(++p, "0123456789");

		if (!n)
			return false;
		p += n;
	}
	return !*p;
}

const char *kube_node_json(struct arena *arena, const struct node *n)
{
	const char *text = "";
	bool map = n->kind == NODE_MAP;

	switch (n->kind) {
	case NODE_NULL:
		return "null";
	case NODE_SCALAR:
		if (!n->quoted && (!strcmp(n->text, "true") || !strcmp(n->text, "false") ||
				   is_json_number(n->text)))
			return arena_strdup(arena, n->text);
		return json_string(arena, n->text);
	case NODE_LIST:
	case NODE_MAP:
		break;
	}
	for (const struct node *x = n->child; x; x = x->next)
		text = arena_printf(arena, "%s%s%s%s%s", text, *text ? "," : "",
				    map ? json_string(arena, x->key) : "", map ? ":" : "",
				    kube_node_json(arena, x));
	return arena_printf(arena, map ? "{%s}" : "[%s]", text);
}

/* ---- PEM (RFC 7468) ---- */

static const char encrypted[] = "holds a key that is encrypted with a passphrase, which nobody "
				"can type on a node; give it without one";
static const char damaged[] = "holds PEM that is damaged";

struct line {
	const char *p;
	size_t n;
};

/* The next line without its end and white space around it; false at the end of the text. */
static bool next_line(const char **at, const char *end, struct line *l)
{
	if (*at >= end)
		return false;
	const char *nl = memchr(*at, '\n', (size_t)(end - *at));
	const char *stop = nl ? nl : end;

	l->p = *at;
	*at = nl ? nl + 1 : end;
	while (stop > l->p && isspace((unsigned char)stop[-1]))
		stop--;
	while (l->p < stop && isspace((unsigned char)*l->p))
		l->p++;
	l->n = (size_t)(stop - l->p);
	return true;
}

/* The label of "-----<word> LABEL-----". */
static bool marker(const struct line *l, const char *word, struct line *label)
{
	char head[20];
	int n = snprintf(head, sizeof(head), "-----%s ", word);

	if (l->n < (size_t)n + 5 || memcmp(l->p, head, (size_t)n) ||
	    memcmp(l->p + l->n - 5, "-----", 5))
		return false;
	*label = (struct line){ l->p + n, l->n - (size_t)n - 5 };
	return true;
}

static bool is_wanted(const struct line *label, bool key)
{
	static const char cert[] = "CERTIFICATE", private[] = "PRIVATE KEY";
	size_t n = sizeof(private) - 1;

	if (!key)
		return label->n == sizeof(cert) - 1 && !memcmp(label->p, cert, label->n);
	return label->n >= n && !memcmp(label->p + label->n - n, private, n);
}

/* The lines of a block up to its end marker go to out. NULL, or what is wrong. */
static const char *take_block(const char **at, const char *end, const struct line *label,
			      struct wr *out)
{
	static const char legacy[] = "Proc-Type: 4,ENCRYPTED"; /* RFC 1421, as OpenSSL writes it */
	struct line l, last;
	size_t digits = 0;
	bool padded = false;

	while (next_line(at, end, &l)) {
		if (marker(&l, "END", &last)) {
			if (last.n != label->n || memcmp(last.p, label->p, last.n))
				break;
			if (!digits || digits % 4)
				return damaged;
			return NULL;
		}
		if (!l.n)
			continue;
		if (l.n == sizeof(legacy) - 1 && !memcmp(l.p, legacy, l.n))
			return encrypted;
		for (size_t i = 0; i < l.n; i++) {
			if ((l.p[i] != '=' && digit(l.p[i]) < 0) || (padded && l.p[i] != '='))
				return damaged;
			padded = l.p[i] == '=';
		}
		digits += l.n;
		wr_bytes(out, l.p, l.n);
		wr_bytes(out, "\n", 1);
	}
	return "holds PEM that is cut off: an END line is missing";
}

static void put_marker(struct wr *w, const char *word, const struct line *label)
{
	wr_bytes(w, "-----", 5);
	wr_bytes(w, word, strlen(word));
	wr_bytes(w, " ", 1);
	wr_bytes(w, label->p, label->n);
	wr_bytes(w, "-----\n", 6);
}

/* All certificates, or the first private key: a file may hold both (kubelet's does), and texts
 * around them. */
static const char *take_pem_text(struct arena *arena, const char *text, size_t len, bool key,
				 const char **out)
{
	/* No line grows, but the last one may come without its end. */
	size_t cap = len + 64;
	struct wr w = wr_over(arena_alloc(arena, cap + 1), cap);
	const char *at = text, *end = text + len;
	struct line l, label;
	unsigned found = 0;

	while (next_line(&at, end, &l)) {
		if (!marker(&l, "BEGIN", &label))
			continue;
		bool wanted = is_wanted(&label, key) && !(key && found);

		if (wanted && label.n > 9 && !memcmp(label.p, "ENCRYPTED", 9))
			return encrypted;
		if (!wanted)
			continue;
		found++;
		put_marker(&w, "BEGIN", &label);
		const char *wrong = take_block(&at, end, &label, &w);

		if (wrong) {
			explicit_bzero(w.buf, w.len);
			return wrong;
		}
		put_marker(&w, "END", &label);
	}
	if (!found)
		return key ? "holds no private key in PEM" : "holds no certificate in PEM";
	*out = (const char *)w.buf;
	return NULL;
}

/* ---- what a plan asked for ---- */

const char *kube_file_word(enum kube_file which)
{
	static const char *const words[KUBE_NFILES] = { [KUBE_CA] = "certificate-authority",
							[KUBE_CERT] = "client-certificate",
							[KUBE_KEY] = "client-key",
							[KUBE_TOKEN] = "tokenFile",
							[KUBE_NAMESPACE] = "namespace" };
	return words[which];
}

static const char *take_word(struct arena *arena, const char *text, size_t len, const char **out)
{
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	while (len && isspace((unsigned char)*text)) {
		text++;
		len--;
	}
	if (!len)
		return "is empty";
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return "holds white space or other characters that no token has";
	*out = arena_strndup(arena, text, len);
	return NULL;
}

const char *kube_take_content(struct kube_plan *p, enum kube_file which, const char *text,
			      size_t len)
{
	struct kube_access *a = p->access;
	const char **places[KUBE_NFILES] = { [KUBE_CA] = &a->ca_pem,
					     [KUBE_CERT] = &a->cert_pem,
					     [KUBE_KEY] = &a->key_pem,
					     [KUBE_TOKEN] = &a->token,
					     [KUBE_NAMESPACE] = &a->namespace_ };

	if (len > KUBE_MAX_FILE)
		return "is longer than 1 MiB";
	if (which == KUBE_TOKEN || which == KUBE_NAMESPACE)
		return take_word(&a->arena, text, len, places[which]);
	return take_pem_text(&a->arena, text, len, which == KUBE_KEY, places[which]);
}

int kubeconfig_set_file(struct kube_plan *p, enum kube_file which, const char *text, size_t len,
			struct err *err)
{
	const char *wrong = kube_take_content(p, which, text, len);

	if (wrong)
		return err_set(err, "%s: %s: the file %s %s", p->origin, kube_file_word(which),
			       p->files[which], wrong);
	return 0;
}

const char *kubeconfig_exec_info(struct kube_plan *p)
{
	struct arena *a = &p->arena;
	const struct kube_access *x = p->access;
	const char *cluster = "";

	if (p->provide_cluster_info) {
		cluster = arena_printf(a, "\"cluster\":{\"server\":%s",
				       json_string(a, x->servers[0]));
		if (*x->tls_server_name)
			cluster = arena_printf(a, "%s,\"tls-server-name\":%s", cluster,
					       json_string(a, x->tls_server_name));
		if (*x->ca_pem)
			cluster =
				arena_printf(a, "%s,\"certificate-authority-data\":\"%s\"", cluster,
					     kube_base64_encode(a, x->ca_pem, strlen(x->ca_pem)));
		if (*x->proxy)
			cluster = arena_printf(a, "%s,\"proxy-url\":%s", cluster,
					       json_string(a, x->proxy));
		if (*p->exec_config)
			cluster = arena_printf(a, "%s,\"config\":%s", cluster, p->exec_config);
		cluster = arena_printf(a, "%s},", cluster);
	}
	return arena_printf(a,
			    "{\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\",\"spec\":{%s"
			    "\"interactive\":false}}",
			    p->exec.api_version, cluster);
}

/* A text of the plugin's answer, checked as the file that it stands for. */
static int take_status(struct kube_plan *p, const struct node *status, const char *key,
		       enum kube_file which, struct err *err)
{
	const struct node *n = node_get(status, key);

	if (!n || n->kind == NODE_NULL || (n->kind == NODE_SCALAR && !*n->text))
		return 0;
	const char *wrong = n->kind == NODE_SCALAR
				    ? kube_take_content(p, which, n->text, strlen(n->text))
				    : "is no text";

	return wrong ? err_set(err, "status.%s of its answer %s", key, wrong) : 0;
}

static int take_answer(struct kube_plan *p, const struct node *root, struct err *err)
{
	struct kube_access *a = p->access;
	const struct node *kind = node_get(root, "kind"), *api = node_get(root, "apiVersion");
	const struct node *status = node_get(root, "status");
	const struct node *until = node_get(status, "expirationTimestamp");

	if (!kind || kind->kind != NODE_SCALAR || strcmp(kind->text, "ExecCredential"))
		return err_set(err, "its answer is no ExecCredential");
	if (!api || api->kind != NODE_SCALAR || strcmp(api->text, p->exec.api_version))
		return err_set(err, "its answer is not of apiVersion %s", p->exec.api_version);
	if (!status || status->kind != NODE_MAP)
		return err_set(err, "its answer has no status");
	const char *cert = a->cert_pem, *key = a->key_pem;

	if (take_status(p, status, "token", KUBE_TOKEN, err) ||
	    take_status(p, status, "clientCertificateData", KUBE_CERT, err) ||
	    take_status(p, status, "clientKeyData", KUBE_KEY, err))
		return -1;
	if ((a->cert_pem == cert) != (a->key_pem == key))
		return err_set(err, "its answer has a certificate or a key without the other");
	if (!*a->token && a->cert_pem == cert)
		return err_set(err, "its answer has neither token nor certificate");
	if (!until || until->kind == NODE_NULL)
		return 0;
	int64_t when = until->kind == NODE_SCALAR ? kube_time_parse(until->text) : -1;

	if (when < 0)
		return err_set(err, "status.expirationTimestamp of its answer is no time");
	a->expires = (uint64_t)when;
	return 0;
}

int kubeconfig_set_exec(struct kube_plan *p, const char *json, size_t len, struct err *err)
{
	struct arena scratch = { 0 };
	struct doc *docs = NULL;
	int rc;

	if (len > KUBE_MAX_FILE)
		rc = err_set(err, "its answer is longer than 1 MiB");
	else if (yaml_parse(json, len, "its answer", &scratch, &docs, err))
		rc = -1;
	else if (!docs)
		rc = err_set(err, "it printed nothing, expected an ExecCredential");
	else
		rc = take_answer(p, docs->root, err);
	for (struct doc *d = docs; d; d = d->next)
		kube_wipe_node(d->root);
	arena_free(&scratch);
	return rc ? err_ctx(err, "%s: exec plugin %s", p->origin, p->exec.command) : 0;
}

struct kube_access *kubeconfig_finish(struct kube_plan *p, struct err *err)
{
	struct kube_access *a = p->access;

	if (!a) {
		err_set(err, "%s: was taken before", p->origin);
		return NULL;
	}
	if (!*a->cert_pem != !*a->key_pem) {
		err_set(err, "%s: client certificate and key do not come together", p->origin);
		return NULL;
	}
	if (!*a->token && !*a->cert_pem) {
		err_set(err, "%s: there is neither a token nor a client certificate", p->origin);
		return NULL;
	}
	p->access = NULL;
	return a;
}

/* ---- the flat form ---- */

/* In the order of the bytes. */
enum { NTEXTS = 9 };

static void list_texts(struct kube_access *a, const char **texts[NTEXTS])
{
	const char **all[NTEXTS] = { &a->ca_pem,     &a->cert_pem,	  &a->key_pem,
				     &a->token,	     &a->tls_server_name, &a->proxy,
				     &a->namespace_, &a->context,	  &a->user };

	memcpy(texts, all, sizeof(all));
}

static void put_text(struct wr *w, const char *text)
{
	size_t n = strlen(text);

	wr_u32(w, (uint32_t)n);
	wr_bytes(w, text, n);
}

uint8_t *kube_access_encode(const struct kube_access *a, size_t *len)
{
	struct kube_access copy = *a;
	const char **texts[NTEXTS];
	size_t cap = 4 + 1 + 8 + 1;

	list_texts(&copy, texts);
	for (int i = 0; i < NTEXTS; i++)
		cap += 4 + strlen(*texts[i]);
	for (unsigned i = 0; i < a->nservers; i++)
		cap += 4 + strlen(a->servers[i]);
	struct wr w = wr_over(xmalloc(cap), cap);

	wr_u32(&w, MAGIC);
	wr_u8(&w, FORMAT);
	wr_u64(&w, a->expires);
	for (int i = 0; i < NTEXTS; i++)
		put_text(&w, *texts[i]);
	wr_u8(&w, (uint8_t)a->nservers);
	for (unsigned i = 0; i < a->nservers; i++)
		put_text(&w, a->servers[i]);
	*len = w.len;
	return w.buf;
}

static int get_text(struct rd *r, struct arena *arena, const char **out, struct err *err)
{
	uint32_t n = rd_u32(r);
	const uint8_t *p = rd_bytes(r, n);

	if (!p)
		return err_set(err, "the access ends too early");
	if (memchr(p, 0, n))
		return err_set(err, "a NUL byte inside a text of the access");
	*out = n ? arena_strndup(arena, (const char *)p, n) : "";
	return 0;
}

static int get_servers(struct rd *r, struct kube_access *a, struct err *err)
{
	unsigned n = rd_u8(r);

	if (n < 1 || n > KUBE_MAX_SERVERS)
		return err_set(err, "the access has %u servers, expected 1 to %d", n,
			       KUBE_MAX_SERVERS);
	for (; a->nservers < n; a->nservers++) {
		if (get_text(r, &a->arena, &a->servers[a->nservers], err))
			return -1;
		const char *wrong = kube_server_problem(a->servers[a->nservers]);

		if (wrong)
			return err_set(err, "server %u of the access %s", a->nservers + 1, wrong);
	}
	return 0;
}

static int get_access(struct rd *r, struct kube_access *a, struct err *err)
{
	const char **texts[NTEXTS];

	if (rd_u32(r) != MAGIC || rd_u8(r) != FORMAT)
		return err_set(err, "no access to the API of this version: are all parts of the "
				    "same release?");
	a->expires = rd_u64(r);
	list_texts(a, texts);
	for (int i = 0; i < NTEXTS; i++)
		if (get_text(r, &a->arena, texts[i], err))
			return -1;
	if (get_servers(r, a, err))
		return -1;
	if (rd_left(r))
		return err_set(err, "%zu bytes too many in the access", rd_left(r));
	if (!*a->cert_pem != !*a->key_pem)
		return err_set(err, "certificate and key do not come together in the access");
	return 0;
}

struct kube_access *kube_access_decode(const void *data, size_t len, struct err *err)
{
	struct kube_access *a = kube_access_new();
	struct rd r = rd_over(data, len);

	if (!get_access(&r, a, err))
		return a;
	kube_access_free(a);
	return NULL;
}

bool kube_access_equal(const struct kube_access *a, const struct kube_access *b)
{
	if (!a || !b)
		return a == b;
	struct kube_access x = *a, y = *b;
	const char **in_x[NTEXTS], **in_y[NTEXTS];
	bool same = a->nservers == b->nservers && a->expires == b->expires;

	list_texts(&x, in_x);
	list_texts(&y, in_y);
	for (int i = 0; i < NTEXTS && same; i++)
		same = !strcmp(*in_x[i], *in_y[i]);
	for (unsigned i = 0; i < a->nservers && same; i++)
		same = !strcmp(a->servers[i], b->servers[i]);
	return same;
}

/* ---- time ---- */

static int two_digits(const char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return (p[0] - '0') * 10 + p[1] - '0';
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t days_from(int64_t year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162 + before[month - 1] +
	       (leap && month > 2) + day - 1;
}

int64_t kube_time_parse(const char *text)
{
	static const char form[] = "....-..-..T..:..:..";
	int v[7], sign;

	/* RFC 3339 section 5.6. */
	for (size_t i = 0; i < sizeof(form) - 1; i++)
		if (!text[i] || (form[i] != '.' && text[i] != form[i]))
			return -1;
	for (int i = 0; i < 7; i++) {
		static const int at[] = { 0, 2, 5, 8, 11, 14, 17 };

		v[i] = two_digits(text + at[i]);
		if (v[i] < 0)
			return -1;
	}
	int64_t year = v[0] * 100 + v[1];

	if (year < 1970 || v[2] < 1 || v[2] > 12 || v[3] < 1 || v[3] > 31 || v[4] > 23 ||
	    v[5] > 59 || v[6] > 60)
		return -1;
	int64_t t = days_from(year, v[2], v[3]) * 86400 + v[4] * 3600 + v[5] * 60 + v[6];

	text += sizeof(form) - 1;
	if (*text == '.') {
		size_t n = strspn(text + 1, "0123456789");

		text += 1 + n;
		if (!n)
			return -1;
	}
	if (!strcmp(text, "Z"))
		return t;
	if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':')
		return -1;
	sign = *text == '-' ? 1 : -1;
	int hours = two_digits(text + 1), minutes = two_digits(text + 4);

	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return -1;
	t += sign * (hours * 3600 + minutes * 60);
	return t < 0 ? -1 : t;
}
