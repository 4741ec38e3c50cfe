/* SPDX-License-Identifier: MIT */
/* Short ways from JSON to Markdown, for the pages that are made of reports of `ringside compare`.
 */
#ifndef RINGSIDE_BENCH_COMPARISON_PAGE_H
#define RINGSIDE_BENCH_COMPARISON_PAGE_H

#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static inline struct json_object *get(struct json_object *o, const char *key)
{
	return json_object_is_type(o, json_type_object) ? json_object_object_get(o, key) : NULL;
}

static inline const char *str(struct json_object *o, const char *key)
{
	struct json_object *v = get(o, key);

	return v ? json_object_get_string(v) : "";
}

static inline uint64_t num(struct json_object *o, const char *key)
{
	struct json_object *v = get(o, key);

	return v ? json_object_get_uint64(v) : 0;
}

static inline bool is_true(struct json_object *o, const char *key)
{
	struct json_object *v = get(o, key);

	return v && json_object_get_boolean(v);
}

static inline size_t length(struct json_object *o)
{
	return json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

/* 1234567 as 1,234,567 */
static inline void put_grouped(uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			putchar(',');
		putchar(digits[i]);
	}
}

/* The guest's text and others' sentences: nothing in them is Markdown. */
static inline void put_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("\\`*[]<>|", *s))
			putchar('\\');
		putchar(*s == '\n' ? ' ' : *s);
	}
}

#endif
