/* SPDX-License-Identifier: MIT */
#include "vmm/cli.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/shadow.h"
#include "vmm/vm.h"

#define RAM_DEFAULT (64ull << 20)
#define SECONDS_MAX 1e9

/* Options without a letter of their own. */
enum option_key {
	KEY_APPEND = 0x100,
	KEY_MODULE,
	KEY_ENGINE,
	KEY_STATS,
	KEY_STATS_FILE,
	KEY_TRACE,
	KEY_TRACE_FORMAT,
	KEY_TIMEOUT,
	KEY_DEBUGCON,
	KEY_HANDOFF,
	KEY_CPUID,
	KEY_TSC,
	KEY_PAUSE,
	KEY_DISPLAY,
	KEY_ASSIGN,
	KEY_WORLDS,
	KEY_SMP,
	KEY_LOOKAHEAD,
	KEY_PCPUS,
	KEY_SLICE,
	KEY_SCHED,
	KEY_IRQCHIP,
};

static const struct argp_option run_option_table[] = {
	{ "memory", 'm', "SIZE", 0,
	  "Guest memory: a number is MiB; or 65536K, 64M, 1G (default 64M)", 0 },
	{ "append", KEY_APPEND, "STRING", 0, "Command line for the guest kernel", 0 },
	{ "module", KEY_MODULE, "FILE[,STRING]", 0,
	  "Load FILE as a Multiboot module, with a command line of its own; may be repeated", 0 },
	{ "engine", KEY_ENGINE, "NAME", 0, "What runs the guest: world (the default), or kvm", 0 },
	{ "irqchip", KEY_IRQCHIP, "user|kernel", 0,
	  "With --engine kvm: whose interrupt controllers and 8254, ours (the default) or KVM's",
	  0 },
	{ "handoff", KEY_HANDOFF, "auto|share|spin", 0,
	  "How VMM and world take turns: by load (the default), on one CPU, or polling on two", 0 },
	{ "cpuid", KEY_CPUID, "-NAME,...|show", 0,
	  "Take features away from the guest, or print what its CPUID says", 0 },
	{ "tsc", KEY_TSC, "native|trap", 0,
	  "rdtsc runs natively (the default) while the guest leaves its counter alone, or traps",
	  0 },
	{ "pause", KEY_PAUSE, "auto|native|trap", 0,
	  "pause runs natively, or traps and lets another run; auto (the default): traps if there "
	  "are more virtual CPUs than CPUs to run them",
	  0 },
	{ "smp", KEY_SMP, "N", 0, "Virtual CPUs, 1 to 8; default 1", 0 },
	{ "pcpus", KEY_PCPUS, "N", 0,
	  "Run the virtual CPUs on so many physical ones, 1 to 64; default all that this process "
	  "may "
	  "use",
	  0 },
	{ "slice", KEY_SLICE, "MS", 0,
	  "How long a virtual CPU runs while others are ready, 0.1 to 1000 milliseconds (default "
	  "10)",
	  0 },
	{ "sched", KEY_SCHED, "fair|rr|lottery|stride", 0,
	  "Who runs next: by weighted virtual time (the default), or another policy", 0 },
	{ "lookahead", KEY_LOOKAHEAD, NULL, 0,
	  "Emulate runs of sensitive instructions on one trap: faster, but no longer one trap each",
	  0 },
	{ "worlds", KEY_WORLDS, "N", 0,
	  "Keep so many views of address spaces, each a process, per virtual CPU (default 16); "
	  "fewer "
	  "than a guest's processes need cost time",
	  0 },
	{ "display", KEY_DISPLAY, "none|text", 0,
	  "text: show the VGA text screen instead of the serial console, and type on the keyboard",
	  0 },
	{ "assign", KEY_ASSIGN, "eventfd=N,vector=V,vcpu=K[,shm=FILE,gpa=ADDR[,doorbell=S]]", 0,
	  "Give the guest a device of the host: its eventfd posts the vector, its memory is "
	  "mapped; may be repeated",
	  0 },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0, "End the guest after that time, exit status 124",
	  0 },
	{ "debugcon", KEY_DEBUGCON, "FILE", 0, "Write what the guest sends to port 0xe9 to FILE",
	  0 },
	{ "stats", KEY_STATS, "text|json|model", OPTION_ARG_OPTIONAL,
	  "Print the trap account at the end, to standard error", 0 },
	{ "stats-file", KEY_STATS_FILE, "FILE", 0, "Write the trap account to FILE", 0 },
	{ "trace", KEY_TRACE, "FILE", 0, "Write one line an exit to FILE", 0 },
	{ "trace-format", KEY_TRACE_FORMAT, "text|chrome", 0,
	  "Text (the default), or JSON for chrome://tracing and Perfetto", 0 },
	{ "help", 'h', NULL, 0, "Print this text", 0 },
	{ 0 },
};

