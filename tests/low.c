/* SPDX-License-Identifier: MIT */
/*
 * RAM that this host cannot map (below vm.mmap_min_addr, as an unprivileged user): what the guest
 * does there is emulated, instruction fetches too.
 */
#include <sys/wait.h>

#include "tests/raw_guest.h"

TestSuite(low, .timeout = 30);

/* Reads, writes and runs code in page 0. */
GUEST(low_page,
      "movl $0x1234,0x10\n incl 0x10\n mov 0x10,%ebx\n movl $0xc3404040,0x20\n" /* inc x3 */
      "mov $0x20,%edx\n xor %eax,%eax\n call *%edx\n mov %eax,%ecx\n" DONE);

/* Does this host keep users away from page 0? */
static bool low_is_protected(void)
{
	FILE *f = fopen("/proc/sys/vm/mmap_min_addr", "re");
	unsigned long low = 0;

	if (f) {
		if (fscanf(f, "%lu", &low) != 1)
			low = 0;
		fclose(f);
	}
	return low > 0;
}

static bool low_as_expected(bool privileged)
{
	bool mappable = privileged || !low_is_protected(), ok;
	struct cg g;

	RUN(&g, low_page);
	ok = REG(&g, EBX) == 0x1235 && REG(&g, ECX) == 3;
	/* Emulated exactly where it has to be. */
	ok = ok && (g.v.engine->low_limit == 0) == mappable;
	ok = ok && (account_count(g.v.account, CAUSE_LOW) == 0) == mappable;
	cg_free(&g);
	return ok;
}

Test(low, page_zero_as_root_and_as_nobody)
{
	int status;
	pid_t pid;

	if (getuid() != 0) { /* the unprivileged half is all there is to see */
		cr_expect(low_as_expected(false));
		return;
	}
	cr_expect(low_as_expected(true));
	pid = fork();
	if (pid == 0)
		_exit(setgid(65534) || setuid(65534) ? 2 : !low_as_expected(false));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}
