/* SPDX-License-Identifier: MIT */
/*
 * The descent: the half of the scanner (decoder/scan.h) that follows control through one page of
 * code.  What it reaches is verified.  scan_page() calls it and then sweeps the gaps (scan.c), by
 * the same scan_look() and scan_mark().
 *
 * Pure: bytes in, bitmaps out.  Offsets count from the start of the page.
 */
#ifndef RINGSIDE_DECODER_DESCEND_H
#define RINGSIDE_DECODER_DESCEND_H

#include "decoder/length.h"
#include "decoder/scan.h"

/* What the scanner wants to know of one instruction. */
struct scan_look {
	uint8_t len;     /* bytes; 0: these are no instruction that we know */
	uint8_t flow;    /* enum quick_flow (decoder/length.h): where control goes from here */
	bool patch;      /* it must be made to trap */
	bool privileged; /* it is sensitive, not patched, and traps whatever the host is */
	uint32_t target; /* FLOW_COND, FLOW_JUMP, FLOW_CALL: linear address it branches to */
};

/*
 * Look at the instruction at offset @off (below SCAN_PAGE) of @in->bytes.  Fills all of *@out.
 *
 * It must trap if its row in the table of sensitive instructions says so (decoder/sensitive.h,
 * @patch), with three rules of its own: rdtsc only if @in->patch_tsc; pause, which no guest needs
 * to trap, only if @in->patch_pause; and whatever the bytes in this page do not settle.  The next
 * page may be rewritten without the scanner being asked again: if other bytes there could make
 * another operation of it (struct quick, @decided), it must trap, and is decoded when it does.
 *
 * Bytes that are no instruction have @len 0 and must trap: the CPU may know more than we do.
 *
 * Near branches are relative to the next instruction's EIP, which counts from @in->cs_base, and
 * wrap at 64 KiB if the operand size is 16 bits.  Source: SDM Vol. 2A, "JMP", "Jcc", "CALL".
 */
void scan_look(const struct scan_input *in, unsigned off, struct scan_look *out);

/*
 * Note in @out that the @len (1..INSN_MAX) bytes from @off are an instruction: those of them that
 * lie in the page are @body, what lies beyond is @tail unless another's was longer, and with @patch
 * the first byte is to be replaced.
 */
void scan_mark(struct scan_result *out, unsigned off, unsigned len, bool patch);

/*
 * From each of @in->entries, follow control until it leaves the page, stops, or meets what is known
 * already.  Fills @start, @body, @privileged, @patch and @tail of *@out, which is all zeros before.
 * A byte that is no instruction is marked as one of length 1.
 *
 * Calls @in->external, if there is one, for every place outside the page where control can go: the
 * targets of branches, and what follows an instruction at the page's end.
 *
 * Control may arrive in the middle of an instruction.  Then both are instructions, and where the
 * patch byte of the one lies inside the other, that one must trap as well: the CPU would execute
 * it with the patch in it, the emulator takes the original bytes.
 */
void scan_descend(const struct scan_input *in, struct scan_result *out);

#endif
