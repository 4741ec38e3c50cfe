/* SPDX-License-Identifier: MIT */
/* The page of `ringside compare` in a browser: it renders, alone, and its numbers are the JSON's.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/compare_cmd.h"
#include "vmm/cli.h"
#include "vmm/compare/compare.h"
#include "vmm/model.h"

TestSuite(compare_cmd_page, .timeout = 180);

static char page_dir[] = "/tmp/ringside-page-XXXXXX", page_path[64], page_url[80];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(page_dir));
	snprintf(page_path, sizeof(page_path), "%s/page.html", page_dir);
	snprintf(page_url, sizeof(page_url), "file://%s", page_path);
}

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", page_dir);
	cr_expect_eq(system(command), 0);
}

/* Chromium, with @option, on the page.  Its helpers may outlive it: not for child.h to judge. */
static char *browse(const char *option)
{
	char command[512], *out = NULL;
	size_t size = 0;
	FILE *p;

	snprintf(command, sizeof(command),
		 "HOME=%s timeout -k 5 90 chromium --headless --no-sandbox --disable-gpu "
		 "--disable-dev-shm-usage --no-first-run --user-data-dir=%s/profile %s %s "
		 "2>%s/browser.log",
		 page_dir, page_dir, option, page_url, page_dir);
	p = popen(command, "r");
	cr_assert_not_null(p);
	if (getdelim(&out, &size, '\0', p) < 0) {
		free(out); /* getdelim() allocates even if there is nothing */
		out = calloc(1, 1);
	}
	cr_assert_eq(pclose(p), 0, "chromium failed on %s", page_url);
	return out;
}

/* The page has exactly one cell of @row and @col, with @attrs and @text. */
static void expect_cell(const char *dom, const char *row, const char *col, const char *attrs,
			const char *text)
{
	char want[256];
	const char *cell, *end;

	snprintf(want, sizeof(want), "<td data-row=\"%s\" data-col=\"%s\" %s", row, col, attrs);
	cell = strstr(dom, want);
	cr_assert_not_null(cell, "no %s", want);
	cr_expect_null(strstr(cell + 1, want), "two of %s", want);
	end = strchr(cell, '>');
	snprintf(want, sizeof(want), ">%s</td>", text);
	cr_expect(end && !strncmp(end, want, strlen(want)), "%s, %s: %.60s", row, col, cell);
}

static void expect_models(const char *dom, const char *name, struct json_object *model)
{
	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		struct json_object *r = json_object_object_get(model, model_config_name(c)), *max;
		struct model_range range;
		char attrs[96], text[64], most[32] = "?";

		if (!r)
			continue;
		max = json_object_array_get_idx(r, 1);
		range.min = json_object_get_uint64(json_object_array_get_idx(r, 0));
		range.max = max ? json_object_get_uint64(max) : MODEL_UNKNOWN;
		if (max)
			snprintf(most, sizeof(most), "%" PRIu64, range.max);
		snprintf(attrs, sizeof(attrs), "data-min=\"%" PRIu64 "\" data-max=\"%s\"",
			 range.min, most);
		expect_cell(dom, name, model_config_name(c), attrs,
			    model_range_text(&range, text, sizeof(text)));
	}
}

static void expect_counts(const char *dom, const char *name, struct json_object *stats)
{
	static const char *const engines[] = { "world", "kvm" };

	for (unsigned i = 0; i < 2; i++) {
		struct json_object *stat = json_object_object_get(stats, engines[i]);
		char attrs[64], text[32];

		if (!stat)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64, compare_num(stat, "n"));
		snprintf(attrs, sizeof(attrs), "data-n=\"%s\"", text);
		expect_cell(dom, name, engines[i], attrs, text);
	}
}

static void expect_numbers(const char *dom, struct json_object *o)
{
	struct json_object *rows = compare_at(o, "rows");

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (json_object_get_boolean(json_object_object_get(row, "exit")))
			expect_counts(dom, compare_str(row, "name"), row);
		expect_models(dom, compare_str(row, "name"), json_object_object_get(row, "model"));
	}
	expect_models(dom, "total", compare_at(o, "total"));
}

