/* SPDX-License-Identifier: MIT */
/* The configuration file: what it can say, and every kind of mistake in it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/host_fixture.h"
#include "vmm/host/config.h"

/* Read @text as a file "conf" beside an "image" and a "module"; what it complains about. */
static unsigned read_text(const char *text, struct host_config *out, char **errors)
{
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned mistakes;
	struct hf h;
	char path[128];
	size_t len;
	FILE *f;

	hf_dir(&h);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", h.dir, i ? "image" : "module");
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	cr_assert_eq(chdir(h.dir), 0);
	f = fopen("conf", "w");
	fputs(text, f);
	fclose(f);
	f = open_memstream(errors, &len);
	mistakes = host_config_read("conf", out, f);
	fclose(f);
	hf_remove(&h);
	cr_assert_eq(fchdir(here), 0);
	close(here);
	return mistakes;
}

Test(host_config, everything_is_understood)
{
	static const char text[] =
		"pcpus = 2; slice = 2.5; sched = \"stride\"; socket = \"s\";\n"
		"vms = (\n"
		"  { name = \"a.b-c_9\"; image = \"image\"; memory = \"16M\";\n"
		"    vcpus = 2; weight = 300; cap = 150; affinity = [0, 1];\n"
		"    modules = [ \"module,some text\", \"module\" ];\n"
		"    append = \"one two\"; console = \"file:log\";\n"
		"    restart = \"on-failure\"; start = false;\n"
		"    options = [ \"--timeout=1.5\", \"--tsc=trap\" ]; },\n"
		"  { name = \"b\"; image = \"/dev/null\"; console = \"none\"; }\n"
		");\n";
	struct host_config c;
	char *errors;

	cr_assert_eq(read_text(text, &c, &errors), 0, "%s", errors);
	cr_assert_str_eq(errors, "");
	cr_expect_eq(c.dispatch.pcpus, 2);
	cr_expect_eq(c.dispatch.slice_ns, 2500000);
	cr_expect_str_eq(c.dispatch.policy, "stride");
	cr_expect_str_eq(c.socket, "./s");
	cr_assert_eq(c.vms, 2);
	cr_expect_str_eq(c.vm[0].name, "a.b-c_9");
	cr_expect_str_eq(c.vm[0].opt.image, "./image");
	cr_expect_str_eq(c.vm[0].opt.cmdline, "one two");
	cr_expect_eq(c.vm[0].opt.ram_len, 16u << 20);
	cr_expect_eq(c.vm[0].opt.vcpus, 2);
	cr_assert_eq(c.vm[0].opt.nmods, 2);
	cr_expect_str_eq(c.vm[0].opt.mods[0].path, "./module");
	cr_expect_str_eq(c.vm[0].opt.mods[0].cmdline, "some text");
	cr_expect_null(c.vm[0].opt.mods[1].cmdline);
	cr_expect_eq(c.vm[0].opt.timeout_ns, 1500000000);
	cr_expect(c.vm[0].opt.tsc_trap);
	cr_expect_eq(c.vm[0].params.weight, 300);
	cr_expect_eq(c.vm[0].params.cap, 150);
	cr_expect_eq(c.vm[0].params.affinity, 3);
	cr_expect_eq(c.vm[0].console, HOST_CONSOLE_FILE);
	cr_expect_str_eq(c.vm[0].console_path, "./log");
	cr_expect_eq(c.vm[0].restart, HOST_RESTART_ON_FAILURE);
	cr_expect_not(c.vm[0].autostart);
	cr_expect_str_eq(c.vm[1].opt.image, "/dev/null");
	cr_expect_eq(c.vm[1].console, HOST_CONSOLE_NONE);
	cr_expect_eq(c.vm[1].restart, HOST_RESTART_NEVER);
	cr_expect(c.vm[1].autostart);
	cr_expect_eq(c.vm[1].params.affinity, 0);
	host_config_free(&c);
	free(errors);
}

#define VM(more) "vms = ( { name = \"a\"; image = \"image\";\n" more "} );\n"

