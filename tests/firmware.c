/* SPDX-License-Identifier: MIT */
/*
 * The tables, found and parsed back as a kernel does.  Expectations: MultiProcessor Specification
 * 1.4, chapter 4; ACPI Specification 1.0b, 5.2.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/firmware.h"
#include "vmm/multiboot.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static struct vm fw_vm;

static void fw_make(unsigned vcpus)
{
	cr_assert_eq(vm_init(&fw_vm, VM_RAM_MIN), 0);
	for (unsigned i = 0; i < vcpus; i++) {
		fw_vm.vcpu[i] = calloc(1, sizeof(struct vcpu));
		fw_vm.vcpu[i]->vm = &fw_vm;
		fw_vm.vcpu[i]->id = i;
		vcpu_reset(fw_vm.vcpu[i]);
	}
	fw_vm.vcpus = vcpus;
	cr_assert_eq(firmware_write(&fw_vm), 0);
}

static void fw_free(void)
{
	for (unsigned i = 0; i < fw_vm.vcpus; i++)
		free(fw_vm.vcpu[i]);
	vm_destroy(&fw_vm);
}

static uint32_t fw_u32(uint32_t gpa)
{
	uint32_t val;

	memcpy(&val, fw_vm.ram + gpa, 4);
	return val;
}

static uint16_t fw_u16(uint32_t gpa)
{
	return (uint16_t)fw_u32(gpa);
}

static uint8_t fw_u8(uint32_t gpa)
{
	return fw_vm.ram[gpa];
}

static uint8_t fw_sum(uint32_t gpa, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += fw_u8(gpa++);
	return sum;
}

/* On a 16-byte boundary in the BIOS area; exactly one. */
static uint32_t fw_find(const char *signature, uint32_t from)
{
	uint32_t found = 0;

	for (uint32_t gpa = from; gpa < 0x100000; gpa += 16) {
		if (memcmp(fw_vm.ram + gpa, signature, strlen(signature)))
			continue;
		cr_assert_eq(found, 0, "two of %s", signature);
		found = gpa;
	}
	cr_assert_neq(found, 0, "no %s", signature);
	return found;
}

/* An ACPI table at @gpa; returns its length. */
static uint32_t fw_table(uint32_t gpa, const char *signature)
{
	uint32_t len = fw_u32(gpa + 4);

	cr_assert_arr_eq(fw_vm.ram + gpa, signature, 4);
	cr_assert(len >= 36 && gpa + len <= FIRMWARE_BASE + FIRMWARE_LEN);
	cr_expect_eq(fw_sum(gpa, len), 0, "%s", signature);
	return len;
}

Test(firmware, mp_table_lists_processors_ioapic_and_interrupts)
{
	static const uint8_t size[] = { 20, 8, 8, 8, 8 };

	for (unsigned vcpus = 1; vcpus <= VM_VCPUS_MAX; vcpus++) {
		unsigned seen[5] = { 0 }, pins = 0;
		uint32_t fp, at, end;

		fw_make(vcpus);
		fp = fw_find("_MP_", 0xf0000);
		cr_expect_eq(fw_sum(fp, 16), 0);
		at = fw_u32(fp + 4);
		cr_assert_arr_eq(fw_vm.ram + at, "PCMP", 4);
		cr_expect_eq(fw_sum(at, fw_u16(at + 4)), 0);
		cr_expect_eq(fw_u32(at + 36), 0xfee00000);
		end = at + fw_u16(at + 4);
		for (at += 44; at < end; at += size[fw_u8(at)]) {
			uint8_t type = fw_u8(at);

			cr_assert_lt(type, 5);
			if (type == 0) {
				cr_expect_eq(fw_u8(at + 1), seen[0]);
				cr_expect_eq(fw_u8(at + 3), seen[0] ? 1 : 3);
			} else if (type == 2) {
				cr_expect_eq(fw_u8(at + 1), vcpus, "unlike any processor");
				cr_expect_eq(fw_u32(at + 4), 0xfec00000);
			} else if (type == 3 && fw_u8(at + 1) == 0) {
				cr_expect_eq(fw_u8(at + 7), fw_u8(at + 5) ? fw_u8(at + 5) : 2);
				pins |= 1u << fw_u8(at + 7);
			}
			seen[type]++;
		}
		cr_expect_eq(at, end);
		cr_expect_eq(seen[0], vcpus);
		cr_expect_eq(seen[2], 1);
		cr_expect_eq(pins, 0xfffe);
		cr_expect_eq(seen[4], 2);
		cr_expect_eq(fw_u16(fw_u32(fp + 4) + 34),
			     seen[0] + seen[1] + seen[2] + seen[3] + seen[4]);
		fw_free();
	}
}