static const char run_doc[] = "Boot IMAGE, a Multiboot 1 ELF32 kernel, with its serial console on "
			      "standard input and output."
			      "\vLong options also work with one dash, as in QEMU.  On a terminal, "
			      "Ctrl-A x quits and Ctrl-A h"
			      " lists what else there is.\n\n"
			      "Exit status: the guest's own, (value << 1) | 1 for a write to port "
			      "0xf4 and 0 for a reset; 0"
			      " after Ctrl-A x; 2 bad input or usage; 3 the guest died; 4 the host "
			      "refused something; 124 the"
			      " timeout passed; 128 + N stopped by signal N.";

struct parse {
	struct run_options *o;
	bool both; /* engines: what only one of them has is for that one */
	char *err;
	size_t err_size;
};

static int refuse(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	if (!*p->err) {
		va_start(ap, fmt);
		vsnprintf(p->err, p->err_size, fmt, ap);
		va_end(ap);
	}
	return EINVAL;
}

int cli_parse_size(const char *text, uint64_t *bytes)
{
	unsigned shift = 20;
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end) {
		switch (toupper((unsigned char)*end++)) {
		case 'K': shift = 10; break;
		case 'M': break;
		case 'G': shift = 30; break;
		default: return -EINVAL;
		}
		if (*end)
			return -EINVAL;
	}
	if (errno || n > (uint64_t)VM_RAM_MAX >> shift || n << shift < VM_RAM_MIN)
		return -ERANGE;
	if ((n << shift) % PAGE_SIZE)
		return -EINVAL;
	*bytes = n << shift;
	return 0;
}

int cli_parse_seconds(const char *text, uint64_t *ns)
{
	double s;

	/* Digits and a point only: strtod() would also take "inf", "nan", hexadecimal and blanks.
	 */
	if (!*text || text[strspn(text, "0123456789.")])
		return -EINVAL;
	char *end;

	s = strtod(text, &end);
	if (*end || s <= 0 || s > SECONDS_MAX)
		return -EINVAL;
	*ns = (uint64_t)(s * 1e9);
	if (!*ns)
		*ns = 1;
	return 0;
}

int cli_parse_slice(const char *text, uint64_t *ns)
{
	uint64_t s_ns;

	if (cli_parse_seconds(text, &s_ns) < 0)
		return -EINVAL;
	*ns = s_ns / 1000;
	return *ns < SCHED_SLICE_MIN_NS || *ns > SCHED_SLICE_MAX_NS ? -EINVAL : 0;
}

static int parse_memory(struct parse *p, const char *arg)
{
	switch (cli_parse_size(arg, &p->o->ram_len)) {
	case 0: return 0;
	case -ERANGE: return refuse(p, "-m %s: guest memory is from 1M to 3G", arg);
	default:
		return refuse(
			p, "-m %s: a size is a whole number of MiB, or such as 65536K, 64M or 1G",
			arg);
	}
}

static int parse_count(struct parse *p, const char *option, const char *arg, unsigned max,
		       unsigned *out)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || *end || errno || !n || n > max)
		return refuse(p, "%s %s: it is a number from 1 to %u", option, arg, max);
	*out = (unsigned)n;
	return 0;
}

static int add_module(struct parse *p, char *arg)
{
	char *comma = strchr(arg, ',');
	struct boot_module *mods;

	if (!*arg || comma == arg)
		return refuse(p, "--module needs a file name");
	mods = reallocarray(p->o->mods, p->o->nmods + 1, sizeof(*mods));
	if (!mods)
		return refuse(p, "out of memory");
	if (comma)
		*comma++ = '\0';
	p->o->mods = mods;
	mods[p->o->nmods++] = (struct boot_module){ .path = arg, .cmdline = comma };
	return 0;
}

/* One of @names (the last is NULL): its index, or -1 with a sentence. */
static int choose(struct parse *p, const char *option, const char *arg, const char *const *names)
{
	char all[64] = "";

	for (int i = 0; names[i]; i++)
		if (!strcmp(arg, names[i]))
			return i;
	for (int i = 0; names[i]; i++) {
		size_t used = strlen(all);

		snprintf(all + used, sizeof(all) - used, "%s%s",
			 !i ? "" : (names[i + 1] ? ", " : " or "), names[i]);
	}
	refuse(p, "%s %s: it can be %s", option, arg, all);
	return -1;
}

