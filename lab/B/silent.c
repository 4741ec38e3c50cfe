/* SPDX-License-Identifier: MIT */
/*
 * Part B: the instructions that do not trap.
 *
 * This file takes the place of decoder/descend.c and vmm/emu/store.c.  What is around it stays:
 *   decoder/descend.h    what you write of the scanner, exactly; read it first
 *   decoder/scan.h       the page that goes in, the bitmaps that come out
 *   decoder/scan.c       calls you, then looks at the gaps that you left
 *   decoder/sensitive.h  the table of sensitive instructions: struct sensitive
 *   decoder/insn.h       insn_decode(): everything about one instruction
 *   decoder/length.h     insn_quick(): less, but faster, and where control goes next
 *   vmm/code_scan.c      fills the copy of the page with your patches; the guest runs the copy
 *   vmm/emu/handlers.h   the contract of a handler; gpr_write(), op_write(), seg_write() ...
 *
 * The scanner runs on whatever a guest has in memory: it must not crash, loop, or read or write
 * outside of what it was given, whatever the bytes are.  No allocation; a few pages of stack are
 * fine, recursion over 4096 instructions is fine, too.
 */
#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"
#include "vmm/emu/handlers.h"

/* ---- 1. One instruction ---- */

/*
 * What is at offset @off?  decoder/descend.h says what each field of *@out means.
 *
 * @in->avail bytes can be read from @in->bytes: the page, and perhaps some of the next.  Give
 * insn_decode() (or insn_quick()) what there is from @off on.  in.sens is the instruction's row in
 * the table, or NULL: it says whether it must be patched, and whether it traps by itself (@ring3 is
 * RING3_GP, RING3_UD or RING3_TRAP).
 *
 * An instruction that goes on in the next page: it must trap, too, if the bytes in this page do not
 * settle what it does.  insn_quick() tells how many bytes do (@decided).  To let every
 * instruction that goes on in the next page trap is allowed; it costs a little time.
 */
void scan_look(const struct scan_input *in, unsigned off, struct scan_look *out)
{
	(void)in, (void)off;
	*out = (struct scan_look){ 0 };
	/* TODO: length, or 0 */
	/* TODO: must it trap?  does it by itself? */
	/* TODO: where control goes, and the target of a branch */
}

/* ---- 2. The page ---- */

/* The @len bytes from @off are an instruction.  It may go on in the next page. */
void scan_mark(struct scan_result *out, unsigned off, unsigned len, bool patch)
{
	(void)out, (void)off, (void)len, (void)patch;
	/* TODO: scan_set() in out->body, out->patch; out->tail */
}

/*
 * Every instruction that control can reach from @in->entries (scan_test() tells which they are), as
 * far as that can be known.  The bytes behind a jmp or ret may be data.
 *
 * Each offset needs to be visited once.  Beware of a loop in the guest's code, and of its being as
 * long as the page.
 */
void scan_descend(const struct scan_input *in, struct scan_result *out)
{
	(void)in, (void)out;
	/* TODO: follow control; what is outside the page goes to in->external() */
	/* TODO: patches inside other instructions */
}

/* ---- 3. What they store ---- */

/*
 * The handlers of what you patched (popf and pushf are part A's, and done).  Each stores what the
 * *guest* has loaded, in v->sh and v->regs.seg; what the real registers hold is the host's
 * business.
 *
 * Memory operands: seg_write() and op_write() do the checks of the segment and of paging, and
 * return what you return.  Return EMU_OK if all went well; vcpu_ud(v) where the CPU raises #UD.
 */

/*
 * SGDT, SIDT: the limit in two bytes, then the base in four: six bytes of memory, whatever the
 * operand size.  (The manual has a zero in the last one for 16 bits; the processors do not.)
 * op_offset() gives the operand's offset in its segment.
 * Source: SDM Vol. 2B, "SGDT", "SIDT".
 */
int emu_store_table(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SLDT, STR: the selector.  Two bytes if the operand is memory, whatever the operand size; a
 * 32-bit register gets zeros above it, of a 16-bit one the upper half stays.
 * There is neither in real mode: #UD.
 * Source: SDM Vol. 2B, "SLDT", "STR".
 */
int emu_store_selector(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SMSW: CR0.  Two bytes of it if the operand is memory; a 32-bit register gets all of it.
 * Source: SDM Vol. 2B, "SMSW".
 */
int emu_store_msw(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/*
 * MOV from the segment register in->opnd[1], like SLDT, but in real mode as well.
 * Source: SDM Vol. 2B, "MOV".
 */
int emu_store_seg(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}
