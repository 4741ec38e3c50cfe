/* SPDX-License-Identifier: MIT */
/* `ringside compare`: its table and its JSON, what it refuses, what it says where KVM is not. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/compare_cmd.h"
#include "vmm/cli.h"
#include "vmm/model.h"

TestSuite(compare_cmd, .timeout = 120);

struct child compare_child;

struct json_object *compare_guest(const char *guest, const char *option, const char *html,
				  int status)
{
	struct child *c = &compare_child;
	char json[] = "/tmp/ringside-compare-XXXXXX";
	int fd = mkstemp(json);
	struct json_object *o;
	unsigned n = 0;

	cr_assert_geq(fd, 0);
	close(fd);
	*c = (struct child){ .seconds = 100 };
	c->argv[n++] = child_ringside();
	c->argv[n++] = "compare";
	c->argv[n++] = child_guest(guest);
	c->argv[n++] = "--repeat=2";
	c->argv[n++] = "--json";
	c->argv[n++] = json;
	if (html) {
		c->argv[n++] = "--html";
		c->argv[n++] = html;
	}
	c->argv[n++] = "--";
	c->argv[n++] = "--timeout=30";
	if (option)
		c->argv[n++] = option;
	child_run(c);
	cr_assert_eq(c->status, status, "%s: status %d\n%s%s", guest, c->status, c->out, c->err);
	o = json_object_from_file(json);
	unlink(json);
	cr_assert_not_null(o, "%s: no JSON", guest);
	return o;
}

struct json_object *compare_at(struct json_object *o, const char *path)
{
	char text[128], *save = NULL;

	snprintf(text, sizeof(text), "%s", path);
	for (char *s = strtok_r(text, "/", &save); s && o; s = strtok_r(NULL, "/", &save))
		o = json_object_object_get(o, s);
	return o;
}

uint64_t compare_num(struct json_object *o, const char *path)
{
	struct json_object *v = compare_at(o, path);

	return v ? json_object_get_uint64(v) : 0;
}

const char *compare_str(struct json_object *o, const char *path)
{
	struct json_object *v = compare_at(o, path);

	return v ? json_object_get_string(v) : "";
}

/* ---- the table and the JSON ---- */

/* The line of the table of causes that begins with @name; its columns are the JSON's. */
static void expect_line(const char *text, struct json_object *row)
{
	const char *name = compare_str(row, "name"), *engines[] = { "world", "kvm" };
	char start[64], want[128];
	const char *line;

	snprintf(start, sizeof(start), "\n  %s  ", name);
	line = strstr(text, start);
	cr_assert_not_null(line, "no line of %s in\n%s", name, text);
	line += strlen(start);
	for (unsigned i = 0; i < 2; i++) {
		struct json_object *stat = json_object_object_get(row, engines[i]);
		bool varies = compare_num(stat, "min") != compare_num(stat, "max");
		int len;

		line += strspn(line, " ");
		len = (int)strcspn(line, " \n");
		if (stat)
			snprintf(want, sizeof(want), "%s%" PRIu64, varies ? "~" : "",
				 compare_num(stat, "n"));
		else
			strcpy(want, "-");
		cr_expect(len == (int)strlen(want) && !strncmp(line, want, (size_t)len),
			  "%s, %s: \"%.*s\", not \"%s\"", name, engines[i], len, line, want);
		line += len;
	}
}

static void expect_sums(struct json_object *report)
{
	struct json_object *rows = compare_at(report, "rows");
	uint64_t world = 0, kvm = 0, min[MODEL_CONFIGS] = { 0 };

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		world += compare_num(row, "world/n");
		kvm += compare_num(row, "kvm/n");
		for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
			struct json_object *r = json_object_object_get(
				json_object_object_get(row, "model"), model_config_name(c));

			if (r)
				min[c] += json_object_get_uint64(json_object_array_get_idx(r, 0));
		}
	}
	cr_expect_eq(world, compare_num(report, "engines/world/exits/n"));
	cr_expect_eq(kvm, compare_num(report, "engines/kvm/exits/n"));
	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		struct json_object *r = json_object_object_get(compare_at(report, "total"),
							       model_config_name(c));

		cr_assert_not_null(r);
		cr_expect_eq(min[c], json_object_get_uint64(json_object_array_get_idx(r, 0)), "%s",
			     model_config_name(c));
	}
}

Test(compare_cmd, the_table_says_what_the_json_says)
{
	struct json_object *o = compare_guest("exits", NULL, NULL, STATUS_OK);
	struct json_object *rows = compare_at(o, "rows");

	cr_assert_gt(json_object_array_length(rows), 10);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (json_object_get_boolean(json_object_object_get(row, "exit")))
			expect_line(compare_child.out, row);
	}
	expect_sums(o);
	for (const char *line = compare_child.out, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		cr_assert_not_null(end);
		cr_expect(end - line <= 120 || strstr(line, "world: ") || strstr(line, "kvm"),
			  "%.*s", (int)(end - line), line);
	}
	cr_expect_not_null(strstr(compare_child.out, "what the differences come from\n"));
	json_object_put(o);
}

/* kvm_pvm interprets: its times would be taken for hardware's. */
Test(compare_cmd, the_module_is_named_and_times_of_kvm_pvm_are_not_given)
{
	struct json_object *o = compare_guest("exits", NULL, NULL, STATUS_OK);
	const char *module = compare_str(o, "engines/kvm/module");

	if (!json_object_get_boolean(compare_at(o, "engines/kvm/ran"))) {
		cr_expect_str_neq(compare_str(o, "engines/kvm/why"), "");
		cr_expect_not_null(strstr(compare_child.out, "kvm did not run: "));
	} else {
		cr_expect(!strncmp(module, "kvm_", 4), "%s", module);
		cr_expect_not_null(strstr(compare_child.out, module));
		cr_expect_eq(compare_at(o, "engines/kvm/time_ns") == NULL,
			     !strcmp(module, "kvm_pvm"));
	}
	cr_expect_not_null(compare_at(o, "engines/world/time_ns/guest"));
	json_object_put(o);
}

