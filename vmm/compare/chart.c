/* SPDX-License-Identifier: MIT */
/*
 * The charts of the page: bars in SVG, which stretch, beside labels in HTML, which do not, so that
 * both fit a phone and a desk.
 */
#include <inttypes.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

#define BAR_LEN 1000 /* of an SVG's own units */
#define CAUSES  12   /* that have a chart */

/* One bar: sure from 0 to @min, possible from there to @max. */
struct bar {
	const char *label, *class;
	uint64_t min, max;
	bool open; /* nothing bounds it */
};

static uint64_t length(uint64_t n, uint64_t of)
{
	uint64_t len = of ? (uint64_t)((double)n * BAR_LEN / (double)of) : 0;

	return n && len < 3 ? 3 : len; /* what is there is to be seen */
}

static void put_bar(const struct bar *b, uint64_t longest, FILE *f)
{
	uint64_t sure = length(b->min, longest), all = length(b->max, longest);

	fputs("<div class=\"bar\"><span>", f);
	compare_put_html(b->label, f);
	fprintf(f,
		"</span><svg viewBox=\"0 0 %d 10\" preserveAspectRatio=\"none\" "
		"aria-hidden=\"true\"><rect class=\"track\" width=\"%d\" height=\"10\"/>",
		BAR_LEN, BAR_LEN);
	if (all > sure)
		fprintf(f,
			"<rect class=\"%s maybe\" x=\"%" PRIu64 "\" width=\"%" PRIu64
			"\" height=\"10\"/>",
			b->class, sure, all - sure);
	fprintf(f, "<rect class=\"%s\" width=\"%" PRIu64 "\" height=\"10\"/></svg><span>%" PRIu64,
		b->class, sure, b->min);
	if (b->open)
		fputs("..?", f);
	else if (b->max != b->min)
		fprintf(f, "..%" PRIu64, b->max);
	fputs("</span></div>\n", f);
}

static void put_bars(const struct bar *b, size_t n, FILE *f)
{
	uint64_t longest = 1;

	for (size_t i = 0; i < n; i++)
		longest = b[i].max > longest ? b[i].max : longest;
	fputs("<div class=\"bars\">\n", f);
	for (size_t i = 0; i < n; i++)
		put_bar(&b[i], longest, f);
	fputs("</div>\n", f);
}

static struct bar stat_bar(const char *label, const char *class, struct json_object *stat)
{
	uint64_t n = js_num(stat, "n");

	return (struct bar){ label, class, n, n, false };
}

static struct bar range_bar(const char *label, struct json_object *range)
{
	struct json_object *max = range ? json_object_array_get_idx(range, 1) : NULL;
	struct bar b = { .label = label, .class = "model", .open = range && !max };

	if (range)
		b.min = json_object_get_uint64(json_object_array_get_idx(range, 0));
	b.max = max ? json_object_get_uint64(max) : b.min;
	return b;
}

/* The engines that ran, then the five configurations; returns how many. */
static size_t bars_of(struct json_object *report, struct json_object *world,
		      struct json_object *kvm, struct json_object *model, struct bar *out)
{
	struct json_object *configs = js(report, "configs");
	size_t n = 0;

	out[n++] = stat_bar("world", "world", world);
	if (kvm)
		out[n++] = stat_bar("KVM", "kvm", kvm);
	for (size_t i = 0; i < js_len(configs) && n < 8; i++) {
		struct json_object *c = json_object_array_get_idx(configs, i);

		out[n++] = range_bar(js_str(c, "title"), js(model, js_str(c, "name")));
	}
	return n;
}

static void put_totals(struct json_object *report, FILE *f)
{
	struct json_object *engines = js(report, "engines");
	struct bar bars[8];
	size_t n = bars_of(report, js(js(engines, "world"), "exits"),
			   js(js(engines, "kvm"), "exits"), js(report, "total"), bars);

	fputs("<section><h2>All exits</h2>\n", f);
	put_bars(bars, n, f);
	fputs("<p class=\"note\">Solid: certain; pale: possible. KVM's, measured, are its returns "
	      "to this "
	      "program; what the kernel handles itself is not among them.</p></section>\n",
	      f);
}

static void put_causes(struct json_object *report, FILE *f)
{
	struct json_object *rows = js(report, "rows");

	fputs("<section><h2>The most frequent causes</h2>\n<div class=\"small\">\n", f);
	for (size_t i = 0; i < js_len(rows) && i < CAUSES; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct bar bars[8];
		size_t n;

		if (!js_true(row, "exit"))
			break;
		n = bars_of(report, js(row, "world"), js(row, "kvm"), js(row, "model"), bars);
		fputs("<div class=\"card\"><h3>", f);
		compare_put_html(js_str(row, "name"), f);
		fputs("</h3>\n", f);
		put_bars(bars, n, f);
		fputs("</div>\n", f);
	}
	fputs("</div></section>\n", f);
}

/* ---- time ---- */

static const struct {
	const char *key, *title;
} parts[] = {
	{ "guest", "guest" },
	{ "handoff", "hand-off" },
	{ "handling", "handling" },
	{ "blocked", "blocked" },
};

static void put_split(const char *name, struct json_object *ns, FILE *f)
{
	uint64_t total = 0, at = 0;

	for (size_t i = 0; i < 4; i++)
		total += js_num(ns, parts[i].key);
	fprintf(f,
		"<div class=\"bars\"><div class=\"bar\"><span>%s</span><svg viewBox=\"0 0 %d 10\" "
		"preserveAspectRatio=\"none\" aria-hidden=\"true\">",
		name, BAR_LEN);
	for (size_t i = 0; i < 4; i++) {
		uint64_t len = total ? (uint64_t)((double)js_num(ns, parts[i].key) * BAR_LEN /
						  (double)total)
				     : 0;

		fprintf(f,
			"<rect class=\"part%zu\" x=\"%" PRIu64 "\" width=\"%" PRIu64
			"\" height=\"10\"/>",
			i, at, len);
		at += len;
	}
	fprintf(f, "</svg><span>%.1f ms</span></div></div>\n<p class=\"legend\">",
		(double)total / 1e6);
	for (size_t i = 0; i < 4; i++)
		fprintf(f,
			"<span><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect "
			"class=\"part%zu\" "
			"width=\"10\" height=\"10\"/></svg>%s <b data-engine=\"%s\" "
			"data-time=\"%s\" data-ns=\"%" PRIu64 "\">%.3f ms</b></span>\n",
			i, parts[i].title, name, parts[i].key, js_num(ns, parts[i].key),
			(double)js_num(ns, parts[i].key) / 1e6);
	fputs("</p>\n", f);
}

static void put_times(struct json_object *report, FILE *f)
{
	struct json_object *engines = js(report, "engines");

	fputs("<section><h2>Where the time went</h2>\n", f);
	json_object_object_foreach(engines, name, e)
	{
		if (js(e, "time_ns"))
			put_split(name, js(e, "time_ns"), f);
		else if (js(e, "time_why"))
			fprintf(f, "<p class=\"note\">%s: %s.</p>\n", name, js_str(e, "time_why"));
	}
	if (js(js(js(engines, "kvm"), "time_ns"), "guest"))
		fputs("<p class=\"note\">KVM hands over in the kernel: that is in its guest's "
		      "time.</p>\n",
		      f);
	fputs("</section>\n", f);
}

void compare_print_charts(struct json_object *report, FILE *f)
{
	put_totals(report, f);
	put_causes(report, f);
	put_times(report, f);
}
