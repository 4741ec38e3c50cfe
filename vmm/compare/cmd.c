/* SPDX-License-Identifier: MIT */
/* `ringside compare`: its command line, and the order of things. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

#define WORDS_MAX 256 /* after "--" */

enum { KEY_JSON = 0x100, KEY_HTML, KEY_REPEAT };

static const struct argp_option option_table[] = {
	{ "json", KEY_JSON, "FILE", 0, "Write the report as JSON to FILE; -: to standard output",
	  0 },
	{ "html", KEY_HTML, "FILE", 0,
	  "Write the report as a page with charts, in one file, to FILE; -: to standard output",
	  0 },
	{ "repeat", KEY_REPEAT, "N", 0,
	  "Run each engine N times, 1 to 1000; what is shown is the run with the median number of "
	  "exits, and by how much counts vary",
	  0 },
	{ "help", 'h', NULL, 0, "Print this text", 0 },
	{ 0 },
};

static const char doc[] =
	"Run IMAGE on the engine world and on the engine kvm, and print cause by cause how often "
	"it "
	"trapped, how often KVM came back to this program, how often hardware would have exited in "
	"five configurations, and what the difference comes from.  Options of `ringside run' "
	"follow \"--\".  The guest's console is compared, not shown; its input is empty."
	"\vWhere KVM cannot run its column says why, and the rest stands.\n\n"
	"Exit status: 0; 2 bad input or usage; 3 the guest failed on an engine, or ended "
	"differently "
	"on the two; 4 the host refused something.";

struct command {
	struct compare_options *o;
	const char *image;
	int words; /* after "--" */
	char **word;
	bool help;
	char err[2048]; /* the first sentence of complaint */
};

static int refuse(struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct command *c, const char *fmt, ...)
{
	va_list ap;

	if (!*c->err) {
		va_start(ap, fmt);
		vsnprintf(c->err, sizeof(c->err), fmt, ap);
		va_end(ap);
	}
	return EINVAL;
}

static int parse_repeat(struct command *c, const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!isdigit((unsigned char)*arg) || *end || !n || n > COMPARE_REPEAT_MAX)
		return refuse(c, "--repeat %s: it is a number from 1 to %d", arg,
			      COMPARE_REPEAT_MAX);
	c->o->repeat = (unsigned)n;
	return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct command *c = state->input;

	switch (key) {
	case KEY_JSON: c->o->json = arg; return 0;
	case KEY_HTML: c->o->html = arg; return 0;
	case KEY_REPEAT: return parse_repeat(c, arg);
	case 'h': c->help = true; return 0;
	case ARGP_KEY_ARG:
		if (c->image)
			return refuse(c, "one image at a time: %s or %s?  Options of run follow --",
				      c->image, arg);
		c->image = arg;
		return 0;
	case ARGP_KEY_END:
		if (!c->help && !c->image)
			return refuse(c,
				      "compare needs the image of a kernel (see ringside compare "
				      "--help)");
		return 0;
	case ARGP_KEY_ERROR:
		refuse(c,
		       "compare has no option %s, or it needs a value; those of run follow -- (see "
		       "ringside compare --help)",
		       state->argv[state->next - 1]);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp compare_argp = { .options = option_table,
					  .parser = parse_option,
					  .args_doc = "IMAGE [-- OPTION...]",
					  .doc = doc };

/* Options of run that make no sense twice, or that are ours to give. */
static int check_run(struct command *c, bool engine_given)
{
	const struct run_options *o = &c->o->run;
	const char *which = engine_given    ? "--engine"
			    : o->help       ? "--help"
			    : o->cpuid_show ? "--cpuid show"
			    : o->stats      ? "--stats"
			    : o->trace_file ? "--trace"
			    : o->debugcon   ? "--debugcon"
			    : o->display    ? "--display"
			    : o->assigns    ? "--assign"
					    : NULL;

	if (c->o->json && c->o->html && !strcmp(c->o->json, "-") && !strcmp(c->o->html, "-"))
		return refuse(c, "--json and --html cannot both go to standard output");
	if (which)
		return refuse(c,
			      "%s cannot be used here: both engines run the guest, one after the "
			      "other",
			      which);
	return 0;
}

/* "run WORDS... IMAGE", as run's own parser reads it. */
static int parse_run(struct command *c)
{
	char *argv[WORDS_MAX + 4] = { (char[]){ "run" } }, err[1024];
	struct compare_options *o = c->o;
	bool engine_given = false;

	o->words = json_object_new_array();
	if (c->words > WORDS_MAX)
		return refuse(c, "too many words after --: there can be %d", WORDS_MAX);
	for (int i = 0; i < c->words; i++) {
		const char *word = c->word[i] + strspn(c->word[i], "-");

		engine_given |= *c->word[i] == '-' && !strncmp(word, "engine", 6);
		json_object_array_add(o->words, json_object_new_string(c->word[i]));
		argv[1 + i] = c->word[i];
	}
	argv[1 + c->words] = (char *)c->image;
	if (cli_parse_both(c->words + 2, argv, &o->run, err, sizeof(err)) < 0)
		return refuse(c, "%s", err);
	return check_run(c, engine_given);
}

static int parse(int argc, char **argv, struct command *c)
{
	int own = argc;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			own = i;
			c->words = argc - i - 1;
			c->word = argv + i + 1;
			break;
		}
	if (argp_parse(&compare_argp, own, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, c))
		return refuse(c, "bad command line (see ringside compare --help)");
	return c->help ? 0 : parse_run(c);
}

/* ---- running ---- */

