/* SPDX-License-Identifier: MIT */
/*
 * One virtual CPU with a little RAM and no engine: what the emulator's tests run on.  Machine
 * code goes through the whole path: insn_decode(), then emulate().
 *
 *     struct fx f;
 *     fx_init(&f);                                   // protected mode, flat, CPL 0
 *     f.v.regs.gpr[EAX] = 0x18;
 *     cr_assert_eq(fx_run(&f, "8ed8"), EMU_OK);      // mov %eax,%ds
 *     fx_fini(&f);
 *
 * RAM is 4 MiB from 0, so that code, data and stack lie where tests/native.h has them and the
 * same bytes with the same registers can be run on the real CPU.
 */
#ifndef RINGSIDE_TESTS_EMU_FIXTURE_H
#define RINGSIDE_TESTS_EMU_FIXTURE_H

#include "vmm/emu/emulate.h"
#include "vmm/emu/handlers.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct fx {
	struct vm vm;
	struct vcpu v;
};

/* Guest physical = linear addresses (paging is off). */
#define FX_RAM         0x400000u
#define FX_GDT         0x1000u /* FX_ENTRIES descriptors */
#define FX_LDT         0x2000u /* the same number */
#define FX_IDT         0x3000u /* 256 gates, none present */
#define FX_TSS         0x4000u /* 32-bit TSS, limit 103: no I/O bitmap */
#define FX_IVT         0x0000u /* real mode: linear 0 */
#define FX_CODE        0x100000u
#define FX_DATA        0x200000u
#define FX_STACK       0x308000u /* initial ESP */
#define FX_RING0_STACK 0x310000u /* ESP0 of the TSS; ESP1, ESP2 are 64 KiB and 128 KiB above */

#define FX_ENTRIES 64u

/* Selectors of the fixture's GDT.  Flat, 4 GiB, 32-bit unless said otherwise. */
#define FX_CS0  0x08u /* code, DPL 0 */
#define FX_DS0  0x10u /* data, DPL 0 */
#define FX_CS1  0x19u
#define FX_DS1  0x21u
#define FX_CS2  0x2au
#define FX_DS2  0x32u
#define FX_CS3  0x3bu
#define FX_DS3  0x43u
#define FX_TR   0x48u /* the 32-bit TSS, busy and loaded */
#define FX_LDTR 0x50u /* the LDT, loaded, all entries empty */
#define FX_FREE 0x58u /* from here on: empty, for the test to fill */

/* Access byte (bits 47:40 of a descriptor) and flags; SDM Vol. 3A, "Segment Descriptors" (3.4.5).
 */
#define FX_P         0x80u
#define FX_DPL(n)    ((unsigned)(n) << 5)
#define FX_S         0x10u /* code or data; clear: system */
#define FX_DATA_RW   0x02u
#define FX_DATA_DOWN 0x04u
#define FX_CODE_X    0x08u
#define FX_CODE_C    0x04u
#define FX_CODE_R    0x02u
#define FX_ACC       0x01u
#define FX_AVL       0x1u /* flags nibble */
#define FX_DB        0x4u
#define FX_G         0x8u

/* Returns 0; aborts the test through Criterion if vm_init() fails. */
void fx_init(struct fx *f); /* protected mode, CPL 0, interrupts off, EIP = FX_CODE */
void fx_init_real(
	struct fx *f); /* real mode: CS 0x1000, DS ES FS GS 0x2000, SS 0x3000, SP 0x8000 */
void fx_fini(struct fx *f);

/* Put the vCPU at privilege @cpl with the flat segments of that level; EIP and ESP stay. */
void fx_cpl(struct fx *f, unsigned cpl);

/* A raw descriptor; @limit as stored (20 bits, in pages if FX_G). */
uint64_t fx_desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
/* A raw gate; @access e.g. FX_P | 0xe (32-bit interrupt gate); @count: parameters of a call gate.
 */
uint64_t fx_gate(uint16_t sel, uint32_t off, unsigned access, unsigned count);
/* Store a descriptor for @sel (TI says which table), or a gate of the IDT. */
void fx_set(struct fx *f, uint16_t sel, uint64_t desc);
uint64_t fx_get(struct fx *f, uint16_t sel);
void fx_set_idt(struct fx *f, unsigned vector, uint64_t gate);

uint32_t fx_r32(struct fx *f, uint32_t gpa);
uint16_t fx_r16(struct fx *f, uint32_t gpa);
void fx_w32(struct fx *f, uint32_t gpa, uint32_t val);
void fx_w16(struct fx *f, uint32_t gpa, uint16_t val);
void fx_w8(struct fx *f, uint32_t gpa, uint8_t val);

/* Bytes of @hex (blanks allowed) into @buf; returns how many. */
size_t fx_hex(const char *hex, uint8_t *buf, size_t max);

/*
 * Put the one instruction @hex at CS:EIP, decode it in the mode of CS and emulate it.
 * Returns what emulate() returned; 1000 if the bytes do not decode to one whole instruction.
 */
int fx_run(struct fx *f, const char *hex);
int fx_run_bytes(struct fx *f, const uint8_t *bytes, size_t len);

/* Run and require the fault @vector with @error (-1: no error code) and an unchanged vCPU. */
bool fx_faults(struct fx *f, const char *hex, unsigned vector, int64_t error);

#endif
