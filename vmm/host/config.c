/* SPDX-License-Identifier: MIT */
#include "vmm/host/config.h"

#include <errno.h>
#include <libconfig.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/host_cpus.h"
#include "vmm/vm.h"

#define ARGV_MAX   64
#define CAP_MAX    (100u * SCHED_MAX_PCPUS)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static const char *const console_names[] = { "none", "pty", "file", "unix", NULL };
static const char *const restart_names[] = { "never", "on-failure", "always", NULL };

struct reader {
	const char *path;
	char *dir; /* of @path */
	FILE *errors;
	unsigned mistakes;
	struct host_config *out;
};

const char *host_console_name(enum host_console c)
{
	return console_names[c];
}

const char *host_restart_name(enum host_restart r)
{
	return restart_names[r];
}

static void mistake(struct reader *r, const config_setting_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void mistake(struct reader *r, const config_setting_t *at, const char *fmt, ...)
{
	const char *file = at ? config_setting_source_file(at) : NULL;
	va_list ap;

	fprintf(r->errors, "%s:%u: ", file ? file : r->path,
		at ? config_setting_source_line(at) : 1);
	va_start(ap, fmt);
	vfprintf(r->errors, fmt, ap);
	va_end(ap);
	fputc('\n', r->errors);
	r->mistakes++;
}

/* ---- settings of one kind each; they complain themselves, and return whether all was well ---- */

static bool get_int(struct reader *r, const config_setting_t *s, long long min, long long max,
		    long long *out)
{
	int type = config_setting_type(s);
	long long n;

	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
		mistake(r, s, "%s must be a whole number", config_setting_name(s));
		return false;
	}
	n = config_setting_get_int64(s);
	if (n < min || n > max) {
		mistake(r, s, "%s is %lld: it is a number from %lld to %lld",
			config_setting_name(s), n, min, max);
		return false;
	}
	*out = n;
	return true;
}

static const char *get_string(struct reader *r, const config_setting_t *s)
{
	const char *text = config_setting_get_string(s);

	if (!text)
		mistake(r, s, "%s must be a string in quotes",
			config_setting_name(s) ? config_setting_name(s) : "each element");
	return text;
}

static bool get_bool(struct reader *r, const config_setting_t *s, bool *out)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		mistake(r, s, "%s must be true or false", config_setting_name(s));
		return false;
	}
	*out = config_setting_get_bool(s);
	return true;
}

/* @path as seen from the file's directory.  NULL if out of memory. */
static char *resolve(const struct reader *r, const char *path)
{
	char *full;

	if (*path == '/')
		return strdup(path);
	return asprintf(&full, "%s/%s", r->dir, path) < 0 ? NULL : full;
}

static void get_choice(struct reader *r, const config_setting_t *s, const char *const *names,
		       int *out)
{
	const char *text = get_string(r, s);

	if (!text)
		return;
	for (int i = 0; names[i]; i++)
		if (!strcmp(text, names[i])) {
			*out = i;
			return;
		}
	mistake(r, s, "%s is \"%s\": it can be \"%s\", \"%s\" or \"%s\"", config_setting_name(s),
		text, names[0], names[1], names[2]);
}

