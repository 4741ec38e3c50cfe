/* SPDX-License-Identifier: MIT */
/*
 * The engine `kvm` on kvm_amd, in a machine with AMD's SVM that QEMU emulates: the same guest
 * output as the world engine's.  (tests/kvm.c is about the KVM of the machine we are on.)
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"
#include "tests/nested.h"

TestSuite(nested, .timeout = 400);

#define GOOD 33 /* what the guest's exit port makes of 0x10 */

static const char *programs(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/minios-programs.a", getenv("GUESTS"));
	return path;
}

/* The same on the world engine, here. */
static const struct {
	const char *job, *smp, *args, *input;
	bool module;
} minios[] = {
	{ "checks", "1", "demo", NULL, false },
	{ "script", "2", "script=hello a;primes 50;! nosuch;crash;forktest;lazy;hello", NULL,
	  true },
	{ "stress", "2", "script=stress 3", NULL, true },
	{ "smp-stress", "4", "smp-stress=2", NULL, false },
	{ "shell", "2", "sh", "hello a\nsleep 20 &\nwait\nhello\nexit\n", true },
};

static void on_world(struct child *c, size_t i)
{
	*c = (struct child){ .argv = { child_ringside(), "run", "-m", "64", "--smp", minios[i].smp,
				       child_guest("minios"), "--append", minios[i].args,
				       minios[i].module ? "--module" : NULL, programs(), NULL },
			     .input = minios[i].input,
			     .seconds = 60 };
	child_run(c);
	cr_assert_eq(c->status, GOOD, "%s: status %d\n%s%s", minios[i].job, c->status, c->out,
		     c->err);
}

static void minios_on(const char *cpu, unsigned seconds)
{
	static const char *const chips[] = { "user", "kernel" };
	static struct child world;
	struct nested n;

	nested_run(&n, cpu, "minios", seconds);
	for (size_t i = 0; i < sizeof(minios) / sizeof(minios[0]); i++) {
		on_world(&world, i);
		for (size_t k = 0; k < 2; k++) {
			char name[32], *out;
			int status;

			snprintf(name, sizeof(name), "%s-%s", minios[i].job, chips[k]);
			out = nested_output(&n, name, &status);
			cr_expect_eq(status, GOOD, "%s: status %d", name, status);
			cr_expect_str_eq(out, world.out, "--- %s on %s:\n%s\n--- world:\n%s", name,
					 cpu, out, world.out);
		}
	}
	nested_free(&n);
}

Test(nested, minios_prints_the_same_on_kvm_amd)
{
	minios_on("amd", 120);
}

Test(nested, minios_prints_the_same_on_kvm_intel)
{
	minios_on("intel", 300);
}
