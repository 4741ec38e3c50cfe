/* SPDX-License-Identifier: MIT */
/* The command line: sizes and times, every usage error, help, the table, statistics and traces. */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decoder/sensitive.h"
#include "tests/child.h"
#include "vmm/cli.h"
#include "vmm/model.h"

/* ---- values ---- */

Test(cli, sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "64", 64ull << 20 },    { "64M", 64ull << 20 },  { "64m", 64ull << 20 },
		{ "1", 1ull << 20 },      { "1G", 1ull << 30 },    { "3g", 3ull << 30 },
		{ "3072", 3ull << 30 },   { "1024K", 1ull << 20 }, { "65536k", 64ull << 20 },
		{ "1028K", 1028u << 10 }, { "007", 7ull << 20 },
	};
	static const char *const bad[] = { "",    "M",   "x",  "-1",  "+1",    " 1",  "1 ",
					   "1.5", "1MM", "1T", "0x8", "1025K", "64MB" };
	static const char *const range[] = { "0",
					     "0M",
					     "1023K",
					     "3073",
					     "4G",
					     "3145729K",
					     "17592186044417",
					     "99999999999999999999",
					     "18446744073709551616G" };
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(cli_parse_size(good[i].text, &bytes), 0, "%s", good[i].text);
		cr_assert_eq(bytes, good[i].bytes, "%s", good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(cli_parse_size(bad[i], &bytes), -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++)
		cr_assert_eq(cli_parse_size(range[i], &bytes), -ERANGE, "%s", range[i]);
}

Test(cli, seconds)
{
	static const char *const bad[] = { "",    "0",  "0.0",   "-1", "inf",         "nan", "1e3",
					   "0x1", "1s", "1.2.3", ".",  "10000000000", " 1" };
	uint64_t ns;

	cr_assert_eq(cli_parse_seconds("2", &ns), 0);
	cr_assert_eq(ns, 2000000000u);
	cr_assert_eq(cli_parse_seconds("0.25", &ns), 0);
	cr_assert_eq(ns, 250000000u);
	cr_assert_eq(cli_parse_seconds(".5", &ns), 0);
	cr_assert_eq(ns, 500000000u);
	cr_assert_eq(cli_parse_seconds("0.0000000001", &ns), 0);
	cr_assert_eq(ns, 1, "0 would mean no limit");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(cli_parse_seconds(bad[i], &ns), -EINVAL, "%s", bad[i]);
}

/* ---- the arguments of run ---- */

#define CLI_ARGS 40

/* argp reorders what it gets, and modules are cut at the comma: copies. */
struct cli_args {
	char text[CLI_ARGS][64];
	char *argv[CLI_ARGS + 1];
	struct run_options o;
	char err[256];
};

static int cli_parse(struct cli_args *a, const char *const *args)
{
	int n = 1;

	memset(a, 0, sizeof(*a));
	a->argv[0] = a->text[0];
	for (; *args; args++, n++) {
		snprintf(a->text[n], sizeof(a->text[n]), "%s", *args);
		a->argv[n] = a->text[n];
	}
	return cli_parse_run(n, a->argv, &a->o, a->err, sizeof(a->err));
}

#define CLI_PARSE(a, ...) cli_parse(a, (const char *const[]){ __VA_ARGS__, NULL })

Test(cli, an_image_alone_has_defaults)
{
	struct cli_args a;

	cr_assert_eq(CLI_PARSE(&a, "k.elf"), 0, "%s", a.err);
	cr_assert_str_eq(a.o.image, "k.elf");
	cr_assert_eq(a.o.ram_len, 64u << 20);
	cr_assert_eq(a.o.engine, &world_engine);
	cr_assert_null(a.o.cmdline);
	cr_assert_null(a.o.trace_file);
	cr_assert_null(a.o.debugcon);
	cr_assert_eq(a.o.nmods, 0);
	cr_assert_eq(a.o.stats, STATS_NONE);
	cr_assert_eq(a.o.timeout_ns, 0);
	cr_assert_eq(a.o.handoff, 0);
	cr_assert_eq(a.o.pause, PAUSE_AUTO);
	cr_assert_eq(a.o.worlds, 0);
	cr_assert_not(a.o.tsc_trap);
	cr_assert_not(a.o.cpuid_show);
	cr_assert_not(a.o.help);
	run_options_free(&a.o);
}

