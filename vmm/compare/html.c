/* SPDX-License-Identifier: MIT */
/*
 * The report as a page: one file, without scripts and without anything from elsewhere.  The whole
 * report is in it as JSON too, for programs.  Names come from the guest's image and are not
 * trusted.
 */
#include <inttypes.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

void compare_put_html(const char *s, FILE *f)
{
	for (; s && *s; s++)
		switch (*s) {
		case '&': fputs("&amp;", f); break;
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '"': fputs("&quot;", f); break;
		case '\'': fputs("&#39;", f); break;
		default: fputc((unsigned char)*s < ' ' ? ' ' : *s, f); break;
		}
}

static const char style[] =
	":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d5dae0;"
	"--panel:#f5f7f9;--track:#e8ecf0;--world:#b3541e;--kvm:#1f6feb;--model:#2c8a4b;"
	"--p0:#2c8a4b;--p1:#b3541e;--p2:#8250df;--p3:#9aa4af}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#0f1317;--fg:#e6eaee;--soft:#9aa4af;"
	"--line:#313941;--panel:#171c22;--track:#252c34;--world:#e8894f;--kvm:#6aa5ff;"
	"--model:#57c27b;--p0:#57c27b;--p1:#e8894f;--p2:#b794f6;--p3:#68727d}}\n"
	"*{box-sizing:border-box}\n"
	"body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--bg);color:var(--fg);"
	"font:16px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}\n"
	"h1{font-size:1.5rem;line-height:1.2;margin:.2em 0 .5em}h2{font-size:1.15rem;margin:1.8em "
	"0 .5em}"
	"h3{font-size:1rem;margin:0 0 .3em;font-family:ui-monospace,monospace}\n"
	"p{margin:.4em 0}ul{padding-left:1.2em}.note{color:var(--soft);font-size:.9rem}\n"
	".bars{display:grid;grid-template-columns:minmax(4.5rem,max-content) minmax(0,1fr) "
	"minmax(3rem,max-content);gap:.15rem .6rem;align-items:center;font-size:.9rem}"
	".bar{display:contents}\n"
	".bar "
	"span:last-child{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	".bar svg{width:100%;height:.9rem;display:block}\n"
	".small{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));"
	"gap:.8rem}\n"
	".card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;"
	"padding:.7rem .8rem}\n"
	".track{fill:var(--track)}.world{fill:var(--world)}.kvm{fill:var(--kvm)}.model{fill:var(--"
	"model)}"
	".maybe{fill-opacity:.35}.part0{fill:var(--p0)}.part1{fill:var(--p1)}.part2{fill:var(--p2)}"
	".part3{fill:var(--p3)}\n"
	".legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;font-size:.9rem}"
	".legend svg{width:.8rem;height:.8rem;margin-right:.35rem}.legend b{font-weight:600;"
	"font-variant-numeric:tabular-nums}\n"
	".scroll{overflow:auto;max-height:85vh;border:1px solid var(--line);border-radius:.5rem}\n"
	"table{border-collapse:separate;border-spacing:0;font-size:.9rem;min-width:100%}"
	"th,td{padding:.35rem .5rem;text-align:right;border-bottom:1px solid var(--line);"
	"white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal;vertical-align:"
	"top}\n"
	"thead th{position:sticky;top:0;background:var(--panel);z-index:2}"
	"th:first-child{position:sticky;left:0;max-width:10rem;white-space:normal;text-align:left;"
	"background:var(--panel);z-index:1}"
	"thead th:first-child{z-index:3}tbody "
	"th{font-family:ui-monospace,monospace;font-weight:400}\n"
	"td.why,th.why{text-align:left;white-space:normal;min-width:19rem}"
	"tfoot td,tfoot th{font-weight:600;border-bottom:0}\n"
	"td.no{color:#d1242f;font-weight:600}.varies::before{content:\"~\"}\n"
	"dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem 1rem;margin:0}"
	"dt{color:var(--soft)}dd{margin:0}\n"
	"@media(max-width:32rem){body{padding:.7rem}.bars{font-size:.82rem}"
	"td.why,th.why{min-width:17rem}td.why "
	"div{max-height:4.4em;overflow-y:auto}th:first-child{max-width:8rem}dl{grid-template-"
	"columns:1fr}"
	"dd{margin-bottom:.4rem}}\n";

