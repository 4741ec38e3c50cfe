/* SPDX-License-Identifier: MIT */
/*
 * conform: runs instructions in chosen states and prints what became of each, one line a case.
 * The same image boots under QEMU and Ringside, and a test compares the lines.
 *
 * Read run.c first: what a case is and how its line is made.  Then tables.c: the descriptors that
 * the cases use.  The other files are lists of cases, by subject.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/runtime.h"
#include "layout.h"

/* ---- fixed places: nothing that is printed depends on where the linker put things ---- */

#define ARENA     0x200000u /* memory operands; EBX, ESI and EDI point here */
#define ARENA_LEN 0x100u
#define GDT       0x202000u
#define IDT       0x203000u
#define LDT       0x204000u
#define TSS       0x205000u
#define STACK     0x206000u /* two pages */
#define STACK_TOP 0x207000u /* ESP of a case: there is room above it, too */
#define STACK_LEN 0x40u     /* compared on either side of it */

static inline volatile uint32_t *arena(unsigned off)
{
	return (volatile uint32_t *)(ARENA + off);
}

static inline volatile uint32_t *stack(int off)
{
	return (volatile uint32_t *)(STACK_TOP + (uint32_t)off);
}

/* ---- a case ---- */

#define STATE_FIELDS \
	uint32_t eip, cs, eflags, eax, ecx, edx, ebx, ebp, esi, edi, esp, ss, ds, es, fs, gs

struct state {
	STATE_FIELDS;
};

/* What the case left behind. */
struct seen {
	STATE_FIELDS;
	uint32_t vector, error;
};
extern struct seen seen;

enum flag {
	CF = 1,
	PF = 4,
	AF = 0x10,
	ZF = 0x40,
	SF = 0x80,
	TF = 0x100,
	IF = 0x200,
	DF = 0x400,
	OF = 0x800,
	IOPL1 = 0x1000,
	IOPL3 = 0x3000,
	NT = 0x4000,
	RF = 0x10000,
	VM = 0x20000,
	AC = 0x40000,
	VIF = 0x80000,
	VIP = 0x100000,
	ID = 0x200000,
	ARITH = CF | PF | AF | ZF | SF | OF,
};

/* Instructions of a case: up to @insn is preparation, behind @end it is over. */
struct code {
	uint32_t start, insn, end;
	uint32_t done; /* the EIP that the end pushes for run_done */
};

struct test {
	STATE_FIELDS;
	struct code code;
	uint32_t hide;          /* flags that are not printed: left undefined by the manual */
	uint32_t undefined_eax; /* bits of EAX that are not printed */
	bool no_eip;            /* where the fault happened is undefined */
	bool no_regs;           /* registers hold something that differs between machines */
	bool from0;             /* starts at CPL 0, ends at an outer ring: ring.c */
	bool trace;             /* #DB is noted and goes on; the line lists where it came */
};

/*
 * What a case starts with unless it says otherwise.  RF in the image of a fault is hidden because
 * most of QEMU's lines would differ by it; exceptions.c has cases for it alone.
 */
#define TEST_DEFAULT                                                                          \
	.cs = SEL_CODE, .eflags = 2, .eax = 0xa0a1a2a3, .ecx = 0xc0c1c2c3, .edx = 0xd0d1d2d3, \
	.ebx = ARENA, .ebp = 0xb0b1b2b3, .esi = ARENA + 0x40, .edi = ARENA + 0x80,            \
	.esp = STACK_TOP, .ss = SEL_DATA, .ds = SEL_DATA, .es = SEL_DATA, .hide = RF

#pragma GCC diagnostic ignored "-Woverride-init" /* cases override the defaults */

/*
 * Run @code_ and print the line of the case called @name_.  The rest says how its state differs
 * from the default:  RUN(CODE("cli"), "cli if=1", .eflags = IF | 2);
 */
#define RUN(code_, name_, ...) \
	run((const struct test){ TEST_DEFAULT, .code = (code_), __VA_ARGS__ }, name_)

