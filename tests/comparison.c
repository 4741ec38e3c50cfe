/* SPDX-License-Identifier: MIT */
/*
 * bench/comparison, which makes docs/comparison.md and docs/comparison-hardware.md of the reports
 * of `ringside compare`: what it says of a report, and that it refuses what is none.  `make
 * compare` and `make compare-hardware` use it on real ones.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/child.h"

TestSuite(comparison, .timeout = 60);

#define MACHINE                                                                         \
	"\"version\":1,\"ringside\":\"9.9\",\"machine\":{\"cpu\":\"A_B|C\",\"cpus\":3," \
	"\"virtual\":true,\"kernel\":\"6.7\",\"kvm_module\":\"%s\"},"                   \
	"\"configs\":[{\"name\":\"x\",\"title\":\"X, Y\"}],"
/* A thousand cli, 10 of something rare; KVM: 5 exits. */
#define REPORT                                                                                  \
	"{" MACHINE "\"options\":[\"-append\",\"n=500\"],\"engines\":{"                         \
	"\"world\":{\"ran\":true,\"failed\":false,\"status\":33,\"module\":null,"               \
	"\"exits\":{\"n\":1234567,\"min\":1234567,\"max\":1234567},"                            \
	"\"time_ns\":{\"guest\":1000000,\"handoff\":2000000,\"handling\":500000,\"blocked\":0}" \
	"},\"kvm\":{\"ran\":true,\"failed\":false,\"status\":%d,\"module\":\"%s\","             \
	"\"end\":\"exited with status %d\","                                                    \
	"\"exits\":{\"n\":5,\"min\":5,\"max\":7},\"time_ns\":%s}},"                             \
	"\"rows\":[{\"name\":\"cli\",\"exit\":true,\"world\":{\"n\":1234557,\"min\":1,"         \
	"\"max\":2},\"kvm\":{\"n\":0,\"min\":0,\"max\":0},\"model\":{\"x\":[0,null]},"          \
	"\"events\":[{\"event\":\"native\",\"count\":1234557,\"vtx_why\":\"the CPU's own\","    \
	"\"svm_why\":\"the CPU's own\"}]},{\"name\":\"rare\",\"exit\":true,\"world\":"          \
	"{\"n\":10,\"min\":10,\"max\":10},\"model\":{\"x\":[10,20]}}],"                         \
	"\"total\":{\"x\":[10,20]},\"console\":{\"same\":false,\"kvm\":\"it *died*\"},"         \
	"\"agreement\":[{\"what\":\"hlt\",\"min\":1,\"max\":2,\"measured\":3,\"agree\":false,"  \
	"\"rule\":\"exact\"},{\"what\":\"MMIO\",\"min\":1,\"max\":1,\"measured\":1,"            \
	"\"agree\":true,\"rule\":\"exact\"},{\"what\":\"windows\",\"agree\":null,"              \
	"\"rule\":\"no window\"}]}"

static char dir[64];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
}

static void write_report(const char *name, const char *module, int status, const char *times)
{
	char text[4096];

	snprintf(text, sizeof(text), REPORT, module, status, module, status, times);
	write_file(name, text);
}

/* @b can be NULL. */
static struct child *run_program(const char *name, const char *a, const char *b)
{
	static struct child c;
	static char program[512], path[2][128];
	char *slash;

	snprintf(program, sizeof(program), "%s", child_ringside());
	slash = strrchr(program, '/');
	cr_assert_not_null(slash);
	strcpy(slash, "/bench/comparison/");
	strcat(slash, name);
	snprintf(path[0], sizeof(path[0]), "%s/%s", dir, a);
	snprintf(path[1], sizeof(path[1]), "%s/%s", dir, b ? b : "");
	c = (struct child){ .argv = { program, path[0], b ? path[1] : NULL, NULL } };
	child_run(&c);
	return &c;
}

static struct child *run(const char *a, const char *b)
{
	return run_program("report", a, b);
}

