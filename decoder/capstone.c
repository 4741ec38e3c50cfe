/* SPDX-License-Identifier: MIT */
/*
 * Which instruction is it, and how long: asking Capstone, and its names translated to ours.
 */
#include "decoder/internal.h"
#include "decoder/trapped.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A Capstone handle may be used by one thread only, so each thread has its own. */
struct engine {
	csh handle;
	cs_insn *insn;
};

static pthread_key_t engine_key;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void engine_free(void *arg)
{
	struct engine *e = arg;

	if (e->insn)
		cs_free(e->insn, 1);
	if (e->handle)
		cs_close(&e->handle);
	free(e);
}

/*
 * Capstone 4 sorts tables of its own when it first prints an instruction in a syntax, and no lock
 * protects them: so that happens here, once.
 */
static void capstone_warm(cs_opt_value syntax)
{
	static const uint8_t nop[] = { 0x90 };
	cs_insn *insn = NULL;
	csh h;

	if (cs_open(CS_ARCH_X86, CS_MODE_32, &h) != CS_ERR_OK)
		return; /* then nobody else has one either */
	cs_option(h, CS_OPT_DETAIL, CS_OPT_ON);
	cs_option(h, CS_OPT_SYNTAX, syntax);
	if (cs_disasm(h, nop, sizeof(nop), 0, 1, &insn))
		cs_free(insn, 1);
	cs_close(&h);
}

static void engine_key_create(void)
{
	if (pthread_key_create(&engine_key, engine_free))
		abort(); /* no thread-specific key at the first decode: nothing can work */
	capstone_warm(CS_OPT_SYNTAX_INTEL);
	capstone_warm(CS_OPT_SYNTAX_ATT);
}

void capstone_ready(void)
{
	pthread_once(&engine_once, engine_key_create);
}

static struct engine *engine_get(void)
{
	struct engine *e;

	capstone_ready();
	e = pthread_getspecific(engine_key);
	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	if (cs_open(CS_ARCH_X86, CS_MODE_32, &e->handle) != CS_ERR_OK)
		goto fail;
	cs_option(e->handle, CS_OPT_DETAIL, CS_OPT_ON);
	e->insn = cs_malloc(e->handle);
	if (!e->insn || pthread_setspecific(engine_key, e))
		goto fail;
	return e;
fail:
	engine_free(e);
	return NULL;
}

/*
 * Capstone's name of an instruction to ours.  Families told apart by their opcode (jcc, setcc,
 * cmovcc, strings) are not here: see op_by_opcode().  Nor are those of trapped.c.
 */
