/* SPDX-License-Identifier: MIT */
/* One world without a run loop: machine code in guest RAM, one run, what came back. */
#ifndef RINGSIDE_TESTS_WORLD_FIXTURE_H
#define RINGSIDE_TESTS_WORLD_FIXTURE_H

#include <criterion/criterion.h>
#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/tsc.h"
#include "vmm/world/world.h"

#define RAM  (8u << 20)
#define CODE 0x100000u
#define DATA 0x200000u
#define GDT  0x1000u

struct fixture {
	struct vm vm;
	struct vcpu v;
	struct exit x;
};

__attribute__((unused)) static void start(struct fixture *f)
{
	cr_assert_eq(vm_init(&f->vm, RAM), 0, "%s", f->vm.death);
	memset(&f->v, 0, sizeof(f->v));
	f->v.vm = &f->vm;
	f->vm.vcpu[0] = &f->v;
	f->vm.vcpus = 1;
	vcpu_boot_multiboot(&f->v, CODE, 0, 0);
	f->v.regs.gpr[ESP] = DATA + 0x1000;
	cr_assert_eq(world_engine.create(&f->v, &f->v.engine), 0, "%s", f->vm.death);
	cr_assert_eq(world_engine.map(f->v.engine, CODE, CODE, RAM - CODE, MAP_R | MAP_W | MAP_X),
		     0);
}

__attribute__((unused)) static void stop(struct fixture *f)
{
	world_engine.destroy(f->v.engine);
	vm_destroy(&f->vm);
}

__attribute__((unused)) static void code(struct fixture *f, const void *bytes, size_t len)
{
	memcpy(f->vm.ram + CODE, bytes, len);
	f->v.regs.eip = CODE;
}
#define CODE_IS(f, ...) \
	code(f, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define LE32(n) (uint8_t)(n), (uint8_t)((n) >> 8), (uint8_t)((n) >> 16), (uint8_t)((n) >> 24)

__attribute__((unused)) static void run(struct fixture *f, unsigned flags)
{
	cr_assert_eq(world_engine.run(f->v.engine, flags, &f->x), 0, "%s", f->vm.death);
}

#define EXPECT_EXIT(f, r, vec, at)                                                              \
	do {                                                                                    \
		cr_expect_eq((f)->x.reason, r, "exit reason %d, vector %d, error %#x, gva %#x", \
			     (f)->x.reason, (f)->x.vector, (f)->x.error, (f)->x.gva);           \
		cr_expect_eq((f)->x.vector, vec, "vector %d", (f)->x.vector);                   \
		cr_expect_eq((f)->v.regs.eip, at, "eip %#x", (f)->v.regs.eip);                  \
	} while (0)

/* 8-byte descriptor; SDM Vol. 3A, "Segment Descriptors" (3.4.5). */
__attribute__((unused)) static void gdt_set(struct fixture *f, unsigned index, uint32_t base,
					    uint32_t limit, uint8_t access, uint8_t flags)
{
	uint64_t d = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
		     (uint64_t)((limit >> 16 & 0xf) | (unsigned)flags << 4) << 48 |
		     (uint64_t)(base >> 24) << 56;

	memcpy(f->vm.ram + GDT + 8 * index, &d, 8);
	f->v.sh.gdtr.base = GDT;
	if (f->v.sh.gdtr.limit < 8 * index + 7)
		f->v.sh.gdtr.limit = (uint16_t)(8 * index + 7);
}

#endif
