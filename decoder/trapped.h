/* SPDX-License-Identifier: MIT */
/*
 * Capstone's account of an instruction in our terms: the part of the decoder for the instructions
 * that a kernel traps by most often.  The other operations are in capstone.c, with operands.c.
 */
#ifndef RINGSIDE_DECODER_TRAPPED_H
#define RINGSIDE_DECODER_TRAPPED_H

#include "decoder/insn.h"

struct cs_insn; /* <capstone/capstone.h>; with details (CS_OPT_DETAIL) */

/*
 * If @cs is one of CLI, STI, HLT, PUSHF, PUSHFD, POPF, POPFD, IN, OUT, or a MOV from a control
 * register to a general one, fill op, nopnd and the operands of *@in as insn.h promises them, and
 * return true.  *@in is zero but for its length.  Length, prefixes and sizes (opsize, addrsize,
 * width) are the caller's business.
 * Otherwise, for INS, OUTS, MOV to a control register and everything else, return false with *@in
 * unchanged.
 *
 * @cs is as of 32-bit code; the prefixes without a meaning for the instruction are left out.
 * Operands are listed by Capstone as Intel writes them, destination first; here, too.
 */
bool decode_trapped(const struct cs_insn *cs, struct insn *in);

#endif