static void begin(void)
{
	strcpy(dir, "/tmp/ringside-comparison-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void end(void)
{
	static const char *const names[] = { "a.json", "b.json", "a.about" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	cr_expect_eq(rmdir(dir), 0);
}

static void expect_line(const struct child *c, const char *text)
{
	cr_expect_eq(c->status, 0, "%d %s", c->status, c->err);
	cr_expect_not_null(strstr(c->out, text), "no \"%s\" in\n%s", text, c->out);
}

static void expect_none(const struct child *c, const char *text)
{
	cr_expect_null(strstr(c->out, text), "\"%s\" in\n%s", text, c->out);
}

Test(comparison, a_report_becomes_tables, .init = begin, .fini = end)
{
	struct child *c;

	write_report("a.json", "kvm_intel", 33, "{\"guest\":4000000}");
	write_file("a.about", "\nOne\nCLI.\n");
	c = run("a.json", NULL);
	expect_line(c, "| CPU | A_B\\|C, 3 CPUs, itself a virtual machine |\n");
	expect_line(c, "| KVM module | kvm_intel |\n");
	expect_line(c, "| workload | world | kvm | X, Y |\n| --- | ---: | ---: | ---: |\n"
		       "| [a](#a) | 1,234,567 | ~5 | 10 to 20 |\n");
	expect_line(c, "| a | world | 1.0 | 2.0 | 0.5 | 0.0 | 0.00 |\n");
	expect_line(c, "| a | kvm, kvm_intel | 4.0 | 0.0 | 0.0 | 0.0 | 800.00 |\n");
	expect_line(c, "### a\n\nOne CLI. `n=500`\n");
	expect_line(c, "| cli | ~1,234,557 | 0 | 0 or more |\n\nLeft out: 1 with less than 2 %");
	expect_line(c, "- *cli*: the CPU's own\n");
	expect_line(c, "disagree on hlt: 1 to 2 expected, 3 measured (exact).\n");
	expect_line(c, "cannot be compared on windows (no window).\n");
	expect_line(c, "1 of 2 numbers compared");
	expect_none(c, "| rare");
	expect_none(c, "in software");
}

Test(comparison, kvm_pvm_has_no_times_and_no_numbers_where_it_failed, .init = begin, .fini = end)
{
	struct child *c;

	write_report("a.json", "kvm_pvm", 35, "null");
	c = run("a.json", NULL);
	expect_line(c, "kvm_pvm is KVM in software");
	expect_line(c, "| [a](#a) | 1,234,567 | - | 10 to 20 |\n");
	expect_line(c, "| cli | ~1,234,557 | - | 0 or more |\n");
	expect_line(c,
		    "Not run to its end by KVM, module kvm_pvm: exited with status 35; where the "
		    "consoles differ it says \"it \\*died\\*\".\n");
	expect_none(c, "| a | kvm");
	expect_none(c, "disagree");
}

Test(comparison, refuses_what_is_no_report, .init = begin, .fini = end)
{
	static const char *const bad[] = { "", "{", "[1]", "{\"version\":2,\"rows\":[1]}",
					   "{\"version\":1,\"rows\":[]}" };
	struct child *c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file("a.json", bad[i]);
		c = run("a.json", NULL);
		cr_expect_eq(c->status, 2, "%s: %d", bad[i], c->status);
		cr_expect_not_null(strstr(c->err, "a.json: no report of ringside compare"), "%s",
				   c->err);
		cr_expect_str_eq(c->out, "");
	}
	write_report("a.json", "kvm_pvm", 33, "null");
	write_report("b.json", "kvm_intel", 33, "null");
	c = run("a.json", "b.json");
	cr_expect_eq(c->status, 2);
	cr_expect_str_eq(c->err, "comparison: a and b come from different machines\n");
	write_file("a.about", "");
	c = run("a.about", NULL);
	cr_expect_eq(c->status, 2);
}

#define HARDWARE                                                                                  \
	"{" MACHINE "\"hardware\":{\"config\":\"x\",\"causes\":["                                 \
	"{\"cause\":\"port I/O\",\"model\":[1000,1001],\"measured\":{\"n\":1001},\"agree\":true," \
	"\"reasons\":{\"io_x\":1001}},{\"cause\":\"hlt\",\"model\":[5,null],\"measured\":{\"n\":" \
	"3},"                                                                                     \
	"\"agree\":false,\"reasons\":{}},{\"cause\":\"host\",\"model\":null,"                     \
	"\"measured\":{\"n\":7},\"agree\":null,\"reasons\":{\"interrupt\":7}}]}}"

/* Two machines side by side; what is not compared is in no sum. */
Test(comparison, exits_of_the_hardware_beside_the_model, .init = begin, .fini = end)
{
	static char text[4096];
	struct child *c;

	snprintf(text, sizeof(text), HARDWARE, "kvm_amd");
	write_file("a.json", text);
	snprintf(text, sizeof(text), HARDWARE, "kvm_intel");
	write_file("b.json", text);
	c = run_program("hardware", "a.json", "b.json");
	expect_line(c, "| A_B\\|C | Linux 6.7 | kvm_amd | X, Y |\n");
	expect_line(c, "| workload | X, Y, model | kvm_amd, measured | X, Y, model | kvm_intel, "
		       "measured |\n");
	expect_line(c, "| [a](#a) | 1,005 or more | 1,004 (1 of 2 causes differ) | - | - |\n");
	expect_line(c, "| [b](#b) | - | - | 1,005 or more | 1,004 (1 of 2 causes differ) |\n");
	expect_line(c, "| kvm_amd | port I/O | 1,000 to 1,001 | 1,001 | yes | io_x 1,001 |\n");
	expect_line(c, "| kvm_amd | hlt | 5 or more | 3 | **no** |  |\n");
	expect_line(c, "| kvm_intel | host | - | 7 | not compared | interrupt 7 |\n");
	write_file("a.json", "{" MACHINE "\"hardware\":{\"why\":\"no permission\"}}");
	c = run_program("hardware", "a.json", NULL);
	cr_expect_eq(c->status, 2);
	cr_expect_not_null(
		strstr(c->err, "a.json: a report without exits of the hardware: no perm"), "%s",
		c->err);
	cr_expect_str_eq(c->out, "");
}