static const uint16_t op_of_id[X86_INS_ENDING] = {
	[X86_INS_LGDT] = OP_LGDT, /* what is missing here is in trapped.c */
	[X86_INS_LIDT] = OP_LIDT,       [X86_INS_LLDT] = OP_LLDT,
	[X86_INS_LTR] = OP_LTR,         [X86_INS_SGDT] = OP_SGDT,
	[X86_INS_SIDT] = OP_SIDT,       [X86_INS_SLDT] = OP_SLDT,
	[X86_INS_STR] = OP_STR,         [X86_INS_LMSW] = OP_LMSW,
	[X86_INS_SMSW] = OP_SMSW,       [X86_INS_CLTS] = OP_CLTS,
	[X86_INS_INVD] = OP_INVD,       [X86_INS_WBINVD] = OP_WBINVD,
	[X86_INS_INVLPG] = OP_INVLPG,   [X86_INS_RDMSR] = OP_RDMSR,
	[X86_INS_WRMSR] = OP_WRMSR,     [X86_INS_RDPMC] = OP_RDPMC,
	[X86_INS_RDTSC] = OP_RDTSC,     [X86_INS_CPUID] = OP_CPUID,
	[X86_INS_LAR] = OP_LAR,         [X86_INS_LSL] = OP_LSL,
	[X86_INS_VERR] = OP_VERR,       [X86_INS_VERW] = OP_VERW,
	[X86_INS_ARPL] = OP_ARPL,       [X86_INS_LDS] = OP_LDS,
	[X86_INS_LES] = OP_LES,         [X86_INS_LFS] = OP_LFS,
	[X86_INS_LGS] = OP_LGS,         [X86_INS_LSS] = OP_LSS,
	[X86_INS_INT] = OP_INT,         [X86_INS_INT3] = OP_INT3,
	[X86_INS_INTO] = OP_INTO,       [X86_INS_INT1] = OP_INT1,
	[X86_INS_BOUND] = OP_BOUND,     [X86_INS_IRET] = OP_IRET,
	[X86_INS_IRETD] = OP_IRET,      [X86_INS_LCALL] = OP_CALL_FAR,
	[X86_INS_LJMP] = OP_JMP_FAR,    [X86_INS_RETF] = OP_RET_FAR,
	[X86_INS_SYSCALL] = OP_SYSCALL, [X86_INS_SYSENTER] = OP_SYSENTER,
	[X86_INS_SYSRET] = OP_SYSRET,   [X86_INS_SYSEXIT] = OP_SYSEXIT,
	[X86_INS_RSM] = OP_RSM,         [X86_INS_GETSEC] = OP_GETSEC,
	[X86_INS_MOV] = OP_MOV, /* and the segment forms: see translate() */
	[X86_INS_MOVABS] = OP_MOV,      [X86_INS_MOVZX] = OP_MOVZX,
	[X86_INS_MOVSX] = OP_MOVSX,     [X86_INS_XCHG] = OP_XCHG,
	[X86_INS_CMPXCHG] = OP_CMPXCHG, [X86_INS_XADD] = OP_XADD,
	[X86_INS_ADD] = OP_ADD,         [X86_INS_OR] = OP_OR,
	[X86_INS_ADC] = OP_ADC,         [X86_INS_SBB] = OP_SBB,
	[X86_INS_AND] = OP_AND,         [X86_INS_SUB] = OP_SUB,
	[X86_INS_XOR] = OP_XOR,         [X86_INS_CMP] = OP_CMP,
	[X86_INS_TEST] = OP_TEST,       [X86_INS_INC] = OP_INC,
	[X86_INS_DEC] = OP_DEC,         [X86_INS_NEG] = OP_NEG,
	[X86_INS_NOT] = OP_NOT,         [X86_INS_ROL] = OP_ROL,
	[X86_INS_ROR] = OP_ROR,         [X86_INS_RCL] = OP_RCL,
	[X86_INS_RCR] = OP_RCR,         [X86_INS_SHL] = OP_SHL,
	[X86_INS_SAL] = OP_SHL, /* /6, an undocumented alias of /4 */
	[X86_INS_SHR] = OP_SHR,         [X86_INS_SAR] = OP_SAR,
	[X86_INS_SHLD] = OP_SHLD,       [X86_INS_SHRD] = OP_SHRD,
	[X86_INS_BT] = OP_BT,           [X86_INS_BTS] = OP_BTS,
	[X86_INS_BTR] = OP_BTR,         [X86_INS_BTC] = OP_BTC,
	[X86_INS_BSF] = OP_BSF,         [X86_INS_BSR] = OP_BSR,
	[X86_INS_BSWAP] = OP_BSWAP,     [X86_INS_MOVBE] = OP_MOVBE,
	[X86_INS_MUL] = OP_MUL,         [X86_INS_IMUL] = OP_IMUL,
	[X86_INS_DIV] = OP_DIV,         [X86_INS_IDIV] = OP_IDIV,
	[X86_INS_PUSH] = OP_PUSH, /* and the segment forms: see translate() */
	[X86_INS_POP] = OP_POP,         [X86_INS_PUSHAW] = OP_PUSHA,
	[X86_INS_PUSHAL] = OP_PUSHA,    [X86_INS_POPAW] = OP_POPA,
	[X86_INS_POPAL] = OP_POPA,      [X86_INS_ENTER] = OP_ENTER,
	[X86_INS_LEAVE] = OP_LEAVE,     [X86_INS_LEA] = OP_LEA,
	[X86_INS_XLATB] = OP_XLAT,      [X86_INS_CALL] = OP_CALL,
	[X86_INS_JMP] = OP_JMP,         [X86_INS_RET] = OP_RET,
	[X86_INS_LOOP] = OP_LOOP,       [X86_INS_LOOPE] = OP_LOOPE,
	[X86_INS_LOOPNE] = OP_LOOPNE,   [X86_INS_JCXZ] = OP_JCXZ,
	[X86_INS_JECXZ] = OP_JCXZ,      [X86_INS_NOP] = OP_NOP,
	[X86_INS_CBW] = OP_CBW,         [X86_INS_CWDE] = OP_CBW,
	[X86_INS_CWD] = OP_CWD,         [X86_INS_CDQ] = OP_CWD,
	[X86_INS_LAHF] = OP_LAHF,       [X86_INS_SAHF] = OP_SAHF,
	[X86_INS_CLC] = OP_CLC,         [X86_INS_STC] = OP_STC,
	[X86_INS_CMC] = OP_CMC,         [X86_INS_CLD] = OP_CLD,
	[X86_INS_STD] = OP_STD,
};

