/* SPDX-License-Identifier: MIT */
/*
 * Checks of segmentation and of far transfers of control.
 *
 * FS is the register to play with: the compiler's code needs the others flat.
 * Accesses beyond a limit and through a null segment are not checked here, because QEMU's own
 * emulation lets them pass; tests/hostile/segs.S has them.
 * Source: SDM Vol. 3A, "Segment Registers" (3.4.3), "Segment Descriptor Tables" (3.5.1).
 */
#include "minios.h"
#include "trap.h"
#include "x86.h"

static volatile uint32_t window[16]; /* what FS sees */

static inline void load_fs(uint32_t sel)
{
	__asm__ volatile("movl %0, %%fs" : : "r"(sel) : "memory");
}

static inline uint32_t fs_read(uint32_t off)
{
	uint32_t val;
	__asm__ volatile("movl %%fs:(%1), %0" : "=r"(val) : "r"(off) : "memory");
	return val;
}

static inline void fs_write(uint32_t off, uint32_t val)
{
	__asm__ volatile("movl %0, %%fs:(%1)" : : "r"(val), "r"(off) : "memory");
}

/* The window through FS, whichever table it came from. */
static const char *look_through(void)
{
	window[1] = 0x1111;
	if (fs_read(4) != 0x1111)
		return why("fs:4 reads %x, not 1111", fs_read(4));
	fs_write(8, 0x2222);
	if (window[2] != 0x2222)
		return why("fs:8 was written, but memory holds %x", window[2]);
	return NULL;
}

static const char *check_gdt(void)
{
	/* gdt_init() has loaded CS, DS, ES, SS; that we are here says that they work.  So: again.
	 */
	gdt_init(0);
	window[0] = 0xabcd;
	return window[0] == 0xabcd ? NULL : why("data segment does not work");
}

static const char *check_based(void)
{
	const char *reason;
	gdt_set_window((uint32_t)window, 63);
	load_fs(SEL_WINDOW);
	reason = look_through();
	load_fs(0);
	return reason;
}

static const char *check_accessed(void)
{
	gdt_set_window((uint32_t)window, 63);
	if (gdt_access(SEL_WINDOW) & 1)
		return why("accessed bit set before the load");
	load_fs(SEL_WINDOW);
	load_fs(0);
	return gdt_access(SEL_WINDOW) & 1 ? NULL : why("a load left the accessed bit clear");
}

/* The register keeps what it loaded, whatever happens to the table afterwards. */
static const char *check_hidden(void)
{
	const char *reason;
	gdt_set_window((uint32_t)window, 63);
	load_fs(SEL_WINDOW);
	gdt_set_window(0, 0);
	reason = look_through();
	load_fs(0);
	return reason;
}

static const char *check_absent(void)
{
	const char *reason;
	TRAP("movl $0x38, %%eax", "movl %%eax, %%fs"); /* SEL_ABSENT */
	reason = expect_trap(11, SEL_ABSENT, FAULT);
	if (reason)
		return reason;
	TRAP("movl $0x38, %%eax", "movl %%eax, %%ss");
	return expect_trap(12, SEL_ABSENT, FAULT);
}

/* SS may not be null, nor read-only, nor code. */
static const char *check_stack_segment(void)
{
	const char *reason;
	TRAP("xorl %%eax, %%eax", "movl %%eax, %%ss");
	reason = expect_trap(13, 0, FAULT);
	if (reason)
		return reason;
	TRAP("movl $0x08, %%eax", "movl %%eax, %%ss"); /* SEL_CODE */
	return expect_trap(13, SEL_CODE, FAULT);
}

static const char *check_pop_and_lfs(void)
{
	struct {
		uint32_t offset;
		uint16_t sel;
	} __attribute__((packed)) far_pointer = { 4, SEL_WINDOW };
	uint32_t off;
	const char *reason;

	gdt_set_window((uint32_t)window, 63);
	__asm__ volatile("pushl %0\n\tpopl %%fs" : : "i"(SEL_WINDOW) : "memory");
	reason = look_through();
	load_fs(0);
	if (reason)
		return reason;
	__asm__ volatile("lfs %1, %0" : "=r"(off) : "m"(far_pointer) : "memory");
	reason = off == 4 ? look_through() : why("lfs loaded the offset %x", off);
	load_fs(0);
	return reason;
}

