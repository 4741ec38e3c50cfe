/* SPDX-License-Identifier: MIT */
/* What the self-checks share, and the checks of exceptions and of control registers. */
#include "minios.h"
#include "trap.h"
#include "x86.h"

const char *why(const char *fmt, ...)
{
	static char reason[160];
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	format(reason, sizeof(reason), fmt, ap);
	__builtin_va_end(ap);
	return reason;
}

unsigned run_checks(const struct check *c, unsigned *total)
{
	unsigned failed = 0;
	for (; c->name; c++) {
		const char *reason = c->fn();
		if (reason)
			print("not ok %s: %s\n", c->name, reason);
		else
			print("ok %s\n", c->name);
		failed += reason != NULL;
		++*total;
	}
	return failed;
}

const char *expect_trap(uint32_t vector, uint32_t error, enum trap_kind kind)
{
	uint32_t eip = kind == FAULT ? trap_at : trap_next;
	if (trap_seen.vector == NO_TRAP)
		return why("no trap");
	if (trap_seen.vector != vector)
		return why("trap %u, not %u", trap_seen.vector, vector);
	if (trap_seen.error != error)
		return why("error code %x, not %x", trap_seen.error, error);
	if (trap_seen.eip != eip)
		return why("eip %x, not %x", trap_seen.eip, eip);
	if (trap_seen.cs != SEL_CODE)
		return why("cs %x, not %x", trap_seen.cs, SEL_CODE);
	return NULL;
}

/* ---- exceptions; which and why: SDM Vol. 3A, "Exception and Interrupt Reference" (6.15) ---- */

static const char *check_divide(void)
{
	TRAP("movl $1, %%eax; cdq; xorl %%ecx, %%ecx", "divl %%ecx");
	return expect_trap(0, 0, FAULT);
}

static const char *check_breakpoint(void)
{
	TRAP("", "int3");
	return expect_trap(3, 0, AFTER);
}

static const char *check_overflow(void)
{
	const char *reason;
	TRAP("movb $0x7f, %%al; addb $1, %%al", "into");
	reason = expect_trap(4, 0, AFTER);
	if (reason)
		return reason;
	TRAP("xorl %%eax, %%eax", "into"); /* no overflow, no trap */
	return trap_seen.vector == NO_TRAP ? NULL : why("into trapped without overflow");
}

extern const int32_t bound_pair[2];
const int32_t bound_pair[2] = { 1, 8 };

static const char *check_bound(void)
{
	trap_seen.vector = NO_TRAP;
	__asm__ volatile("bound %0, %1" : : "r"(8), "m"(bound_pair));
	if (trap_seen.vector != NO_TRAP)
		return why("trap inside the bounds");
	TRAP("movl $9, %%eax; movl $bound_pair, %%ecx", "bound %%eax, (%%ecx)");
	return expect_trap(5, 0, FAULT);
}

static const char *check_undefined(void)
{
	TRAP("", "ud2");
	return expect_trap(6, 0, FAULT);
}

static const char *check_general_protection(void)
{
	TRAP("movl $0x90, %%eax", "movl %%eax, %%fs"); /* SEL_BEYOND */
	return expect_trap(13, SEL_BEYOND, FAULT);
}

/* An INT through an absent gate: the error code is the vector's place in the IDT (bit 1). */
static const char *check_gate_absent(void)
{
	idt_set_gate(0x99, GATE_ABSENT);
	TRAP("", "int $0x99");
	idt_set_gate(0x99, GATE_INTERRUPT);
	return expect_trap(11, 0x99 << 3 | 2, FAULT);
}

/* TF: a #DB after each instruction, beginning with the one after the flag was loaded. */
static void set_tf(struct frame *f)
{
	f->eflags |= EFLAGS_TF;
}

static void clear_tf(struct frame *f)
{
	f->eflags &= ~EFLAGS_TF;
	trap_seen = (struct trap){ f->vector, f->error, f->eip, f->cs, f->eflags };
}

static const char *check_single_step(void)
{
	uint32_t want;
	trap_seen.vector = NO_TRAP;
	trap_handle(0x31, set_tf);
	trap_handle(1, clear_tf);
	__asm__ volatile("int $0x31\n\t"
			 "movl $1f, %0\n"
			 "1:	nop\n\t"
			 "nop"
			 : "=r"(want)
			 :
			 : "memory");
	trap_handle(0x31, NULL);
	trap_handle(1, NULL);
	if (trap_seen.vector != 1)
		return why("no debug trap");
	if (trap_seen.eip != want)
		return why("stopped at %x, not %x", trap_seen.eip, want);
	return NULL;
}

