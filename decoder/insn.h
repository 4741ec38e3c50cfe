/* SPDX-License-Identifier: MIT */
/*
 * One decoded x86-32 instruction.  The decoder turns bytes into this; it knows nothing of
 * VMs, memory or privilege.  Everything the emulator needs is here, so that no other file
 * ever sees Capstone.
 */
#ifndef RINGSIDE_DECODER_INSN_H
#define RINGSIDE_DECODER_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 15 /* bytes; SDM Vol. 2A, "Instruction Format" (2.1) */

/* Register numbers are the machine encodings (SDM Vol. 2A, "ModR/M and SIB bytes" 2.1.3). */
enum gpr { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI, GPR_COUNT, GPR_NONE = 0xff };
enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT, SEG_NONE = 0xff };

/*
 * What an instruction does.  First the sensitive ones (each has rows in the table of
 * decoder/sensitive.c), then the ordinary ones the emulator understands with a memory
 * operand (MMIO).  OP_OTHER: decoded, length known, no business of ours.
 */
enum insn_op {
	OP_OTHER,

	/* interrupt flag, halt, flags image */
	OP_CLI,
	OP_STI,
	OP_HLT,
	OP_PUSHF,
	OP_POPF,
	/* port I/O */
	OP_IN,
	OP_OUT,
	OP_INS,
	OP_OUTS,
	/* descriptor tables and task register */
	OP_LGDT,
	OP_LIDT,
	OP_LLDT,
	OP_LTR,
	OP_SGDT,
	OP_SIDT,
	OP_SLDT,
	OP_STR,
	/* machine status, control and debug registers */
	OP_LMSW,
	OP_SMSW,
	OP_CLTS,
	OP_MOV_FROM_CR,
	OP_MOV_TO_CR,
	OP_MOV_FROM_DR,
	OP_MOV_TO_DR,
	/* caches, TLB */
	OP_INVD,
	OP_WBINVD,
	OP_INVLPG,
	OP_INVPCID,
	/* model-specific registers, counters, identification */
	OP_RDMSR,
	OP_WRMSR,
	OP_RDPMC,
	OP_RDTSC,
	OP_RDTSCP,
	OP_RDPID,
	OP_CPUID,
	OP_XSETBV,
	OP_XGETBV,
	/* privilege probes */
	OP_LAR,
	OP_LSL,
	OP_VERR,
	OP_VERW,
	OP_ARPL,
	/* segment registers */
	OP_MOV_FROM_SEG,
	OP_MOV_TO_SEG,
	OP_PUSH_SEG,
	OP_POP_SEG,
	OP_LDS,
	OP_LES,
	OP_LFS,
	OP_LGS,
	OP_LSS,
	/* control transfers that use descriptors */
	OP_INT,
	OP_INT3,
	OP_INTO,
	OP_INT1,
	OP_BOUND,
	OP_IRET,
	OP_CALL_FAR,
	OP_JMP_FAR,
	OP_RET_FAR,
	OP_SYSCALL,
	OP_SYSENTER,
	OP_SYSRET,
	OP_SYSEXIT,
	/* waiting */
	OP_MONITOR,
	OP_MWAIT,
	OP_PAUSE,
	/* SMAP, swapgs and other odds */
	OP_CLAC,
	OP_STAC,
	OP_SWAPGS,
	OP_RSM,
	OP_GETSEC,
	OP_VMX, /* vmcall vmlaunch vmresume vmxoff vmxon vmptrld ... vmfunc invept invvpid */
	OP_SVM, /* vmrun vmmcall vmload vmsave stgi clgi skinit invlpga */
	OP_XSAVES,
	OP_XRSTORS,
	OP_ENQCMDS,
	OP_UD,
	/*
	 * Sensitive instructions of extensions that the virtual CPU does not have (protection keys,
	 * WAITPKG, MONITORX, RDPRU, SGX, TDX, PCONFIG, HRESET ...): one operation, many rows.
	 */
	OP_UNOFFERED,

	/* ordinary instructions, emulated only when their memory operand is not plain RAM */
	OP_MOV,
	OP_MOVZX,
	OP_MOVSX,
	OP_XCHG,
	OP_CMPXCHG,
	OP_CMPXCHG8B,
	OP_XADD,
	OP_ADD,
	OP_OR,
	OP_ADC,
	OP_SBB,
	OP_AND,
	OP_SUB,
	OP_XOR,
	OP_CMP,
	OP_TEST,
	OP_INC,
	OP_DEC,
	OP_NEG,
	OP_NOT,
	OP_ROL,
	OP_ROR,
	OP_RCL,
	OP_RCR,
	OP_SHL,
	OP_SHR,
	OP_SAR,
	OP_SHLD,
	OP_SHRD,
	OP_BT,
	OP_BTS,
	OP_BTR,
	OP_BTC,
	OP_BSF,
	OP_BSR,
	OP_BSWAP,
	OP_MOVBE,
	OP_MUL,
	OP_IMUL,
	OP_DIV,
	OP_IDIV,
	OP_PUSH,
	OP_POP,
	OP_PUSHA,
	OP_POPA,
	OP_ENTER,
	OP_LEAVE,
	OP_LEA,
	OP_XLAT,
	OP_MOVS,
	OP_STOS,
	OP_LODS,
	OP_CMPS,
	OP_SCAS,
	OP_SETCC,
	OP_CMOVCC,
	OP_CALL,
	OP_JMP,
	OP_JCC,
	OP_RET,
	OP_LOOP,
	OP_LOOPE,
	OP_LOOPNE,
	OP_JCXZ,
	OP_NOP,
	OP_CBW,
	OP_CWD,
	OP_LAHF,
	OP_SAHF,
	OP_CLC,
	OP_STC,
	OP_CMC,
	OP_CLD,
	OP_STD,
	OP_COUNT
};

