/* SPDX-License-Identifier: MIT */
/* `ringside scan`: its command line and its report, for people and for programs. */
#include "vmm/scan_cmd.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decoder/sensitive.h"
#include "vmm/cli.h"
#include "vmm/scan_image.h"
#include "vmm/symbols.h"

#define PLACES_MAX 20 /* of one row, without --all */

struct scan_options {
	const char *image;
	bool json, all, help;
	char err[256]; /* the first sentence of complaint */
};

enum { KEY_JSON = 0x100, KEY_ALL };

static const struct argp_option option_table[] = {
	{ "json", KEY_JSON, NULL, 0, "Print JSON", 0 },
	{ "all", KEY_ALL, NULL, 0,
	  "List every place of every instruction that does not trap, not the first 20", 0 },
	{ "help", 'h', NULL, 0, "Print this text", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct scan_options *o = state->input;

	switch (key) {
	case KEY_JSON: o->json = true; return 0;
	case KEY_ALL: o->all = true; return 0;
	case 'h': o->help = true; return 0;
	case ARGP_KEY_ARG:
		if (o->image) {
			snprintf(o->err, sizeof(o->err), "one image at a time: %s or %s?", o->image,
				 arg);
			return EINVAL;
		}
		o->image = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->help || o->image)
			return 0;
		snprintf(o->err, sizeof(o->err),
			 "scan needs the image of a kernel (see ringside scan --help)");
		return EINVAL;
	case ARGP_KEY_ERROR:
		if (!*o->err)
			snprintf(o->err, sizeof(o->err),
				 "scan has no option %s (see ringside scan --help)",
				 state->argv[state->next - 1]);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp scan_argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "IMAGE",
	.doc = "Count the sensitive instructions in IMAGE, an ELF32 i386 kernel, and list where "
	       "those are that do not trap at ring 3: what keeps it from being virtualized "
	       "classically.  Nothing is run."
	       "\v`At ring 3' is as in `ringside table'.  Code is swept from symbol to symbol; "
	       "data among it may be taken for instructions.\n\n"
	       "Exit status: 0; 2 bad input or usage; 4 the host refused something.",
};

/* What the rows come to. */
struct total {
	uint64_t sensitive, silent; /* instructions; silent: need not trap */
	unsigned kinds;             /* rows of silent ones */
};

static struct total total_of(const struct image_scan *s, const struct sensitive *table)
{
	struct total t = { 0 };

	for (size_t i = 0; i < s->rows; i++) {
		t.sensitive += s->row[i].count;
		if (!table[i].patch || !s->row[i].count)
			continue;
		t.silent += s->row[i].count;
		t.kinds++;
	}
	return t;
}

/* ---- text ---- */

static const char *yes_no(bool b)
{
	return b ? "yes" : "no";
}

/* "no" for what runs on, "yes" for what always faults, "not always" for what lies between. */
static const char *traps_name(const struct sensitive *t)
{
	switch (t->ring3) {
	case RING3_SILENT: return "no";
	case RING3_GP:
	case RING3_UD:
	case RING3_TRAP: return "yes";
	default: return "not always";
	}
}

static void print_row(const char *count, const char *form, int form_width, const char *at_ring3,
		      const char *traps, const char *patched, const char *vtx, const char *svm)
{
	printf("%9s  %-*s  %-16s  %-10s  %-7s  %-13s  %s\n", count, form_width, form, at_ring3,
	       traps, patched, vtx, svm);
}

static void print_rows(const struct image_scan *s, const struct sensitive *t)
{
	int width = (int)strlen("instruction");

	for (size_t i = 0; i < s->rows; i++)
		if (s->row[i].count && (int)strlen(t[i].form) > width)
			width = (int)strlen(t[i].form);
	putchar('\n');
	print_row("count", "instruction", width, "at ring 3", "traps", "patched", "exit on VT-x",
		  "exit on SVM");
	for (size_t i = 0; i < s->rows; i++) {
		char count[24];

		if (!s->row[i].count)
			continue;
		snprintf(count, sizeof(count), "%" PRIu64, s->row[i].count);
		print_row(count, t[i].form, width, ring3_name(t[i].ring3), traps_name(&t[i]),
			  yes_no(t[i].patch), hw_exit_name(t[i].vtx), hw_exit_name(t[i].svm));
	}
}

static void print_places(const struct image_scan *s, const struct sensitive *t)
{
	for (size_t i = 0; i < s->rows; i++) {
		const struct scan_row *row = &s->row[i];

		if (!t[i].patch || !row->count)
			continue;
		printf("\n%s does not always trap:\n", t[i].form);
		for (size_t k = 0; k < row->places; k++) {
			uint32_t off;
			const char *name = image_scan_name(s, row->gva[k], &off);

			printf("  0x%08" PRIx32, row->gva[k]);
			if (name)
				printf("  %s+0x%" PRIx32, name, off);
			putchar('\n');
		}
		if (row->count > row->places)
			printf("  and %" PRIu64 " more (--all lists them)\n",
			       row->count - row->places);
	}
}

static void print_text(const struct image_scan *s, const struct sensitive *t, const char *path)
{
	struct total total = total_of(s, t);

	printf("%s: %" PRIu64 " bytes of code in %zu %s, %" PRIu64 " instructions, ", path,
	       s->bytes, s->regions, s->regions == 1 ? "region" : "regions", s->instructions);
	if (s->symbols)
		printf("%zu symbols\n", symbols_count(s->symbols));
	else
		puts("no symbols");
	if (total.sensitive)
		print_rows(s, t);
	print_places(s, t);
	printf("\n%" PRIu64 " %s not code\n", s->not_code,
	       s->not_code == 1 ? "byte is" : "bytes are");
	printf("virtualizable in the classical sense (Popek and Goldberg): %s: %" PRIu64
	       " sensitive instructions of %u kinds do not trap\n",
	       yes_no(!total.silent), total.silent, total.kinds);
}

/* ---- JSON ---- */

static void add_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, v ? json_object_new_string(v) : NULL);
}

