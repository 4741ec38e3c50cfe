/* SPDX-License-Identifier: MIT */
/*
 * Guests that try to break out, each with the end it must come to.  What each tries is written in
 * tests/hostile/NAME.S.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"

/* Arrays, not pointers: Criterion hands a row to another process. */
struct hostile_guest {
	char image[24];
	int status, or_status; /* the second 0 if there is only one */
	char says[64];         /* must be on standard error if the VM died (status 3) */
	char timeout[4];       /* seconds; "" is 60 */
};

static struct hostile_guest hostile_guests[] = {
	{ "int80", 33, 0, "", "" },
	{ "ints", 33, 0, "", "" },
	{ "syscall", 33, 0, "", "" },
	{ "sysenter", 33, 0, "", "" },
	{ "far64-syscall", 3, 0, "system call", "" },
	{ "far64-exit", 3, 0, "system call", "" },
	{ "far64-int80", 3, 0, "system call", "" },
	{ "far64-plain", 33, 3, "system call", "" },
	{ "far64-iret", 33, 3, "system call", "" },
	{ "far64-sigreturn", 3, 124, "the guest died", "3" },
	{ "far64-wake", 124, 3, "the guest died", "3" },
	{ "far64-requeue", 3, 0, "system call", "5" },
	{ "far64-steal", 3, 0, "system call", "5" },
	{ "far64-burn", 3, 0, "more CPU time than", "20" },
	{ "far64-loop", 124, 0, "", "2" },
	{ "far64-back", 33, 3, "the guest died", "" },
	{ "far64-read", 3, 0, "compatibility mode", "" },
	{ "scribble-ones", 3, 124, "the guest died", "3" },
	{ "scribble-zero", 3, 124, "the guest died", "3" },
	{ "scribble-random", 3, 124, "the guest died", "3" },
	{ "scribble-turn", 3, 124, "the guest died", "3" },
	{ "scribble-control", 3, 0, "compatibility mode", "" },
	{ "scribble-stub", 3, 0, "compatibility mode", "" },
	{ "esp-garbage", 33, 0, "", "" },
	{ "esp-frame", 33, 0, "", "" },
	{ "eflags", 33, 0, "", "" },
	{ "eflags-vm", 3, 33, "virtual-8086", "" },
	{ "triple", 3, 0, "triple fault", "" },
	{ "edge-ram-end", 3, 0, "0x1000000", "" },
	{ "edge-ram-straddle", 3, 0, "0x1000000", "" },
	{ "edge-top", 3, 0, "0xfffffffe", "" },
	{ "edge-lapic", 3, 0, "0xfee00000", "" },
	{ "edge-hole", 3, 0, "0xd0000000", "" },
	{ "edge-idt", 3, 0, "0xd0000000", "" },
	{ "edge-data", 33, 0, "", "" },
	{ "flood", 33, 0, "", "120" },
	{ "segs", 33, 0, "", "" },
	{ "ldt", 33, 0, "", "" },
};
#define HOSTILE_GUESTS (sizeof(hostile_guests) / sizeof(hostile_guests[0]))

ParameterizedTestParameters(hostile, comes_to_the_end_it_must)
{
	return cr_make_param_array(struct hostile_guest, hostile_guests, HOSTILE_GUESTS, NULL);
}

ParameterizedTest(struct hostile_guest *h, hostile, comes_to_the_end_it_must, .timeout = 200)
{
	static struct child c = { .seconds = 150 };
	char name[40];

	snprintf(name, sizeof(name), "hostile-%s", h->image);
	c.argv[0] = child_ringside();
	c.argv[1] = "run";
	c.argv[2] = child_guest(name);
	c.argv[3] = "-m";
	c.argv[4] = "16";
	c.argv[5] = "--timeout";
	c.argv[6] = *h->timeout ? h->timeout : "60";
	child_run(&c);
	cr_assert(c.status == h->status || (h->or_status && c.status == h->or_status),
		  "%s: status %d, not %d\n--- standard output:\n%s\n--- standard error:\n%s",
		  h->image, c.status, h->status, c.out, c.err);
	cr_expect_null(strstr(c.out, "BREACH"), "%s: %s", h->image, c.out);
	cr_expect_null(strstr(c.err, "BREACH"), "%s: %s", h->image, c.err);
	if (c.status == 3)
		cr_expect_not_null(strstr(c.err, h->says), "%s: no \"%s\" in\n%s", h->image,
				   h->says, c.err);
	if (c.status == 33)
		cr_expect_not_null(strstr(c.out, "ok\n"), "%s: %s", h->image, c.out);
}

/* An image without a row would never be run. */
Test(hostile, every_image_has_a_row)
{
	const char *dir = getenv("GUESTS");
	struct dirent *e;
	unsigned seen = 0;
	DIR *d;

	cr_assert_not_null(dir, "set GUESTS to the directory of guest images, or use `make test`");
	d = opendir(dir);
	cr_assert_not_null(d, "%s", dir);
	while ((e = readdir(d))) {
		char name[256];
		bool found = false;
		if (sscanf(e->d_name, "hostile-%250[^.].elf", name) != 1 ||
		    !strstr(e->d_name, ".elf"))
			continue;
		for (size_t i = 0; i < HOSTILE_GUESTS; i++)
			found |= !strcmp(hostile_guests[i].image, name);
		cr_expect(found, "hostile-%s.elf is in no row", name);
		seen++;
	}
	closedir(d);
	cr_expect_geq(seen, HOSTILE_GUESTS, "only %u images for %zu rows", seen, HOSTILE_GUESTS);
}