/* The whole of what is said, with the line where the mistake is. */
static const struct {
	const char *text, *says;
} mistakes[] = {
	{ "", "conf:1: there is no VM: vms = ( { ... } )\n" },
	{ "vms = ();\n", "conf:1: there is no VM: vms = ( { ... } )\n" },
	{ "pcpus = 1;\nvms = (\n", "conf:3: syntax error\n" },
	{ "\n\nvms = 3;\n", "conf:3: vms must be a list of groups: ( { ... }, { ... } )\n" },
	{ "vms = (\n 3 );\n", "conf:2: a VM is a group of settings in braces\n" },
	{ "vms = (\n { } );\n", "conf:2: a VM needs a name\nconf:2: VM ? needs an image\n" },
	{ "vms = (\n { name = \"a\"; } );\n", "conf:2: VM a needs an image\n" },
	{ "colour = 1;\n" VM(""),
	  "conf:1: no setting colour: there are pcpus, slice, sched, socket and vms\n" },
	{ "pcpus = 0;\n" VM(""), "conf:1: pcpus is 0: it is a number from 1 to 64\n" },
	{ "pcpus = \"2\";\n" VM(""), "conf:1: pcpus must be a whole number\n" },
	{ "\nslice = 0.01;\n" VM(""),
	  "conf:2: slice must be a number of milliseconds from 0.1 to 1000\n" },
	{ "slice = \"x\";\n" VM(""),
	  "conf:1: slice must be a number of milliseconds from 0.1 to 1000\n" },
	{ "slice = -1;\n" VM(""),
	  "conf:1: slice must be a number of milliseconds from 0.1 to 1000\n" },
	{ "sched = \"best\";\n" VM(""), "conf:1: sched is \"best\": there is no such policy\n" },
	{ "sched = 1;\n" VM(""), "conf:1: sched must be a string in quotes\n" },
	{ "socket = 1;\n" VM(""), "conf:1: socket must be a string in quotes\n" },
	{ "pcpus = 1;\npcpus = 2;\n" VM(""), "conf:2: duplicate setting name\n" },
	{ VM("colour = 1;"),
	  "conf:2: no setting colour: there are name, image, modules, append, memory, vcpus, "
	  "weight, cap, affinity, console, restart, start and options\n" },
	{ "vms = ( { name = \"\";\nimage = \"image\"; } );\n",
	  "conf:1: name is \"\": 1 to 32 letters, digits, underscores, dots and dashes\n" },
	{ "vms = ( { name = \"a b\"; image = \"image\"; } );\n",
	  "conf:1: name is \"a b\": 1 to 32 letters, digits, underscores, dots and dashes\n" },
	{ "vms = ( { name = \"123456789012345678901234567890123\"; image = \"image\"; } );\n",
	  "conf:1: name is \"123456789012345678901234567890123\": 1 to 32 letters, digits, "
	  "underscores, dots and dashes\n" },
	{ "vms = ( { name = 1; image = \"image\"; } );\n",
	  "conf:1: name must be a string in quotes\n" },
	{ "vms = ( { name = \"a\"; image = \"image\"; },\n { image = \"image\"; name = \"a\"; } "
	  ");\n",
	  "conf:2: there is a VM a already\n" },
	{ "vms = ( { name = \"a\";\nimage = \"none\"; } );\n",
	  "conf:2: ./none: No such file or directory\n" },
	{ "vms = ( { name = \"a\";\nimage = [ 1 ]; } );\n",
	  "conf:2: image must be a string in quotes\n" },
	{ VM("modules = \"module\";"), "conf:2: modules must be an array of strings\n" },
	{ VM("modules = [ \"module\",\n\"none,text\" ];"),
	  "conf:3: ./none: No such file or directory\n" },
	{ VM("modules = [ 1 ];"), "conf:2: each element must be a string in quotes\n" },
	{ VM("append = 1;"), "conf:2: append must be a string in quotes\n" },
	{ VM("memory = 64;"), "conf:2: memory must be a string in quotes\n" },
	{ VM("memory = \"lots\";"),
	  "conf:1: VM a: -m lots: a size is a whole number of MiB, or such as 65536K, 64M or "
	  "1G\n" },
	{ VM("memory = \"4G\";"), "conf:1: VM a: -m 4G: guest memory is from 1M to 3G\n" },
	{ VM("vcpus = 9;"), "conf:2: vcpus is 9: it is a number from 1 to 8\n" },
	{ VM("vcpus = 1.5;"), "conf:2: vcpus must be a whole number\n" },
	{ VM("\nweight = 0;"), "conf:3: weight is 0: it is a number from 1 to 10000\n" },
	{ VM("weight = 10001;"), "conf:2: weight is 10001: it is a number from 1 to 10000\n" },
	{ VM("weight = 99999999999L;"),
	  "conf:2: weight is 99999999999: it is a number from 1 to 10000\n" },
	{ VM("cap = -1;"), "conf:2: cap is -1: it is a number from 0 to 6400\n" },
	{ VM("affinity = 0;"),
	  "conf:2: affinity must be an array of CPU numbers, such as [0, 1]\n" },
	{ VM("affinity = [];"),
	  "conf:2: affinity must be an array of CPU numbers, such as [0, 1]\n" },
	{ VM("affinity = [ 64 ];"), "conf:2: affinity: a CPU is a number from 0 to 63\n" },
	{ VM("affinity = [ \"0\" ];"), "conf:2: affinity: a CPU is a number from 0 to 63\n" },
	{ "pcpus = 2;\n" VM("affinity = [ 2 ];"),
	  "conf:2: VM a may run on no CPU: there are 2, from 0 on\n" },
	{ VM("console = \"serial\";"),
	  "conf:2: console is \"serial\": it can be \"none\", \"pty\", "
	  "\"file:PATH\" or \"unix:PATH\"\n" },
	{ VM("console = \"file:\";"), "conf:2: console is \"file:\": it can be \"none\", \"pty\", "
				      "\"file:PATH\" or \"unix:PATH\"\n" },
	{ VM("console = \"ptyx\";"), "conf:2: console is \"ptyx\": it can be \"none\", \"pty\", "
				     "\"file:PATH\" or \"unix:PATH\"\n" },
	{ VM("console = true;"), "conf:2: console must be a string in quotes\n" },
	{ VM("restart = \"maybe\";"), "conf:2: restart is \"maybe\": it can be \"never\", "
				      "\"on-failure\" or \"always\"\n" },
	{ VM("start = 1;"), "conf:2: start must be true or false\n" },
	{ VM("options = \"--lookahead\";"), "conf:2: options must be an array of strings\n" },
	{ VM("options = [ \"--display=text\" ];"),
	  "conf:2: option --display=text has no place in the options of one VM\n" },
	{ VM("options = [ \"-display=text\" ];"),
	  "conf:2: option -display=text has no place in the options of one VM\n" },
	{ VM("options = [ \"--disp=text\" ];"),
	  "conf:2: option --disp=text has no place in the options of one VM\n" },
	{ VM("options = [ \"--pcpus=1\" ];"),
	  "conf:2: option --pcpus=1 has no place in the options of one VM\n" },
	{ VM("options = [ \"--help\" ];"),
	  "conf:2: option --help has no place in the options of one VM\n" },
	{ VM("options = [ \"--cpuid=show\" ];"), "conf:1: VM a: --cpuid show runs nothing\n" },
	{ VM("options = [ \"other\" ];"),
	  "conf:2: \"other\" is no option: write \"--name=value\"\n" },
	{ VM("options = [ \"--\" ];"), "conf:2: \"--\" is no option: write \"--name=value\"\n" },
	{ VM("options = [ \"--frob\" ];"),
	  "conf:1: VM a: unknown option --frob (see ringside run --help)\n" },
	{ VM("options = [ \"--timeout\" ];"), "conf:1: VM a: option --timeout needs a value\n" },
	{ VM("options = [ \"--timeout=0\" ];"),
	  "conf:1: VM a: --timeout 0: it is a number of seconds above 0, such as 2.5\n" },
	/* All of them, not only the first. */
	{ VM("weight = 0;\ncap = \"x\";\nfrob = 1;"),
	  "conf:2: weight is 0: it is a number from 1 to 10000\n"
	  "conf:3: cap must be a whole number\n"
	  "conf:4: no setting frob: there are name, image, modules, append, memory, vcpus, "
	  "weight, cap, affinity, console, restart, start and options\n" },
};