Test(cli, every_option_is_taken)
{
	struct cli_args a;

	cr_assert_eq(CLI_PARSE(&a, "-m", "128M", "--stats=json", "k.elf", "-append", "a b=c",
			       "--module", "m1,x,y", "--module=m2", "--engine", "world",
			       "--stats-file", "s", "--trace", "t", "--trace-format=chrome",
			       "--timeout", "1.5", "--debugcon", "d", "--handoff", "spin",
			       "--worlds", "256", "--tsc=trap", "--pause", "native", "--cpuid",
			       "-fma,-sse2"),
		     0, "%s", a.err);
	cr_assert_str_eq(a.o.image, "k.elf");
	cr_assert_eq(a.o.ram_len, 128u << 20);
	cr_assert_str_eq(a.o.cmdline, "a b=c");
	cr_assert_eq(a.o.nmods, 2);
	cr_assert_str_eq(a.o.mods[0].path, "m1");
	cr_assert_str_eq(a.o.mods[0].cmdline, "x,y");
	cr_assert_str_eq(a.o.mods[1].path, "m2");
	cr_assert_null(a.o.mods[1].cmdline);
	cr_assert_eq(a.o.stats, STATS_JSON);
	cr_assert_str_eq(a.o.stats_file, "s");
	cr_assert_str_eq(a.o.trace_file, "t");
	cr_assert_eq(a.o.trace_format, TRACE_CHROME);
	cr_assert_eq(a.o.timeout_ns, 1500000000u);
	cr_assert_str_eq(a.o.debugcon, "d");
	cr_assert_eq(a.o.handoff, 2);
	cr_assert_eq(a.o.pause, PAUSE_NATIVE);
	cr_assert_eq(a.o.worlds, 256);
	cr_assert(a.o.tsc_trap);
	cr_assert_not(a.o.cpuid_show);
	cr_assert(a.o.cpuid_mask.off[CPUID_1_EDX] >> 26 & 1);
	run_options_free(&a.o);
}

Test(cli, one_dash_is_as_good_as_two)
{
	struct cli_args a;

	cr_assert_eq(CLI_PARSE(&a, "--append", "x", "-stats", "-timeout=2", "-m64", "k"), 0, "%s",
		     a.err);
	cr_assert_str_eq(a.o.cmdline, "x");
	cr_assert_eq(a.o.stats, STATS_TEXT);
	cr_assert_eq(a.o.timeout_ns, 2000000000u);
	run_options_free(&a.o);
	cr_assert_eq(CLI_PARSE(&a, "--memory=32M", "-handoff", "share", "--", "-k"), 0, "%s",
		     a.err);
	cr_assert_eq(a.o.ram_len, 32u << 20);
	cr_assert_eq(a.o.handoff, 1);
	cr_assert_str_eq(a.o.image, "-k");
	run_options_free(&a.o);
}

Test(cli, a_statistics_file_asks_for_statistics)
{
	struct cli_args a;

	cr_assert_eq(CLI_PARSE(&a, "--stats-file", "s", "k"), 0);
	cr_assert_eq(a.o.stats, STATS_TEXT);
	cr_assert_eq(CLI_PARSE(&a, "--stats-file", "s", "--stats=json", "k"), 0);
	cr_assert_eq(a.o.stats, STATS_JSON);
}

Test(cli, help_needs_no_image)
{
	struct cli_args a;

	cr_assert_eq(CLI_PARSE(&a, "--help"), 0);
	cr_assert(a.o.help);
}

/* ---- the program ---- */

static void cli_run(struct child *c, const char *const *args)
{
	memset(c, 0, sizeof(*c));
	c->argv[0] = child_ringside();
	for (size_t i = 0; args[i]; i++)
		c->argv[i + 1] = args[i];
	child_run(c);
}

#define CLI_RUN(c, ...) cli_run(c, (const char *const[]){ __VA_ARGS__, NULL })

