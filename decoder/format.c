/* SPDX-License-Identifier: MIT */
/* Text: AT&T disassembly for messages and traces, and the names of operations. */
#include "decoder/insn.h"
#include "decoder/internal.h"
#include "decoder/sensitive.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <string.h>

static const char *const op_names[OP_COUNT] = {
	[OP_OTHER] = "other",
	[OP_CLI] = "cli",
	[OP_STI] = "sti",
	[OP_HLT] = "hlt",
	[OP_PUSHF] = "pushf",
	[OP_POPF] = "popf",
	[OP_IN] = "in",
	[OP_OUT] = "out",
	[OP_INS] = "ins",
	[OP_OUTS] = "outs",
	[OP_LGDT] = "lgdt",
	[OP_LIDT] = "lidt",
	[OP_LLDT] = "lldt",
	[OP_LTR] = "ltr",
	[OP_SGDT] = "sgdt",
	[OP_SIDT] = "sidt",
	[OP_SLDT] = "sldt",
	[OP_STR] = "str",
	[OP_LMSW] = "lmsw",
	[OP_SMSW] = "smsw",
	[OP_CLTS] = "clts",
	[OP_MOV_FROM_CR] = "mov from cr",
	[OP_MOV_TO_CR] = "mov to cr",
	[OP_MOV_FROM_DR] = "mov from dr",
	[OP_MOV_TO_DR] = "mov to dr",
	[OP_INVD] = "invd",
	[OP_WBINVD] = "wbinvd",
	[OP_INVLPG] = "invlpg",
	[OP_INVPCID] = "invpcid",
	[OP_RDMSR] = "rdmsr",
	[OP_WRMSR] = "wrmsr",
	[OP_RDPMC] = "rdpmc",
	[OP_RDTSC] = "rdtsc",
	[OP_RDTSCP] = "rdtscp",
	[OP_RDPID] = "rdpid",
	[OP_CPUID] = "cpuid",
	[OP_XSETBV] = "xsetbv",
	[OP_XGETBV] = "xgetbv",
	[OP_LAR] = "lar",
	[OP_LSL] = "lsl",
	[OP_VERR] = "verr",
	[OP_VERW] = "verw",
	[OP_ARPL] = "arpl",
	[OP_MOV_FROM_SEG] = "mov from seg",
	[OP_MOV_TO_SEG] = "mov to seg",
	[OP_PUSH_SEG] = "push seg",
	[OP_POP_SEG] = "pop seg",
	[OP_LDS] = "lds",
	[OP_LES] = "les",
	[OP_LFS] = "lfs",
	[OP_LGS] = "lgs",
	[OP_LSS] = "lss",
	[OP_INT] = "int",
	[OP_INT3] = "int3",
	[OP_INTO] = "into",
	[OP_INT1] = "int1",
	[OP_BOUND] = "bound",
	[OP_IRET] = "iret",
	[OP_CALL_FAR] = "lcall",
	[OP_JMP_FAR] = "ljmp",
	[OP_RET_FAR] = "lret",
	[OP_SYSCALL] = "syscall",
	[OP_SYSENTER] = "sysenter",
	[OP_SYSRET] = "sysret",
	[OP_SYSEXIT] = "sysexit",
	[OP_MONITOR] = "monitor",
	[OP_MWAIT] = "mwait",
	[OP_PAUSE] = "pause",
	[OP_CLAC] = "clac",
	[OP_STAC] = "stac",
	[OP_SWAPGS] = "swapgs",
	[OP_RSM] = "rsm",
	[OP_GETSEC] = "getsec",
	[OP_VMX] = "vmx",
	[OP_SVM] = "svm",
	[OP_XSAVES] = "xsaves",
	[OP_XRSTORS] = "xrstors",
	[OP_ENQCMDS] = "enqcmds",
	[OP_UD] = "ud",
	[OP_UNOFFERED] = "unoffered",
	[OP_MOV] = "mov",
	[OP_MOVZX] = "movzx",
	[OP_MOVSX] = "movsx",
	[OP_XCHG] = "xchg",
	[OP_CMPXCHG] = "cmpxchg",
	[OP_CMPXCHG8B] = "cmpxchg8b",
	[OP_XADD] = "xadd",
	[OP_ADD] = "add",
	[OP_OR] = "or",
	[OP_ADC] = "adc",
	[OP_SBB] = "sbb",
	[OP_AND] = "and",
	[OP_SUB] = "sub",
	[OP_XOR] = "xor",
	[OP_CMP] = "cmp",
	[OP_TEST] = "test",
	[OP_INC] = "inc",
	[OP_DEC] = "dec",
	[OP_NEG] = "neg",
	[OP_NOT] = "not",
	[OP_ROL] = "rol",
	[OP_ROR] = "ror",
	[OP_RCL] = "rcl",
	[OP_RCR] = "rcr",
	[OP_SHL] = "shl",
	[OP_SHR] = "shr",
	[OP_SAR] = "sar",
	[OP_SHLD] = "shld",
	[OP_SHRD] = "shrd",
	[OP_BT] = "bt",
	[OP_BTS] = "bts",
	[OP_BTR] = "btr",
	[OP_BTC] = "btc",
	[OP_BSF] = "bsf",
	[OP_BSR] = "bsr",
	[OP_BSWAP] = "bswap",
	[OP_MOVBE] = "movbe",
	[OP_MUL] = "mul",
	[OP_IMUL] = "imul",
	[OP_DIV] = "div",
	[OP_IDIV] = "idiv",
	[OP_PUSH] = "push",
	[OP_POP] = "pop",
	[OP_PUSHA] = "pusha",
	[OP_POPA] = "popa",
	[OP_ENTER] = "enter",
	[OP_LEAVE] = "leave",
	[OP_LEA] = "lea",
	[OP_XLAT] = "xlat",
	[OP_MOVS] = "movs",
	[OP_STOS] = "stos",
	[OP_LODS] = "lods",
	[OP_CMPS] = "cmps",
	[OP_SCAS] = "scas",
	[OP_SETCC] = "setcc",
	[OP_CMOVCC] = "cmovcc",
	[OP_CALL] = "call",
	[OP_JMP] = "jmp",
	[OP_JCC] = "jcc",
	[OP_RET] = "ret",
	[OP_LOOP] = "loop",
	[OP_LOOPE] = "loope",
	[OP_LOOPNE] = "loopne",
	[OP_JCXZ] = "jcxz",
	[OP_NOP] = "nop",
	[OP_CBW] = "cbw",
	[OP_CWD] = "cwd",
	[OP_LAHF] = "lahf",
	[OP_SAHF] = "sahf",
	[OP_CLC] = "clc",
	[OP_STC] = "stc",
	[OP_CMC] = "cmc",
	[OP_CLD] = "cld",
	[OP_STD] = "std",
};

