/* SPDX-License-Identifier: MIT */
/* What is written about the program, against the program.  Runs in the top directory, as make does.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"
#include "vmm/cli.h"

static char *read_doc(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	cr_assert_not_null(f, "no %s here", path);
	cr_assert_gt(getdelim(&text, &size, '\0', f), 0, "%s is empty", path);
	fclose(f);
	return text;
}

Test(docs, the_table_is_as_printed)
{
	char *doc = read_doc("docs/sensitive-instructions.md"), *text = NULL;
	size_t len;
	FILE *m = open_memstream(&text, &len);

	cr_assert_eq(table_print(TABLE_MARKDOWN, m), 0);
	fclose(m);
	cr_expect(strcmp(doc, text) == 0,
		  "docs/sensitive-instructions.md is not what `ringside table --markdown` prints: "
		  "run `make docs`");
	free(doc);
	free(text);
}

/* Every long option that the help lists, with at least one dash, which is enough. */
static void expect_options(const char *help, const char *doc, const char *dash, const char *path,
			   unsigned at_least)
{
	unsigned n = 0;

	for (const char *p = help; (p = strstr(p, "--")); p += 2) {
		int len = (int)strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-");
		char name[64], escaped[128] = "";

		if (len < 2 || (p > help && !isspace((unsigned char)p[-1])))
			continue;
		snprintf(name, sizeof(name), "%.*s", len, p + 2);
		strcat(escaped, dash);
		for (const char *c = name; *c; c++)
			strncat(escaped, *c == '-' ? dash : c, *c == '-' ? strlen(dash) : 1);
		cr_expect_not_null(strstr(doc, escaped), "%s does not mention --%s", path, name);
		n++;
	}
	cr_expect_geq(n, at_least, "only %u options in the help", n);
}

Test(docs, every_option_is_in_the_readme_and_in_the_manual)
{
	static struct child c;
	char *man = read_doc("docs/ringside.1"), *readme = read_doc("README.md");

	c = (struct child){ .argv = { child_ringside(), "run", "--help" } };
	child_run(&c);
	expect_options(c.out, man, "\\-", "docs/ringside.1", 12);
	expect_options(c.out, readme, "-", "README.md", 12);
	free(man);
	free(readme);
}

Test(docs, host_and_its_clients_are_in_the_manual_and_in_their_page)
{
	static const char *const commands[] = { "host", "ctl", "top" };
	static struct child c;
	char *man = read_doc("docs/ringside.1"), *page = read_doc("docs/host.md");

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		c = (struct child){ .argv = { child_ringside(), commands[i], "--help" } };
		child_run(&c);
		cr_expect_eq(c.status, 0);
		expect_options(c.out, man, "\\-", "docs/ringside.1", 2);
		expect_options(c.out, page, "-", "docs/host.md", 2);
	}
	free(man);
	free(page);
}