enum operand_kind {
	OPND_NONE,
	OPND_GPR,   /* @reg, @width 1/2/4; with width 1, 4-7 are AH CH DH BH as encoded */
	OPND_SEG,   /* @reg is enum seg */
	OPND_CR,    /* @reg 0-15 */
	OPND_DR,    /* @reg 0-7 */
	OPND_MEM,   /* @mem, @width bytes accessed (0 if the address only is used: lea, invlpg) */
	OPND_IMM,   /* @imm, sign-extended to 32 bits where the instruction does so */
	OPND_REL,   /* @imm: branch target relative to the *next* instruction, sign-extended;
		     * @width is the operand size: with 2 the CPU truncates the target to 16 bits */
	OPND_FAR,   /* ptr16:16 / ptr16:32: @sel and @imm (offset) */
	OPND_OTHER, /* x87, MMX, SSE ... register */
};

struct mem_ref {
	uint8_t seg;   /* effective segment, overrides and stack defaults applied */
	uint8_t base;  /* enum gpr or GPR_NONE */
	uint8_t index; /* enum gpr or GPR_NONE */
	uint8_t scale; /* 1, 2, 4, 8 */
	int32_t disp;
};

struct operand {
	uint8_t kind;  /* enum operand_kind */
	uint8_t width; /* bytes */
	uint8_t reg;
	uint16_t sel;
	uint32_t imm;
	struct mem_ref mem;
};

#define PREFIX_LOCK  0x01
#define PREFIX_REP   0x02 /* f3 */
#define PREFIX_REPNE 0x04 /* f2 */
#define PREFIX_SEG   0x08 /* any segment override */
#define PREFIX_66    0x10
#define PREFIX_67    0x20

struct sensitive;

/*
 * Operand order is Intel's: destination first.  Implicit operands are not listed, except:
 *   in/out   opnd[0] and opnd[1] as written (al/ax/eax and imm8 or dx)
 *   string instructions (movs stos lods cmps scas ins outs): no operands; use @width and @seg
 *   (@seg is the effective segment of the ESI side; the EDI side is always ES)
 *   mul/div/not/neg/inc/dec/push/pop: the one written operand
 *   shifts: count as written (imm8, or GPR cl width 1)
 */
struct insn {
	uint16_t op;       /* enum insn_op */
	uint8_t len;       /* bytes */
	uint8_t opsize;    /* 2 or 4: effective operand size, bytes */
	uint8_t addrsize;  /* 2 or 4: effective address size, bytes */
	uint8_t prefixes;  /* PREFIX_* */
	uint8_t width;     /* string and in/out: bytes per element; else width of opnd[0] */
	uint8_t seg;       /* string source segment, override applied (default DS) */
	uint8_t cond;      /* setcc, cmovcc, jcc: low 4 bits of the opcode */
	uint8_t vector;    /* OP_INT: n; INT3 3, INTO 4, INT1 1, BOUND 5 */
	uint8_t nopnd;     /* 0-3 */
	uint8_t opcode[3]; /* primary opcode bytes: 0f xx yy, or xx */
	uint8_t modrm;     /* raw, valid if the instruction has one */
	uint8_t bits;      /* 16 or 32: the mode it was decoded for */
	struct operand opnd[3];
	const struct sensitive *sens; /* its row in the table, NULL if not sensitive */
	uint8_t bytes[INSN_MAX];      /* the bytes themselves, @len of them */
};

/*
 * Decode the first instruction of @bytes (@len available, at most INSN_MAX are looked at) as
 * @bits-bit code (16 or 32).  Fills all of *@out on success, and leaves it alone on error.
 * Returns 0; -EINVAL if the bytes are no instruction (the CPU would raise #UD, or #GP(0) where it
 * is its length that exceeds INSN_MAX);
 * -ENODATA if they end before the instruction does (fetch more).
 * Results are cached by content: equal bytes and mode, equal result, so code that modifies
 * itself cannot meet a stale entry.  Thread-safe.
 */
int insn_decode(const uint8_t *bytes, size_t len, unsigned bits, struct insn *out);

/*
 * Text of @in as at address @eip, in AT&T syntax without tabs, e.g. "mov %eax,%cr0".
 * Writes at most @size bytes including the NUL into @buf.  Thread-safe; not for hot paths.
 */
void insn_format(const struct insn *in, uint32_t eip, char *buf, size_t size);

struct insn_cache_stats {
	uint64_t lookups, hits;
};
void insn_cache_stats(struct insn_cache_stats *out);

/* The name of an operation, e.g. "cli"; never NULL. */
const char *insn_op_name(unsigned op);

#endif