/* ---- pieces ---- */

static void put_item(const char *name, const char *text, FILE *f)
{
	fprintf(f, "<dt>%s</dt><dd>", name);
	compare_put_html(text, f);
	fputs("</dd>\n", f);
}

static void put_stat(struct json_object *stat, const char *row, const char *col, FILE *f)
{
	bool varies = js_num(stat, "min") != js_num(stat, "max");

	if (!stat) {
		fputs("<td>-</td>", f);
		return;
	}
	fputs("<td data-row=\"", f);
	compare_put_html(row, f);
	fprintf(f, "\" data-col=\"%s\" data-n=\"%" PRIu64 "\"", col, js_num(stat, "n"));
	if (varies)
		fprintf(f, " class=\"varies\" title=\"%" PRIu64 " to %" PRIu64 "\"",
			js_num(stat, "min"), js_num(stat, "max"));
	fprintf(f, ">%" PRIu64 "</td>", js_num(stat, "n"));
}

static void put_range(struct json_object *range, const char *row, const char *col, FILE *f)
{
	struct json_object *max = range ? json_object_array_get_idx(range, 1) : NULL;
	uint64_t lo, hi;

	if (!range) {
		fputs("<td>-</td>", f);
		return;
	}
	lo = json_object_get_uint64(json_object_array_get_idx(range, 0));
	hi = max ? json_object_get_uint64(max) : 0;
	fputs("<td data-row=\"", f);
	compare_put_html(row, f);
	fprintf(f, "\" data-col=\"%s\" data-min=\"%" PRIu64 "\" data-max=\"", col, lo);
	if (!max)
		fprintf(f, "?\">%" PRIu64 "..?</td>", lo);
	else if (lo == hi)
		fprintf(f, "%" PRIu64 "\">%" PRIu64 "</td>", hi, lo);
	else
		fprintf(f, "%" PRIu64 "\">%" PRIu64 "..%" PRIu64 "</td>", hi, lo, hi);
}

static void put_ranges(struct json_object *report, struct json_object *ranges, const char *row,
		       FILE *f)
{
	struct json_object *configs = js(report, "configs");

	for (size_t i = 0; i < js_len(configs); i++) {
		const char *name = js_str(json_object_array_get_idx(configs, i), "name");

		put_range(js(ranges, name), row, name, f);
	}
}

/* ---- the table of causes ---- */

static void put_why(struct json_object *row, FILE *f)
{
	struct json_object *events = js(row, "events");

	fputs("<td class=\"why\"><div tabindex=\"0\">", f);
	for (size_t i = 0; i < js_len(events); i++) {
		struct json_object *e = json_object_array_get_idx(events, i);
		const char *vtx = js_str(e, "vtx_why"), *svm = js_str(e, "svm_why");
		bool same = !strcmp(vtx, svm);

		if (i)
			fputs("<br>", f);
		if (js_len(events) > 1) {
			fputs("<b>", f);
			compare_put_html(js_str(e, "event"), f);
			fprintf(f, "</b> (%" PRIu64 "): ", js_num(e, "count"));
		}
		fputs(same ? "" : "VT-x: ", f);
		compare_put_html(vtx, f);
		if (!same) {
			fputs("; SVM: ", f);
			compare_put_html(svm, f);
		}
	}
	if (js(row, "kvm_why")) {
		fputs(js_len(events) ? "<br>KVM: " : "", f);
		compare_put_html(js_str(row, "kvm_why"), f);
	}
	fputs("</div></td>", f);
}

static void put_row(struct json_object *report, struct json_object *row, FILE *f)
{
	const char *name = js_str(row, "name");

	fputs("<tr><th scope=\"row\">", f);
	compare_put_html(name, f);
	fputs("</th>", f);
	if (js_true(row, "exit")) {
		put_stat(js(row, "world"), name, "world", f);
		put_stat(js(row, "kvm"), name, "kvm", f);
	} else {
		fputs("<td></td><td></td>", f);
	}
	put_ranges(report, js(row, "model"), name, f);
	put_why(row, f);
	fputs("</tr>\n", f);
}

