/* SPDX-License-Identifier: MIT */
/* forktest: does fork() do what it should?  Also when there are many. */
#include "user.h"

#define PAGE 4096u

static int in_data = 1, in_bss;
static uint8_t many[64 * PAGE];

static bool check(const char *name, bool good)
{
	printf("%s %s\n", good ? "ok" : "not ok", name);
	return good;
}

/* Whether a child that runs @fn ends with status 0; it may not disturb us. */
static bool child(bool (*fn)(void))
{
	int status = -1, pid = fork();
	if (pid == 0)
		exit(fn() ? 0 : 1);
	return pid > 0 && wait(pid, &status, false) == pid && status == 0;
}

static bool scribble(void)
{
	in_data = 2;
	in_bss = 2;
	for (uint32_t i = 0; i < sizeof(many); i += PAGE) {
		if (many[i] != (uint8_t)(i / PAGE))
			return false;
		if (i < 8 * PAGE) /* the kernel writes there, for us: just the same */
			process(0, (struct process_info *)(many + i));
		else
			many[i] = 0xff;
	}
	return true;
}

/* A child gets a copy of everything, and what it then does to it is its own business. */
static bool memory_is_separate(void)
{
	volatile int on_stack = 1;
	bool good;
	for (uint32_t i = 0; i < sizeof(many); i += PAGE)
		many[i] = (uint8_t)(i / PAGE);
	good = child(scribble);
	for (uint32_t i = 0; i < sizeof(many); i += PAGE)
		good &= many[i] == (uint8_t)(i / PAGE);
	return good && on_stack == 1 && in_data == 1 && in_bss == 0;
}

/* A child's child, and its child: what each sees is what its parent had. */
static bool generation(void)
{
	in_bss++;
	return in_bss == 8 || child(generation);
}

/* More than the process table can hold. */
static bool table_fills_up(void)
{
	int count = 0, sum = 0, want = 0, status, pid;
	for (;;) {
		pid = fork();
		if (pid == 0) {
			sleep(50); /* so that all are alive at the same time */
			exit(count + 1);
		}
		if (pid < 0)
			break;
		want += ++count;
	}
	while (wait(-1, &status, false) > 0)
		sum += status;
	printf("%d children, then error %d\n", count, pid);
	return pid == ERR_AGAIN && count > 20 && sum == want;
}

static bool one_after_the_other(void)
{
	for (int i = 0; i < 100; i++) {
		int status = -1, pid = fork();
		if (pid == 0)
			exit(i);
		if (pid < 0 || wait(pid, &status, false) != pid || status != i)
			return false;
	}
	return true;
}

static bool kill_ends_a_sleeper(void)
{
	int status = -1, pid = fork();
	if (pid == 0) {
		sleep(60000);
		exit(0);
	}
	yield(); /* let it fall asleep */
	return kill(pid) == 0 && wait(pid, &status, false) == pid && status == STATUS_KILLED;
}

static bool kill_ends_a_worker(void)
{
	int status = -1, pid = fork();
	if (pid == 0)
		for (;;)
			;
	sleep(30);
	return kill(pid) == 0 && wait(pid, &status, false) == pid && status == STATUS_KILLED;
}

static bool errors_are_told(void)
{
	static const char *const none[] = { "none", NULL };
	return wait(-1, NULL, false) == ERR_CHILD && kill(12345) == ERR_PROCESS &&
	       exec("none", none) == ERR_ABSENT && read(7, many, 1) == ERR_ARGUMENT;
}

int main(int argc, char **argv)
{
	int before, failed = 0;
	(void)argc;
	(void)argv;
	failed += !check("memory is separate", memory_is_separate());
	before = frames();
	failed += !check("memory is separate, again", memory_is_separate());
	failed += !check("eight generations", child(generation));
	failed += !check("a hundred, one after the other", one_after_the_other());
	failed += !check("as many as there may be", table_fills_up());
	failed += !check("kill ends a sleeper", kill_ends_a_sleeper());
	failed += !check("kill ends a worker", kill_ends_a_worker());
	failed += !check("errors are told", errors_are_told());
	failed += !check("all memory came back", frames() == before);
	return failed != 0;
}