Test(host_config, every_mistake_has_its_line)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct host_config c;
		unsigned n, lines = 0;
		char *errors;

		n = read_text(mistakes[i].text, &c, &errors);
		for (const char *p = errors; *p; p++)
			lines += *p == '\n';
		cr_expect_str_eq(errors, mistakes[i].says, "%s\nsays:\n%snot:\n%s",
				 mistakes[i].text, errors, mistakes[i].says);
		cr_expect_eq(n, lines, "%u mistakes in %u lines: %s", n, lines, errors);
		host_config_free(&c);
		free(errors);
	}
}

Test(host_config, a_path_that_is_too_long_for_a_socket)
{
	char text[512], path[256];
	struct host_config c;
	char *errors;

	memset(path, 'x', 200);
	path[200] = '\0';
	snprintf(text, sizeof(text), VM("console = \"unix:/%s\";"), path);
	cr_expect_eq(read_text(text, &c, &errors), 1);
	cr_expect_eq(strncmp(errors, "conf:2: console: the path /xxx", 30), 0, "%s", errors);
	host_config_free(&c);
	free(errors);
}

Test(host_config, too_many_vms_options_and_files_that_are_none)
{
	struct host_config c;
	char *text = NULL, *errors;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("vms = (", f);
	for (unsigned i = 0; i <= HOST_VMS_MAX; i++)
		fprintf(f, "%s{ name = \"v%u\"; image = \"image\"; }", i ? "," : "", i);
	fputs(");\n", f);
	fclose(f);
	cr_expect_eq(read_text(text, &c, &errors), 1);
	cr_expect_str_eq(errors, "conf:1: there can be 256 VMs\n");
	host_config_free(&c);
	free(errors);
	free(text);

	f = open_memstream(&text, &len);
	fputs("vms = ( { name = \"a\"; image = \"image\"; options = [", f);
	for (unsigned i = 0; i < 70; i++)
		fputs(i ? ",\"--lookahead\"" : "\"--lookahead\"", f);
	fputs("]; } );\n", f);
	fclose(f);
	cr_expect_geq(read_text(text, &c, &errors), 1);
	cr_expect_eq(strncmp(errors, "conf:1: too many options and modules\n", 37), 0, "%s",
		     errors);
	host_config_free(&c);
	free(errors);
	free(text);

	f = open_memstream(&errors, &len);
	cr_expect_eq(host_config_read("/", &c, f), 1);
	host_config_free(&c);
	cr_expect_eq(host_config_read("/nowhere/at/all", &c, f), 1);
	host_config_free(&c);
	fclose(f);
	cr_expect_str_eq(errors, "/: not a file\n/nowhere/at/all: No such file or directory\n");
	free(errors);
}

/* Whatever is in it: sentences or VMs, but no crash (as the sanitizers see it). */
Test(host_config, cut_off_and_damaged_files)
{
	static const char whole[] =
		"pcpus = 2; slice = 2.5;\nvms = ( { name = \"a\"; image = \"image\";\n"
		"modules = [ \"module,text\" ]; affinity = [0]; options = [ \"--smp=2\" ]; } );\n";
	struct host_config c;
	char text[sizeof(whole)];
	unsigned seed = 1;
	char *errors;

	for (size_t cut = 0; cut < sizeof(whole); cut += 3) {
		memcpy(text, whole, sizeof(whole));
		text[cut] = '\0';
		read_text(text, &c, &errors);
		host_config_free(&c);
		free(errors);
	}
	for (int i = 0; i < 150; i++) {
		memcpy(text, whole, sizeof(whole));
		for (int j = 0; j < 3; j++) {
			seed = seed * 1103515245 + 12345;
			text[(seed >> 16) % (sizeof(whole) - 1)] = (char)(1 + (seed >> 8) % 126);
		}
		/* "@include" reads another file: there is none. */
		read_text(text, &c, &errors);
		host_config_free(&c);
		free(errors);
	}
}