/* Each is one sentence on standard error that holds @says, and status 2. */
Test(cli, every_usage_error_is_status_2, .timeout = 60)
{
	static const struct {
		const char *args[6];
		const char *says;
	} cases[] = {
		{ { NULL }, "version or help" },
		{ { "frob" }, "no command frob" },
		{ { "--frob" }, "no command --frob" },
		{ { "" }, "no command " },
		{ { "version", "x" }, "version takes no argument" },
		{ { "help", "frob" }, "help run" },
		{ { "table", "--xml" }, "--json or --markdown, not --xml" },
		{ { "table", "--json", "x" }, "--json or --markdown" },
		{ { "run" }, "needs the image" },
		{ { "run", "--stats" }, "needs the image" },
		{ { "run", "a", "b" }, "one image at a time: a or b" },
		{ { "run", "a", "--frob" }, "unknown option --frob" },
		{ { "run", "a", "-q" }, "unknown option -q" },
		{ { "run", "a", "--st" }, "--st could mean several" },
		{ { "run", "a", "-append" }, "-append needs a value" },
		{ { "run", "a", "-m" }, "-m needs a value" },
		{ { "run", "a", "--module" }, "--module needs a value" },
		{ { "run", "a", "--help=x" }, "--help takes no value" },
		{ { "run", "a", "-m", "lots" }, "-m lots" },
		{ { "run", "a", "-m", "0" }, "from 1M to 3G" },
		{ { "run", "a", "-m", "4G" }, "from 1M to 3G" },
		{ { "run", "a", "--module", "" }, "needs a file name" },
		{ { "run", "a", "--module", ",x" }, "needs a file name" },
		{ { "run", "a", "--engine", "steam" }, "--engine steam: it can be world" },
		{ { "run", "a", "--engine", "kvm", "--stats=model" },
		  "--stats model is of the world engine" },
		{ { "run", "a", "--stats=xml" }, "--stats xml: it can be text, json or model" },
		{ { "run", "a", "--trace-format", "csv" }, "csv: it can be text or chrome" },
		{ { "run", "a", "--trace-format", "chrome" }, "without --trace" },
		{ { "run", "a", "--handoff", "slow" }, "slow: it can be auto, share or spin" },
		{ { "run", "a", "--pause", "yes" }, "yes: it can be auto, native or trap" },
		{ { "run", "a", "--worlds", "0" }, "--worlds 0: it is a number from 1 to 256" },
		{ { "run", "a", "--worlds", "257" }, "--worlds 257" },
		{ { "run", "a", "--worlds", "-1" }, "--worlds -1" },
		{ { "run", "a", "--worlds", "few" }, "--worlds few" },
		{ { "run", "a", "--tsc", "off" }, "off: it can be native or trap" },
		{ { "run", "a", "--cpuid", "sse2" }, "--cpuid sse2: write -NAME" },
		{ { "run", "a", "--cpuid" }, "--cpuid needs a value" },
		{ { "run", "a", "--timeout", "0" }, "--timeout 0" },
		{ { "run", "a", "--timeout", "soon" }, "--timeout soon" },
		{ { "run", "a", "--stats-file", "/nonexistent/s" }, "/nonexistent/s" },
		{ { "run", "a", "--debugcon", "/nonexistent/d" }, "/nonexistent/d" },
		{ { "run", "a", "--trace", "/nonexistent/t" }, "/nonexistent/t" },
		{ { "run", "/nonexistent/a" }, "/nonexistent/a" },
	};
	static struct child c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cli_run(&c, cases[i].args);
		cr_expect_eq(c.status, 2, "%s: status %d, %s", cases[i].says, c.status, c.err);
		cr_expect_not_null(strstr(c.err, cases[i].says), "no \"%s\" in: %s", cases[i].says,
				   c.err);
		cr_expect_eq(strncmp(c.err, "ringside: ", 10), 0, "%s", c.err);
		cr_expect_eq(strcspn(c.err, "\n") + 1, strlen(c.err), "not one line: %s", c.err);
		cr_expect_str_eq(c.out, "", "%s: printed something", cases[i].says);
	}
}

Test(cli, help_and_version_are_status_0, .timeout = 60)
{
	static const struct {
		const char *args[3];
		const char *says;
	} cases[] = {
		{ { "--help" }, "run IMAGE" },
		{ { "-h" }, "run IMAGE" },
		{ { "help" }, "run IMAGE" },
		{ { "help", "run" }, "Exit status: the guest's" },
		{ { "run", "--help" }, "--append" },
		{ { "run", "-h" }, "Exit status: the guest's" },
		{ { "table", "--help" }, "--markdown" },
		{ { "version" }, "ringside " },
		{ { "--version" }, "ringside " },
		{ { "-V" }, "ringside " },
	};
	static struct child c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cli_run(&c, cases[i].args);
		cr_expect_eq(c.status, 0, "%s", c.err);
		cr_expect_not_null(strstr(c.out, cases[i].says), "no \"%s\" in: %s", cases[i].says,
				   c.out);
		cr_expect_str_eq(c.err, "");
	}
}

Test(cli, help_lists_every_option, .timeout = 60)
{
	static const char *const options[] = {
		"-m, --memory",   "--append",   "--module", "--engine",     "--handoff",
		"--timeout",      "--debugcon", "--stats",  "--stats-file", "--trace",
		"--trace-format", "--help",     "--cpuid",  "--tsc",        "--worlds",
	};
	static struct child c;

	CLI_RUN(&c, "run", "--help");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		cr_expect_not_null(strstr(c.out, options[i]), "no %s", options[i]);
}