Test(compare_cmd, without_kvm_its_column_says_why_and_the_rest_stands)
{
	struct json_object *o;

	if (geteuid()) { /* cannot hide the device */
		cr_expect_neq(access("/proc/self/ns/mnt", F_OK), -1);
		return;
	}
	compare_child = (struct child){
		.argv = { "unshare", "-m", "sh", "-c",
			  "mount -t tmpfs none /dev && exec \"$0\" compare \"$1\" --json - -- "
			  "--timeout 30",
			  child_ringside(), child_guest("exits"), NULL },
		.seconds = 60
	};
	child_run(&compare_child);
	cr_assert_eq(compare_child.status, STATUS_OK, "%s", compare_child.err);
	o = json_tokener_parse(compare_child.out);
	cr_assert_not_null(o, "%s", compare_child.out);
	cr_expect(!json_object_get_boolean(compare_at(o, "engines/kvm/ran")));
	cr_expect_eq(strncmp(compare_str(o, "engines/kvm/why"), "there is no /dev/kvm", 20), 0,
		     "%s", compare_str(o, "engines/kvm/why"));
	cr_expect_eq(compare_num(o, "engines/world/status"), 33);
	cr_expect_gt(compare_num(o, "engines/world/exits/n"), 500);
	cr_expect_null(compare_at(o, "engines/kvm/exits"));
	json_object_put(o);
}

/* ---- ends ---- */

Test(compare_cmd, a_guest_that_dies_is_status_3_and_said_of_each_engine)
{
	struct json_object *o = compare_guest("minios", "-append=triple", NULL, STATUS_GUEST);

	cr_expect_not_null(strstr(compare_child.out, "world: ended with status 3: "), "%s",
			   compare_child.out);
	cr_expect_not_null(strstr(compare_str(o, "engines/world/end"), "triple fault"));
	cr_expect(json_object_get_boolean(compare_at(o, "engines/world/failed")));
	json_object_put(o);
}

static void expect_refusal(const char *const *args, const char *why)
{
	struct child *c = &compare_child;

	*c = (struct child){ .argv = { child_ringside(), "compare" } };
	for (unsigned i = 0; args[i]; i++)
		c->argv[2 + i] = args[i];
	child_run(c);
	cr_expect_eq(c->status, STATUS_INPUT, "%s: %d", why, c->status);
	cr_expect_eq(strncmp(c->err, "ringside: ", 10), 0, "%s", c->err);
	cr_expect_not_null(strstr(c->err, why), "%s, not: %s", c->err, why);
	cr_expect_str_eq(c->out, "");
}

#define REFUSED(why, ...) expect_refusal((const char *const[]){ __VA_ARGS__, NULL }, why)

Test(compare_cmd, bad_usage_is_refused_before_anything_runs)
{
	const char *image = child_guest("exits");

	REFUSED("needs the image", "--repeat=1");
	REFUSED("one image at a time", image, image);
	REFUSED("--repeat 0: it is a number", image, "--repeat=0");
	REFUSED("--repeat 1x: it is a number", image, "--repeat=1x");
	REFUSED("no option --frob", image, "--frob");
	REFUSED("unknown option --frob", image, "--", "--frob");
	REFUSED("--engine cannot be used here", image, "--", "--engine=kvm");
	REFUSED("--stats cannot be used here", image, "--", "--stats");
	REFUSED("--trace cannot be used here", image, "--", "--trace=/tmp/x");
	REFUSED("cannot both go", image, "--json=-", "--html=-");
	REFUSED("cannot write /nonexistent/x", image, "--json=/nonexistent/x");
	REFUSED("cannot be opened", "/nonexistent/image");
}

/* Each option of the help, and each key of the JSON, where a user looks for them. */
Test(compare_cmd, options_and_keys_are_documented)
{
	static const char *const options[] = { "json", "html", "repeat" };
	struct json_object *o = compare_guest("exits", NULL, NULL, STATUS_OK);
	static char man[1 << 18], readme[1 << 18];
	FILE *f = fopen("docs/ringside.1", "r"), *g = fopen("README.md", "r");
	char want[64];

	cr_assert(f && g);
	cr_assert_lt(fread(man, 1, sizeof(man) - 1, f), sizeof(man) - 1);
	cr_assert_lt(fread(readme, 1, sizeof(readme) - 1, g), sizeof(readme) - 1);
	fclose(f);
	fclose(g);
	json_object_object_foreach(o, key, value)
	{
		(void)value;
		snprintf(want, sizeof(want), "%s", key);
		cr_expect_not_null(strstr(strstr(man, ".SH COMPARING"), want), "key %s", key);
	}
	compare_child = (struct child){ .argv = { child_ringside(), "compare", "--help" } };
	child_run(&compare_child);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(want, sizeof(want), "--%s=", options[i]);
		cr_expect_not_null(strstr(compare_child.out, want), "%s", compare_child.out);
		snprintf(want, sizeof(want), "--%s ", options[i]);
		cr_expect_not_null(strstr(readme, want), "README: %s", want);
		snprintf(want, sizeof(want), "\\-\\-%s", options[i]);
		cr_expect_not_null(strstr(man, want), "manual: %s", want);
	}
	json_object_put(o);
}
