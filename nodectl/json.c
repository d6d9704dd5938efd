#include "config.h"

#include "nodectl/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/utf8.h"
#include "nodectl/table.h"

struct json_object *j_string(const char *text)
{
	size_t n, len = strlen(text);
	struct json_object *s;
	char *buf = xmalloc(3 * len + 1), *to = buf;

	for (; *text; text += n ? n : 1) {
		n = utf8_len(text);
		if (n) {
			memcpy(to, text, n);
			to += n;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
		}
	}
	s = json_object_new_string_len(buf, (int)(to - buf));
	free(buf);
	return s;
}

void j_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, *text ? j_string(text) : NULL);
}

void j_bool(struct json_object *obj, const char *key, bool v)
{
	json_object_object_add(obj, key, json_object_new_boolean(v));
}

void j_count(struct json_object *obj, const char *key, uint64_t n)
{
	json_object_object_add(obj, key, json_object_new_uint64(n));
}

void j_some(struct json_object *obj, const char *key, uint64_t n)
{
	json_object_object_add(obj, key, n ? json_object_new_uint64(n) : NULL);
}

void j_time(struct json_object *obj, const char *key, uint64_t then)
{
	time_t t = (time_t)then;
	char text[40];
	struct tm tm;

	if (then && gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_object_object_add(obj, key, json_object_new_string(text));
	else
		j_null(obj, key);
}

void j_addr(struct json_object *obj, const char *key, const struct addr *a)
{
	char buf[WORD];

	j_text(obj, key, a->fam == FAM_NONE ? "" : addr_text(buf, a));
}

void j_prefix(struct json_object *obj, const char *key, const struct prefix *p)
{
	char buf[WORD];

	j_text(obj, key, prefix_text(buf, p));
}

void j_texts(struct json_object *obj, const char *key, const msg_text_list *list)
{
	struct json_object *array = json_object_new_array();

	for (uint32_t i = 0; i < list->n; i++)
		json_object_array_add(array, j_string(list->v[i].text));
	json_object_object_add(obj, key, array);
}

void j_null(struct json_object *obj, const char *key)
{
	json_object_object_add(obj, key, NULL);
}

void j_write(FILE *to, struct json_object *obj)
{
	int flags =
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;

	fputs(json_object_to_json_string_ext(obj, flags), to);
	json_object_put(obj);
}

void j_print(FILE *to, struct json_object *obj)
{
	j_write(to, obj);
	putc('\n', to);
}
