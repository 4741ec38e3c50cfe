/* SPDX-License-Identifier: MIT */
/*
 * Emulation of sensitive instructions on shadow state, and of ordinary instructions whose memory
 * operand is not plain RAM.  All-or-nothing: a fault leaves the vCPU as it was.
 */
#ifndef RINGSIDE_VMM_EMU_EMULATE_H
#define RINGSIDE_VMM_EMU_EMULATE_H

#include "decoder/insn.h"
#include "vmm/vcpu.h"

/*
 * Emulate @in, the instruction at v->regs.eip.  Honours vCPL, IOPL, the I/O permission bitmap and
 * every other check of the manual.  On EMU_OK registers, flags, shadow and memory are as the CPU
 * would have left them and EIP is past the instruction (or at its target; or still on it for a rep
 * string instruction that was cut after a bounded number of iterations so that interrupts can be
 * taken).  The STI and MOV SS shadows and RF are handled here.  A pending single-step trap
 * (EFLAGS.TF at the start) is the caller's business.
 * Returns enum emu_result, or a negative errno if the VM was killed.
 * EMU_UNHANDLED if @in is neither sensitive nor an emulatable ordinary instruction.
 */
int emulate(struct vcpu *v, const struct insn *in);

/* The two halves of emulate(), for callers that know which it is. */
int emulate_sensitive(struct vcpu *v, const struct insn *in);
int emulate_ordinary(struct vcpu *v, const struct insn *in);

/*
 * Load segment register @seg with @sel: the full protected-mode checks of MOV/POP/LSS and the
 * like, or real-mode semantics when CR0.PE is clear.  Sets the accessed bit in the descriptor.
 * Not for CS.  Returns EMU_OK or EMU_FAULT (#GP/#NP/#SS with selector, #PF).
 * Source: Intel SDM Vol. 2, MOV; Vol. 3A, "Segment Loading" (5.6).
 */
int seg_load(struct vcpu *v, enum seg seg, uint16_t sel);

/* Read the 8-byte descriptor of @sel from GDT or LDT (ldtr). Returns EMU_OK, EMU_FAULT (#GP(sel)
 * outside the limit, #PF). */
int desc_read(struct vcpu *v, uint16_t sel, uint64_t *desc);
/* Unpack a raw descriptor into *@s with selector @sel (limit in bytes). */
void desc_unpack(uint64_t desc, uint16_t sel, struct segment *s);
/* Set the accessed bit (code/data) or type @type (system: busy TSS) of @sel's descriptor in memory.
 */
int desc_set_type(struct vcpu *v, uint16_t sel, uint8_t type);

/*
 * Deliver @ev through the guest's IDT (protected mode) or IVT (real mode): gate checks, stack
 * switch through the TSS on a privilege change, frame of the gate's size, error code, IF/TF/NT/RF.
 * A fault while delivering becomes #DF or shutdown by the contributory rules; on a triple fault
 * v->shutdown is set and EMU_OK returned.  Returns EMU_OK, or negative errno if the VM was killed.
 * Source: Intel SDM Vol. 3A, "Interrupt and Exception Handling" (6).
 */
int inject(struct vcpu *v, const struct event *ev);

/*
 * The vCPU's answer to CPUID leaf @eax, subleaf @ecx: the host's features minus what cannot be
 * virtualized, APIC id, hypervisor leaf 0x40000000 "Ringside".  out[]: eax ebx ecx edx.
 */
void cpuid_policy(const struct vcpu *v, uint32_t eax, uint32_t ecx, uint32_t out[4]);

/*
 * The model-specific register @index as the guest's RDMSR and WRMSR see it; the privilege level is
 * the caller's matter.  Return EMU_OK, or EMU_FAULT with v->fault set to #GP(0).  vCPU thread only.
 */
int msr_read(struct vcpu *v, uint32_t index, uint64_t *val);
int msr_write(struct vcpu *v, uint32_t index, uint64_t val);

/* One access to an I/O port on behalf of @v; @width is 1, 2 or 4 bytes.  Takes the device lock. */
uint32_t emu_port_read(struct vcpu *v, uint16_t port, unsigned width);
void emu_port_write(struct vcpu *v, uint16_t port, unsigned width, uint32_t val);

/* MAXPHYADDR: physical address bits, CPUID 0x80000008 EAX[7:0].  36 is what PAE brought. */
#define CPUID_PHYS_BITS 36

/* Guest's time-stamp counter now. */
uint64_t vcpu_tsc(const struct vcpu *v);

#endif