static const char *check_ldt(void)
{
	const char *reason;
	ldt_set_window((uint32_t)window, 63);
	__asm__ volatile("lldt %w0" : : "r"(SEL_LDT) : "memory");
	load_fs(LDT_WINDOW);
	reason = look_through();
	load_fs(0);
	__asm__ volatile("lldt %w0" : : "r"(0));
	if (reason)
		return reason;
	TRAP("movl $4, %%eax", "movl %%eax, %%fs"); /* LDT_WINDOW, and no table any more */
	return expect_trap(13, LDT_WINDOW, FAULT);
}

static const char *check_task_register(void)
{
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
	if (gdt_access(SEL_TSS) != 0x8b)
		return why("ltr made the access byte %x, not 8b", gdt_access(SEL_TSS));
	TRAP("movl $0x40, %%eax", "ltr %%ax"); /* SEL_TSS: busy now */
	return expect_trap(13, SEL_TSS, FAULT);
}

/* ---- far transfers ---- */

static const char *check_far_jump(void)
{
	static struct {
		uint32_t offset;
		uint16_t sel;
	} __attribute__((packed)) target = { 0, SEL_CODE };
	uint32_t steps = 0;

	__asm__ volatile("ljmp %2, $1f\n"
			 "2:	addl $2, %0\n\t"
			 "movl $3f, %1\n\t"
			 "ljmp *%1\n"
			 "1:	addl $1, %0\n\t"
			 "jmp 2b\n"
			 "3:	addl $4, %0"
			 : "+r"(steps), "+m"(target)
			 : "i"(SEL_CODE2)
			 : "memory", "cc");
	return steps == 7 ? NULL : why("went through %x, not 7", steps);
}

static const char *check_far_call(void)
{
	uint32_t steps = 0, before, after;
	__asm__ volatile("movl %%esp, %1\n\t"
			 "lcall %3, $1f\n\t"
			 "addl $2, %0\n\t"
			 "jmp 2f\n"
			 "1:	addl $1, %0\n\t"
			 "lret\n"
			 "2:	movl %%esp, %2"
			 : "+r"(steps), "=&r"(before), "=&r"(after)
			 : "i"(SEL_CODE)
			 : "memory", "cc");
	if (steps != 3)
		return why("went through %x, not 3", steps);
	return before == after ? NULL : why("the stack moved from %x to %x", before, after);
}

/* A return that also takes 8 bytes of arguments off the stack. */
static const char *check_far_return(void)
{
	uint32_t got = 0, before, after;
	__asm__ volatile("movl %%esp, %1\n\t"
			 "pushl $0x55\n\t"
			 "pushl $0x66\n\t"
			 "lcall %3, $1f\n\t"
			 "jmp 2f\n"
			 "1:	movl 8(%%esp), %0\n\t"
			 "lret $8\n"
			 "2:	movl %%esp, %2"
			 : "=&r"(got), "=&r"(before), "=&r"(after)
			 : "i"(SEL_CODE)
			 : "memory");
	if (got != 0x66)
		return why("the argument is %x, not 66", got);
	return before == after ? NULL : why("the stack moved from %x to %x", before, after);
}

static const char *check_iret(void)
{
	uint32_t done = 0, before, after;
	__asm__ volatile("movl %%esp, %1\n\t"
			 "pushl $0x2\n\t" /* EFLAGS: nothing but the bit that is always one */
			 "pushl %3\n\t"
			 "pushl $1f\n\t"
			 "iret\n\t"
			 "ud2\n"
			 "1:	movl $1, %0\n\t"
			 "movl %%esp, %2"
			 : "+r"(done), "=&r"(before), "=&r"(after)
			 : "i"(SEL_CODE)
			 : "memory", "cc");
	if (!done)
		return why("did not arrive");
	return before == after ? NULL : why("the stack moved from %x to %x", before, after);
}

static const char *check_bad_jump(void)
{
	TRAP("", "ljmp $0x90, $0"); /* SEL_BEYOND */
	return expect_trap(13, SEL_BEYOND, FAULT);
}

const struct check segment_checks[] = {
	{ "gdt reload", check_gdt },
	{ "segment base", check_based },
	{ "segment accessed bit", check_accessed },
	{ "segment hidden part", check_hidden },
	{ "absent segment", check_absent },
	{ "stack segment", check_stack_segment },
	{ "pop fs and lfs", check_pop_and_lfs },
	{ "local descriptor table", check_ldt },
	{ "task register", check_task_register },
	{ "far jump", check_far_jump },
	{ "far jump to nowhere", check_bad_jump },
	{ "far call", check_far_call },
	{ "far return with arguments", check_far_return },
	{ "iret", check_iret },
	{ NULL, NULL },
};
