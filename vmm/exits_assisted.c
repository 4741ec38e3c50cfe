/* SPDX-License-Identifier: MIT */
/*
 * Exits of an engine with hardware behind it: the instruction is decoded and its operands are
 * checked; what is left is the device's part.  The causes have the names that the same instruction
 * has when it is emulated, so that both engines fill one account.
 */
#include <string.h>

#include "vmm/account.h"
#include "vmm/emu/emulate.h"
#include "vmm/exits.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

/*
 * A string instruction of one element cannot be told from `in` and `out`, and is counted as one.
 * All its elements are done, whatever happens to the VM meanwhile, as by the emulator.
 */
int exit_io(struct vcpu *v, struct handling *h)
{
	uint8_t *data = h->x.access.io.data;
	unsigned width = h->x.access.io.width;
	uint16_t port = h->x.access.io.port;
	bool in = h->x.access.io.in;

	if (h->x.access.io.count > 1)
		h->cause = CAUSE_INSN(in ? OP_INS : OP_OUTS);
	else
		h->cause = CAUSE_INSN(in ? OP_IN : OP_OUT);
	for (uint32_t i = 0; i < h->x.access.io.count; i++, data += width) {
		uint32_t val = 0;

		if (in) {
			val = emu_port_read(v, port, width);
			memcpy(data, &val, width);
		} else {
			memcpy(&val, data, width);
			emu_port_write(v, port, width, val);
		}
	}
	return 0;
}

int exit_mmio(struct vcpu *v, struct handling *h)
{
	gpa_t gpa = h->x.access.mmio.gpa;

	h->cause = CAUSE_MMIO;
	if (h->x.access.mmio.write)
		mem_phys_write(v, gpa, h->x.access.mmio.data, h->x.access.mmio.len);
	else
		mem_phys_read(v, gpa, h->x.access.mmio.data, h->x.access.mmio.len);
	return 0;
}

int exit_hlt(struct vcpu *v, struct handling *h)
{
	h->cause = CAUSE_INSN(OP_HLT);
	v->halted = true;
	return 0;
}

int exit_msr(struct vcpu *v, struct handling *h)
{
	uint32_t index = h->x.access.msr.index;
	int res;

	h->cause = CAUSE_INSN(h->x.access.msr.write ? OP_WRMSR : OP_RDMSR);
	if (h->x.access.msr.write)
		res = msr_write(v, index, *h->x.access.msr.data);
	else
		res = msr_read(v, index, h->x.access.msr.data);
	*h->x.access.msr.refused = res == EMU_FAULT;
	return res < 0 ? res : 0;
}

int exit_shutdown(struct vcpu *v, struct handling *h)
{
	(void)h;
	v->shutdown = true;
	return 0;
}

/*
 * KVM executes some instructions itself, and does not know all (on kvm_pvm not even iret); we may.
 * On hardware there would be no exit, so it counts under a cause of its own.
 */
int exit_emulation(struct vcpu *v, struct handling *h)
{
	char text[64];
	int res = exit_decode(v, h);

	h->cause = CAUSE_EXIT(EXIT_EMULATION);
	v->engine->ops->load(v->engine);
	if (res)
		return res < 0 ? res : 0;
	res = exit_emulate(v, h);
	if (res == EMU_UNHANDLED && h->insn.op == OP_UD) {
		vcpu_ud(v);
		return exit_inject(v, &v->fault);
	}
	if (res != EMU_UNHANDLED)
		return res;
	insn_format(&h->insn, v->regs.eip, text, sizeof(text));
	return vm_host_fail(
		v->vm,
		"KVM cannot execute \"%s\" at %#x, and this program's emulator does not "
		"know it: use --engine world",
		text, v->regs.eip);
}