static void put_table(struct json_object *report, FILE *f)
{
	struct json_object *rows = js(report, "rows"), *configs = js(report, "configs");
	struct json_object *engines = js(report, "engines");

	fputs("<section><h2>Cause by cause</h2>\n<div class=\"scroll\" "
	      "tabindex=\"0\"><table><thead>"
	      "<tr><th scope=\"col\">cause</th><th scope=\"col\">world</th><th "
	      "scope=\"col\">kvm</th>",
	      f);
	for (size_t i = 0; i < js_len(configs); i++) {
		fputs("<th scope=\"col\">", f);
		compare_put_html(js_str(json_object_array_get_idx(configs, i), "title"), f);
		fputs("</th>", f);
	}
	fputs("<th scope=\"col\" class=\"why\">what the difference comes from</th></tr></thead>\n"
	      "<tbody>\n",
	      f);
	for (size_t i = 0; i < js_len(rows); i++)
		put_row(report, json_object_array_get_idx(rows, i), f);
	fputs("</tbody><tfoot><tr><th scope=\"row\">total</th>", f);
	put_stat(js(js(engines, "world"), "exits"), "total", "world", f);
	put_stat(js(js(engines, "kvm"), "exits"), "total", "kvm", f);
	put_ranges(report, js(report, "total"), "total", f);
	fputs("<td></td></tr></tfoot></table></div>\n"
	      "<p class=\"note\">world: traps of the deprivileged guest. kvm: returns of KVM to "
	      "this "
	      "program, measured. The rest: exits of hardware under a KVM with its defaults, "
	      "modelled "
	      "from the run of world; a..b is between, ? is without bound. ~ varies from run to "
	      "run.</p></section>\n",
	      f);
}

/* ---- the rest ---- */

static void put_agreement(struct json_object *report, FILE *f)
{
	struct json_object *list = js(report, "agreement");

	if (!js_len(list))
		return;
	fputs("<section><h2>Model against measurement</h2>\n<div "
	      "class=\"scroll\"><table><thead><tr>"
	      "<th>exits to user space</th><th>expected</th><th>measured</th><th>agree</th>"
	      "<th class=\"why\">tolerance</th></tr></thead><tbody>\n",
	      f);
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *yes = js(o, "agree");
		uint64_t min = js_num(o, "min"), max = js_num(o, "max");
		uint64_t lo = js_num(o, "measured_min"), hi = js_num(o, "measured_max");
		bool no = !json_object_get_boolean(yes);

		fprintf(f, "<tr><th scope=\"row\">%s</th><td>%" PRIu64, js_str(o, "what"), min);
		if (max != min)
			fprintf(f, "..%" PRIu64, max);
		fprintf(f, "</td><td data-agree=\"%s\" data-n=\"%" PRIu64 "\">%" PRIu64,
			js_str(o, "what"), js_num(o, "measured"), lo);
		if (lo != hi)
			fprintf(f, "..%" PRIu64, hi);
		fprintf(f, "</td><td%s>%s</td><td class=\"why\">", no ? " class=\"no\"" : "",
			!yes ? "-"
			: no ? "no"
			     : "yes");
		compare_put_html(js_str(o, "rule"), f);
		fputs("</td></tr>\n", f);
	}
	fputs("</tbody></table></div></section>\n", f);
}

static void put_counters(struct json_object *report, FILE *f)
{
	struct json_object *kvm = js(js(report, "engines"), "kvm"), *all = js(kvm, "counters");

	if (!all)
		return;
	fprintf(f,
		"<section><h2>KVM's own counters</h2>\n<p class=\"note\">Module %s. <i>exits</i> "
		"are "
		"all of the hardware, those that the kernel handled too.</p>\n<p class=\"legend\">",
		js_str(kvm, "module"));
	json_object_object_foreach(all, name, val)
	{
		if (json_object_is_type(val, json_type_array) || !json_object_get_uint64(val))
			continue;
		fputs("<span>", f);
		compare_put_html(name, f);
		fprintf(f, " <b>%" PRIu64 "</b></span>\n", json_object_get_uint64(val));
	}
	fputs("</p></section>\n", f);
}

