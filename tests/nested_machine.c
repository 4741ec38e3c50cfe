/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/nested.h"

#define BOOT "tests/nested/boot"

static const char *from_make(const char *name)
{
	const char *value = getenv(name);

	cr_assert_not_null(value, "set %s, or use `make test`", name);
	return value;
}

void nested_run(struct nested *n, const char *cpu, const char *job, unsigned seconds)
{
	static struct child c;
	char path[128], limit[16];

	strcpy(n->dir, "/tmp/ringside-nested-XXXXXX");
	cr_assert_not_null(mkdtemp(n->dir), "%s: %s", n->dir, strerror(errno));
	snprintf(path, sizeof(path), "tests/nested/jobs/%s.sh", job);
	snprintf(limit, sizeof(limit), "%u", seconds);
	c = (struct child){ .argv = { BOOT, "-c", cpu, "-s", limit, from_make("NESTED_BASE"),
				      from_make("NESTED_LINUX"), path, n->dir, NULL },
			    .seconds = seconds + 20 };
	child_run(&c);
	cr_assert_eq(c.status, 0, "%s on %s: status %d\n%s%s", job, cpu, c.status, c.out, c.err);
}

void nested_free(struct nested *n)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", n->dir);
	cr_assert_eq(system(command), 0);
}

static size_t read_file(const struct nested *n, const char *name, const char *suffix, char *buf,
			size_t size)
{
	char path[192];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.%s", n->dir, name, suffix);
	f = fopen(path, "r");
	cr_assert_not_null(f, "%s: %s", path, strerror(errno));
	len = fread(buf, 1, size - 1, f);
	cr_assert_lt(len, size - 1, "%s is too long", path);
	buf[len] = 0;
	fclose(f);
	return len;
}

char *nested_output(const struct nested *n, const char *name, int *status)
{
	static char out[NESTED_OUTPUT_MAX];
	char number[16];
	size_t len;

	read_file(n, name, "status", number, sizeof(number));
	*status = atoi(number);
	len = read_file(n, name, "out", out, sizeof(out));
	/* The machine ends each output with a newline of its own. */
	if (len && out[len - 1] == '\n')
		out[len - 1] = 0;
	return out;
}