/*
 * Instructions as assembler text, put into a section of their own; the value is a struct code.
 * Basic asm, so that registers have one percent sign; it changes nothing that the compiler knows.
 */
extern volatile struct code code_here;
/* clang-format off */
#define CODE3(before, insn_, after)                                          \
	({                                                                   \
		__asm__ volatile(                                            \
			".pushsection .thunks, \"ax\"\n"                      \
			"771: " before "\n"                                  \
			"772: " insn_ "\n"                                   \
			after "\n"                                           \
			"773: pushfl\n"                                      \
			"pushl %cs\n"                                        \
			"call run_done\n"                                    \
			"774: .popsection\n"                                 \
			"movl $771b, code_here\n"                            \
			"movl $772b, code_here + 4\n"                        \
			"movl $773b, code_here + 8\n"                        \
			"movl $774b, code_here + 12\n");                     \
		__asm__ volatile("" : : : "memory");                         \
		*(struct code *)&code_here;                                  \
	})
#define CODE2(before, insn) CODE3(before, insn, "")
#define CODE(insn)          CODE3("", insn, "")

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
/* The same in 16-bit code; runs in SEL_CODE16. */
#define CODE16(before, insn_)                                                \
	({                                                                   \
		__asm__ volatile(                                            \
			".pushsection .code16, \"ax\"\n"                      \
			".code16\n"                                          \
			"771: " before "\n"                                  \
			"772: " insn_ "\n"                                   \
			"773: pushfl\n"                                      \
			"pushl %cs\n"                                        \
			"pushl $(774f - " TEXT(CODE16_BASE) ")\n"            \
			"ljmpl $8, $run_done\n"                              \
			"774: .code32\n"                                     \
			".popsection\n"                                      \
			"movl $(771b - " TEXT(CODE16_BASE) "), code_here\n"  \
			"movl $(772b - " TEXT(CODE16_BASE) "), code_here + 4\n" \
			"movl $(773b - " TEXT(CODE16_BASE) "), code_here + 8\n" \
			"movl $(774b - " TEXT(CODE16_BASE) "), code_here + 12\n"); \
		__asm__ volatile("" : : : "memory");                         \
		*(struct code *)&code_here;                                  \
	})
/* clang-format on */

