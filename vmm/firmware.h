/* SPDX-License-Identifier: MIT */
/* The tables a PC's firmware leaves in memory: which processors and interrupt controllers exist. */
#ifndef RINGSIDE_VMM_FIRMWARE_H
#define RINGSIDE_VMM_FIRMWARE_H

#include <stdint.h>

struct vm;

#define FIRMWARE_BASE 0xf0000u /* all tables lie here, in what the memory map calls reserved */
#define FIRMWARE_LEN  0x4000u

/*
 * Write the MP floating pointer with its configuration table, and ACPI 1.0 tables (RSDP, RSDT,
 * FADT, FACS, DSDT, MADT), for @vm's vCPUs into its RAM, some words of the BIOS data area, and
 * an empty text screen.  Call once vCPUs exist, before the image is
 * loaded (an image that covers 0x400-0x4ff wins).
 * Returns 0, or -ENOSPC if the RAM ends below them.
 * Source: Intel MultiProcessor Specification 1.4, chapter 4; ACPI Specification 1.0b, chapter 5.
 */
int firmware_write(struct vm *vm);

#endif
