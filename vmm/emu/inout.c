/* SPDX-License-Identifier: MIT */
/*
 * IN and OUT, and who may use which port.  Source: SDM Vol. 1, "I/O Instructions" (19.4),
 * "Protected-Mode I/O" (19.5); Vol. 2A, IN; Vol. 2B, OUT.
 */
#include "vmm/emu/handlers.h"

/* In virtual-8086 mode IOPL does not matter: the bitmap is always consulted (18.5.2). */
int io_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
	if (!vcpu_protected(v) || (!vcpu_v86(v) && v->sh.cpl <= vcpu_iopl(v)))
		return EMU_OK;
	return tss_io_allowed(v, port, width);
}

/* imm8 is a port number, never sign-extended; otherwise DX. */
static uint16_t port_of(const struct vcpu *v, const struct operand *o)
{
	return o->kind == OPND_IMM ? o->imm & 0xff : gpr_read(v, EDX, 2);
}

int emu_in_out(struct vcpu *v, const struct insn *in)
{
	bool input = in->op == OP_IN;
	uint16_t port = port_of(v, &in->opnd[input ? 1 : 0]);
	int r = io_allowed(v, port, in->width);

	if (r)
		return r;
	if (input)
		gpr_write(v, EAX, in->width, emu_port_read(v, port, in->width));
	else
		emu_port_write(v, port, in->width, gpr_read(v, EAX, in->width));
	return EMU_OK;
}
