/* JSON values by the contract: times RFC 3339 UTC, addresses as text, absent = null. Text that is
 * not UTF-8 has its broken bytes replaced by U+FFFD, so that every parser takes it.
 */
#ifndef SELVAGE_NODECTL_JSON_H
#define SELVAGE_NODECTL_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/msg.h"

/* Each adds one member to obj. */
void j_text(struct json_object *obj, const char *key, const char *text); /* "" = null */
void j_bool(struct json_object *obj, const char *key, bool v);
void j_count(struct json_object *obj, const char *key, uint64_t n);
void j_some(struct json_object *obj, const char *key, uint64_t n);    /* 0 = null */
void j_time(struct json_object *obj, const char *key, uint64_t then); /* 0 = null */
void j_addr(struct json_object *obj, const char *key, const struct addr *a);
void j_prefix(struct json_object *obj, const char *key, const struct prefix *p);
void j_texts(struct json_object *obj, const char *key, const msg_text_list *list);
void j_null(struct json_object *obj, const char *key);

/* Text as a value; never null. */
struct json_object *j_string(const char *text);

/* Prints it (j_print: with a newline) and frees it. */
void j_write(FILE *to, struct json_object *obj);
void j_print(FILE *to, struct json_object *obj);

#endif
