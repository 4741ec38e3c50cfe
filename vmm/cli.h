/* SPDX-License-Identifier: MIT */
/* The command line of ringside: what the user asked for, checked, and its help texts. */
#ifndef RINGSIDE_VMM_CLI_H
#define RINGSIDE_VMM_CLI_H

#include <stdio.h>

#include "vmm/cpuid_mask.h"
#include "vmm/dev/assign.h"
#include "vmm/engine.h"
#include "vmm/loader.h"
#include "vmm/sched/dispatch.h"
#include "vmm/trace.h"

/* Exit statuses of our own (the guest has its own too); documented in docs/ringside.1. */
enum cli_status {
	STATUS_OK = 0,
	STATUS_INPUT = 2,     /* the user's command line or files */
	STATUS_GUEST = 3,     /* the guest died of what it did */
	STATUS_HOST = 4,      /* the host refused something */
	STATUS_TIMEOUT = 124, /* as timeout(1) */
	STATUS_SIGNAL = 128,  /* + number of the signal, as a shell reports it */
};

enum pause_mode { PAUSE_AUTO, PAUSE_NATIVE, PAUSE_TRAP };
enum stats_format { STATS_NONE, STATS_TEXT, STATS_JSON, STATS_MODEL };

struct run_options {
	const char *image;
	uint64_t ram_len;    /* bytes */
	const char *cmdline; /* NULL: none */
	struct boot_module *mods;
	size_t nmods;
	const struct engine_ops *engine;
	bool kernel_irqchip; /* struct vm */
	int handoff;         /* struct vm: 0 auto, 1 share, 2 spin */
	bool lookahead;      /* struct vm */
	unsigned vcpus;
	struct dispatch_config dispatch;
	unsigned worlds; /* struct vm: spaces a vCPU may keep; 0: the default */
	enum stats_format stats;
	const char *stats_file; /* NULL: standard error */
	const char *trace_file; /* NULL: none */
	enum trace_format trace_format;
	const char *debugcon; /* NULL: discarded */
	uint64_t timeout_ns;  /* 0: none */
	struct cpuid_mask cpuid_mask;
	bool cpuid_show; /* print what CPUID says, start nothing */
	enum pause_mode pause;
	bool tsc_trap; /* rdtsc is emulated from the first on */
	bool display;  /* show the VGA text screen, type on the keyboard */
	struct assign_config assign[ASSIGN_MAX];
	unsigned assigns;
	bool help; /* asked for help: nothing else is set */
};

/*
 * "64", "64M": MiB; "65536K": KiB; "1G": GiB (either case).  Whole pages in [VM_RAM_MIN,
 * VM_RAM_MAX]. Returns 0 and *@bytes, -EINVAL if @text is no such size, -ERANGE if it is too small
 * or large.
 */
int cli_parse_size(const char *text, uint64_t *bytes);
/* Milliseconds, fractions allowed, 0.1 to 1000.  Returns 0 and *@ns, or -EINVAL. */
int cli_parse_slice(const char *text, uint64_t *ns);
/* Seconds, fractions allowed, more than 0 and at most 1e9.  Returns 0 and *@ns, or -EINVAL. */
int cli_parse_seconds(const char *text, uint64_t *ns);

/*
 * The arguments of `ringside run`; @argv[0] is skipped.  Reorders @argv and may write into its
 * strings; *@o keeps pointers to them.  Free with run_options_free() in any case.
 * Returns 0, or -EINVAL with one sentence in @err.
 */
int cli_parse_run(int argc, char **argv, struct run_options *o, char *err, size_t err_size);
/* The same for a run of each engine; o->engine is to be set. */
int cli_parse_both(int argc, char **argv, struct run_options *o, char *err, size_t err_size);
void run_options_free(struct run_options *o);

void cli_help(FILE *f);
void cli_help_run(FILE *f);

/* table.c: the table of sensitive instructions.  Returns 0 or negative errno (write error). */
enum table_format { TABLE_TEXT, TABLE_JSON, TABLE_MARKDOWN };
int table_print(enum table_format format, FILE *f);

#endif