static void add_int(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)v));
}

static void add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

static struct json_object *json_places(const struct image_scan *s, const struct scan_row *row)
{
	struct json_object *list = json_object_new_array();

	for (size_t k = 0; k < row->places; k++) {
		struct json_object *place = json_object_new_object();
		uint32_t off = 0;
		const char *name = image_scan_name(s, row->gva[k], &off);

		add_int(place, "address", row->gva[k]);
		add_str(place, "symbol", name);
		add_int(place, "offset", name ? off : 0);
		json_object_array_add(list, place);
	}
	return list;
}

static struct json_object *json_rows(const struct image_scan *s, const struct sensitive *t)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < s->rows; i++) {
		struct json_object *o;

		if (!s->row[i].count)
			continue;
		o = json_object_new_object();
		add_str(o, "op", insn_op_name(t[i].op));
		add_str(o, "mnemonic", t[i].mnemonic);
		add_str(o, "form", t[i].form);
		add_int(o, "count", s->row[i].count);
		add_str(o, "ring3", ring3_name(t[i].ring3));
		add_str(o, "traps", traps_name(&t[i]));
		add_bool(o, "patch", t[i].patch);
		add_str(o, "vtx", hw_exit_name(t[i].vtx));
		add_str(o, "svm", hw_exit_name(t[i].svm));
		json_object_object_add(o, "places", json_places(s, &s->row[i]));
		json_object_array_add(list, o);
	}
	return list;
}

static void print_json(const struct image_scan *s, const struct sensitive *t, const char *path)
{
	struct json_object *o = json_object_new_object(), *regions = json_object_new_array();
	struct total total = total_of(s, t);

	add_str(o, "image", path);
	for (size_t i = 0; i < s->regions; i++) {
		struct json_object *r = json_object_new_object();

		add_str(r, "name", s->region[i].name);
		add_int(r, "address", s->region[i].gva);
		add_int(r, "bytes", s->region[i].size);
		json_object_array_add(regions, r);
	}
	json_object_object_add(o, "regions", regions);
	add_int(o, "symbols", symbols_count(s->symbols));
	add_int(o, "bytes", s->bytes);
	add_int(o, "not_code_bytes", s->not_code);
	add_int(o, "instructions", s->instructions);
	add_int(o, "sensitive", total.sensitive);
	add_int(o, "not_trapping", total.silent);
	add_int(o, "not_trapping_kinds", total.kinds);
	add_bool(o, "virtualizable", !total.silent);
	json_object_object_add(o, "rows", json_rows(s, t));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}

/* ---- the command ---- */

static int complain(int status, const char *sentence)
{
	fprintf(stderr, "ringside: %s\n", sentence);
	return status;
}

static void show_progress(uint64_t done, uint64_t total)
{
	fprintf(stderr, "\rscanning: %3" PRIu64 "%%", 100 * done / total);
}

static int scan(const struct scan_options *o)
{
	bool terminal = isatty(STDERR_FILENO);
	const struct sensitive *table;
	int status = STATUS_OK, ret;
	struct image_scan s;
	char text[512];
	size_t rows;

	ret = image_scan_open(&s, o->image, text, sizeof(text));
	if (ret < 0) {
		status = complain(ret == -ENOMEM ? STATUS_HOST : STATUS_INPUT, text);
		goto close;
	}
	ret = image_scan_sweep(&s, o->all ? SIZE_MAX : PLACES_MAX, terminal ? show_progress : NULL);
	if (terminal)
		fputs("\r\033[K", stderr);
	if (ret < 0) {
		status = complain(STATUS_HOST, "host: out of memory");
		goto close;
	}
	table = sensitive_table(&rows);
	errno = 0;
	if (o->json)
		print_json(&s, table, o->image);
	else
		print_text(&s, table, o->image);
	if (fflush(stdout) || ferror(stdout)) {
		snprintf(text, sizeof(text), "cannot write the report: %s",
			 strerror(errno ? errno : EIO));
		status = complain(STATUS_HOST, text);
	}
close:
	image_scan_close(&s);
	return status;
}

int scan_main(int argc, char **argv)
{
	static char name[] = "ringside scan";
	struct scan_options o = { 0 };

	/* One dash is enough for long options, as in run; the sentences are ours. */
	if (argp_parse(&scan_argp, argc, argv, ARGP_LONG_ONLY | ARGP_NO_ERRS | ARGP_NO_HELP, NULL,
		       &o))
		return complain(STATUS_INPUT, *o.err ? o.err : "bad command line");
	if (o.help) {
		argp_help(&scan_argp, stdout,
			  ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
		return STATUS_OK;
	}
	return scan(&o);
}