/* ---- table ---- */

static char *cli_table(enum table_format format)
{
	char *text = NULL;
	size_t len;
	FILE *m = open_memstream(&text, &len);

	cr_assert_eq(table_print(format, m), 0);
	fclose(m);
	return text;
}

Test(cli, table_json_has_every_row)
{
	const struct sensitive *t;
	struct json_object *list, *row, *val;
	size_t n;
	char *text = cli_table(TABLE_JSON);

	t = sensitive_table(&n);
	list = json_tokener_parse(text);
	cr_assert_not_null(list);
	cr_assert_eq(json_object_array_length(list), n);
	for (size_t i = 0; i < n; i++) {
		static const char *const texts[] = { "op",    "mnemonic", "form", "example",
						     "ring3", "handler",  "vtx",  "vtx_why",
						     "svm",   "svm_why",  "hw",   "ref" };
		row = json_object_array_get_idx(list, i);
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
			cr_assert(json_object_object_get_ex(row, texts[k], &val), "%s: no %s",
				  t[i].form, texts[k]);
			cr_assert(json_object_is_type(val, json_type_string), "%s: %s", t[i].form,
				  texts[k]);
			cr_assert_str_neq(json_object_get_string(val), "?", "%s: %s", t[i].form,
					  texts[k]);
		}
		json_object_object_get_ex(row, "form", &val);
		cr_assert_str_eq(json_object_get_string(val), t[i].form);
		cr_assert(json_object_object_get_ex(row, "patch", &val));
		cr_assert_eq(json_object_get_boolean(val), t[i].patch);
		cr_assert(json_object_object_get_ex(row, "privileged", &val));
		cr_assert_eq(json_object_get_boolean(val), t[i].privileged);
	}
	json_object_put(list);
	free(text);
}

Test(cli, table_text_has_every_row_aligned)
{
	const struct sensitive *t;
	size_t n, width, row = 0;
	char *text = cli_table(TABLE_TEXT), *line = strtok(text, "\n");

	t = sensitive_table(&n);
	width = (size_t)(strstr(line, "at ring 3") - line);
	for (line = strtok(NULL, "\n"); line; line = strtok(NULL, "\n"), row++) {
		cr_assert_lt(row, n);
		cr_assert_eq(strncmp(line, t[row].form, strlen(t[row].form)), 0, "%s", line);
		cr_assert_eq(strncmp(line + width, ring3_name(t[row].ring3),
				     strlen(ring3_name(t[row].ring3))),
			     0, "%s", line);
	}
	cr_assert_eq(row, n);
	free(text);
}

Test(cli, table_markdown_has_every_row_with_all_cells)
{
	char *text = cli_table(TABLE_MARKDOWN), *line;
	unsigned columns = 11;
	size_t n, rows = 0;

	sensitive_table(&n);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned bars = 0;

		/* The instructions, then the events. */
		if (!strncmp(line, "| Event |", 9)) {
			cr_assert_eq(rows, n + 2, "heading, rule and rows");
			columns = 9;
			rows = 0;
		}
		if (line[0] != '|')
			continue;
		for (char *c = line; *c; c++)
			bars += *c == '|' && (c == line || c[-1] != '\\');
		cr_assert_eq(bars, columns + 1, "%s", line);
		rows++;
	}
	cr_assert_eq(columns, 9, "the events are there");
	cr_assert_eq(rows, EV_COUNT + 2, "heading, rule and rows");
	free(text);
}

Test(cli, table_on_a_full_disk_is_an_error, .timeout = 60)
{
	static struct child c = { .argv = { "/bin/sh", "-c",
					    "exec \"$RINGSIDE\" table --json > /dev/full" } };

	child_ringside();
	child_run(&c);
	cr_assert_eq(c.status, 4, "%d %s", c.status, c.err);
	cr_assert_not_null(strstr(c.err, "No space left"));
}

/* ---- runs ---- */