/* 5.2.8: by type and length. */
static void fw_check_madt(uint32_t madt, unsigned vcpus)
{
	uint32_t end = madt + fw_table(madt, "APIC"), at;
	unsigned lapics = 0, others = 0;

	cr_expect_eq(fw_u32(madt + 36), 0xfee00000);
	cr_expect_eq(fw_u32(madt + 40), 1);
	for (at = madt + 44; at < end; at += fw_u8(at + 1)) {
		cr_assert_geq(fw_u8(at + 1), 6);
		switch (fw_u8(at)) {
		case 0:
			cr_expect_eq(fw_u8(at + 3), lapics++);
			cr_expect_eq(fw_u32(at + 4), 1);
			break;
		case 1:
			cr_expect_eq(fw_u8(at + 2), vcpus);
			cr_expect_eq(fw_u32(at + 4), 0xfec00000);
			others |= 1;
			break;
		case 2:
			cr_expect_eq(fw_u8(at + 3), 0);
			cr_expect_eq(fw_u32(at + 4), 2);
			others |= 2;
			break;
		case 4: others |= 4; break;
		default: cr_expect_fail("entry of type %u", fw_u8(at)); break;
		}
	}
	cr_expect_eq(at, end);
	cr_expect_eq(lapics, vcpus);
	cr_expect_eq(others, 7);
}

Test(firmware, acpi_tables_hang_together)
{
	for (unsigned vcpus = 1; vcpus <= VM_VCPUS_MAX; vcpus++) {
		uint32_t rsdp, rsdt, fadt, facs;

		fw_make(vcpus);
		rsdp = fw_find("RSD PTR ", 0xe0000);
		cr_expect_eq(fw_sum(rsdp, 20), 0);
		cr_expect_eq(fw_u8(rsdp + 15), 0, "ACPI 1.0");
		rsdt = fw_u32(rsdp + 16);
		cr_assert_eq(fw_table(rsdt, "RSDT"), 36 + 8);
		fadt = fw_u32(rsdt + 36);
		cr_expect_eq(fw_table(fadt, "FACP"), 116);
		facs = fw_u32(fadt + 36);
		cr_expect_eq(facs % 64, 0);
		cr_expect_arr_eq(fw_vm.ram + facs, "FACS", 4);
		cr_expect_eq(fw_table(fw_u32(fadt + 40), "DSDT"), 36 + 8 + 13 * vcpus);
		cr_expect_eq(fw_u32(fadt + 48), 0, "no SMI command: in ACPI mode already");
		fw_check_madt(fw_u32(rsdt + 40), vcpus);
		fw_free();
	}
}

/* Kernels that take the memory map at its word must not overwrite them. */
Test(firmware, the_tables_lie_in_reserved_memory)
{
	cr_expect_geq(FIRMWARE_BASE, ROM_BASE);
	cr_expect_leq(FIRMWARE_BASE + FIRMWARE_LEN, HIGH_BASE);
	fw_make(1);
	cr_expect_eq(fw_u16(0x40e) << 4, LOW_END);
	cr_expect_eq(fw_u16(0x413), 639);
	cr_expect_eq(fw_u8(0x449), 3);
	cr_expect_eq(fw_u16(0x44a), 80);
	cr_expect_eq(fw_u16(0xb8000), 0x0720);
	cr_expect_eq(fw_u16(0xbfffe), 0x0720);
	fw_free();
}
