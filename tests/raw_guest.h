/* SPDX-License-Identifier: MIT */
/*
 * Small guests assembled inside a test and run by the real run loop in a real world, without
 * devices but the one that ends them.
 */
#ifndef RINGSIDE_TESTS_RAW_GUEST_H
#define RINGSIDE_TESTS_RAW_GUEST_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/shadow.h"
#include "vmm/world/world.h"

#define CG_RAM  (4u << 20)
#define CG_CODE 0x100000u

/*
 * 32-bit code between the labels NAME and NAME_end.  It runs at CG_CODE, is done with
 * "out %al,$0xf4", and leaves its results in registers.  A(label) is a label's address at run time.
 */
#define GUEST(name, text)                                                                \
	extern const uint8_t name[], name##_end[];                                       \
	__asm__(".pushsection .rodata\n"                                                 \
		".balign 4096\n"                                                         \
		".set base, .\n" #name ":\n.code32\n" text "\n.code64\n" #name "_end:\n" \
		".popsection\n")
#define A(label) "(0x100000 + " label " - base)"
#define DONE     "out %al,$0xf4\n jmp .\n"

struct cg {
	struct vm vm;
	struct vcpu v;
	struct code_stats st;
	struct shadow_stats sh;
};

__attribute__((unused)) static void cg_done(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	(void)off;
	(void)width;
	(void)val;
	vm_end(dev, VM_EXITED, 0);
}

__attribute__((unused)) static uint32_t cg_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev;
	(void)off;
	(void)width;
	return 0;
}

/* All but the engine @ops of it. */
__attribute__((unused)) static void cg_prepare(struct cg *g, const struct engine_ops *ops,
					       const uint8_t *code, const uint8_t *end)
{
	struct bus_range r = {
		.name = "done", .base = 0xf4, .len = 1, .read = cg_read, .write = cg_done
	};

	memset(g, 0, sizeof(*g));
	cr_assert_eq(vm_init(&g->vm, CG_RAM), 0, "%s", g->vm.death);
	r.dev = &g->vm;
	cr_assert_eq(bus_add(&g->vm.pio, &r), 0);
	g->v.vm = &g->vm;
	g->v.account = account_new();
	g->vm.vcpu[0] = &g->v;
	g->vm.vcpus = 1;
	g->vm.engine_ops = ops;
	vcpu_boot_multiboot(&g->v, CG_CODE, 0, 0);
	g->v.regs.gpr[ESP] = 0x200000;
	memcpy(g->vm.ram + CG_CODE, code, (size_t)(end - code));
}

__attribute__((unused)) static void cg_load(struct cg *g, const uint8_t *code, const uint8_t *end)
{
	cg_prepare(g, &world_engine, code, end);
	cr_assert_eq(world_engine.create(&g->v, &g->v.engine), 0, "%s", g->vm.death);
}

__attribute__((unused)) static void cg_go(struct cg *g)
{
	vcpu_run(&g->v);
	cr_expect_eq(atomic_load(&g->vm.end), VM_EXITED, "%s (eip %#x)", g->vm.death,
		     g->v.regs.eip);
	code_get_stats(g->vm.code, &g->st);
	shadow_get_stats(&g->vm, &g->sh);
}

__attribute__((unused)) static void cg_free(struct cg *g)
{
	shadow_free(&g->v);
	account_free(g->v.account);
	vm_destroy(&g->vm);
}

#define RUN(g, name)                          \
	do {                                  \
		cg_load(g, name, name##_end); \
		cg_go(g);                     \
	} while (0)
#define REG(g, r) ((g)->v.regs.gpr[r])

#endif