static unsigned op_by_opcode(const struct parse *p)
{
	static const uint16_t string_op[16] = {
		[0x4] = OP_MOVS, [0x5] = OP_MOVS, [0x6] = OP_CMPS, [0x7] = OP_CMPS, [0xa] = OP_STOS,
		[0xb] = OP_STOS, [0xc] = OP_LODS, [0xd] = OP_LODS, [0xe] = OP_SCAS, [0xf] = OP_SCAS,
	};

	if (p->map == MAP_1BYTE) {
		switch (p->opcode) {
		case 0x6c ... 0x6d: return OP_INS;
		case 0x6e ... 0x6f: return OP_OUTS;
		case 0x70 ... 0x7f: return OP_JCC;
		case 0xa4 ... 0xa7:
		case 0xaa ... 0xaf: return string_op[p->opcode & 15];
		}
	} else if (p->map == MAP_0F) {
		switch (p->opcode) {
		case 0x40 ... 0x4f: return OP_CMOVCC;
		case 0x80 ... 0x8f: return OP_JCC;
		case 0x90 ... 0x9f: return OP_SETCC;
		}
	}
	return OP_OTHER;
}

/*
 * Does the CPU ignore f2 and f3 here?  Capstone refuses many such forms.  In the one-byte map they
 * mean something only to string instructions and 90; in the 0f map the instructions named here have
 * no mandatory prefix (SDM Vol. 2D, Table A-3: a row of their own only without prefix).
 */
static bool rep_is_ignored(const struct parse *p)
{
	if (p->map == MAP_1BYTE)
		return true;
	if (p->map != MAP_0F)
		return false;
	switch (p->opcode) {
	case 0x00 ... 0x09:
	case 0x20 ... 0x23:
	case 0x30 ... 0x37:
	case 0x40 ... 0x4f:
	case 0x80 ... 0xa5:
	case 0xa8 ... 0xad:
	case 0xaf ... 0xb7:
	case 0xba ... 0xbb:
	case 0xbe ... 0xc1:
	case 0xc8 ... 0xcf: return true;
	case 0xbc ... 0xbd: return p->rep == 0xf2; /* f3: tzcnt, lzcnt */
	default: return false;
	}
}

/* Is 66 part of the opcode (SSE, MMX), not the choice of an operand size? */
static bool prefix_66_is_mandatory(const struct parse *p)
{
	switch (p->map) {
	case MAP_1BYTE: return false;
	case MAP_0F: break;
	case MAP_0F38: return p->opcode < 0xf0 || p->opcode > 0xf1; /* movbe, crc32 */
	default: return true;
	}
	switch (p->opcode) {
	case 0x10 ... 0x17:
	case 0x28 ... 0x2f:
	case 0x50 ... 0x7f:
	case 0xae:
	case 0xc2 ... 0xc6:
	case 0xd0 ... 0xfe: return true;
	default: return false;
	}
}

/* MOV, PUSH and POP of segment registers have names of their own here. */
static void split_segment_forms(const struct parse *p, struct insn *in)
{
	bool seg_opcodes = p->map == MAP_0F || (p->map == MAP_1BYTE && p->opcode < 0x20);

	if (p->map == MAP_1BYTE && p->opcode == 0x8c)
		in->op = OP_MOV_FROM_SEG;
	else if (p->map == MAP_1BYTE && p->opcode == 0x8e)
		in->op = OP_MOV_TO_SEG;
	else if (seg_opcodes && in->op == OP_PUSH)
		in->op = OP_PUSH_SEG;
	else if (seg_opcodes && in->op == OP_POP)
		in->op = OP_POP_SEG;
}

int decode_by_capstone(const struct parse *p, struct insn *in)
{
	struct engine *e = engine_get();
	uint8_t buf[INSN_WINDOW + 4];
	const uint8_t *code = buf;
	size_t n = 0, size;
	uint64_t address = 0;

	if (!e)
		return -ENOMEM;
	/*
	 * The canonical form: 32-bit code with what Capstone need not know left out and nothing
	 * repeated.  16-bit code needs the opposite 66 and 67, and decodes better this way:
	 * Capstone's own 16-bit mode does not know mandatory prefixes.
	 */
	if (p->addrsize == 2)
		buf[n++] = 0x67;
	if (prefix_66_is_mandatory(p) ? p->prefixes & PREFIX_66 : p->opsize == 2)
		buf[n++] = 0x66;
	if (p->rep && !rep_is_ignored(p))
		buf[n++] = p->rep;
	memcpy(buf + n, p->b + p->npfx, INSN_MAX);
	size = n + INSN_MAX;
	if (!cs_disasm_iter(e->handle, &code, &size, &address, e->insn))
		return -EINVAL;
	in->len = (uint8_t)(p->npfx + e->insn->size - n);
	if (decode_trapped(e->insn, in))
		return 0;
	in->op = (uint16_t)op_by_opcode(p);
	if (in->op == OP_OTHER && e->insn->id < X86_INS_ENDING && p->map != MAP_VEX)
		in->op = op_of_id[e->insn->id];
	split_segment_forms(p, in);
	decode_operands(p, &e->insn->detail->x86, in);
	return 0;
}