void run(struct test t, const char *name);
unsigned cases_run(void);
/* The same without a line: what happened is in `seen`, and the case's own function judges. */
void run_silent(struct test t);
/* A name from a format, in a static buffer. */
const char *name(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A case whose line is not made by run(). */
void line(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The arena and stack as every case finds them; RUN's arguments may write to them before. */
void fill(void);
/* Called by stub_trace. */
struct trace_frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, eip, cs, eflags;
};
void trace_step(struct trace_frame *f);

/* ---- tables.c: descriptors ---- */

enum selector {
	SEL_READ = 0x18,    /* data, read-only, not accessed yet */
	SEL_EXEC = 0x20,    /* code, not readable; the host's 32-bit code selector */
	SEL_CONF = 0x28,    /* conforming, readable; the host's flat data */
	SEL_DOWN = 0x30,    /* data, expand-down; the host's 64-bit code */
	SEL_DATA_NP = 0x38, /* not present */
	SEL_CODE_NP = 0x40,
	SEL_DATA3 = 0x48, /* DPL 3 */
	SEL_CODE3 = 0x50,
	SEL_CONF3 = 0x58,
	SEL_CODE16 = 0x60,  /* 16-bit code, at CODE16_BASE */
	SEL_STACK16 = 0x68, /* 16-bit data, at STACK */
	SEL_LDT = 0x70,
	SEL_SMALL = 0x78, /* data, ARENA, 64 bytes; the host's CPU number segment */
	SEL_TSS32 = 0x80,
	SEL_TSS32_BUSY = 0x88,
	SEL_TSS16 = 0x90,
	SEL_TSS16_BUSY = 0x98,
	SEL_LDT_NP = 0xa0,
	SEL_TSS_NP = 0xa8,
	SEL_CALL32 = 0xb0, /* call gates to target32, by width */
	SEL_CALL16 = 0xb8,
	SEL_CALL_NP = 0xc0,
	SEL_TASK = 0xc8,
	SEL_CALL_NULL = 0xd0, /* gates with a bad target */
	SEL_CALL_DATA = 0xd8,
	SEL_CALL_CODE_NP = 0xe0,
	SEL_CALL_CODE3 = 0xe8,
	SEL_INT32 = 0xf0,
	SEL_TRAP32 = 0xf8,
	SEL_TYPE0 = 0x100, /* reserved system types */
	SEL_TYPE8 = 0x108,
	SEL_TYPE10 = 0x110,
	SEL_TYPE13 = 0x118,
	SEL_PAGES = 0x120,       /* data, one page, limit counted in pages */
	SEL_CODE_SMALL = 0x128,  /* code, ends 256 bytes on, at target32 */
	SEL_CALL_BEYOND = 0x130, /* gate to a selector outside the table */
	SEL_CALL_LIMIT = 0x138,  /* gate to an offset outside the segment */
	SEL_DOWN16 = 0x140,      /* expand-down, B clear: up to 0xffff */
	SEL_DATA1 = 0x148,
	SEL_INT16 = 0x150,
	SEL_TRAP16 = 0x158,
	SEL_CONF_NP = 0x160,
	SEL_CALL_CONF = 0x168, /* call gate to a conforming segment */
	SEL_CALL_3 = 0x170,    /* call gate with DPL 3 */
	SEL_DATA_OLD = 0x178,  /* data, flat, not accessed yet */
	SEL_STACK32 = 0x180,   /* 32-bit data at STACK, two pages */
	SEL_CODE_OLD = 0x188,  /* code, not accessed yet; the others are */
	GDT_ENTRIES = 0x190 / 8,
	SEL_BEYOND = GDT_ENTRIES * 8,
	LDT_DATA = 0x04,
	LDT_CODE = 0x0c,
	LDT_NP = 0x14,
	LDT_DATA3 = 0x1c,
	LDT_BEYOND = 0x24,
};

#define DESC_CODE 0x9b /* access bytes */
#define DESC_DATA 0x93
#define FLAG_G    0x8 /* the upper nibble of byte 6 */
#define FLAG_D    0x4

void tables_init(void);
/* GDT, LDT and IDT as they were in the beginning. */
void tables_reset(void);
void set_descriptor(uint32_t table, unsigned sel, uint32_t base, uint32_t limit, unsigned access,
		    unsigned flags);
/* Gate @sel of the GDT, or vector sel / 8 of the IDT. */
void set_gate(uint32_t table, unsigned sel, uint32_t to, uint32_t off, unsigned access);
void set_vector(unsigned vector, uint32_t to, uint32_t off, unsigned access);
static inline uint8_t access_byte(unsigned sel)
{
	return *(volatile uint8_t *)(GDT + (sel & ~7u) + 5);
}

extern char stubs[], stub_no_error[], stub_gate16[], stub_trace[], target32[], target16[];
extern char target16_end[];
#define STUB(v) ((uint32_t)stubs + 16 * (v))
#define GATE32  0x8e /* access byte of a present 32-bit interrupt gate */

/* ---- entry.S ---- */

void enter(const void *state);

/* ---- ring.c: the same for a case whose CS has an RPL above 0 ---- */

void enter_outer(struct test *t);

/* ---- the lists of cases ---- */

void cases_flags(void), cases_interrupts(void), cases_io(void), cases_dtable(void),
	cases_control(void), cases_msr(void), cases_probe(void), cases_segload(void),
	cases_segstore(void), cases_far(void), cases_softint(void), cases_iret(void),
	cases_exceptions(void), cases_step(void), cases_undefined(void), cases_limits(void),
	cases_prefix(void), cases_pf_matrix(void), cases_paging(void), cases_pae(void),
	cases_pdpte(void), cases_user_insn(void), cases_user_io(void), cases_rings(void),
	cases_inner(void), cases_tss(void), cases_user_step(void), cases_restart(void),
	cases_user_seg(void), cases_control_alone(void), cases_prefix_alone(void);

#endif