static int by_exits(const void *x, const void *y)
{
	const struct compare_run *a = x, *b = y;
	uint64_t m = compare_run_exits(a), n = compare_run_exits(b);

	return m < n ? -1 : m > n;
}

/* A run that fails is the one to show, and there is no use in more. */
static int run_engine(struct compare *c, unsigned which, compare_session *session, char *err,
		      size_t size)
{
	static const struct engine_ops *const ops[COMPARE_ENGINES] = {
		[COMPARE_WORLD] = &world_engine,
		[COMPARE_KVM] = &kvm_engine,
	};
	struct compare_engine *e = &c->engine[which];
	int res;

	e->name = ops[which]->name;
	e->run = calloc(c->opt->repeat, sizeof(*e->run));
	if (!e->run) {
		snprintf(err, size, "host: out of memory");
		return STATUS_HOST;
	}
	while (e->runs < c->opt->repeat) {
		struct compare_run *r = &e->run[e->runs];

		res = compare_once(c->opt, ops[which], session, r, err, size);
		e->runs++;
		if (res < 0)
			return STATUS_HOST;
		if (!compare_run_ended(r)) {
			e->shown = e->runs - 1;
			return STATUS_OK;
		}
	}
	qsort(e->run, e->runs, sizeof(*e->run), by_exits);
	e->shown = (e->runs - 1) / 2;
	return STATUS_OK;
}

/* ---- results ---- */

/* A file that cannot be written is better known before the guest runs. */
static int open_output(const char *path, FILE **f, char *err, size_t size)
{
	*f = !path ? NULL : !strcmp(path, "-") ? stdout : fopen(path, "we");
	if (!path || *f)
		return STATUS_OK;
	snprintf(err, size, "cannot write %s: %s", path, strerror(errno));
	return STATUS_INPUT;
}

/* Closes @f; NULL: nothing to write. */
static int write_output(FILE *f, const char *path, void (*print)(struct json_object *, FILE *),
			struct json_object *report)
{
	bool bad;

	if (!f)
		return STATUS_OK;
	errno = 0;
	print(report, f);
	bad = fflush(f) || ferror(f);
	if (f != stdout && fclose(f))
		bad = true;
	if (bad)
		fprintf(stderr, "ringside: host: cannot write %s: %s\n", path,
			strerror(errno ? errno : EIO));
	return bad ? STATUS_HOST : STATUS_OK;
}

static void print_json(struct json_object *report, FILE *f)
{
	fprintf(f, "%s\n",
		json_object_to_json_string_ext(report, JSON_C_TO_STRING_PRETTY |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* STATUS_GUEST if a guest failed, or ended one way here and another there. */
static int guest_status(const struct compare *c)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	const struct compare_run *a = &w->run[w->shown], *b = &k->run[k->shown];

	if (!compare_run_ended(a))
		return STATUS_GUEST;
	if (!compare_run_started(b))
		return STATUS_OK;
	return compare_run_ended(b) && a->status == b->status ? STATUS_OK : STATUS_GUEST;
}

static int show(const struct compare *c, FILE *json, FILE *html)
{
	const struct compare_options *o = c->opt;
	struct json_object *report = compare_report(c);
	int status = guest_status(c), res = 0;

	if (json != stdout && html != stdout)
		res = write_output(stdout, "the report", compare_print_text, report);
	status = res ? res : status;
	res = write_output(json, o->json, print_json, report);
	status = res ? res : status;
	res = write_output(html, o->html, compare_print_html, report);
	status = res ? res : status;
	json_object_put(report);
	return status;
}

/* Without a guest there is nothing to compare: the engine world says what is wrong. */
static int check_world(const struct compare *c, char *err, size_t size)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD];
	const struct compare_run *r = &w->run[w->shown];

	if (compare_run_started(r))
		return STATUS_OK;
	snprintf(err, size, "%s", *r->why ? r->why : "host: the guest did not begin");
	return r->status ? r->status : STATUS_HOST;
}

static int run_both(struct compare *c, compare_session *session, char *err, size_t size)
{
	int status = run_engine(c, COMPARE_WORLD, session, err, size);

	if (!status)
		status = check_world(c, err, size);
	if (!status)
		status = run_engine(c, COMPARE_KVM, session, err, size);
	return status;
}

static int compare(const struct compare_options *o, compare_session *session, char *err,
		   size_t size)
{
	struct compare c = { .opt = o };
	FILE *json = NULL, *html = NULL;
	int status = open_output(o->json, &json, err, size);

	if (!status)
		status = open_output(o->html, &html, err, size);
	if (!status)
		status = run_both(&c, session, err, size);
	if (!status) {
		status = show(&c, json, html); /* closes both */
	} else {
		if (json && json != stdout)
			fclose(json);
		if (html && html != stdout)
			fclose(html);
	}
	for (unsigned i = 0; i < COMPARE_ENGINES; i++) {
		for (unsigned r = 0; r < c.engine[i].runs; r++)
			compare_run_free(&c.engine[i].run[r]);
		free(c.engine[i].run);
	}
	return status;
}

int compare_main(int argc, char **argv, compare_session *session)
{
	static char name[] = "ringside compare";
	struct compare_options o = { .repeat = 1 };
	struct command c = { .o = &o };
	int status = STATUS_OK;

	if (parse(argc, argv, &c))
		status = STATUS_INPUT;
	else if (c.help)
		argp_help(&compare_argp, stdout,
			  ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
	else
		status = compare(&o, session, c.err, sizeof(c.err));
	if (*c.err)
		fprintf(stderr, "ringside: %s\n", c.err);
	run_options_free(&o.run);
	json_object_put(o.words);
	return status;
}
