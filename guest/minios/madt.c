/* SPDX-License-Identifier: MIT */
/*
 * Which processors there are: the firmware has written it down in an ACPI table, the "multiple APIC
 * description table".
 *
 * Nobody says where that is, so look for the signature of a small structure, the "root system
 * description pointer", in the first KiB of the extended BIOS data area and in the BIOS ROM.  It
 * points at a list of tables, each with a header that has its name.
 *
 * (There is an older table for the same, the MultiProcessor Specification's.  It knows only one
 * processor of each chip, so QEMU's shows one of four.)
 * Source: ACPI Specification 1.0b, "Root System Description Pointer" (5.2.4), "System Description
 * Table Header" (5.2.5), "Multiple APIC Description Table" (5.2.8).
 */
#include "minios.h"

#define EBDA_NOTED 0x40eu /* where the BIOS notes the segment of its extended data area */

struct acpi_pointer {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t list;
} __attribute__((packed));

struct acpi_header {
	char signature[4];
	uint32_t length; /* with this header */
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

/* What the table consists of, behind the header and 8 bytes more. */
struct madt_entry {
	uint8_t type, length;
	uint8_t processor, apic_id; /* if it is a local APIC */
	uint32_t flags;
} __attribute__((packed));
enum { MADT_SKIP = 8, MADT_LOCAL_APIC = 0, MADT_ENABLED = 1 };

/* All bytes of a good structure add up to zero. */
static bool adds_up(const void *p, uint32_t len)
{
	uint8_t sum = 0;
	for (const uint8_t *b = p; len--; b++)
		sum = (uint8_t)(sum + *b);
	return !sum;
}

static const struct acpi_pointer *look_in(uint32_t from, uint32_t len)
{
	for (uint32_t at = from; at < from + len; at += 16) {
		const struct acpi_pointer *p = (const void *)at;
		if (after_prefix(p->signature, "RSD PTR ") && adds_up(p, sizeof(*p)))
			return p;
	}
	return NULL;
}

static const struct acpi_pointer *find_pointer(void)
{
	uint32_t at = EBDA_NOTED, ebda;
	const struct acpi_pointer *p = NULL;
	/* gcc takes an address that low for a mistake, so hide that it is one. */
	__asm__("" : "+r"(at));
	ebda = *(const uint16_t *)at * 16u;
	if (ebda >= 0x80000 && ebda < 0xa0000)
		p = look_in(ebda, 1024);
	return p ? p : look_in(0xe0000, 0x20000);
}

static const struct acpi_header *find_madt(void)
{
	const struct acpi_pointer *p = find_pointer();
	const struct acpi_header *list = p ? (const void *)p->list : NULL;
	const uint32_t *tables;
	if (!list || !after_prefix(list->signature, "RSDT") || !adds_up(list, list->length))
		return NULL;
	tables = (const uint32_t *)(list + 1);
	for (uint32_t n = (list->length - sizeof(*list)) / sizeof(*tables); n--; tables++) {
		const struct acpi_header *t = (const void *)*tables;
		if (after_prefix(t->signature, "APIC") && adds_up(t, t->length))
			return t;
	}
	return NULL;
}

unsigned madt_processors(uint8_t *apic_id, unsigned max)
{
	const struct acpi_header *t = find_madt();
	uint32_t at = sizeof(*t) + MADT_SKIP;
	unsigned count = 1;
	apic_id[0] = (uint8_t)(LAPIC_REG(LAPIC_ID) >> 24);
	while (t && at + 2 <= t->length) {
		const struct madt_entry *e = (const void *)((uint32_t)t + at);
		if (e->type == MADT_LOCAL_APIC && (e->flags & MADT_ENABLED) &&
		    e->apic_id != apic_id[0] && count < max)
			apic_id[count++] = e->apic_id;
		if (!e->length)
			break;
		at += e->length;
	}
	return count;
}
