/* SPDX-License-Identifier: MIT */
/*
 * Port I/O: the way to the devices; INS and OUTS (IN and OUT are in inout.c).  The permission check
 * comes first, then the memory operand, then the bus: a device is never touched by an instruction
 * that faults.  Source: SDM Vol. 1, "I/O Instructions" (19.4); Vol. 2A, INS.
 */
#include "vmm/bus.h"
#include "vmm/emu/handlers.h"
#include "vmm/machine.h"
#include "vmm/model.h"

uint32_t emu_port_read(struct vcpu *v, uint16_t port, unsigned width)
{
	if (v->vm->machine)
		return machine_pio_read(v->vm, v, port, width);
	return bus_read(&v->vm->pio, port, width);
}

void emu_port_write(struct vcpu *v, uint16_t port, unsigned width, uint32_t val)
{
	if (v->vm->machine)
		machine_pio_write(v->vm, v, port, width, val);
	else
		bus_write(&v->vm->pio, port, width, val);
}

/* One element from the port to ES:EDI.  The write is known to succeed before the port is read. */
static int ins_one(struct vcpu *v, const struct insn *in, uint16_t port)
{
	gva_t gva;
	uint32_t val;
	int r = seg_linear(v, SEG_ES, gpr_read(v, EDI, in->addrsize), in->width, true, &gva);

	if (!r)
		r = mem_probe_write(v, gva, in->width, mem_user(v));
	if (r)
		return r;
	val = emu_port_read(v, port, in->width);
	r = mem_write(v, gva, &val, in->width, mem_user(v));
	if (!r)
		string_advance(v, in, EDI);
	return r;
}

/* One element from @seg:ESI to the port. */
static int outs_one(struct vcpu *v, const struct insn *in, uint16_t port)
{
	uint32_t val = 0;
	int r = seg_read(v, in->seg, gpr_read(v, ESI, in->addrsize), &val, in->width);

	if (r)
		return r;
	emu_port_write(v, port, in->width, val);
	string_advance(v, in, ESI);
	return EMU_OK;
}

static int ins_outs(struct vcpu *v, const struct insn *in)
{
	uint16_t port = gpr_read(v, EDX, 2);
	struct rep rep;
	int r = io_allowed(v, port, in->width);

	if (r)
		return r;
	for (rep_begin(v, in, &rep); rep_more(v, in, &rep);) {
		r = in->op == OP_INS ? ins_one(v, in, port) : outs_one(v, in, port);
		if (r)
			break;
		rep_count(v, in, &rep);
	}
	if (rep.on)
		model_elements(v, rep.done);
	return rep_end(v, in, &rep, r);
}

int emu_io(struct vcpu *v, const struct insn *in)
{
	if (in->width != 1 && in->width != 2 && in->width != 4)
		return vcpu_ud(v);
	return in->op == OP_IN || in->op == OP_OUT ? emu_in_out(v, in) : ins_outs(v, in);
}
