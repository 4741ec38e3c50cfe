/* SPDX-License-Identifier: MIT */
/*
 * The shell, and process 1.
 *
 *     PROGRAM ARGS       run a program and wait until it ends
 *     PROGRAM ARGS &     run it and go on at once
 *     ! PROGRAM ARGS     the same as the first, and its failure is what we want
 *     LINE; LINE         one after the other
 *     wait               until everything that was started with & has ended
 *     help, exit
 *
 * sh reads lines from the console until one says exit.  sh -c LINE executes the line and waits for
 * what it started with &, unless the line says exit; its status is 0 if no command failed.
 */
#include "user.h"

static int failures;
static bool leaving;

static void help(void)
{
	char name[NAME_MAX];
	printf("PROGRAM ARGS; PROGRAM ARGS &; ! PROGRAM ARGS; wait; help; exit\nprograms:");
	for (uint32_t i = 0; program(i, name) == 0; i++)
		printf(" %s", name);
	printf("\n");
}

static void run(char **argv, bool background, bool want_failure)
{
	int status = 0, pid = fork();
	if (pid == 0) {
		int error = exec(argv[0], (const char *const *)argv);
		if (error == ERR_ABSENT)
			printf("sh: %s: no such program\n", argv[0]);
		else
			printf("sh: %s: error %d\n", argv[0], error);
		exit(127);
	}
	if (pid < 0) {
		printf("sh: fork: error %d\n", pid);
		failures++;
		return;
	}
	if (background)
		return;
	wait(pid, &status, false);
	failures += (status != 0) != want_failure;
}

/* Note the ends of children that nobody waits for; if @all, wait for every one. */
static void collect(bool all)
{
	int status;
	while (wait(-1, &status, !all) > 0)
		failures += status != 0;
}

static void command(char *line)
{
	char *argv[ARGS_MAX], **first = argv;
	int argc = 0;
	bool background = false, want_failure = false;

	while (argc < ARGS_MAX - 1) {
		while (*line == ' ')
			*line++ = 0;
		if (!*line)
			break;
		argv[argc++] = line;
		while (*line && *line != ' ')
			line++;
	}
	if (argc && !strcmp(argv[argc - 1], "&")) {
		background = true;
		argc--;
	}
	argv[argc] = NULL;
	if (argc && !strcmp(argv[0], "!")) {
		want_failure = true;
		first++;
	}
	if (!first[0])
		return;
	collect(false);
	if (!strcmp(first[0], "help"))
		help();
	else if (!strcmp(first[0], "wait"))
		collect(true);
	else if (!strcmp(first[0], "exit"))
		leaving = true;
	else
		run(first, background, want_failure);
}

static void execute(char *line)
{
	while (*line && !leaving) {
		char *end = line;
		bool last;
		while (*end && *end != ';' && *end != '\n')
			end++;
		last = !*end;
		*end = 0;
		command(line);
		if (last)
			break;
		line = end + 1;
	}
}

int main(int argc, char **argv)
{
	static char line[ARGS_SIZE];
	if (argc == 3 && !strcmp(argv[1], "-c")) {
		execute(argv[2]);
		if (!leaving)
			collect(true);
		return failures != 0;
	}
	printf("minios shell; help helps\n");
	while (!leaving) {
		int n;
		printf("$ ");
		n = read(0, line, sizeof(line) - 1);
		if (n < 0)
			return 1;
		line[n] = 0;
		execute(line);
	}
	return 0;
}