static int parse_choice(struct parse *p, int key, const char *arg)
{
	static const struct {
		int key;
		const char *option, *names[4];
	} choices[] = {
		{ KEY_ENGINE, "--engine", { "world", "kvm" } },
		{ KEY_IRQCHIP, "--irqchip", { "user", "kernel" } },
		{ KEY_HANDOFF, "--handoff", { "auto", "share", "spin" } },
		{ KEY_STATS, "--stats", { "text", "json", "model" } },
		{ KEY_TSC, "--tsc", { "native", "trap" } },
		{ KEY_PAUSE, "--pause", { "auto", "native", "trap" } },
		{ KEY_DISPLAY, "--display", { "none", "text" } },
		{ KEY_TRACE_FORMAT, "--trace-format", { "text", "chrome" } },
	};
	struct run_options *o = p->o;
	unsigned i = 0;
	int n = 0;

	while (choices[i].key != key)
		i++;
	if (arg) /* --stats needs none */
		n = choose(p, choices[i].option, arg, choices[i].names);
	if (n < 0)
		return EINVAL;
	switch (key) {
	case KEY_ENGINE: o->engine = n ? &kvm_engine : &world_engine; break;
	case KEY_IRQCHIP: o->kernel_irqchip = n; break;
	case KEY_HANDOFF: o->handoff = n; break;
	case KEY_STATS: o->stats = (enum stats_format)(STATS_TEXT + n); break;
	case KEY_TSC: o->tsc_trap = n; break;
	case KEY_PAUSE: o->pause = (enum pause_mode)n; break;
	case KEY_DISPLAY: o->display = n; break;
	case KEY_TRACE_FORMAT: o->trace_format = n ? TRACE_CHROME : TRACE_TEXT; break;
	}
	return 0;
}

/* getopt refused @arg, an option: say why in a sentence. */
static int refuse_option(struct parse *p, const char *arg)
{
	const char *name = arg + strspn(arg, "-");
	size_t len = strcspn(name, "=");
	unsigned matches = 0;
	bool exact = false;

	for (const struct argp_option *o = run_option_table; o->name; o++) {
		exact |= !strncmp(o->name, name, len) && !o->name[len];
		exact |= arg[1] != '-' && len == 1 && o->key == *name;
		matches += !strncmp(o->name, name, len);
	}
	if (!len || (!exact && !matches))
		return refuse(p, "unknown option %s (see ringside run --help)", arg);
	if (!exact && matches > 1)
		return refuse(p, "option %s could mean several (see ringside run --help)", arg);
	if (name[len])
		return refuse(p, "option %.*s takes no value", (int)strcspn(arg, "="), arg);
	return refuse(p, "option %s needs a value", arg);
}

/* Options that only one of the engines has. */
static int check_engine(struct parse *p)
{
	const struct run_options *o = p->o;
	const char *world_only = o->lookahead              ? "--lookahead"
				 : o->stats == STATS_MODEL ? "--stats model"
				 : o->tsc_trap             ? "--tsc trap"
				 : o->worlds               ? "--worlds"
				 : o->handoff              ? "--handoff"
							   : NULL;

	if (o->kernel_irqchip && !p->both && o->engine != &kvm_engine)
		return refuse(p, "--irqchip kernel is KVM's: it needs --engine kvm");
	if (world_only && o->engine != &world_engine)
		return refuse(p, "%s is of the world engine: it has no meaning with --engine %s",
			      world_only, o->engine->name);
	return 0;
}

