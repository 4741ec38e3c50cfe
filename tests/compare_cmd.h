/* SPDX-License-Identifier: MIT */
/* `ringside compare` run by a test, and its JSON. */
#ifndef RINGSIDE_TESTS_COMPARE_CMD_H
#define RINGSIDE_TESTS_COMPARE_CMD_H

#include <json-c/json.h>

#include "tests/child.h"

/*
 * Run it on @guest, twice for each engine, with @option (NULL: none) for run; expect exit status
 * @status.  Writes the page to @html if it is not NULL.  Returns the report, for
 * json_object_put(); what it printed is in compare_child.
 */
struct json_object *compare_guest(const char *guest, const char *option, const char *html,
				  int status);
extern struct child compare_child;

/* The value at the end of @path, keys joined by '/'; NULL if there is none. */
struct json_object *compare_at(struct json_object *o, const char *path);
uint64_t compare_num(struct json_object *o, const char *path);
const char *compare_str(struct json_object *o, const char *path); /* "" for none */

#endif