static void cli_temp(char path[32])
{
	int fd;

	memcpy(path, "/tmp/ringside-cli-XXXXXX", 25);
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

/* A guest's whole run with statistics and trace in files: nothing but its console is printed. */
Test(cli, statistics_and_trace_agree, .timeout = 60)
{
	struct json_object *stats, *trace, *val, *causes, *events;
	int64_t exits, sum = 0, complete = 0;
	char spath[32], tpath[32];
	static struct child c;

	cli_temp(spath);
	cli_temp(tpath);
	CLI_RUN(&c, "run", child_guest("minios"), "-append", "demo", "--stats=json", "--stats-file",
		spath, "--trace", tpath, "--trace-format=chrome");
	cr_assert_eq(c.status, 33, "%d\n%s%s", c.status, c.out, c.err);
	cr_assert_str_eq(c.err, "");
	stats = json_object_from_file(spath);
	cr_assert_not_null(stats, "%s", json_util_get_last_err());
	json_object_object_get_ex(stats, "exits", &val);
	exits = json_object_get_int64(val);
	json_object_object_get_ex(stats, "causes", &causes);
	for (size_t i = 0; i < json_object_array_length(causes); i++) {
		json_object_object_get_ex(json_object_array_get_idx(causes, i), "count", &val);
		sum += json_object_get_int64(val);
	}
	cr_assert_gt(exits, 100);
	cr_assert_eq(sum, exits);
	json_object_object_get_ex(stats, "end", &val);
	json_object_object_get_ex(val, "status", &val);
	cr_assert_eq(json_object_get_int(val), 33);

	trace = json_object_from_file(tpath);
	cr_assert_not_null(trace, "%s", json_util_get_last_err());
	json_object_object_get_ex(trace, "traceEvents", &events);
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		json_object_object_get_ex(json_object_array_get_idx(events, i), "ph", &val);
		complete += !strcmp(json_object_get_string(val), "X");
	}
	cr_assert_eq(complete, exits);
	json_object_put(stats);
	json_object_put(trace);
	unlink(spath);
	unlink(tpath);
}

Test(cli, statistics_go_to_standard_error, .timeout = 60)
{
	static struct child c;

	CLI_RUN(&c, "run", "--stats", child_guest("minios"), "-append", "demo");
	cr_assert_eq(c.status, 33, "%s", c.err);
	cr_assert_null(strstr(c.out, "trap account"));
	cr_assert_not_null(strstr(c.err, "trap account: "), "%s", c.err);
	cr_assert_not_null(strstr(c.err, "\n  out "), "%s", c.err);
	cr_assert_not_null(strstr(c.err, "uart0"), "%s", c.err);
}

/* A trace cut by the end of a guest that never ends by itself is whole all the same. */
Test(cli, chrome_trace_of_a_timeout_parses, .timeout = 60)
{
	struct json_object *trace;
	char path[32];
	static struct child c;

	cli_temp(path);
	CLI_RUN(&c, "run", child_guest("minios"), "-append", "spin", "--timeout", "0.3", "--trace",
		path, "--trace-format", "chrome");
	cr_assert_eq(c.status, 124, "%s", c.err);
	trace = json_object_from_file(path);
	cr_assert_not_null(trace, "%s", json_util_get_last_err());
	json_object_put(trace);
	unlink(path);
}

/* Gone, or a zombie that child_look() reaps: then its executable is no more. */
static void cli_signal(int pid, void *arg)
{
	const int *sig = arg;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	cr_assert_eq(access(path, F_OK), 0);
	kill(pid, *sig);
	for (int i = 0; i < 500 && access(path, F_OK) == 0; i++)
		usleep(10000);
	cr_assert_neq(access(path, F_OK), 0, "alive 5 s after signal %d", *sig);
}

Test(cli, signals_end_a_guest, .timeout = 60)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const char *const modes[] = { "spin", "idle" };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		for (size_t m = 0; m < 2; m++) {
			static struct child c;
			int sig = sigs[i];
			char until[16];

			memset(&c, 0, sizeof(c));
			c.argv[0] = child_ringside();
			c.argv[1] = "run";
			c.argv[2] = child_guest("minios");
			c.argv[3] = "-append";
			c.argv[4] = modes[m];
			snprintf(until, sizeof(until), "%s\n", modes[m]);
			signal(sig, SIG_DFL);
			child_look(&c, until, cli_signal, &sig);
		}
	}
}

/* As a shell reports it; and what nohup(1) asked for is respected. */
Test(cli, status_after_a_signal, .timeout = 60)
{
	static struct child c = {
		.argv = { "/bin/bash", "-c",
			  "\"$RINGSIDE\" run \"$GUESTS/minios.elf\" -append idle & p=$!; sleep 1;"
			  "kill -INT $p; kill -TERM $p; wait $p" }
	};

	child_ringside();
	child_run(&c);
	/* bash starts background jobs with SIGINT ignored, so it is SIGTERM that ends it. */
	cr_assert_eq(c.status, 143, "%d %s", c.status, c.err);
	cr_assert_not_null(strstr(c.err, "stopped by SIGTERM"));
}
