/* SPDX-License-Identifier: MIT */
/* Short ways into JSON objects; nobody outside this directory includes this. */
#ifndef RINGSIDE_VMM_COMPARE_JSON_H
#define RINGSIDE_VMM_COMPARE_JSON_H

#include <json-c/json.h>
#include <string.h>

/* NULL if @o is NULL or has no such key. */
static inline struct json_object *js(struct json_object *o, const char *key)
{
	return o ? json_object_object_get(o, key) : NULL;
}

/* 0 if there is none */
static inline uint64_t js_num(struct json_object *o, const char *key)
{
	struct json_object *v = js(o, key);

	return v ? json_object_get_uint64(v) : 0;
}

/* NULL if there is none */
static inline const char *js_text(struct json_object *o, const char *key)
{
	struct json_object *v = js(o, key);

	return v ? json_object_get_string(v) : NULL;
}

/* "" if there is none */
static inline const char *js_str(struct json_object *o, const char *key)
{
	const char *s = js_text(o, key);

	return s ? s : "";
}

static inline bool js_true(struct json_object *o, const char *key)
{
	struct json_object *v = js(o, key);

	return v && json_object_get_boolean(v);
}

static inline size_t js_len(struct json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

static inline void js_add_num(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static inline void js_add_str(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, s ? json_object_new_string(s) : NULL);
}

static inline void js_add_bool(struct json_object *o, const char *key, bool b)
{
	json_object_object_add(o, key, json_object_new_boolean(b));
}

#endif