/* All options are there: do they fit together? */
static int check_options(struct parse *p, bool trace_format)
{
	const struct run_options *o = p->o;

	if (o->help || o->cpuid_show)
		return 0;
	if (!o->image)
		return refuse(p, "run needs the image of a kernel (see ringside run --help)");
	if (trace_format && !o->trace_file)
		return refuse(p, "--trace-format is of no use without --trace FILE");
	return check_engine(p);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct parse *p = state->input;
	struct run_options *o = p->o;

	switch (key) {
	case 'm': return parse_memory(p, arg);
	case 'h': o->help = true; return 0;
	case KEY_APPEND: o->cmdline = arg; return 0;
	case KEY_MODULE: return add_module(p, arg);
	case KEY_TRACE_FORMAT:
		state->hook = state; /* it was given, perhaps before --trace */
		return parse_choice(p, key, arg);
	case KEY_ENGINE:
	case KEY_IRQCHIP:
	case KEY_HANDOFF:
	case KEY_TSC:
	case KEY_PAUSE:
	case KEY_DISPLAY:
	case KEY_STATS: return parse_choice(p, key, arg);
	case KEY_STATS_FILE: o->stats_file = arg; return 0;
	case KEY_TRACE: o->trace_file = arg; return 0;
	case KEY_DEBUGCON: o->debugcon = arg; return 0;
	case KEY_CPUID:
		if (cpuid_mask_parse(arg, &o->cpuid_mask, &o->cpuid_show, p->err, p->err_size) < 0)
			return EINVAL;
		return 0;
	case KEY_WORLDS: return parse_count(p, "--worlds", arg, SHADOW_SPACES_MAX, &p->o->worlds);
	case KEY_LOOKAHEAD: p->o->lookahead = true; return 0;
	case KEY_SMP: return parse_count(p, "--smp", arg, VM_VCPUS_MAX, &p->o->vcpus);
	case KEY_PCPUS: return parse_count(p, "--pcpus", arg, SCHED_MAX_PCPUS, &o->dispatch.pcpus);
	case KEY_SLICE:
		if (cli_parse_slice(arg, &o->dispatch.slice_ns) < 0)
			return refuse(p,
				      "--slice %s: it is a number of milliseconds from 0.1 to 1000",
				      arg);
		return 0;
	case KEY_SCHED:
		if (!sched_policy_find(arg))
			return refuse(p, "--sched %s: it can be fair, rr, lottery or stride", arg);
		o->dispatch.policy = arg;
		return 0;
	case KEY_ASSIGN:
		if (o->assigns == ASSIGN_MAX)
			return refuse(p, "--assign: there can be %u devices", ASSIGN_MAX);
		return assign_parse(arg, &o->assign[o->assigns++], p->err, p->err_size) ? EINVAL
											: 0;
	case KEY_TIMEOUT:
		if (cli_parse_seconds(arg, &o->timeout_ns) < 0)
			return refuse(
				p, "--timeout %s: it is a number of seconds above 0, such as 2.5",
				arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->image)
			return refuse(p, "one image at a time: %s or %s?", o->image, arg);
		o->image = arg;
		return 0;
	case ARGP_KEY_END: return check_options(p, state->hook);
	case ARGP_KEY_ERROR:
		/* Ours have their sentence; this is one of getopt's. */
		refuse_option(p, state->argv[state->next - 1]);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp run_argp = {
	.options = run_option_table, .parser = parse_option, .args_doc = "IMAGE", .doc = run_doc
};

static int parse_run(int argc, char **argv, struct run_options *o, bool both, char *err,
		     size_t err_size)
{
	struct parse p = { .o = o, .both = both, .err = err, .err_size = err_size };

	*o = (struct run_options){ .ram_len = RAM_DEFAULT, .engine = &world_engine, .vcpus = 1 };
	*err = '\0';
	/*
	 * One dash is enough for long options (QEMU's -append).  The sentences are ours: argp would
	 * print two lines, and exit.
	 */
	if (argp_parse(&run_argp, argc, argv, ARGP_LONG_ONLY | ARGP_NO_ERRS | ARGP_NO_HELP, NULL,
		       &p)) {
		refuse(&p, "bad command line (see ringside run --help)");
		return -EINVAL;
	}
	if (o->stats_file && o->stats == STATS_NONE)
		o->stats = STATS_TEXT;
	return 0;
}

int cli_parse_run(int argc, char **argv, struct run_options *o, char *err, size_t err_size)
{
	return parse_run(argc, argv, o, false, err, err_size);
}

int cli_parse_both(int argc, char **argv, struct run_options *o, char *err, size_t err_size)
{
	return parse_run(argc, argv, o, true, err, err_size);
}

void run_options_free(struct run_options *o)
{
	free(o->mods);
	o->mods = NULL;
	o->nmods = 0;
}

void cli_help_run(FILE *f)
{
	static char name[] = "ringside run";

	argp_help(&run_argp, f, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
}

void cli_help(FILE *f)
{
	fputs("Usage: ringside COMMAND [ARGUMENT...]\n"
	      "Run a 32-bit x86 kernel as a deprivileged process: a trap-and-emulate hypervisor.\n"
	      "\n"
	      "  run IMAGE [OPTION...]       boot a Multiboot kernel (ringside run --help)\n"
	      "  compare IMAGE [--json FILE] [--html FILE] [--repeat N] [-- OPTION...]\n"
	      "                              run it on both engines: traps, KVM's exits, "
	      "hardware's\n"
	      "  host CONFIG                 run the virtual machines of a file (ringside host "
	      "--help)\n"
	      "  ctl COMMAND [VM]            list, start, stop, pause, attach to, ... what a host "
	      "runs\n"
	      "  top                         watch them\n"
	      "  scan IMAGE [--json] [--all] list what keeps a kernel from being virtualized\n"
	      "  table [--json|--markdown]   print the table of sensitive instructions\n"
	      "  cpuid [--json] [--cpuid -NAME,...]\n"
	      "                              print what CPUID tells a guest, less the named "
	      "features\n"
	      "  version                     print the version\n"
	      "  help [run]                  print this text, or that of run\n"
	      "\n"
	      "Exit status: 0; of run and compare, see their help; 2 bad input or usage.\n",
	      f);
}
