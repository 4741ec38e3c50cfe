/* SPDX-License-Identifier: MIT */
/*
 * `ringside compare`: the same guest on both engines, and what hardware would have done.
 *
 *   cmd.c      the command line, and the order of things
 *   run.c      one run of one engine, in a process of its own
 *   count.c    the guest's instructions, where the CPU counts them
 *   report.c   from the accounts of the runs to one JSON object, the report
 *   rows.c     its rows, cause by cause
 *   agree.c    the model against the measurement, for what reaches this program
 *   hardware.c and for exits of the hardware, where KVM tells them
 *   facts.c    the machine that it was measured on
 *   text.c     the report in the terminal; words in why.c
 *   html.c     the report as a page; charts in chart.c, exits of hardware in html_hardware.c
 *
 * The text and the page are made from the JSON object alone, so all three say the same.
 */
#ifndef RINGSIDE_VMM_COMPARE_COMPARE_H
#define RINGSIDE_VMM_COMPARE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/cli.h"

struct json_object;

#define COMPARE_REPEAT_MAX 1000
#define CONSOLE_KEPT       (1u << 20) /* bytes of the console's output that are compared line by line */

/* Runs a guest as `ringside run` does: the exit status. */
typedef int compare_session(const struct run_options *opt);

struct compare_options {
	struct run_options run;    /* what follows "--", and the image */
	struct json_object *words; /* after "--", as given */
	const char *json, *html;   /* files to write; "-": standard output; NULL: none */
	unsigned repeat;
};

/* One run of one engine. */
struct compare_run {
	int status;                  /* exit status, as of `ringside run` */
	struct json_object *account; /* what --stats=json says; NULL: it did not come so far */
	char why[512];               /* the last sentence that it said; "": none */
	char *console;               /* the first CONSOLE_KEPT bytes that the guest printed */
	size_t kept;
	uint64_t console_len, console_hash; /* of all of them */
	uint64_t instructions;              /* of the guest, in user and kernel mode; 0: unknown */
	char uncounted[128];                /* why they are unknown */
};

/*
 * Run the guest of @o on @engine, in a child process, with no console input.  Returns 0 and *@r,
 * to be freed with compare_run_free() in any case, or -errno with a sentence in @err.
 */
int compare_once(const struct compare_options *o, const struct engine_ops *engine,
		 compare_session *session, struct compare_run *r, char *err, size_t size);
void compare_run_free(struct compare_run *r);

/* The guest came to an end of its own, or ran out of the time that it was given. */
bool compare_run_ended(const struct compare_run *r);
/* The run came as far as the guest's first instruction. */
bool compare_run_started(const struct compare_run *r);
/* All exits of its account. */
uint64_t compare_run_exits(const struct compare_run *r);

/* ---- counting instructions; by the process that runs the guest ---- */

struct compare_count {
	int fd, error;
};

/*
 * Count the instructions that all threads of this process, and its children, execute from now on
 * inside guests of KVM.  What else these execute cannot be told from the guest's, so of the world
 * engine nothing is counted.  Source: perf_event_open(2), exclude_host.
 */
void compare_count_begin(struct compare_count *c);
/* Returns how many, or 0 with a reason in @why. */
uint64_t compare_count_end(struct compare_count *c, char *why, size_t size);

/* ---- the report ---- */

struct compare_engine {
	const char *name;
	struct compare_run *run;
	unsigned runs;
	unsigned shown; /* the run whose counts are shown: that with the median number of exits */
};

enum { COMPARE_WORLD, COMPARE_KVM, COMPARE_ENGINES };

struct compare {
	const struct compare_options *opt;
	struct compare_engine engine[COMPARE_ENGINES];
};

/*
 * The report; its keys are listed in docs/ringside.1 (COMPARING) and only ever added to.  Returns
 * NULL if memory ran out.
 */
struct json_object *compare_report(const struct compare *c);
/* Its parts. */
struct json_object *compare_rows(const struct compare *c);
struct json_object *compare_machine(void);
/* { "n": of the run that is shown, "min": ..., "max": ... } over all runs of @e; NULL if none was.
 */
struct json_object *compare_stat(const struct compare_engine *e,
				 uint64_t (*get)(const struct compare_run *r, const char *key),
				 const char *key);
/* How often the account of @r has @cause; 0 for a @cause that it does not have. */
uint64_t compare_cause(const struct compare_run *r, const char *cause);
/* The account that is shown of @e; NULL if there is none. */
struct json_object *compare_account(const struct compare_engine *e);

/* Expected and measured exits to user space: a list. */
struct json_object *compare_agreement(const struct compare *c);
/*
 * Exits of the hardware, cause by cause: modelled in the configuration that KVM's is, and measured.
 */
struct json_object *compare_hardware(const struct compare *c);
/* Its part of the page. */
void compare_put_hardware(struct json_object *report, FILE *f);
/* Is it of a KVM that interprets (kvm_pvm)? */
bool compare_is_software(struct json_object *account);

void compare_print_text(struct json_object *report, FILE *f);
/* What the differences come from: a line for each reason. */
void compare_print_reasons(struct json_object *report, FILE *f);
/* @text into a line in which @column bytes are already, broken at blanks, and a newline. */
void compare_put_wrapped(const char *text, int column, FILE *f);
void compare_print_html(struct json_object *report, FILE *f);
/* The charts of the page. */
void compare_print_charts(struct json_object *report, FILE *f);
/* @s as text in a page or in one of its attributes. */
void compare_put_html(const char *s, FILE *f);

/*
 * main of the command.  Returns an exit status: STATUS_OK; STATUS_INPUT; STATUS_GUEST if the guest
 * failed on one engine, or the engines disagree on how it ended; STATUS_HOST.
 */
int compare_main(int argc, char **argv, compare_session *session);

#endif
