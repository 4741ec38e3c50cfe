/* SPDX-License-Identifier: MIT */
/* The page's table of the hardware's exits. */
#include <inttypes.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

static void put_model(struct json_object *range, FILE *f)
{
	struct json_object *max = range ? json_object_array_get_idx(range, 1) : NULL;
	uint64_t lo, hi;

	if (!range) {
		fputs("<td>-</td>", f);
		return;
	}
	lo = json_object_get_uint64(json_object_array_get_idx(range, 0));
	hi = json_object_get_uint64(max);
	if (!max)
		fprintf(f, "<td>%" PRIu64 "..?</td>", lo);
	else if (lo == hi)
		fprintf(f, "<td>%" PRIu64 "</td>", lo);
	else
		fprintf(f, "<td>%" PRIu64 "..%" PRIu64 "</td>", lo, hi);
}

static void put_measured(struct json_object *stat, const char *cause, FILE *f)
{
	uint64_t lo = js_num(stat, "min"), hi = js_num(stat, "max");

	fputs("<td data-hardware=\"", f);
	compare_put_html(cause, f);
	fprintf(f, "\" data-n=\"%" PRIu64 "\">%" PRIu64, js_num(stat, "n"), lo);
	if (lo != hi)
		fprintf(f, "..%" PRIu64, hi);
	fputs("</td>", f);
}

static void put_row(struct json_object *o, FILE *f)
{
	struct json_object *yes = js(o, "agree"), *reasons = js(o, "reasons");
	bool no = yes && !json_object_get_boolean(yes), first = true;

	fputs("<tr><th scope=\"row\">", f);
	compare_put_html(js_str(o, "cause"), f);
	fputs("</th>", f);
	put_model(js(o, "model"), f);
	put_measured(js(o, "measured"), js_str(o, "cause"), f);
	fprintf(f, "<td%s>%s</td><td class=\"why\">", no ? " class=\"no\"" : "",
		!yes ? "-"
		: no ? "no"
		     : "yes");
	json_object_object_foreach(reasons, name, n)
	{
		fputs(first ? "" : ", ", f);
		compare_put_html(name, f);
		fprintf(f, " %" PRIu64, json_object_get_uint64(n));
		first = false;
	}
	fputs("</td><td class=\"why\">", f);
	compare_put_html(js_str(o, "rule"), f);
	fputs("</td></tr>\n", f);
}

static void put_config(struct json_object *report, struct json_object *hw, FILE *f)
{
	struct json_object *configs = js(report, "configs");

	for (size_t i = 0; i < js_len(configs); i++) {
		struct json_object *c = json_object_array_get_idx(configs, i);

		if (!strcmp(js_str(c, "name"), js_str(hw, "config")))
			compare_put_html(js_str(c, "title"), f);
	}
	if (!js(hw, "config"))
		fputs("model", f);
}

void compare_put_hardware(struct json_object *report, FILE *f)
{
	struct json_object *hw = js(report, "hardware"), *list = js(hw, "causes");

	fputs("<section><h2>Exits of the hardware</h2>\n<p class=\"note\">", f);
	if (js(hw, "why")) {
		fputs("Not measured: ", f);
		compare_put_html(js_str(hw, "why"), f);
		fputs("</p></section>\n", f);
		return;
	}
	fprintf(f,
		"Every exit under %s (%" PRIu64 ", %" PRIu64 " of them lost), by what it is for. ",
		js_str(js(js(report, "engines"), "kvm"), "module"), js_num(js(hw, "exits"), "n"),
		js_num(js(hw, "lost"), "n"));
	compare_put_html(js_str(hw, "config_why"), f);
	fputs("</p>\n<div class=\"scroll\"><table><thead><tr><th>cause</th><th>", f);
	put_config(report, hw, f);
	fputs("</th><th>measured</th><th>agree</th><th class=\"why\">reasons of the "
	      "hardware</th><th class=\"why\">tolerance</th></tr></thead><tbody>\n",
	      f);
	for (size_t i = 0; i < js_len(list); i++)
		put_row(json_object_array_get_idx(list, i), f);
	fputs("</tbody></table></div></section>\n", f);
}
