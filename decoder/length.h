/* SPDX-License-Identifier: MIT */
/*
 * A fast first look at an instruction, for the scanner of shadow code pages: how long is it, where
 * can control go next, and could it be sensitive?  Capstone answers the same but takes a
 * microsecond or two each; a fresh page holds a thousand instructions.  Only candidates go on
 * to insn_decode().
 */
#ifndef RINGSIDE_DECODER_LENGTH_H
#define RINGSIDE_DECODER_LENGTH_H

#include <stddef.h>
#include <stdint.h>

enum quick_flow {
	FLOW_NEXT,     /* falls through */
	FLOW_COND,     /* jcc, loop*, jcxz: @target or next */
	FLOW_JUMP,     /* direct near jmp: @target */
	FLOW_CALL,     /* direct near call: @target, and next when it returns */
	FLOW_ICALL,    /* indirect near call: next when it returns */
	FLOW_INDIRECT, /* indirect near jmp: unknown */
	FLOW_RET,      /* near ret: unknown */
	FLOW_STOP, /* never goes on by itself: hlt is not one (FLOW_NEXT), ud2 and far jmp, retf,
		      iret are */
};

struct quick {
	uint8_t len;       /* bytes, 1-15 */
	uint8_t flow;      /* enum quick_flow */
	uint8_t candidate; /* nonzero: may be sensitive; ask insn_decode() */
	uint8_t decided; /* bytes from the start that settle @candidate and @flow: prefixes, opcode
			    and, where the opcode is a group, ModRM */
	int32_t rel;     /* FLOW_COND, JUMP, CALL: displacement from the next instruction */
	uint8_t opsize;  /* 2 or 4: with 2 a near branch target wraps at 64 KiB */
	uint8_t traps;   /* nonzero: may be sensitive, but then reliably traps at ring 3 (cli, in):
			    of use to `ringside scan`, not to the scanner of pages */
};

/*
 * Look at the first instruction of @bytes (@len available, @bits 16 or 32).
 * Returns 0; -EINVAL if these bytes are no instruction (#UD); -ENODATA if they end too early.
 * Never answers candidate == 0 for an instruction that has a row in the sensitive table with
 * patch == true (the reverse may happen: a candidate may turn out harmless).
 */
int insn_quick(const uint8_t *bytes, size_t len, unsigned bits, struct quick *out);

#endif