const char *insn_op_name(unsigned op)
{
	return op < OP_COUNT && op_names[op] ? op_names[op] : "?";
}

/* Copy "%eax, %ebx" as "%eax,%ebx", which is how objdump writes it. */
static void append_operands(char *buf, size_t used, size_t size, const char *ops)
{
	if (*ops && used + 1 < size)
		buf[used++] = ' ';
	for (const char *c = ops; *c && used + 1 < size; c++)
		if (*c != ' ' || c == ops || c[-1] != ',')
			buf[used++] = *c;
	if (used < size)
		buf[used] = '\0';
}

void insn_format(const struct insn *in, uint32_t eip, char *buf, size_t size)
{
	const char *name = in->sens ? in->sens->mnemonic : insn_op_name(in->op);
	uint8_t bytes[INSN_MAX];
	cs_insn *text = NULL;
	size_t n, used;
	csh h;

	if (!size)
		return;
	used = (size_t)snprintf(buf, size, "%s", name);
	/* A handle of its own each time: slow, and safe in any thread. */
	capstone_ready();
	if (cs_open(CS_ARCH_X86, in->bits == 16 ? CS_MODE_16 : CS_MODE_32, &h) != CS_ERR_OK)
		return;
	cs_option(h, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	memcpy(bytes, in->bytes, in->len);
	n = cs_disasm(h, bytes, in->len, eip, 1, &text);
	if (n && text->size == in->len) {
		/*
		 * The table's name of a sensitive instruction is better than Capstone's: without
		 * redundant suffix, and right where Capstone 4.0.2 is not (rdpid, wbnoinvd).
		 * Unless the suffix says what the operands do not.
		 */
		if (!in->sens || in->opsize == 2 || in->op == OP_INS || in->op == OP_OUTS)
			used = (size_t)snprintf(buf, size, "%s", text->mnemonic);
		append_operands(buf, used, size, text->op_str);
	}
	if (n)
		cs_free(text, n);
	cs_close(&h);
}