/* ---- int n: registers go in and come out, as in a system call ---- */

static void sum_registers(struct frame *f)
{
	f->eax += f->ebx + f->ecx + f->edx + f->esi + f->edi;
	f->ecx = f->vector;
}

static const char *call_int(unsigned vector)
{
	uint32_t eax = 1, ecx = 2, edx = 3;
	trap_handle(vector, sum_registers);
	if (vector == 0x80)
		__asm__ volatile("int $0x80"
				 : "+a"(eax), "+c"(ecx), "+d"(edx)
				 : "b"(10), "S"(20), "D"(30));
	else
		__asm__ volatile("int $0x30"
				 : "+a"(eax), "+c"(ecx), "+d"(edx)
				 : "b"(10), "S"(20), "D"(30));
	trap_handle(vector, NULL);
	if (eax != 66)
		return why("eax %u, not 66", eax);
	if (ecx != vector)
		return why("vector %x, not %x", ecx, vector);
	return edx == 3 ? NULL : why("edx changed to %u", edx);
}

static const char *check_int_30(void)
{
	return call_int(0x30);
}

static const char *check_int_80(void)
{
	return call_int(0x80);
}

/* ---- control registers ---- */

static const char *check_cr0(void)
{
	uint32_t cr0 = READ_CR(0);
	if (!(cr0 & 1))
		return why("PE is clear in CR0 %x", cr0);
	if (cr0 >> 31)
		return why("PG is set in CR0 %x", cr0);
	WRITE_CR(0, cr0 | 8);
	if (!(READ_CR(0) & 8))
		return why("TS cannot be set");
	__asm__ volatile("clts");
	if (READ_CR(0) & 8)
		return why("clts left TS set");
	WRITE_CR(0, cr0);
	return NULL;
}

static const char *check_cr2_cr3(void)
{
	WRITE_CR(2, 0x12345678);
	if (READ_CR(2) != 0x12345678)
		return why("cr2 reads %x", READ_CR(2));
	WRITE_CR(3, 0x00345000); /* paging is off: nobody looks there */
	if (READ_CR(3) != 0x00345000)
		return why("cr3 reads %x", READ_CR(3));
	WRITE_CR(2, 0);
	WRITE_CR(3, 0);
	return NULL;
}

static const char *check_debug_registers(void)
{
	uint32_t val;
	__asm__ volatile("movl %1, %%db0\n\tmovl %%db0, %0" : "=r"(val) : "r"(0xcafef00d));
	__asm__ volatile("movl %0, %%db0" : : "r"(0));
	return val == 0xcafef00d ? NULL : why("dr0 reads %x", val);
}

static const char *check_cpuid(void)
{
	uint32_t r[4];
	cpuid(0, r);
	if (r[0] < 1)
		return why("leaf 1 is missing");
	for (unsigned i = 1; i < 4; i++) {
		for (unsigned bit = 0; bit < 32; bit += 8) {
			uint8_t c = (uint8_t)(r[i] >> bit);
			if (c < ' ' || c > '~')
				return why("the vendor holds a byte %x", c);
		}
	}
	return NULL;
}

static const char *check_tsc(void)
{
	uint64_t before = rdtsc(), after;
	for (volatile unsigned i = 0; i < 1000; i++)
		;
	after = rdtsc();
	return after > before ? NULL : why("the time stamp counter stands still");
}

#define MSR_APIC_BASE 0x1b

static const char *check_msr(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);
	if ((uint32_t)(base & ~0xfffull) != LAPIC_BASE || base >> 32)
		return why("the APIC is at %x", (uint32_t)base);
	return base & 0x800 ? NULL : why("the APIC is switched off");
}

const struct check cpu_checks[] = {
	{ "divide error", check_divide },
	{ "single step", check_single_step },
	{ "breakpoint", check_breakpoint },
	{ "overflow", check_overflow },
	{ "bound", check_bound },
	{ "undefined opcode", check_undefined },
	{ "general protection", check_general_protection },
	{ "absent gate", check_gate_absent },
	{ "int 0x30", check_int_30 },
	{ "int 0x80", check_int_80 },
	{ "cr0", check_cr0 },
	{ "cr2 and cr3", check_cr2_cr3 },
	{ "debug registers", check_debug_registers },
	{ "cpuid", check_cpuid },
	{ "time stamp counter", check_tsc },
	{ "apic base msr", check_msr },
	{ NULL, NULL },
};