static void get_console(struct reader *r, const config_setting_t *s, struct host_vm_config *vm)
{
	const char *text = get_string(r, s), *path;

	if (!text)
		return;
	for (int i = 0; console_names[i]; i++) {
		size_t len = strlen(console_names[i]);
		bool wants_path = i == HOST_CONSOLE_FILE || i == HOST_CONSOLE_UNIX;

		if (strncmp(text, console_names[i], len) || text[len] != (wants_path ? ':' : '\0'))
			continue;
		path = wants_path ? text + len + 1 : NULL;
		if (wants_path && !*path)
			break;
		vm->console = (enum host_console)i;
		vm->console_path = path ? resolve(r, path) : NULL;
		if (i == HOST_CONSOLE_UNIX && vm->console_path &&
		    strlen(vm->console_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			mistake(r, s, "console: the path %s is too long for a socket",
				vm->console_path);
		return;
	}
	mistake(r, s,
		"console is \"%s\": it can be \"none\", \"pty\", \"file:PATH\" or \"unix:PATH\"",
		text);
}

/* An array of pCPU numbers. */
static void get_affinity(struct reader *r, const config_setting_t *s, uint64_t *out)
{
	int n = config_setting_length(s);

	if (!config_setting_is_aggregate(s) || n == 0) {
		mistake(r, s, "affinity must be an array of CPU numbers, such as [0, 1]");
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		long long cpu = config_setting_get_int64(e);

		if (config_setting_type(e) != CONFIG_TYPE_INT || cpu < 0 ||
		    cpu >= (long long)SCHED_MAX_PCPUS) {
			mistake(r, e, "affinity: a CPU is a number from 0 to %u",
				SCHED_MAX_PCPUS - 1);
			return;
		}
		*out |= 1ull << cpu;
	}
}

/* ---- a VM: most of it becomes a command line of `ringside run` ---- */

static void add_arg(struct reader *r, struct host_vm_config *vm, const config_setting_t *at,
		    char *arg)
{
	if (!arg)
		mistake(r, at, "out of memory");
	else if (vm->argc == ARGV_MAX) {
		mistake(r, at, "too many options and modules");
		free(arg);
	} else {
		vm->argv[vm->argc++] = arg;
	}
}

static void add_option(struct reader *r, struct host_vm_config *vm, const config_setting_t *at,
		       const char *option, char *value)
{
	char *both = NULL;

	if (value && asprintf(&both, "%s=%s", option, value) < 0)
		both = NULL;
	free(value);
	add_arg(r, vm, at, both);
}

static void get_file(struct reader *r, const config_setting_t *s, struct host_vm_config *vm,
		     const char *option)
{
	const char *text = get_string(r, s);
	char *path;
	struct stat st;

	if (!text)
		return;
	path = resolve(r, text);
	/* A module's string may follow its path. */
	if (path && option) {
		char *comma = strchr(path, ',');

		if (comma)
			*comma = '\0';
		if (stat(path, &st) < 0)
			mistake(r, s, "%s: %s", path, strerror(errno));
		if (comma)
			*comma = ',';
		add_option(r, vm, s, option, path);
		return;
	}
	if (path && stat(path, &st) < 0)
		mistake(r, s, "%s: %s", path, strerror(errno));
	add_arg(r, vm, s, path);
}

static void get_list(struct reader *r, const config_setting_t *s, struct host_vm_config *vm,
		     void (*each)(struct reader *r, const config_setting_t *s,
				  struct host_vm_config *vm))
{
	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		mistake(r, s, "%s must be an array of strings", config_setting_name(s));
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++)
		each(r, config_setting_get_elem(s, (unsigned)i), vm);
}

static void get_module(struct reader *r, const config_setting_t *s, struct host_vm_config *vm)
{
	get_file(r, s, vm, "--module");
}

/* What belongs to the terminal, or to all VMs together. */
static void get_option(struct reader *r, const config_setting_t *s, struct host_vm_config *vm)
{
	static const char *const refused[] = { "display", "pcpus", "slice", "sched",
					       "help",    "h",     NULL };
	const char *text = get_string(r, s);
	const char *name = text ? text + strspn(text, "-") : NULL;

	if (!text)
		return;
	for (int i = 0; refused[i]; i++) {
		size_t len = strcspn(name, "=");

		if (len && !strncmp(name, refused[i], len) && *text == '-') {
			mistake(r, s, "option %s has no place in the options of one VM", text);
			return;
		}
	}
	if (*text != '-' || !*name) {
		mistake(r, s, "\"%s\" is no option: write \"--name=value\"", text);
		return;
	}
	add_arg(r, vm, s, strdup(text));
}

static void get_name(struct reader *r, const config_setting_t *s, struct host_vm_config *vm)
{
	const char *text = get_string(r, s);

	if (!text)
		return;
	if (!*text || strlen(text) > HOST_VM_NAME_MAX || text[strspn(text, NAME_CHARS)]) {
		mistake(r, s,
			"name is \"%s\": 1 to %u letters, digits, underscores, dots and dashes",
			text, HOST_VM_NAME_MAX);
		return;
	}
	for (unsigned i = 0; i < r->out->vms; i++)
		if (r->out->vm[i].name && !strcmp(r->out->vm[i].name, text)) {
			mistake(r, s, "there is a VM %s already", text);
			return;
		}
	vm->name = strdup(text);
}

static void get_vm_setting(struct reader *r, const config_setting_t *s, struct host_vm_config *vm)
{
	const char *name = config_setting_name(s), *text;
	long long n;
	int choice;
	char *copy;

	if (!strcmp(name, "name")) {
		get_name(r, s, vm);
	} else if (!strcmp(name, "image")) {
		get_file(r, s, vm, NULL);
	} else if (!strcmp(name, "modules")) {
		get_list(r, s, vm, get_module);
	} else if (!strcmp(name, "options")) {
		get_list(r, s, vm, get_option);
	} else if (!strcmp(name, "append")) {
		text = get_string(r, s);
		if (text)
			add_option(r, vm, s, "--append", strdup(text));
	} else if (!strcmp(name, "memory")) {
		text = get_string(r, s);
		if (text)
			add_option(r, vm, s, "--memory", strdup(text));
	} else if (!strcmp(name, "vcpus")) {
		if (get_int(r, s, 1, VM_VCPUS_MAX, &n))
			add_option(r, vm, s, "--smp", asprintf(&copy, "%lld", n) < 0 ? NULL : copy);
	} else if (!strcmp(name, "weight")) {
		if (get_int(r, s, 1, SCHED_WEIGHT_MAX, &n))
			vm->params.weight = (unsigned)n;
	} else if (!strcmp(name, "cap")) {
		if (get_int(r, s, 0, CAP_MAX, &n))
			vm->params.cap = (unsigned)n;
	} else if (!strcmp(name, "affinity")) {
		get_affinity(r, s, &vm->params.affinity);
	} else if (!strcmp(name, "console")) {
		get_console(r, s, vm);
	} else if (!strcmp(name, "restart")) {
		choice = (int)vm->restart;
		get_choice(r, s, restart_names, &choice);
		vm->restart = (enum host_restart)choice;
	} else if (!strcmp(name, "start")) {
		get_bool(r, s, &vm->autostart);
	} else {
		mistake(r, s,
			"no setting %s: there are name, image, modules, append, memory, vcpus, "
			"weight, cap, affinity, console, restart, start and options",
			name);
	}
}

static void get_vm(struct reader *r, const config_setting_t *group)
{
	struct host_vm_config *vm = &r->out->vm[r->out->vms];
	unsigned before = r->mistakes;
	char err[512];

	*vm = (struct host_vm_config){ .console = HOST_CONSOLE_PTY, .autostart = true };
	vm->argv = calloc(ARGV_MAX + 1, sizeof(*vm->argv));
	if (!vm->argv) {
		mistake(r, group, "out of memory");
		return;
	}
	r->out->vms++;
	if (!config_setting_is_group(group)) {
		mistake(r, group, "a VM is a group of settings in braces");
		return;
	}
	add_arg(r, vm, group, strdup("run"));
	for (int i = 0; i < config_setting_length(group); i++)
		get_vm_setting(r, config_setting_get_elem(group, (unsigned)i), vm);
	if (!config_setting_get_member(group, "name"))
		mistake(r, group, "a VM needs a name");
	if (!config_setting_get_member(group, "image"))
		mistake(r, group, "VM %s needs an image", vm->name ? vm->name : "?");
	if (r->mistakes > before)
		return;
	if (cli_parse_run(vm->argc, vm->argv, &vm->opt, err, sizeof(err)) < 0)
		mistake(r, group, "VM %s: %s", vm->name, err);
	else if (vm->opt.cpuid_show)
		mistake(r, group, "VM %s: --cpuid show runs nothing", vm->name);
}

/* ---- the file ---- */

static void get_top(struct reader *r, const config_setting_t *s)
{
	const char *name = config_setting_name(s), *text;
	struct host_config *c = r->out;
	long long n;
	char ms[32];

	if (!strcmp(name, "vms")) {
		if (!config_setting_is_list(s)) {
			mistake(r, s, "vms must be a list of groups: ( { ... }, { ... } )");
		} else if (config_setting_length(s) > (int)HOST_VMS_MAX) {
			mistake(r, s, "there can be %u VMs", HOST_VMS_MAX);
		} else {
			c->vm = calloc((size_t)config_setting_length(s) + 1, sizeof(*c->vm));
			for (int i = 0; c->vm && i < config_setting_length(s); i++)
				get_vm(r, config_setting_get_elem(s, (unsigned)i));
		}
	} else if (!strcmp(name, "pcpus")) {
		if (get_int(r, s, 1, SCHED_MAX_PCPUS, &n))
			c->dispatch.pcpus = (unsigned)n;
	} else if (!strcmp(name, "slice")) {
		double slice = config_setting_type(s) == CONFIG_TYPE_FLOAT
				       ? config_setting_get_float(s)
				       : (double)config_setting_get_int64(s);

		snprintf(ms, sizeof(ms), "%f", slice);
		if (!config_setting_is_number(s) || cli_parse_slice(ms, &c->dispatch.slice_ns) < 0)
			mistake(r, s, "slice must be a number of milliseconds from 0.1 to 1000");
	} else if (!strcmp(name, "sched")) {
		text = get_string(r, s);
		if (text && !sched_policy_find(text))
			mistake(r, s, "sched is \"%s\": there is no such policy", text);
		else if (text)
			c->dispatch.policy = c->policy = strdup(text);
	} else if (!strcmp(name, "socket")) {
		text = get_string(r, s);
		if (text)
			c->socket = resolve(r, text);
	} else {
		mistake(r, s, "no setting %s: there are pcpus, slice, sched, socket and vms", name);
	}
}

/* An affinity that names no CPU there is would keep its VM from ever running. */
static void check_affinities(struct reader *r, const config_setting_t *root, unsigned pcpus)
{
	uint64_t all = pcpus >= 64 ? UINT64_MAX : (1ull << pcpus) - 1;

	for (unsigned i = 0; i < r->out->vms; i++)
		if (r->out->vm[i].params.affinity && !(r->out->vm[i].params.affinity & all))
			mistake(r,
				config_setting_get_elem(config_setting_get_member(root, "vms"), i),
				"VM %s may run on no CPU: there are %u, from 0 on",
				r->out->vm[i].name, pcpus);
}

unsigned host_config_read(const char *path, struct host_config *out, FILE *errors)
{
	struct reader r = { .path = path, .errors = errors, .out = out };
	char *copy = strdup(path);
	config_setting_t *root;
	struct stat st;
	config_t c;

	memset(out, 0, sizeof(*out));
	config_init(&c);
	r.dir = copy ? strdup(dirname(copy)) : NULL;
	free(copy);
	if (!r.dir) {
		mistake(&r, NULL, "out of memory");
	} else if (stat(path, &st) < 0) {
		fprintf(errors, "%s: %s\n", path, strerror(errno));
		r.mistakes++;
	} else if (!S_ISREG(st.st_mode)) {
		fprintf(errors, "%s: not a file\n", path);
		r.mistakes++;
	} else if (!config_read_file(&c, path)) {
		const char *file = config_error_file(&c);

		if (config_error_type(&c) == CONFIG_ERR_FILE_IO)
			fprintf(errors, "%s: cannot be read: %s\n", path, strerror(errno));
		else
			fprintf(errors, "%s:%d: %s\n", file ? file : path, config_error_line(&c),
				config_error_text(&c));
		r.mistakes++;
	} else {
		root = config_root_setting(&c);
		for (int i = 0; i < config_setting_length(root); i++)
			get_top(&r, config_setting_get_elem(root, (unsigned)i));
		if (!out->vms && !r.mistakes)
			mistake(&r, NULL, "there is no VM: vms = ( { ... } )");
		if (!r.mistakes)
			check_affinities(&r, root,
					 out->dispatch.pcpus ? out->dispatch.pcpus
							     : host_cpu_count());
	}
	config_destroy(&c);
	free(r.dir);
	return r.mistakes;
}

void host_config_free(struct host_config *c)
{
	for (unsigned i = 0; i < c->vms; i++) {
		struct host_vm_config *vm = &c->vm[i];

		run_options_free(&vm->opt);
		for (int a = 0; a < ARGV_MAX && vm->argv; a++)
			free(vm->argv[a]);
		free(vm->argv);
		free(vm->console_path);
		free(vm->name);
	}
	free(c->vm);
	free(c->policy);
	free(c->socket);
	memset(c, 0, sizeof(*c));
}