/* The JSON within the page is the report's. */
static void expect_embedded(const char *dom, struct json_object *o)
{
	static const char start[] = "<script type=\"application/json\" id=\"report\">";
	const char *at = strstr(dom, start), *end = at ? strstr(at, "</script>") : NULL;
	struct json_object *in;
	char *text;

	cr_assert(at && end);
	at += strlen(start);
	text = strndup(at, (size_t)(end - at));
	in = json_tokener_parse(text);
	free(text);
	cr_assert_not_null(in);
	cr_expect(json_object_equal(in, o), "the page's JSON is another");
	json_object_put(in);
}

static void expect_alone(const char *dom)
{
	static const char *const outside[] = { "http://", "https://", "src=", "href=",
					       "url(",    "@import",  "//cdn" };

	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		cr_expect_null(strstr(dom, outside[i]), "the page has %s", outside[i]);
	cr_expect_not_null(strstr(dom, "name=\"viewport\""));
	cr_expect_not_null(strstr(dom, "prefers-color-scheme"));
	cr_expect_not_null(strstr(dom, "default-src 'none'"));
}

/* IHDR; RFC 2083, 4.1.1.  And it is no empty picture. */
static void expect_picture(const char *option, unsigned width)
{
	char path[80], arg[256];
	uint8_t head[24] = { 0 };
	long size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%u.png", page_dir, width);
	snprintf(arg, sizeof(arg), "--screenshot=%s --window-size=%u,2000 %s", path, width, option);
	free(browse(arg));
	f = fopen(path, "r");
	cr_assert_not_null(f, "no picture of %u pixels", width);
	cr_expect_eq(fread(head, 1, sizeof(head), f), sizeof(head));
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	cr_expect_eq((unsigned)head[18] << 8 | head[19], width);
	cr_expect_gt(size, 20000, "%s: %ld bytes", option, size);
}

Test(compare_cmd_page, a_browser_shows_the_numbers_of_the_json, .init = make_dir,
     .fini = remove_dir)
{
	struct json_object *o = compare_guest("exits", NULL, page_path, STATUS_OK);
	char *dom = browse("--dump-dom");

	cr_assert_not_null(strstr(dom, "<h2>Cause by cause</h2>"), "%.200s", dom);
	expect_numbers(dom, o);
	expect_embedded(dom, o);
	expect_alone(dom);
	free(dom);
	expect_picture("", 1280);
	expect_picture("--blink-settings=preferredColorScheme=0 --force-dark-mode", 390);
	json_object_put(o);
}

/* Names come from images, options from anybody. */
Test(compare_cmd_page, names_are_text_and_no_markup, .init = make_dir, .fini = remove_dir)
{
	static const char bad[] = "</script><script>document.title='x'</script><!--\"'&";
	struct json_object *o = json_object_new_object(), *rows = json_object_new_array();
	struct json_object *row = json_object_new_object();
	FILE *f = fopen(page_path, "w");
	char *dom;

	json_object_object_add(o, "image", json_object_new_string(bad));
	json_object_object_add(row, "name", json_object_new_string(bad));
	json_object_object_add(row, "exit", json_object_new_boolean(true));
	json_object_object_add(row, "kvm_why", json_object_new_string(bad));
	json_object_array_add(rows, row);
	json_object_object_add(o, "rows", rows);
	json_object_object_add(o, "engines", json_object_new_object());
	cr_assert_not_null(f);
	compare_print_html(o, f);
	fclose(f);
	dom = browse("--dump-dom");
	cr_expect_null(strstr(dom, "<title>x</title>"));
	cr_expect_null(strstr(dom, "<script>"), "%s", strstr(dom, "<script>"));
	cr_expect_not_null(strstr(dom, "&lt;/script&gt;&lt;script&gt;document"));
	cr_expect_not_null(strstr(dom, "<h2>Cause by cause</h2>"));
	free(dom);
	json_object_put(o);
}