static void put_unseen(struct json_object *report, FILE *f)
{
	struct json_object *list = js(report, "unseen");

	if (!js_len(list))
		return;
	fputs("<section><h2>What no model counts</h2>\n<p class=\"note\">A run of the engine world "
	      "does "
	      "not show it.</p><ul>\n",
	      f);
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		fputs("<li><b>", f);
		compare_put_html(js_str(o, "what"), f);
		fputs("</b>: ", f);
		compare_put_html(js_str(o, "why"), f);
		fputs("</li>\n", f);
	}
	fputs("</ul></section>\n", f);
}

static void put_rate(struct json_object *report, FILE *f)
{
	struct json_object *rate = js(report, "rate"), *kvm = js(rate, "kvm");
	char text[512];
	int len = snprintf(text, sizeof(text), "world %.0f",
			   json_object_get_double(js(rate, "world")));

	if (kvm)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ", kvm %.0f",
				json_object_get_double(kvm));
	snprintf(text + len, sizeof(text) - (size_t)len, " exits per %s (%s)", js_str(rate, "unit"),
		 js_str(rate, "why"));
	put_item("rate", text, f);
}

static void put_console(struct json_object *report, FILE *f)
{
	struct json_object *c = js(report, "console");
	char text[512];

	if (!js(c, "same"))
		return;
	if (js_true(c, "same"))
		snprintf(text, sizeof(text), "both printed the same %" PRIu64 " bytes",
			 js_num(c, "world_bytes"));
	else
		snprintf(text, sizeof(text), "differs in line %" PRIu64 ": \"%s\" and \"%s\"",
			 js_num(c, "line"), js_str(c, "world"), js_str(c, "kvm"));
	put_item("console", text, f);
}

static void put_head(struct json_object *report, FILE *f)
{
	struct json_object *m = js(report, "machine"), *engines = js(report, "engines");
	struct json_object *kvm = js(engines, "kvm"), *options = js(report, "options");
	char text[1024];

	fputs("<h1>", f);
	compare_put_html(js_str(report, "image"), f);
	for (size_t i = 0; i < js_len(options); i++) {
		fputc(' ', f);
		compare_put_html(json_object_get_string(json_object_array_get_idx(options, i)), f);
	}
	fputs(": deprivileged and hardware-assisted</h1>\n<dl>\n", f);
	snprintf(text, sizeof(text), "%s, Linux %s%s", js_str(m, "cpu"), js_str(m, "kernel"),
		 js_true(m, "virtual") ? ", itself a virtual machine" : "");
	put_item("machine", text, f);
	put_item("world", js_str(js(engines, "world"), "end"), f);
	if (js_true(kvm, "ran"))
		snprintf(text, sizeof(text), "module %s: %s", js_str(kvm, "module"),
			 js_str(kvm, "end"));
	else
		snprintf(text, sizeof(text), "did not run: %s", js_str(kvm, "why"));
	put_item("kvm", text, f);
	put_console(report, f);
	put_rate(report, f);
	snprintf(text, sizeof(text), "%" PRIu64 " of each engine", js_num(report, "repeat"));
	put_item("runs", text, f);
	put_item("ringside", js_str(report, "ringside"), f);
	fputs("</dl>\n", f);
}

/* A script element ends at "</", and may not have "<!--": no < at all is left. */
static void put_json(struct json_object *report, FILE *f)
{
	const char *s = json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN);

	fputs("<script type=\"application/json\" id=\"report\">", f);
	for (; *s; s++)
		if (*s == '<')
			fputs("\\u003c", f);
		else
			fputc(*s, f);
	fputs("</script>\n", f);
}

void compare_print_html(struct json_object *report, FILE *f)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src "
	      "'unsafe-inline'\">\n<title>",
	      f);
	compare_put_html(js_str(report, "image"), f);
	fprintf(f, ": comparison by ringside</title>\n<style>\n%s</style></head>\n<body>\n", style);
	put_head(report, f);
	compare_print_charts(report, f);
	put_table(report, f);
	put_agreement(report, f);
	compare_put_hardware(report, f);
	put_counters(report, f);
	put_unseen(report, f);
	put_json(report, f);
	fputs("</body></html>\n", f);
}
